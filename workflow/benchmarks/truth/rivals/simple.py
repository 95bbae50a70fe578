"""Distance and penalised regression: scores for every candidate of every gene.

All but distance learn from the training and validation cells; where there is a penalty, validation chooses it.
"""

import numpy as np

from benchmarks.truth.dataset import LEARNED, Candidates, Dataset
from benchmarks.truth.result import MethodResult
from grids.analysis.evidence.pairs import CONTACT_EXPONENT, CONTACT_FLOOR_BP

RIDGE_PENALTIES = np.logspace(0, 4, 9)
POISSON_PENALTIES = np.logspace(-3, 0, 7)


def run(dataset: Dataset) -> list[MethodResult]:
    """Every rival of :data:`RIVALS`; none of them draws random numbers."""
    return [MethodResult(name, score(dataset.candidates)) for name, score in RIVALS.items()]


def distance(candidates: Candidates) -> np.ndarray:
    """Minus the distance to the TSS in bp, shape (n_genes, n_candidates)."""
    return -candidates.distance_to_tss_bp


def accessibility_over_distance(candidates: Candidates) -> np.ndarray:
    """Share of open cells over distance to the power of 0.87, shape (n_genes, n_candidates)."""
    share = candidates.of_splits(*LEARNED).opened.mean(1)
    return share * np.maximum(candidates.distance_to_tss_bp, CONTACT_FLOOR_BP) ** -CONTACT_EXPONENT


def ridge(candidates: Candidates) -> np.ndarray:
    """Absolute coefficients of ridge regression on log-expression, all candidates of a gene together.

    Coefficients count per standard deviation of a peak. All genes are solved at once from their 20 x 20
    moments.

    Returns
    -------
    ndarray, shape (n_genes, n_candidates)
    """
    train, validation = (candidates.of_splits(split) for split in LEARNED)
    fits = np.stack([_ridge(train, penalty)[0] for penalty in RIDGE_PENALTIES])
    center, scale, mean = _ridge(train, 1.0)[1:]
    standardised = (validation.opened - center[:, None]) / scale[:, None]
    predicted = np.einsum("gcp,agp->acg", standardised, fits) + mean
    best = ((predicted - validation.expression) ** 2).mean(1).argmin(0)
    both = candidates.of_splits(*LEARNED)
    refits = np.stack([_ridge(both, penalty)[0] for penalty in RIDGE_PENALTIES])
    return np.abs(refits[best, np.arange(len(best))])


def _ridge(cells: Candidates, penalty: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients per standard deviation, the peaks' means and standard deviations, the genes' means."""
    n_cells, n_candidates = cells.opened.shape[1:]
    x, y, mean = cells.opened.astype(np.float32), cells.expression, cells.expression.mean(0)
    center = x.mean(1)
    scale = np.sqrt(np.maximum(center * (1 - center), 1e-9))
    gram = (x.transpose(0, 2, 1) @ x - n_cells * center[:, :, None] * center[:, None]).astype(float)
    gram /= scale[:, :, None] * scale[:, None]
    moment = (np.einsum("gcp,cg->gp", x, y) - n_cells * center * mean[:, None]) / scale
    coefficients = np.linalg.solve(gram + penalty * np.eye(n_candidates), moment[:, :, None])[:, :, 0]
    return coefficients, center, scale, mean


def poisson_ridge(candidates: Candidates) -> np.ndarray:
    """Absolute coefficients of penalised Poisson regression on counts, as in SCARlink.

    Mitra et al., Nature Genetics 2024: counts of a gene from all of its window, with a ridge penalty. Depth is
    an offset: ``counts / depth`` with weights ``depth`` has the same likelihood.

    Returns
    -------
    ndarray, shape (n_genes, n_candidates)
    """
    train, validation, both = (
        candidates.of_splits(*splits) for splits in (("train",), ("validation",), LEARNED)
    )
    coefficients = np.zeros(candidates.peaks.shape)
    for gene in range(len(coefficients)):
        fits = [_poisson_ridge(train, gene, penalty) for penalty in POISSON_PENALTIES]
        explained = [_score(fit, validation, gene) for fit in fits]
        penalty = POISSON_PENALTIES[int(np.argmax(explained))]
        coefficients[gene] = _poisson_ridge(both, gene, penalty).coef_
    return np.abs(coefficients)


def _poisson_ridge(cells: Candidates, gene: int, penalty: float):
    from sklearn.linear_model import PoissonRegressor

    regressor = PoissonRegressor(alpha=penalty, solver="newton-cholesky")
    rate = cells.counts[:, gene] / cells.depth
    return regressor.fit(cells.opened[gene].astype(float), rate, sample_weight=cells.depth)


def _score(fit, cells: Candidates, gene: int) -> float:
    rate = cells.counts[:, gene] / cells.depth
    return fit.score(cells.opened[gene].astype(float), rate, sample_weight=cells.depth)


RIVALS = {
    "distance": distance,
    "accessibility_over_distance": accessibility_over_distance,
    "ridge": ridge,
    "poisson_ridge": poisson_ridge,
}
