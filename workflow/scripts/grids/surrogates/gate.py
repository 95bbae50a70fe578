"""Whether a gene's window says something about it that the state of the cells does not."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor

RIDGE = 1e-2


def local_control_p_value(
    counts: Tensor, expected: Tensor, activity: Tensor, covariates: Tensor, dispersion: float
) -> float:
    """One-sided p-value that a window tells nothing beyond the cells' state, on cells it was not trained on.

    A weighted covariance of residuals (generalised covariance measure, Shah & Peters, Annals of Statistics 2020):
    what the window adds beyond the state, and what is observed beyond the prediction by state, are multiplied cell
    by cell. Without local control the products have mean zero, whatever was learned.

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
    float
        1 where the window adds the same in all cells.
    """
    noise = 1 + dispersion * expected
    weight = expected / noise
    gram = (covariates * weight[:, None]).T @ covariates + RIDGE * torch.eye(covariates.shape[1])
    by_state = torch.linalg.solve(gram, covariates.T @ (weight * activity))
    product = ((activity - covariates @ by_state) * (counts - expected) / noise).double().numpy()
    error = product.std(ddof=1) / np.sqrt(len(product)) if len(product) > 1 else 0.0
    flat = bool(activity.max() - activity.min() < 1e-6)
    return 1.0 if flat or not error > 0 else float(stats.norm.sf(product.mean() / error))
