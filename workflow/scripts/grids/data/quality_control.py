"""Quality control: which cells, genes and peaks are kept, and why the others are not."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from grids.data.multiome import RawMultiome, step_row
from grids.data.raw_files import Part
from grids.io import backed
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.levels import ALL_TYPES
from grids.io.logging import log

FRAGMENT_COLUMNS = ("n_fragments", "nCount_ATAC", "atac_fragments", "nFrags")
TSS_COLUMNS = ("tss_enrichment", "TSS.enrichment", "TSSEnrichment", "tss_score")
STEP_COLUMNS = ["what", "modality", "step", "n_before", "n_dropped", "n_after", "reason"]
METRIC_COLUMNS = [
    "cell", "modality", "cell_type", "n_fragments", "n_genes", "n_counts", "tss_enrichment", "kept", "reason",
]  # fmt: skip


class CellFilter:
    """The cells of the raw data, their metrics, and which of them are still in.

    Attributes
    ----------
    metrics : dict of str to DataFrame
        Columns as in ``quality_control/metrics.tsv.gz``. Paired data have one frame, ``paired``; unpaired data have
        ``rna`` and ``atac``. Rows as in the raw data. Metrics that a modality does not have are missing.
    steps : list of dict
        One row per step, columns ``STEP_COLUMNS``.
    missing : dict of str to str
        What is told of cells without a metric that others have; they count as neither below nor above.
    """

    def __init__(self, raw: RawMultiome):
        self.steps: list[dict] = list(raw.steps)
        self._where = {"rna": raw.rna.where, "atac": raw.atac.where}
        self.fragments_from, self.tss_from = "sum of ATAC counts", None
        n_genes, n_counts = backed.totals(raw.rna.X)
        depth = n_counts if raw.rna.depth is None else raw.rna.depth
        of_atac = self._atac_metrics(raw)
        if raw.paired:
            self.metrics = {"paired": _metrics(raw.rna, n_genes=n_genes, n_counts=depth, **of_atac)}
        else:
            rna = _metrics(raw.rna, n_genes=n_genes, n_counts=depth)
            self.metrics = {"rna": rna, "atac": _metrics(raw.atac, **of_atac)}
        for name, frame in self.metrics.items():
            frame.insert(0, "modality", name)
            frame["kept"], frame["reason"] = True, ""

    def _atac_metrics(self, raw: RawMultiome) -> dict[str, np.ndarray | float]:
        """Fragments and TSS enrichment of the cells of the ATAC."""
        tables = [raw.atac.obs, raw.rna.obs] if raw.paired else [raw.atac.obs]
        fragments, source = _find(tables, FRAGMENT_COLUMNS)
        tss, self.tss_from = _find(tables, TSS_COLUMNS)
        by_sum = "are judged by the sum of their ATAC counts"
        self.missing = {
            "n_fragments": _told_missing(raw, fragments, source, by_sum),
            "tss_enrichment": _told_missing(raw, tss, self.tss_from, "are not judged by it"),
        }
        if source:
            self.fragments_from = f"obs column {source}"
        if source is None or np.isnan(fragments).any():
            _, sums = backed.totals(raw.atac.X)
            fragments = sums if source is None else np.where(np.isnan(fragments), sums, fragments)
        return {"n_fragments": fragments, "tss_enrichment": np.nan if tss is None else tss}

    def kept(self, modality: str) -> np.ndarray:
        """Rows of the raw modality ("rna" or "atac") that are still in, as positions."""
        return np.flatnonzero(self.metrics.get("paired", self.metrics.get(modality))["kept"].to_numpy())

    def drop(self, modality: str, step: str, passes: np.ndarray, reason: str) -> None:
        """Take out the cells of one frame that do not pass, and count them.

        Parameters
        ----------
        modality : str
            A key of `metrics`.
        step : str
            Kept as the reason of each cell it drops.
        passes : array of bool, one per row of the frame
        reason : str
            Why cells do not pass, for the table of steps; "not applied: ..." for a step that cannot be done.
        """
        frame = self.metrics[modality]
        before = frame["kept"].to_numpy()
        passes = np.asarray(passes, bool)
        frame.loc[before & ~passes, "reason"] = step
        frame["kept"] = before & passes
        self.steps.append(step_row("cells", modality, step, before.sum(), (before & passes).sum(), reason))

    def apply_thresholds(self, thresholds: Mapping) -> None:
        """Keep cells with enough fragments, genes and TSS enrichment (all thresholds inclusive).

        Raises
        ------
        InputError
            When no cell passes; the message holds the medians found.
        """
        fragments, genes, enriched = (
            thresholds[f"min_{what}"] for what in ("fragments", "genes", "tss_enrichment")
        )
        missing = self.missing
        for name, frame in self.metrics.items():
            if name != "rna":
                reason = f"fewer than {fragments} fragments ({self.fragments_from}{missing['n_fragments']})"
                self.drop(name, "min_fragments", frame["n_fragments"] >= fragments, reason)
            if name != "atac":
                reason = f"fewer than {genes} genes with expression"
                self.drop(name, "min_genes", frame["n_genes"] >= genes, reason)
            if name != "rna":
                enrichment = frame["tss_enrichment"]
                reason = f"not applied: obs has no TSS enrichment (none of {', '.join(TSS_COLUMNS)})"
                if self.tss_from:
                    source = f"obs column {self.tss_from}{missing['tss_enrichment']}"
                    reason = f"TSS enrichment below {enriched} ({source})"
                self.drop(name, "min_tss_enrichment", (enrichment >= enriched) | enrichment.isna(), reason)
            if not frame["kept"].any():
                medians = frame[["n_fragments", "n_genes", "tss_enrichment"]].median().dropna()
                medians = ", ".join(f"{column} {median:g}" for column, median in medians.items())
                where = self._where["atac" if name == "atac" else "rna"]
                raise InputError(
                    f"{where}: none of {len(frame)} cells passes quality_control (medians: {medians}); lower "
                    "min_fragments, min_genes or min_tss_enrichment"
                )

    def label(self, modality: str, cell_types: np.ndarray) -> None:
        """Set the cell types of the kept cells of one frame; the others stay as they are."""
        frame = self.metrics[modality]
        frame["cell_type"] = frame["cell_type"].astype(object)
        frame.loc[frame["kept"], "cell_type"] = cell_types

    def counts(self) -> dict[str, pd.Series]:
        """Number of kept cells per cell type, for each frame."""
        return {
            name: frame.loc[frame["kept"], "cell_type"].value_counts() for name, frame in self.metrics.items()
        }

    def drop_unusable_types(self, min_cells: int) -> None:
        """Drop unlabelled cells, types that only one modality has, and types with fewer than `min_cells`.

        Raises
        ------
        InputError
            When no type is in both modalities, or none is large enough.
        """
        reason = "no label, or no marker fits the cluster"
        for name, frame in self.metrics.items():
            self.drop(name, "cell_type", frame["cell_type"].notna(), reason)
        counts = self.counts()
        shared = set.intersection(*(set(series.index) for series in counts.values()))
        if not shared:
            names = {name: ", ".join(map(str, series.index[:8])) for name, series in counts.items()}
            found = "; ".join(f"{name}: {types or 'none'}" for name, types in names.items())
            raise InputError(
                f"no cell type is found in both modalities ({found}); unpaired cells need shared labels"
            )
        if len(self.metrics) == 2:
            for name, frame in self.metrics.items():
                only_here = sorted(set(counts[name].index) - shared)
                reason = f"types without cells in the other modality: {', '.join(only_here) or 'none'}"
                self.drop(name, "shared_cell_types", frame["cell_type"].isin(shared), reason)
        sizes = pd.DataFrame({name: series.loc[list(shared)] for name, series in counts.items()}).min(axis=1)
        large = sizes.index[sizes >= min_cells]
        if large.empty:
            raise InputError(
                f"no cell type has quality_control.min_cells_per_type = {min_cells} cells after quality "
                f"control (largest: '{sizes.idxmax()}' with {sizes.max()}); lower it, or the other thresholds"
            )
        small = sorted(set(sizes.index) - set(large))
        reason = f"types with fewer than {min_cells} cells: {', '.join(small) or 'none'}"
        for name, frame in self.metrics.items():
            self.drop(name, "min_cells_per_type", frame["cell_type"].isin(large), reason)

    def check_types(self, asked: Iterable[str], source: str) -> None:
        """Refuse tasks of cell types without cells; `source` is the config."""
        left = set.intersection(*(set(counts.index) for counts in self.counts().values()))
        known = {str(t) for frame in self.metrics.values() for t in frame["cell_type"].dropna().unique()}
        problems = [
            f"{source}: tasks: cell type '{cell_type}' has no cells left after quality control "
            f"(dropped: {self.losses_of(cell_type)}); relax these thresholds or take the type out of tasks"
            if cell_type in known
            else f"{source}: tasks: cell type '{cell_type}' is not in the data."
            f"{did_you_mean(cell_type, known)} It has: {listing(sorted(known))}"
            for cell_type in asked
            if cell_type not in {*left, ALL_TYPES}
        ]
        if ALL_TYPES in known:
            problems.append(
                f"{source}: a cell type of the data is called '{ALL_TYPES}', which stands for all of them here; "
                "give it another name"
            )
        if problems:
            raise InputError(*problems)

    def losses_of(self, cell_type: str) -> str:
        """How many cells of a type each step has dropped: ``"30 by min_fragments, 5 by min_genes"``."""
        cells = pd.concat(self.metrics.values())
        lost = cells["reason"][(cells["cell_type"] == cell_type) & ~cells["kept"]].value_counts()
        ordered = dict.fromkeys(row["step"] for row in self.steps)
        return ", ".join(f"{lost[step]} by {step}" for step in ordered if step in lost)

    def table(self) -> pd.DataFrame:
        """Metrics of every cell, modalities below each other, columns ``METRIC_COLUMNS``."""
        return pd.concat([frame[METRIC_COLUMNS] for frame in self.metrics.values()], ignore_index=True)


def enough_cells(
    matrix: backed.Rows, min_cells: int, always: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Features that are non-zero in enough cells, at least one; those in `always` are kept with any.

    Parameters
    ----------
    matrix : csr_matrix or StoredRows, shape (n_cells, n_features), without explicit zeros
    min_cells : int
    always : array of bool, shape (n_features,), optional

    Returns
    -------
    keep : array of bool, shape (n_features,)
    n_cells : array of int32, shape (n_features,)
        In how many cells each feature is non-zero.
    """
    n_cells = backed.count_columns(matrix).astype(np.int32)
    keep = n_cells >= max(1, min_cells)
    if always is not None:
        keep |= always & (n_cells > 0)
    return keep, n_cells


def _metrics(modality: Part, **known) -> pd.DataFrame:
    """A row per cell; what is not known is missing."""
    obs = modality.obs
    labels = obs["cell_type"].to_numpy(object) if "cell_type" in obs else np.full(len(obs), None, object)
    missing = dict.fromkeys(("n_fragments", "n_genes", "n_counts", "tss_enrichment"), np.nan)
    return pd.DataFrame({"cell": obs.index, "cell_type": labels, **missing, **known})


def _told_missing(raw: RawMultiome, values: np.ndarray | None, column: str | None, instead: str) -> str:
    """How many cells have no value, and what becomes of them; empty where all have one, or there is no column."""
    n_missing = 0 if values is None else int(np.isnan(values).sum())
    if not n_missing:
        return ""
    told = f"{n_missing} of {len(values)} cells without {column} {instead}"
    log.warning("%s: %s", raw.atac.where, told)
    return f"; {told}"


def _find(tables: list[pd.DataFrame], names: tuple[str, ...]) -> tuple[np.ndarray | None, str | None]:
    """The first of the named columns that holds numbers, from the first table that has one."""
    for table in tables:
        for name in names:
            if name in table and pd.api.types.is_numeric_dtype(table[name]) and table[name].notna().any():
                return table[name].to_numpy(np.float64, na_value=np.nan), name
    return None, None
