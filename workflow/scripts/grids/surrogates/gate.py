"""Which genes a surrogate may be trusted to explain: the quality gate, on cells it was not trained on.

A gene of the window surrogate passes when its window says something about the gene in held-out cells that the
cells' state does not, and the whole model predicts better than the mean of the cell type and than depth.

The test of the window is a weighted covariance of residuals (generalised covariance measure, Shah & Peters,
Annals of Statistics 2020). Given the cells' state, what the window adds to the prediction, and what is observed
beyond the prediction by state alone, must covary in held-out cells. Under the null hypothesis (no local control)
their products have mean zero, whatever was learned, so p-values are uniform; they are one-sided. It is the
analytic form of permuting windows among cells of the same state.
"""

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def local_control_p_values(
    counts: Tensor, exposure: Tensor, by_state: Tensor, activity: Tensor, covariates: Tensor, dispersion: Tensor
) -> np.ndarray:
    """One-sided p-values that windows tell nothing beyond the cells' state.

    Parameters
    ----------
    counts : Tensor, shape (n_cells, n_genes)
    exposure : Tensor, shape (n_cells,)
    by_state : Tensor, shape (n_cells, n_genes)
        Log of the expected normalised counts by the model without the window.
    activity : Tensor, shape (n_cells, n_genes)
        What the window adds to the log of the expected counts.
    covariates : Tensor, shape (n_cells, n_covariates)
        The state; intercept first.
    dispersion : Tensor, shape (n_genes,)

    Returns
    -------
    ndarray, shape (n_genes,)
        1 where the window adds the same in all cells or nothing was counted.
    """
    expected = torch.exp(by_state) * exposure[:, None]
    noise = 1 + dispersion * expected
    weight = expected / noise
    # The window's part beyond the state: residual of a weighted regression, gene by gene.
    gram = torch.einsum("nk,ng,nl->gkl", covariates, weight, covariates)
    gram = gram + 1e-3 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(gram.shape[1])
    moment = torch.einsum("nk,ng->gk", covariates, weight * activity)
    beyond_state = activity - covariates @ torch.linalg.solve(gram, moment).T
    product = (beyond_state * (counts - expected) / noise).double().numpy()
    n = len(product)
    sd = product.std(0, ddof=1) if n > 1 else np.zeros(product.shape[1])
    t = product.mean(0) * np.sqrt(n) / np.where(sd > 0, sd, np.inf)
    return np.where((sd > 0) & (counts.sum(0).numpy() > 0), stats.norm.sf(t), 1.0)
