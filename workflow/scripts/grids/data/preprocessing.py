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
from grids.data import annotation, cell_types
from grids.data.assemblies import CHROMOSOME_SIZES, agree_on_assembly, check_assembly
from grids.data.chromosomes import harmonise_chromosomes, sort_order
from grids.data.detection import detection_chance
from grids.data.multiome import RawMultiome, gene_ids, read_raw, step_row
from grids.data.normalisation import log_normalise, size_factors, variable_genes
from grids.data.peaks import parse_peaks, peak_names
from grids.data.quality_control import STEP_COLUMNS, CellFilter, enough_cells
from grids.data.raw_files import match_row
from grids.io import backed, tables
from grids.io.cells import Modality
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.hdf5 import writable
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tasks import ALL_GENES, read_tasks
from grids.io.writing import whole

if TYPE_CHECKING:
    from mudata import MuData

GENE_COLUMNS = ["gene", "chromosome", "start", "end", "strand", "tss", "exon_starts", "exon_ends"]
ANNOTATION_COLUMNS = [
    "modality", "cluster", "n_cells", "cell_type", "score", "n_markers", "second", "second_score",
]  # fmt: skip


@dataclass(frozen=True)
class Preprocessed:
    """What preprocessing yields; :func:`write` puts each part into its file.

    Attributes
    ----------
    multiome : MuData
        `rna`: float32 CSR, log1p of normalised counts; unless the values came normalised and their counts are not
        known, with layer `counts`, `obs["n_counts"]` (of all genes) and `obs["size_factor"]` (what counts were
        divided by); `atac`: uint8 CSR, 1 where the peak is open, peaks sorted
        by position, with `obs["detection"]`, the chance that an open peak is seen in the cell.
    genes : DataFrame
        The whole annotation, chromosome names as in the peaks, RNA gene names where RNA has the gene; each
        name once.
    accessibility : DataFrame
        `peak chromosome start end` and, per cell type, the share of its cells in which the peak is open.
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

    Returns
    -------
    Preprocessed

    Raises
    ------
    InputError
        For anything that the data or the config would have to be changed for.
    """
    inputs = {**config["input"], **{key: os.fspath(path) for key, path in paths.items()}}
    quality, settings, seed = config["quality_control"], config["preprocessing"], config["seed"]

    raw = read_raw(inputs)
    log.info("%d RNA and %d ATAC cells, paired: %s", raw.rna.X.shape[0], raw.atac.X.shape[0], raw.paired)
    peaks, genes, found, report = _harmonise(raw, inputs)
    asked = read_tasks(config.get("tasks") or {}, source)
    tasks = _named_tasks(asked, raw, found, source)
    size_factor = None if raw.depth is None else size_factors(raw.depth, settings["target_sum"])

    kept = CellFilter(raw)
    kept.apply_thresholds(quality, raw.sources)
    clusters = _annotate(raw, kept, peaks, genes, inputs, size_factor, seed, report)
    kept.drop_unusable_types(quality["min_cells_per_type"])
    _check_types_of_tasks(asked, kept, source)

    rna, skipped, rna_steps = _prepare_rna(raw.rna, kept.kept("rna"), tasks, quality["min_cells_per_gene"])
    counts, peaks, atac_steps = _prepare_atac(
        raw.atac, kept.kept("atac"), peaks, quality["min_cells_per_peak"], raw.sources["atac"]
    )
    for modality, frame in ((rna, "rna"), (counts, "atac")):
        cells = kept.metrics.get("paired", kept.metrics.get(frame))
        cells = cells[cells["kept"]]
        modality.obs["cell_type"] = cells["cell_type"].to_numpy(str).astype(object)
        if frame == "atac":
            modality.obs["n_fragments"] = cells["n_fragments"].to_numpy(np.float64)
        elif size_factor is not None:
            modality.obs["n_counts"] = cells["n_counts"].to_numpy(np.float64)
            modality.obs["size_factor"] = size_factor[kept.kept("rna")]
    atac = _as_openness(counts)
    _split(rna, atac, raw.paired, settings["split"], seed)

    explained = set(tasks["gene"]) - set(skipped["gene"])
    if len(tasks) and not explained and ALL_GENES not in asked.values():
        raise InputError(
            f"{source}: tasks: every gene is zero in all cells that pass quality control "
            f"({listing(skipped['gene'].unique())}); choose other genes or relax the thresholds"
        )
    tasks = tasks[tasks["gene"].isin(explained)].reset_index(drop=True)
    data, rna_counts, gene_step = _normalise(rna, found, explained, settings["n_variable_genes"])
    tasks = _with_all_genes(tasks, asked, data.var)
    data.var["explained"] = data.var.index.isin(tasks["gene"])
    multiome, stored = _assemble(data, rna_counts, atac, raw.paired, seed)
    steps = pd.DataFrame([*kept.steps, *rna_steps, gene_step, *atac_steps], columns=STEP_COLUMNS)
    log.info("kept %d genes and %d peaks", len(data.var), len(atac.var))
    return Preprocessed(
        multiome=multiome,
        genes=genes[GENE_COLUMNS],
        accessibility=accessibility(atac, peaks),
        cells=steps,
        metrics=kept.table(),
        harmonisation=_shares(report),
        annotation=clusters,
        tasks=tasks,
        skipped=skipped,
        stored=stored,
    )


def write(result: Preprocessed, paths: Mapping[str, str | os.PathLike]) -> None:
    """Write parts of the result, each under a temporary name first.

    Parameters
    ----------
    paths : mapping
        Field of :class:`Preprocessed` to path, for example ``{"multiome": "preprocessed.h5mu"}``.
    """
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
    rng : Generator

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
    """Share of each type's cells in which each peak is open.

    Parameters
    ----------
    atac : Modality with binary `X`, shape (n_cells, n_peaks), and `obs["cell_type"]`
    peaks : DataFrame, n_peaks rows, indexed by peak name: chromosome, start, end

    Returns
    -------
    DataFrame with columns peak, chromosome, start, end and one per cell type
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
    location = peaks[["chromosome", "start", "end"]].rename_axis("peak").reset_index()
    return pd.concat([location, shares], axis=1)


def _harmonise(
    raw: RawMultiome, inputs: Mapping
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[dict]]:
    """Bring peaks and annotation together and count how well they fit.

    Returns
    -------
    peaks : DataFrame, one row per peak of the raw data
    genes : DataFrame, the whole annotation with the peaks' chromosome names and the RNA's gene names
    found : DataFrame, one row per RNA gene, missing values where the annotation does not have it; column places
        tells the places of those that are at several
    report : list of dict
    """
    if not inputs.get("genes"):
        raise InputError("input.genes is missing; give the path or URL of a GTF or BED file with the genes")
    peaks = parse_peaks(
        raw.atac.var.index,
        raw.atac.var,
        inputs.get("peak_name_key"),
        raw.sources["atac"],
        inputs.get("peak_coordinates"),
    )
    genes, matches = harmonise_chromosomes(annotation.read_genes(inputs["genes"]), peaks)
    declared = inputs.get("assembly")
    assembly = agree_on_assembly({"input.assembly": declared, raw.sources["atac"]: raw.assembly})
    if not declared and assembly not in CHROMOSOME_SIZES:
        assembly = None  # a file may name an assembly whose chromosome sizes are not known here
    for warning in check_assembly(peaks, genes, assembly):
        log.warning("%s and input.genes: %s", raw.sources["atac"], warning)
    names = raw.rna.var.index
    match = annotation.match_genes(genes, names, gene_ids(raw.rna.var), set(peaks["chromosome"].astype(str)))
    found = (
        match.found.set_index("gene").reindex(names).astype(dict.fromkeys(("start", "end", "tss"), "Int64"))
    )
    found["places"] = pd.Series(match.ambiguous, dtype=object).reindex(names)
    report = [*raw.harmonisation, *matches.to_dict("records"), *_judge_annotation(genes, match, len(names))]
    genes = pd.concat([match.found, match.others], ignore_index=True)
    genes = genes.iloc[sort_order(genes)].reset_index(drop=True)
    return peaks, genes, found, report


def _judge_annotation(genes: pd.DataFrame, match: annotation.Match, n_rna: int) -> list[dict]:
    """Rows on how well the annotation says where genes are; what it leaves open is also told in the log."""
    n_found, n_ambiguous = len(match.found), len(match.ambiguous)
    n_kept = n_found + len(match.others)
    unknown = genes["strand"] == "."
    if unknown.any():
        log.warning(
            "input.genes: %d of %d genes have no strand (e.g. %s): their start site is taken to be the start of "
            "their interval, which is wrong for genes on the minus strand",
            unknown.sum(),
            len(genes),
            listing(genes["gene"][unknown], 3),
        )
    if n_ambiguous:
        name, places = next(iter(match.ambiguous.items()))
        log.warning(
            "input.genes: %d genes of the RNA data are at several places in the annotation and are taken as not "
            "located (e.g. %s: %s); ids in a column gene_ids of the RNA's var tell which one is meant",
            n_ambiguous,
            name,
            places,
        )
    counts = [
        ("annotated genes with a strand", len(genes), len(genes) - unknown.sum()),
        ("annotated places under a name of their own", n_kept + match.n_nameless, n_kept),
        ("RNA genes in the annotation", n_rna, n_found + n_ambiguous),
        ("RNA genes of the annotation at one place", n_found + n_ambiguous, n_found),
    ]
    return [match_row(*row) for row in counts]


def _named_tasks(asked: Mapping, raw: RawMultiome, found: pd.DataFrame, source: str) -> pd.DataFrame:
    """The tasks that name a gene, as a table; every gene has to be in the RNA and in the annotation."""
    pairs = [(t, str(g)) for t, genes in asked.items() if genes != ALL_GENES for g in genes]
    known = raw.rna.var.index
    problems = []
    for gene in dict.fromkeys(gene for _, gene in pairs):
        if gene not in known:
            problems.append(
                f"{source}: tasks: gene '{gene}' is not in the RNA data of {raw.sources['rna']}."
                f"{did_you_mean(gene, known)} (names come from var_names; set input.gene_name_key to use "
                "another column)"
            )
        elif pd.notna(found.at[gene, "places"]):
            problems.append(
                f"{source}: tasks: gene '{gene}' is at several places in the annotation input.genes: "
                f"{found.at[gene, 'places']}; give the RNA data a column gene_ids of var with the annotation's "
                "ids, which tell one from the other, or take the gene out of the tasks"
            )
        elif pd.isna(found.at[gene, "chromosome"]):
            problems.append(
                f"{source}: tasks: gene '{gene}' is in the RNA data but not in the annotation input.genes; "
                "use an annotation that has it under this name, or take it out of the tasks"
            )
    if problems:
        raise InputError(*problems)
    return pd.DataFrame(pairs, columns=["cell_type", "gene"]).drop_duplicates(ignore_index=True)


def _with_all_genes(tasks: pd.DataFrame, asked: Mapping, genes: pd.DataFrame) -> pd.DataFrame:
    """The tasks, with every kept gene of the annotation for the types that ask for all, in the config's order."""
    annotated = genes.index[genes["chromosome"].notna()]
    parts = [
        pd.DataFrame({"cell_type": cell_type, "gene": annotated})
        if wanted == ALL_GENES
        else tasks[tasks["cell_type"] == cell_type]
        for cell_type, wanted in asked.items()
    ]
    return pd.concat([tasks.iloc[:0], *parts], ignore_index=True)


def _annotate(
    raw: RawMultiome,
    kept: CellFilter,
    peaks: pd.DataFrame,
    genes: pd.DataFrame,
    inputs: Mapping,
    size_factor: np.ndarray | None,
    seed: int,
    report: list[dict],
) -> pd.DataFrame:
    """Cell types from markers for modalities that have none; paired cells take those of the RNA.

    Returns the summary of the clusters.
    """
    missing = [name for name in ("rna", "atac") if "cell_type" not in getattr(raw, name).obs]
    if not missing:
        return pd.DataFrame(columns=ANNOTATION_COLUMNS)
    markers = cell_types.read_markers(inputs["markers"])
    labels, summaries = {}, []
    for name in missing:
        modality = getattr(raw, name)
        values, names = modality.X[kept.kept(name)], modality.var.index.to_numpy(str)
        factor = size_factor if size_factor is None else size_factor[kept.kept(name)]
        if name == "atac":
            values, names = cell_types.gene_activity(values, peaks, genes)
            _, sums = backed.totals(values)
            factor = size_factors(sums, sums.mean())
        labels[name], summary = cell_types.annotate_cell_types(
            values,
            names,
            markers,
            size_factor=factor,
            seed=seed,
            where=raw.sources[name],
        )
        summary.insert(0, "modality", name)
        summaries.append(summary)
        present = markers["gene"].isin(set(names))
        report.append(
            {"what": f"marker genes in {name}", "n_total": len(markers), "n_matched": int(present.sum())}
        )
        n_assigned = int((labels[name] != cell_types.UNASSIGNED).sum())
        report.append(
            {"what": f"{name} cells annotated", "n_total": len(labels[name]), "n_matched": n_assigned}
        )
        labels[name][labels[name] == cell_types.UNASSIGNED] = None
    if raw.paired:
        both = pd.notna(labels["rna"]) & pd.notna(labels["atac"])
        agree = (labels["rna"] == labels["atac"])[both]
        what = "cells whose RNA label equals the label from ATAC gene activity"
        report.append({"what": what, "n_total": int(both.sum()), "n_matched": int(agree.sum())})
        kept.label("paired", labels["rna"])
    else:
        for name in missing:
            kept.label(name, labels[name])
    return pd.concat(summaries, ignore_index=True)[ANNOTATION_COLUMNS]


def _check_types_of_tasks(asked: Mapping, kept: CellFilter, source: str) -> None:
    left = set.intersection(*(set(counts.index) for counts in kept.counts().values()))
    known = {str(t) for frame in kept.metrics.values() for t in frame["cell_type"].dropna().unique()}
    problems = [
        f"{source}: tasks: cell type '{cell_type}' has no cells left after quality control "
        f"(dropped: {kept.losses_of(cell_type)}); relax these thresholds or take the type out of tasks"
        if cell_type in known
        else f"{source}: tasks: cell type '{cell_type}' is not in the data."
        f"{did_you_mean(cell_type, known)} It has: {listing(sorted(known))}"
        for cell_type in asked
        if cell_type not in left
    ]
    if problems:
        raise InputError(*problems)


def _prepare_rna(
    rna: Modality, cells: np.ndarray, tasks: pd.DataFrame, min_cells: int
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
    silent = set(rna.var.index[explained & (n_cells == 0)])
    skipped = tasks[tasks["gene"].isin(silent)].assign(
        reason="gene is zero in every cell that passes quality control"
    )
    reason = f"expressed in fewer than {min_cells} cells (explained genes are kept)"
    step = step_row("genes", "rna", "min_cells_per_gene", len(keep), keep.sum(), reason)
    columns = np.flatnonzero(keep)
    var = pd.DataFrame({"n_cells": n_cells[columns]}, index=rna.var.index[columns])
    matrix = matrix if keep.all() else _columns(matrix, columns)
    return Modality(matrix, rna.obs.iloc[cells].copy(), var), skipped.reset_index(drop=True), [step]


def _prepare_atac(
    atac: Modality, cells: np.ndarray, peaks: pd.DataFrame, min_cells: int, where: str
) -> tuple[Modality, pd.DataFrame, list[dict]]:
    """Kept cells and open peaks, sorted by position, under canonical names; still with their counts."""
    matrix = backed.select(atac.X, cells)
    keep, n_cells = enough_cells(matrix, min_cells)
    if not keep.any():
        raise InputError(
            f"{where}: no peak is open in quality_control.min_cells_per_peak = {min_cells} of {len(cells)} "
            f"cells (at most {n_cells.max()}); lower it"
        )
    step = step_row(
        "peaks", "atac", "min_cells_per_peak", len(keep), keep.sum(), f"open in fewer than {min_cells} cells"
    )
    order = sort_order(peaks)
    order = order[keep[order]]
    matrix = _columns(matrix, order)
    peaks = peaks.iloc[order]
    peaks.index = peak_names(peaks)
    var = peaks[["chromosome", "start", "end"]].assign(n_cells=n_cells[order])
    return Modality(matrix, atac.obs.iloc[cells].copy(), var), peaks, [step]


def _columns(matrix: backed.Rows, columns: np.ndarray) -> backed.Rows:
    """The given columns, in their order; sorted indices."""

    def step(rows: sparse.csr_matrix) -> sparse.csr_matrix:
        rows = rows[:, columns]
        rows.sort_indices()
        return rows

    return backed.then(matrix, step, len(columns))


def _as_openness(atac: Modality) -> Modality:
    """Counts made binary; what they tell of detection is kept as `obs["detection"]`."""
    atac.obs["detection"] = detection_chance(atac.X, atac.obs["cell_type"].to_numpy(str))
    return Modality(backed.then(atac.X, _opened), atac.obs, atac.var)


def _opened(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    opened = sparse.csr_matrix((np.ones(counts.nnz, np.uint8), counts.indices, counts.indptr), counts.shape)
    opened.has_sorted_indices = True
    return opened


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

    Returns
    -------
    logged : Modality
    counts : csr_matrix or StoredRows, or None when the values came normalised
    step : dict
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


def _shares(report: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(report, columns=["what", "n_total", "n_matched"])
    return table.assign(share_matched=table["n_matched"] / table["n_total"].where(table["n_total"] > 0))
