"""Counts behind log-normalised expression."""

import numpy as np
from scipy import sparse

from grids.io.cells import Modality
from grids.io.errors import InputError


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
