"""What a gene's counts are beyond what a cell's depth and state tell: the null model of every link.

Counts are negative binomial, ``log mean = log exposure + covariates . coefficients``; all genes of a block are fitted
together by Fisher scoring, which takes two matrix products per step. What is left of a cell's count is its *score
residual* ``(count - mean) / (1 + dispersion * mean)``: the derivative of the log-likelihood by the cell's
log-expression.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

PRIOR_PRECISION = 1.0
STEPS_PER_DISPERSION = 10
N_DISPERSIONS = 2
FIRST_DISPERSION, MOST_DISPERSION = 0.1, 10.0
TOLERANCE = 1e-3
# Of the log mean per unit of exposure.
BOUNDS = (-14.0, 12.0)


@dataclass(frozen=True)
class Residuals:
    """Of a block of genes in the cells that are tested.

    Attributes
    ----------
    score : ndarray, shape (n_cells, n_genes)
        Score residuals, centred within strata of cells.
    weight : ndarray, shape (n_cells, n_genes)
        Fisher information on the cell's log-expression.
    second, third : ndarray, shape (n_strata, n_genes)
        Mean square (with one degree of freedom less) and mean cube of the scores in each stratum.
    kurtosis : ndarray, shape (n_genes,)
        Fourth moment over the squared second, over all cells: 3 for a normal distribution.
    excess : ndarray, shape (n_genes,)
        Squares of the scores over the weights: 1 where the model of the counts tells their variance.
    """

    score: np.ndarray
    weight: np.ndarray
    second: np.ndarray
    third: np.ndarray
    kurtosis: np.ndarray
    excess: np.ndarray


def fit_residuals(
    values: np.ndarray, exposure: np.ndarray | None, covariates: np.ndarray, strata: sparse.csr_matrix
) -> Residuals:
    """Residuals of a block of genes.

    Parameters
    ----------
    values : ndarray, shape (n_cells, n_genes)
        Counts or, without exposure, log-normalised expression, whose residuals are those of linear regression.
    exposure : ndarray, shape (n_cells,), or None
        Expected counts are proportional to it.
    covariates : ndarray, shape (n_cells, n_covariates)
        Intercept first.
    strata : csr_matrix, shape (n_strata, n_cells)
        1 where the cell is of the stratum.
    """
    if exposure is None:
        score = values - covariates @ np.linalg.lstsq(covariates, values, rcond=None)[0]
        weight = np.ones_like(score)
    else:
        mean, dispersion = _negative_binomial(values, exposure, covariates)
        weight = mean / (1 + dispersion * mean)
        score = (values - mean) / (1 + dispersion * mean)
    n = np.asarray(strata.sum(1)).ravel()[:, None]
    score -= strata.T @ ((strata @ score) / n)
    square = score**2
    variance = np.maximum(square.mean(0), 1e-300)
    return Residuals(
        score,
        weight,
        second=(strata @ square) / np.maximum(n - 1, 1),
        third=(strata @ (square * score)) / n,
        kurtosis=np.maximum((square**2).mean(0) / variance**2, 1.0),
        excess=variance / np.maximum(weight.mean(0), 1e-300),
    )


def _negative_binomial(
    counts: np.ndarray, exposure: np.ndarray, covariates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected counts, (n_cells, n_genes), and dispersions, (n_genes,), by penalised maximum likelihood."""
    n_genes, k = counts.shape[1], covariates.shape[1]
    upper = np.triu_indices(k)
    products = (covariates[:, upper[0]] * covariates[:, upper[1]]).T
    prior = np.full(k, PRIOR_PRECISION)
    prior[0] = 1e-6
    coefficients = np.zeros((k, n_genes))
    coefficients[0] = np.log(np.maximum(counts.sum(0), 0.5) / exposure.sum())
    dispersion = np.full(n_genes, FIRST_DISPERSION)

    def expected() -> np.ndarray:
        return np.exp(np.clip(covariates @ coefficients, *BOUNDS)) * exposure[:, None]

    for _ in range(N_DISPERSIONS):
        for _ in range(STEPS_PER_DISPERSION):
            mean = expected()
            noise = 1 + dispersion * mean
            hessian = np.zeros((n_genes, k, k))
            hessian[:, upper[0], upper[1]] = hessian[:, upper[1], upper[0]] = (products @ (mean / noise)).T
            gradient = covariates.T @ ((counts - mean) / noise) - prior[:, None] * coefficients
            step = np.linalg.solve(hessian + np.diag(prior), gradient.T[..., None])[..., 0].T
            coefficients += np.clip(step, -1, 1)
            if np.abs(step).max(initial=0) < TOLERANCE:
                break
        mean = expected()
        excess = ((counts - mean) ** 2 - mean).sum(0) / np.maximum((mean**2).sum(0), 1e-12)
        dispersion = np.clip(excess, 0, MOST_DISPERSION)
    return mean, dispersion
