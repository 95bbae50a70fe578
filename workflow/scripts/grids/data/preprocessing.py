"""From raw files to the preprocessed multiome: the chain of every step before windows and surrogates."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from grids import __version__
from grids.data.annotation import GENE_COLUMNS
from grids.data.cell_types import label_by_markers
from grids.data.chromosomes import sort_order
from grids.data.coordinates import COORDINATES, peak_names
from grids.data.harmonisation import harmonise, named_tasks, with_all_genes
from grids.data.multiome import read_raw, step_row
from grids.data.normalisation import detection_chance, log_normalise, size_factors, variable_genes
from grids.data.quality_control import STEP_COLUMNS, CellFilter, enough_cells
from grids.data.raw_files import Part
from grids.io import backed, tables
from grids.io.cells import Modality
from grids.io.config_files import ALL_GENES, read_tasks
from grids.io.errors import InputError, listing
from grids.io.hdf5 import writable
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.writing import whole

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True)
class Preprocessed:
    """What preprocessing yields; :func:`write` puts each part into its file.

    Attributes
    ----------
    multiome : MuData
        `rna`: float32 CSR, log1p of normalised counts; unless the values came normalised and their counts are not
        known, with layer `counts`, `obs["n_counts"]` (of all genes) and `obs["size_factor"]` (what counts were
        divided by); `atac`: uint8 CSR, 1 where the peak is open, peaks sorted by position, with `obs["detection"]`,
        the chance that an open peak is seen in the cell.
    genes : DataFrame
        The whole annotation, chromosome names as in the peaks, RNA gene names where RNA has the gene; each name once.
    accessibility : DataFrame
        As from :func:`accessibility`.
    cells : DataFrame
        One row per quality-control step of cells, genes and peaks.
    metrics : DataFrame
        One row per raw cell (unpaired: per modality and cell).
    harmonisation : DataFrame
        `what n_total n_matched share_matched`.
    annotation : DataFrame
        One row per cluster when cell types were annotated, otherwise empty.
    tasks, skipped : DataFrame
    stored : dict of str to StoredRows
        Matrices that are too large for memory, by their place in the file. `multiome` has empty ones in their
        place; they are computed while they are written.
    """

    multiome: "MuData"
    genes: pd.DataFrame
    accessibility: pd.DataFrame
    cells: pd.DataFrame
    metrics: pd.DataFrame
    harmonisation: pd.DataFrame
    annotation: pd.DataFrame
    tasks: pd.DataFrame
    skipped: pd.DataFrame
    stored: dict[str, backed.StoredRows] = field(default_factory=dict)


def preprocess(config: Mapping, *, source: str = "config", **paths: str | os.PathLike) -> Preprocessed:
    """Read, check, harmonise, filter, annotate, normalise, select and split.

    Parameters
    ----------
    config : mapping
        The whole config, with its defaults filled in. Uses `seed`, `input`, `quality_control`,
        `preprocessing` and `tasks`.
    source : str
        Name of the config file, for messages.
    **paths
        Local files that take the place of config entries: `multiome`, `rna`, `atac`, `genes`.

    Raises
    ------
    InputError
        For anything that the data or the config would have to be changed for.
    """
    inputs = {**config["input"], **{key: os.fspath(path) for key, path in paths.items()}}
    quality, settings, seed = config["quality_control"], config["preprocessing"], config["seed"]

    raw = read_raw(inputs)
    log.info("%d RNA and %d ATAC cells, paired: %s", raw.rna.X.shape[0], raw.atac.X.shape[0], raw.paired)
    peaks, genes, found, report = harmonise(raw, inputs)
    asked = read_tasks(config.get("tasks") or {}, source)
    tasks = named_tasks(asked, raw, found, source)
    depth = raw.rna.depth
    size_factor = None if depth is None else size_factors(depth, settings["target_sum"])

    kept = CellFilter(raw)
    kept.apply_thresholds(quality)
    clusters, annotated = label_by_markers(raw, kept, peaks, genes, inputs.get("markers"), size_factor, seed)
    kept.drop_unusable_types(quality["min_cells_per_type"])
    kept.check_types(asked, source)

    rna, skipped, rna_steps = _prepare_rna(raw.rna, kept.kept("rna"), tasks, quality["min_cells_per_gene"])
    counts, peaks, atac_steps = _prepare_atac(
        raw.atac, kept.kept("atac"), peaks, quality["min_cells_per_peak"]
    )
    _describe_cells(rna.obs, counts.obs, kept, size_factor)
    counts.obs["detection"] = detection_chance(counts.X, counts.obs["cell_type"].to_numpy(str))
    opened = backed.then(counts.X, lambda rows: backed.with_data(rows, np.ones(rows.nnz, np.uint8)))
    atac = Modality(opened, counts.obs, counts.var)
    _split(rna, atac, raw.paired, settings["split"], seed)

    explained = set(tasks["gene"]) - set(skipped["gene"])
    if len(tasks) and not explained and ALL_GENES not in asked.values():
        raise InputError(
            f"{source}: tasks: every gene is zero in all cells that pass quality control "
            f"({listing(skipped['gene'].unique())}); choose other genes or relax the thresholds"
        )
    tasks = tasks[tasks["gene"].isin(explained)].reset_index(drop=True)
    data, rna_counts, gene_step = _normalise(rna, found, explained, settings["n_variable_genes"])
    tasks = with_all_genes(tasks, asked, data.var)
    data.var["explained"] = data.var.index.isin(tasks["gene"])
    multiome, stored = _assemble(data, rna_counts, atac, raw.paired, seed)
    steps = pd.DataFrame([*kept.steps, *rna_steps, gene_step, *atac_steps], columns=STEP_COLUMNS)
    fit = pd.DataFrame([*report, *annotated], columns=["what", "n_total", "n_matched"])
    log.info("kept %d genes and %d peaks", len(data.var), len(atac.var))
    return Preprocessed(
        multiome=multiome,
        genes=genes[GENE_COLUMNS],
        accessibility=accessibility(atac, peaks),
        cells=steps,
        metrics=kept.table(),
        harmonisation=fit.assign(share_matched=fit["n_matched"] / fit["n_total"].where(fit["n_total"] > 0)),
        annotation=clusters,
        tasks=tasks,
        skipped=skipped,
        stored=stored,
    )


def write(result: Preprocessed, paths: Mapping[str, str | os.PathLike]) -> None:
    """Write the fields of the result that `paths` names to their paths, each under a temporary name first."""
    import mudata

    for name, path in paths.items():
        if name != "multiome":
            tables.write(getattr(result, name), path)
            continue
        with whole(path) as temporary:
            with mudata.set_options(pull_on_update=False):
                result.multiome.write_h5mu(temporary)
            with h5py.File(temporary, "r+") as file:
                for place, matrix in result.stored.items():
                    del file[place]
                    backed.write(matrix, file.create_group(place))


def split_cells(labels: np.ndarray, shares: Mapping[str, float], rng: np.random.Generator) -> np.ndarray:
    """Assign cells to train, validation and test, within each cell type.

    Parameters
    ----------
    labels : array of str, shape (n_cells,)
    shares : mapping of "train", "validation" and "test" to their share of cells

    Returns
    -------
    array of object, shape (n_cells,)
        Every type with two or more cells has cells in train and test, with four or more in validation too.
    """
    split = np.full(len(labels), "train", object)
    for cell_type in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == cell_type))
        n_test = max(round(shares["test"] * len(rows)), 1 if len(rows) >= 2 else 0)
        n_validation = max(round(shares["validation"] * len(rows)), 1 if len(rows) >= 4 else 0)
        n_validation = min(n_validation, max(len(rows) - n_test - 1, 0))
        n_test = min(n_test, len(rows) - 1)
        split[rows[:n_test]] = "test"
        split[rows[n_test : n_test + n_validation]] = "validation"
    return split


def accessibility(atac: Modality, peaks: pd.DataFrame) -> pd.DataFrame:
    """Share of each type's cells in which each peak is open: peak, chromosome, start, end and a column per cell type.

    Parameters
    ----------
    atac : Modality with binary `X`, shape (n_cells, n_peaks), and `obs["cell_type"]`
    peaks : DataFrame, n_peaks rows, indexed by peak name: chromosome, start, end
    """
    codes, types = pd.factorize(atac.obs["cell_type"], sort=True)
    n_open = np.zeros((len(types), atac.X.shape[1]), np.int64)
    for rows, block in backed.blocks(atac.X):
        n_rows = block.shape[0]
        indicator = sparse.csr_matrix(
            (np.ones(n_rows, np.int32), (codes[rows], np.arange(n_rows))), shape=(len(types), n_rows)
        )
        n_open += (indicator @ block).toarray()
    shares = pd.DataFrame((n_open / np.bincount(codes)[:, None]).T, columns=types)
    return pd.concat([peaks[COORDINATES].rename_axis("peak").reset_index(), shares], axis=1)


def _prepare_rna(
    rna: Part, cells: np.ndarray, tasks: pd.DataFrame, min_cells: int
) -> tuple[Modality, pd.DataFrame, list[dict]]:
    """Kept cells and expressed genes; tasks whose gene no kept cell expresses are skipped."""
    matrix = backed.select(rna.X, cells)
    explained = rna.var.index.isin(tasks["gene"])
    keep, n_cells = enough_cells(matrix, min_cells, always=explained)
    if not keep.any():
        raise InputError(
            f"no gene is expressed in quality_control.min_cells_per_gene = {min_cells} of {len(cells)} cells "
            f"(at most {n_cells.max()}); lower it"
        )
    silent = tasks["gene"].isin(rna.var.index[explained & (n_cells == 0)])
    skipped = tasks[silent].assign(reason="gene is zero in every cell that passes quality control")
    reason = f"expressed in fewer than {min_cells} cells (explained genes are kept)"
    step = step_row("genes", "rna", "min_cells_per_gene", len(keep), keep.sum(), reason)
    columns = np.flatnonzero(keep)
    var = pd.DataFrame({"n_cells": n_cells[columns]}, index=rna.var.index[columns])
    matrix = matrix if keep.all() else _columns(matrix, columns)
    return Modality(matrix, rna.obs.iloc[cells].copy(), var), skipped.reset_index(drop=True), [step]


def _prepare_atac(
    atac: Part, cells: np.ndarray, peaks: pd.DataFrame, min_cells: int
) -> tuple[Modality, pd.DataFrame, list[dict]]:
    """Kept cells and open peaks, sorted by position, under canonical names; still with their counts."""
    matrix = backed.select(atac.X, cells)
    keep, n_cells = enough_cells(matrix, min_cells)
    if not keep.any():
        raise InputError(
            f"{atac.where}: no peak is open in quality_control.min_cells_per_peak = {min_cells} of {len(cells)} "
            f"cells (at most {n_cells.max()}); lower it"
        )
    reason = f"open in fewer than {min_cells} cells"
    step = step_row("peaks", "atac", "min_cells_per_peak", len(keep), keep.sum(), reason)
    order = sort_order(peaks)
    order = order[keep[order]]
    matrix = _columns(matrix, order)
    peaks = peaks.iloc[order]
    peaks.index = peak_names(peaks)
    var = peaks[COORDINATES].assign(n_cells=n_cells[order])
    return Modality(matrix, atac.obs.iloc[cells].copy(), var), peaks, [step]


def _describe_cells(
    rna: pd.DataFrame, atac: pd.DataFrame, kept: CellFilter, size_factor: np.ndarray | None
) -> None:
    """Give the kept cells their types, fragments, counts and size factors."""
    for name, obs in (("rna", rna), ("atac", atac)):
        cells = kept.metrics.get("paired", kept.metrics.get(name))
        cells = cells[cells["kept"]]
        obs["cell_type"] = cells["cell_type"].to_numpy(str).astype(object)
        if name == "atac":
            obs["n_fragments"] = cells["n_fragments"].to_numpy(np.float64)
        elif size_factor is not None:
            obs["n_counts"] = cells["n_counts"].to_numpy(np.float64)
            obs["size_factor"] = size_factor[kept.kept("rna")]


def _columns(matrix: backed.Rows, columns: np.ndarray) -> backed.Rows:
    """The given columns, in their order; sorted indices."""

    def step(rows: sparse.csr_matrix) -> sparse.csr_matrix:
        rows = rows[:, columns]
        rows.sort_indices()
        return rows

    return backed.then(matrix, step, len(columns))


def _split(rna: Modality, atac: Modality, paired: bool, shares: Mapping[str, float], seed: int) -> None:
    """Set `obs["split"]`; paired cells are split once."""
    for name, modality in (("rna", rna), ("atac", atac)):
        if paired and name == "atac":
            modality.obs["split"] = rna.obs["split"].to_numpy()
        else:
            rng = generator(seed, "split", "paired" if paired else name)
            modality.obs["split"] = split_cells(modality.obs["cell_type"].to_numpy(), shares, rng)


def _normalise(
    rna: Modality, found: pd.DataFrame, explained: set[str], n_variable_genes: int
) -> tuple[Modality, backed.Rows | None, dict]:
    """Log-normalise with all genes; keep the most variable (on training cells) and the explained ones.

    Counts are None where the values came normalised; the last is a :func:`step_row`.
    """
    size_factor = rna.obs.get("size_factor")
    logged = log_normalise(rna.X, None if size_factor is None else size_factor.to_numpy())
    training = np.flatnonzero(rna.obs["split"] == "train")
    variable = variable_genes(backed.in_memory(backed.select(logged, training)), n_variable_genes)
    var = rna.var.join(found[["chromosome", "start", "end", "strand", "tss"]])
    var["highly_variable"] = variable
    var["explained"] = var.index.isin(explained)
    columns = np.flatnonzero(var["highly_variable"] | var["explained"])
    reason = f"not among the {n_variable_genes} most variable genes on training cells, not explained"
    step = step_row("genes", "rna", "n_variable_genes", len(var), len(columns), reason)
    counts = None if size_factor is None else rna.X
    if len(columns) < len(var):
        logged, counts = (m if m is None else _columns(m, columns) for m in (logged, counts))
    return Modality(logged, rna.obs, var.iloc[columns].copy()), counts, step


def _assemble(
    rna: Modality, counts: backed.Rows | None, atac: Modality, paired: bool, seed: int
) -> tuple["MuData", dict[str, backed.StoredRows]]:
    """The multiome, and the matrices that are too large for it, by their place in the file."""
    import anndata
    import mudata

    for column in ("chromosome", "strand"):
        rna.var[column] = rna.var[column].astype("category")
    var = atac.var.astype({"chromosome": "category"})
    matrices = {"mod/rna/X": rna.X, "mod/atac/X": atac.X}
    if counts is not None:
        matrices["mod/rna/layers/counts"] = counts
    stored = {place: X for place, X in matrices.items() if isinstance(X, backed.StoredRows)}
    held = matrices | {place: sparse.csr_matrix(X.shape, dtype=np.float32) for place, X in stored.items()}
    data = {
        "rna": anndata.AnnData(held["mod/rna/X"], obs=writable(rna.obs), var=rna.var),
        "atac": anndata.AnnData(held["mod/atac/X"], obs=writable(atac.obs), var=var),
    }
    if counts is not None:
        data["rna"].layers["counts"] = held["mod/rna/layers/counts"]
    with mudata.set_options(pull_on_update=False):
        multiome = mudata.MuData(data)
    multiome.uns["grids"] = {"paired": bool(paired), "version": __version__, "seed": int(seed)}
    return multiome, stored
