"""Whether a gene's window says something about it that the state of the cells does not."""

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

RIDGE = 1e-2


def local_control_p_value(*moments: np.ndarray) -> float:
    """One-sided p-value that a window tells nothing beyond the cells' state, on cells it was not fitted to.

    A weighted covariance of residuals (generalised covariance measure, Shah & Peters, Annals of Statistics 2020):
    what the window adds beyond the state, and what is observed beyond the prediction by state, are multiplied cell
    by cell. Without local control the products have mean zero, whatever was learned. Groups of cells may be judged
    by different fits as long as none was made with cells of its own or of a later group: their sums are then
    martingale differences, and add up. (Were each half judged by a fit to the other, both would see the same noise.)

    Parameters
    ----------
    *moments : ndarray, shape (3,)
        Of :func:`local_control_moments`, one for each group of cells.

    Returns
    -------
    float
        1 where the window adds the same in all cells.
    """
    n, total, squares = np.stack(moments).astype(np.float64).T
    variance = (n * squares / np.maximum(n - 1, 1))[n > 1].sum()
    return float(ndtr(-total.sum() / np.sqrt(variance))) if variance > 0 else 1.0


def local_control_moments(
    counts: Tensor, expected: Tensor, activity: Tensor, covariates: Tensor, dispersion: float
) -> np.ndarray:
    """Number, sum, and sum of squares around the mean of the products in :func:`local_control_p_value`.

    Parameters
    ----------
    counts : Tensor, shape (n_cells,)
    expected : Tensor, shape (n_cells,)
        Counts expected by the state alone.
    activity : Tensor, shape (n_cells,)
        What the window adds to the log of the expected counts.
    covariates : Tensor, shape (n_cells, n_covariates)
        The state; intercept first.
    dispersion : float
        ``variance = mean + dispersion * mean**2``.

    Returns
    -------
    ndarray, shape (3,)
        Zeros where the window adds the same in all cells.
    """
    if len(activity) < 2 or bool(activity.max() - activity.min() < 1e-6):
        return np.zeros(3)
    noise = 1 + dispersion * expected
    weight = expected / noise
    gram = (covariates * weight[:, None]).T @ covariates + RIDGE * torch.eye(covariates.shape[1])
    by_state = torch.linalg.solve(gram, covariates.T @ (weight * activity))
    product = ((activity - covariates @ by_state) * (counts - expected) / noise).double().numpy()
    return np.array([len(product), product.sum(), ((product - product.mean()) ** 2).sum()])
