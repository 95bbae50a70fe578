"""Log-normalised expression and the genes that vary most."""

import warnings

import numpy as np
from scipy import sparse


def log_normalise(values: sparse.csr_matrix, target_sum: float | None) -> sparse.csr_matrix:
    """Natural log of 1 + values scaled to `target_sum` per cell (not scaled when None).

    Parameters
    ----------
    values : csr_matrix, shape (n_cells, n_genes)
        Counts, or values already normalised; left as it is.
    target_sum : float or None
        Counts per cell after scaling.

    Returns
    -------
    csr_matrix, shape (n_cells, n_genes), float32
        Cells without counts stay zero.
    """
    import anndata
    import scanpy

    data = anndata.AnnData(values.astype(np.float32))
    if target_sum is not None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Some cells have zero counts")
            scanpy.pp.normalize_total(data, target_sum=target_sum)
    scanpy.pp.log1p(data)
    return data.X


def variable_genes(logged: sparse.csr_matrix, n_genes: int) -> np.ndarray:
    """The most variable genes of log-normalised values (dispersion within bins of mean expression).

    The `seurat` flavour: it works on logged values, so that data that come normalised, without counts,
    are treated like counts, and it needs no curve fit, which fails on a handful of genes.

    Parameters
    ----------
    logged : csr_matrix, shape (n_cells, n_genes)
        Log-normalised expression (natural log).
    n_genes : int
        How many genes to choose; all of them when there are no more.

    Returns
    -------
    array of bool, shape (n_genes,)
    """
    if logged.shape[1] <= n_genes:
        return np.ones(logged.shape[1], bool)
    import anndata
    import scanpy

    data = anndata.AnnData(logged)
    data.uns["log1p"] = {"base": None}
    table = scanpy.pp.highly_variable_genes(data, n_top_genes=n_genes, flavor="seurat", inplace=False)
    return table["highly_variable"].to_numpy(bool)
