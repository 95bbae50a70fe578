"""Cell types from clusters and marker genes, on expression and on gene activity of open chromatin."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from grids.data.intervals import overlapping
from grids.data.multiome import RawMultiome
from grids.data.normalisation import log_normalise, size_factors, variable_genes
from grids.data.quality_control import CellFilter
from grids.data.raw_files import match_row
from grids.io import backed, tables
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.seeds import derive_seed

MARKER_SETS = Path(__file__).resolve().parents[4] / "resources" / "markers"
CLUSTER_COLUMNS = [
    "modality", "cluster", "n_cells", "cell_type", "score", "n_markers", "second", "second_score",
]  # fmt: skip
UNASSIGNED = "unassigned"
UPSTREAM_BP = 2_000
N_COMPONENTS = 20
RESOLUTION = 1.0
N_NEIGHBOURS = 15
N_VARIABLE_GENES = 3_000


def read_markers(name: str | os.PathLike) -> pd.DataFrame:
    """Marker genes: a shipped set by its name (``human_brain``), or a table.

    Returns
    -------
    DataFrame with columns cell_type, gene

    Raises
    ------
    InputError
        Neither a shipped set nor a file, not a tab-separated table, a missing column, or no marker in it.
    """
    shipped = sorted(path.stem for path in MARKER_SETS.glob("*.tsv"))
    path = MARKER_SETS / f"{name}.tsv" if str(name) in shipped else Path(name)
    if not path.is_file():
        raise InputError(
            f"input.markers: '{name}' is neither a file nor a shipped set ({listing(shipped)})."
            f"{did_you_mean(name, shipped)}"
        )
    try:
        markers = tables.read(path, dtype=str)
    except tables.UNREADABLE as error:
        raise InputError(f"input.markers: '{path}' is not a tab-separated table ({error})") from error
    if not {"cell_type", "gene"} <= set(markers.columns):
        raise InputError(
            f"input.markers: '{path}' has columns {listing(markers.columns)}; expected cell_type and gene, "
            "separated by a tab"
        )
    markers = markers[["cell_type", "gene"]].dropna().drop_duplicates(ignore_index=True)
    if markers.empty:
        raise InputError(f"input.markers: '{path}' names no marker")
    return markers


def gene_activity(
    opened: sparse.csr_matrix, peaks: pd.DataFrame, genes: pd.DataFrame, upstream_bp: int = UPSTREAM_BP
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """ATAC counts summed over each gene's body and the stretch of `upstream_bp` before its start.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
    peaks : DataFrame, n_peaks rows: chromosome, start, end
    genes : DataFrame: gene, chromosome, start, end, strand

    Returns
    -------
    activity : csr_matrix, shape (n_cells, n_genes with a peak), float32
    genes : array of str
    """
    minus = (genes["strand"] == "-").to_numpy()
    start = np.maximum(genes["start"].to_numpy(np.int64) - np.where(minus, 0, upstream_bp), 0)
    end = genes["end"].to_numpy(np.int64) + np.where(minus, upstream_bp, 0)
    rows, columns = overlapping(peaks, genes.assign(start=start, end=end))
    with_peak, columns = np.unique(columns, return_inverse=True)
    ones = np.ones(len(rows), np.float32)
    membership = sparse.csr_matrix((ones, (rows, columns)), shape=(len(peaks), len(with_peak)))
    return (opened @ membership).tocsr(), genes["gene"].to_numpy()[with_peak].astype(str)


def _cluster_cells(logged: sparse.csr_matrix, seed: int) -> np.ndarray:
    """Leiden clusters of principal components of the variable genes; one, 0, of data that are too few or flat."""
    n_cells = logged.shape[0]
    variable = logged[:, variable_genes(logged, N_VARIABLE_GENES)]
    n_components = min(N_COMPONENTS, min(variable.shape) - 1)
    spread = variable.power(2).mean(axis=0) - np.square(variable.mean(axis=0))
    if n_cells < 3 or n_components < 1 or spread.max() < 1e-6:
        return np.zeros(n_cells, int)
    import anndata
    import scanpy

    data = anndata.AnnData(variable)
    scanpy.pp.pca(data, n_comps=n_components, random_state=seed)
    # Exact neighbours: the default approximate search of large data depends on the number of threads.
    exact = {"use_rep": "X_pca", "transformer": "sklearn"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sparse.SparseEfficiencyWarning)
        scanpy.pp.neighbors(data, min(N_NEIGHBOURS, n_cells - 1), random_state=seed, **exact)
    scanpy.tl.leiden(data, RESOLUTION, random_state=seed, flavor="igraph", n_iterations=2, directed=False)
    return data.obs["leiden"].astype(int).to_numpy()


def score_clusters(
    logged: sparse.csr_matrix, genes: np.ndarray, clusters: np.ndarray, markers: pd.DataFrame
) -> pd.DataFrame:
    """How far each type's markers stand out in each cluster.

    The mean expression of a marker is z-scored across clusters; the spread is taken as at least half that of the
    median marker, since markers that vary less vary mostly by noise. A type's z-scores are summed and divided by the
    square root of their number (Stouffer), so that one lone marker does not outdo several that agree.

    Parameters
    ----------
    logged : csr_matrix, shape (n_cells, n_genes)
        Log-normalised expression (natural log).
    genes : array of str, shape (n_genes,)
    clusters : array of int, shape (n_cells,), values 0 to n_clusters - 1
    markers : DataFrame with columns cell_type, gene

    Returns
    -------
    DataFrame, one row per cluster, one column per cell type with at least one marker in `genes`
    """
    column = pd.Series(np.arange(len(genes)), index=genes)
    column = column[~column.index.duplicated()]
    present = markers[markers["gene"].isin(column.index)]
    used = column[present["gene"].unique()]
    sizes = np.bincount(clusters)
    cells = np.arange(len(clusters))
    indicator = sparse.csr_matrix(
        (np.ones(len(cells), np.float32), (clusters, cells)), (len(sizes), len(cells))
    )
    means = (indicator @ logged[:, used.to_numpy()]).toarray() / sizes[:, None]
    spread = means.std(axis=0)
    spread = np.maximum(spread, max(np.median(spread) / 2, 1e-8))
    z = pd.DataFrame((means - means.mean(axis=0)) / spread, columns=used.index)
    groups = present.groupby("cell_type")["gene"]
    return pd.DataFrame({name: z[list(group)].sum(axis=1) / np.sqrt(len(group)) for name, group in groups})


def annotate_cell_types(
    counts: sparse.csr_matrix,
    genes: np.ndarray,
    markers: pd.DataFrame,
    *,
    size_factor: np.ndarray | None,
    seed: int,
    where: str = "",
) -> tuple[np.ndarray, pd.DataFrame]:
    """Cell types as in the paper: PCA (20), Leiden (1.0), then the markers of each cluster.

    Parameters
    ----------
    counts : csr_matrix, shape (n_cells, n_genes)
        RNA counts, or gene activity (:func:`gene_activity`).
    genes, markers
        As for :func:`score_clusters`.
    size_factor : ndarray, shape (n_cells,), or None
        What counts are divided by before the logarithm; None for values already normalised.
    where : str
        File and modality, for messages.

    Returns
    -------
    labels : array of object, shape (n_cells,)
        Best-scoring type of the cell's cluster; "unassigned" where no type scores above zero.
    summary : DataFrame
        One row per cluster, columns :data:`CLUSTER_COLUMNS` after the first.

    Raises
    ------
    InputError
        When no marker is among `genes`, or no cluster scores above zero for any type.
    """
    known = set(map(str, genes))
    if not markers["gene"].isin(known).any():
        raise InputError(
            f"{where}: none of the {markers['gene'].nunique()} marker genes (for example "
            f"{listing(markers['gene'].unique(), 3)}) is in the data (for example {listing(genes[:3])}); "
            "input.markers must be of the same species and name genes like the data"
        )
    logged = log_normalise(counts, size_factor)
    clusters = _cluster_cells(logged, derive_seed(seed, "annotate_cell_types") % 2**31)
    scores = score_clusters(logged, np.asarray(genes, str), clusters, markers)
    n_markers = markers[markers["gene"].isin(known)]["cell_type"].value_counts()
    rows = []
    for cluster, values in scores.iterrows():
        first, *others = values.sort_values(ascending=False, kind="stable").items()
        second = others[0] if others else ("", np.nan)
        cell_type = first[0] if first[1] > 0 else UNASSIGNED
        rows.append((cluster, (clusters == cluster).sum(), cell_type, first[1], n_markers[first[0]], *second))
    summary = pd.DataFrame(rows, columns=CLUSTER_COLUMNS[1:])
    if (summary["cell_type"] == UNASSIGNED).all():
        raise InputError(
            f"{where}: {len(summary)} clusters, and no marker of input.markers tells any of them apart; "
            "give more markers, or set input.cell_type_key to a column with cell types"
        )
    return summary["cell_type"].to_numpy(object)[clusters], summary


def label_by_markers(
    raw: RawMultiome,
    kept: CellFilter,
    peaks: pd.DataFrame,
    genes: pd.DataFrame,
    markers: str | os.PathLike,
    size_factor: np.ndarray | None,
    seed: int,
) -> tuple[pd.DataFrame, list[dict]]:
    """Cell types from markers for modalities that have none; paired cells take those of the RNA.

    Returns
    -------
    clusters : DataFrame
        Columns :data:`CLUSTER_COLUMNS`; empty where all cells have types.
    report : list of dict
    """
    missing = [name for name in ("rna", "atac") if "cell_type" not in getattr(raw, name).obs]
    if not missing:
        return pd.DataFrame(columns=CLUSTER_COLUMNS), []
    table, labels, summaries, report = read_markers(markers), {}, [], []
    for name in missing:
        modality, cells = getattr(raw, name), kept.kept(name)
        values, names = modality.X[cells], modality.var.index.to_numpy(str)
        factor = None if size_factor is None else size_factor[cells]
        if name == "atac":
            values, names = gene_activity(values, peaks, genes)
            _, sums = backed.totals(values)
            factor = size_factors(sums, sums.mean())
        labels[name], summary = annotate_cell_types(
            values, names, table, size_factor=factor, seed=seed, where=modality.where
        )
        summaries.append(summary.assign(modality=name))
        unassigned = labels[name] == UNASSIGNED
        present = table["gene"].isin(set(names))
        report.append(match_row(f"marker genes in {name}", len(table), present.sum()))
        report.append(match_row(f"{name} cells annotated", len(unassigned), (~unassigned).sum()))
        labels[name][unassigned] = None
    if raw.paired:
        both = pd.notna(labels["rna"]) & pd.notna(labels["atac"])
        agree = (labels["rna"] == labels["atac"])[both]
        what = "cells whose RNA label equals the label from ATAC gene activity"
        report.append(match_row(what, both.sum(), agree.sum()))
        labels = {"paired": labels["rna"]}
    for name, of_cells in labels.items():
        kept.label(name, of_cells)
    return pd.concat(summaries, ignore_index=True)[CLUSTER_COLUMNS], report
