"""Log-normalised expression and the genes that vary most."""

import numpy as np
from scipy import sparse

from grids.io import backed
from grids.io.cells import Modality
from grids.io.errors import InputError


def size_factors(depth: np.ndarray, target_sum: float) -> np.ndarray:
    """What counts are divided by to be counts per `target_sum`; the median for cells without counts.

    Parameters
    ----------
    depth : ndarray, shape (n_cells,)
        Counts of each cell over all genes.
    target_sum : float
        Counts per cell after scaling.
    """
    positive = depth[depth > 0]
    return np.where(depth > 0, depth, np.median(positive) if len(positive) else target_sum) / target_sum


def log_normalise(values: backed.Rows, size_factor: np.ndarray | None) -> backed.Rows:
    """Natural log of 1 + counts over the cell's size factor.

    Parameters
    ----------
    values : csr_matrix or StoredRows, shape (n_cells, n_genes)
        Counts, or values already normalised; left as it is.
    size_factor : ndarray, shape (n_cells,), or None
        None: values are taken as they are.

    Returns
    -------
    csr_matrix or StoredRows, shape (n_cells, n_genes), float32
    """
    scaled = values if size_factor is None else backed.scale(values, 1 / size_factor)
    return backed.then(scaled, lambda rows: backed.with_data(rows, np.log1p(rows.data).astype(np.float32)))


def counts_and_exposure(rna: Modality) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts behind log-normalised expression, and each cell's normalising factor.

    Parameters
    ----------
    rna : Modality
        Cells in memory: `X`, log1p of normalised counts, shape (n_cells, n_genes), and `obs["size_factor"]`.

    Returns
    -------
    counts : csr_matrix, shape (n_cells, n_genes), float32
    exposure : ndarray, shape (n_cells,)
        ``counts = exposure * normalised counts``.

    Raises
    ------
    InputError
        The values came normalised and their counts are not known.
    """
    if "size_factor" not in rna.obs:
        raise InputError(
            "the window surrogate needs RNA counts, and these are not known: input.rna_values is normalized; give "
            "counts (input.counts_layer), or each cell's total counts (input.depth_key), or set surrogate.model: "
            "cross_modality"
        )
    exposure = rna.obs["size_factor"].to_numpy(np.float64)
    counts = rna.X.astype(np.float64)
    counts.data = np.rint(np.expm1(counts.data) * np.repeat(exposure, np.diff(counts.indptr)))
    return counts.astype(np.float32), exposure


def variable_genes(logged: sparse.csr_matrix, n_genes: int) -> np.ndarray:
    """Which genes vary most, array of bool, shape (n_genes,): by dispersion within bins of mean expression.

    The `seurat` flavour: it works on logged values, so that data that come normalised, without counts,
    are treated like counts, and it needs no curve fit, which fails on a handful of genes.

    Parameters
    ----------
    logged : csr_matrix, shape (n_cells, n_genes)
        Log-normalised expression (natural log).
    n_genes : int
        How many genes to choose; all of them when there are no more.
    """
    if logged.shape[1] <= n_genes:
        return np.ones(logged.shape[1], bool)
    import anndata
    import scanpy

    data = anndata.AnnData(logged)
    data.uns["log1p"] = {"base": None}
    table = scanpy.pp.highly_variable_genes(data, n_top_genes=n_genes, flavor="seurat", inplace=False)
    return table["highly_variable"].to_numpy(bool)
