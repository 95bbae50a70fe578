"""What a gene's counts are beyond what a cell's depth and state tell: the null model of every link.

Counts are negative binomial, ``log mean = log exposure + covariates . coefficients``; all genes of a block are fitted
together by Fisher scoring, which takes three matrix products per step. The largest, the information, is computed while
steps are large only; all steps but the last are in single precision. What is left of a cell's count is its *score
residual* ``(count - mean) / (1 + dispersion * mean)``: the derivative of the log-likelihood by the cell's
log-expression.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

PRIOR_PRECISION = 1.0
N_DISPERSIONS = 2
FIRST_DISPERSION, MOST_DISPERSION = 0.1, 10.0
# Steps of the coefficients in single precision, and the size below which they end; one in double precision follows.
MOST_STEPS, TOLERANCE = 12, 1e-4
# Below this size of a step, the information of an earlier one will do.
NEAR = 0.1
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


@dataclass
class _Model:
    """Counts of genes and their null model, in one precision.

    Attributes
    ----------
    counts : ndarray, shape (n_cells, n_genes)
    exposure : ndarray, shape (n_cells, 1)
    covariates : ndarray, shape (n_cells, n_covariates)
    products : ndarray, shape (n_covariates * (n_covariates + 1) / 2, n_cells)
        Of covariates: those of the upper triangle.
    coefficients : ndarray, shape (n_covariates, n_genes)
    dispersion : ndarray, shape (n_genes,)
    inverse : ndarray, shape (n_genes, n_covariates, n_covariates)
        Of the information on the coefficients, last time it was computed.
    """

    counts: np.ndarray
    exposure: np.ndarray
    covariates: np.ndarray
    products: np.ndarray
    coefficients: np.ndarray
    dispersion: np.ndarray
    inverse: np.ndarray

    def mean(self) -> np.ndarray:
        """Expected counts, (n_cells, n_genes)."""
        mean = self.covariates @ self.coefficients.astype(self.counts.dtype)
        np.clip(mean, *BOUNDS, out=mean)
        np.exp(mean, out=mean)
        mean *= self.exposure
        return mean

    def step(self, prior: np.ndarray, inform: bool) -> np.ndarray:
        """Move the coefficients by a step of Fisher scoring; returns its size, (n_genes,)."""
        mean = self.mean()
        noise = mean * self.dispersion.astype(mean.dtype)
        noise += 1
        residual = self.counts - mean
        residual /= noise
        gradient = self.covariates.T @ residual - prior[:, None] * self.coefficients
        if inform:
            mean /= noise
            self.inverse = np.linalg.inv(self._information(mean) + np.diag(prior))
        step = np.clip((self.inverse @ gradient.T[..., None])[..., 0].T, -1, 1)
        self.coefficients = self.coefficients + step
        return np.abs(step).max(0)

    def _information(self, weight: np.ndarray) -> np.ndarray:
        n_genes, k = weight.shape[1], self.covariates.shape[1]
        upper = np.triu_indices(k)
        information = np.zeros((n_genes, k, k))
        information[:, upper[0], upper[1]] = information[:, upper[1], upper[0]] = (self.products @ weight).T
        return information

    def of(self, genes: np.ndarray) -> "_Model":
        """The same of some of the genes."""
        of_genes = (
            self.counts[:, genes],
            self.coefficients[:, genes],
            self.dispersion[genes],
            self.inverse[genes],
        )
        counts, coefficients, dispersion, inverse = of_genes
        return replace(self, counts=counts, coefficients=coefficients, dispersion=dispersion, inverse=inverse)

    def climb(self, prior: np.ndarray) -> None:
        """Move the coefficients until steps are small; genes that have arrived are left out once they are many."""
        genes, size, part = np.arange(len(self.dispersion)), np.full(len(self.dispersion), np.inf), self
        for _ in range(MOST_STEPS):
            size = part.step(prior, size.max(initial=0) > NEAR)
            self.coefficients[:, genes], self.inverse[genes] = part.coefficients, part.inverse
            is_under_way = size > TOLERANCE
            if not is_under_way.any():
                break
            if is_under_way.mean() < 0.5:
                genes, part, size = genes[is_under_way], part.of(is_under_way), size[is_under_way]


def _negative_binomial(
    counts: np.ndarray, exposure: np.ndarray, covariates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected counts, (n_cells, n_genes), and dispersions, (n_genes,), by penalised maximum likelihood."""
    n_genes, k = counts.shape[1], covariates.shape[1]
    prior = np.full(k, PRIOR_PRECISION)
    prior[0] = 1e-6
    coefficients = np.zeros((k, n_genes))
    coefficients[0] = np.log(np.maximum(counts.sum(0), 0.5) / exposure.sum())
    dispersion = np.full(n_genes, FIRST_DISPERSION)
    upper = np.triu_indices(k)
    data = [counts, exposure[:, None], covariates]
    single = [x.astype(np.float32) for x in data]
    products = (single[2][:, upper[0]] * single[2][:, upper[1]]).T
    fast = _Model(*single, products, coefficients, dispersion, np.zeros((n_genes, k, k)))
    for _ in range(N_DISPERSIONS):
        fast.dispersion = dispersion
        fast.climb(prior)
        exact = _Model(*data, products, fast.coefficients, dispersion, fast.inverse)
        exact.step(prior, inform=False)
        fast.coefficients, mean = exact.coefficients, exact.mean()
        excess = ((counts - mean) ** 2 - mean).sum(0) / np.maximum((mean**2).sum(0), 1e-12)
        dispersion = np.clip(excess, 0, MOST_DISPERSION)
    return mean, dispersion
