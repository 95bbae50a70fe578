"""What a cell's accessibility says beyond one window: its state, and how likely each peak is open in it.

A closed-looking peak may be open and missed. Given the cell's state ``C`` (an intercept and the leading
components of its open peaks, corrected for detection) and its chance ``p`` that an open peak is seen,

    P(seen)            = p * openness,             openness = sigmoid(C . coefficients)
    P(open | not seen) = openness * (1 - p) / (1 - openness * p)

The state also is what a gene may follow without any help of its window, so the window surrogate has it as a
covariate: peaks are credited with what they say beyond it.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor
from tqdm import tqdm

from grids.seeds import generator

log = logging.getLogger("grids")

MAX_CHANCE = 0.98
# Prior precision of a component's coefficient in a peak's openness, and the clamp of its logit.
COEFFICIENT_PRECISION = 1.0
MAX_LOGIT = 5.0
NEWTON_STEPS = 8
ENTRIES_PER_BLOCK = 2**22


@dataclass
class CellState:
    """The map from a cell's open peaks to its detection chance and its state.

    Attributes
    ----------
    n_open : float
        Open peaks of a cell, seen or not: ``p = n_seen / n_open``.
    share : Tensor, shape (n_peaks,)
        Mean openness of each peak.
    loadings : Tensor, shape (n_peaks, n_components)
    centre, signal : Tensor, shape (n_components,)
        Mean of the components, and their variance beyond that of detection.
    """

    n_open: float
    share: Tensor
    loadings: Tensor
    centre: Tensor
    signal: Tensor

    @classmethod
    def fit(cls, opened: sparse.csr_matrix, chance: np.ndarray, n_components: int, seed: int) -> "CellState":
        """Principal components of what is seen beyond what detection and mean openness explain.

        Parameters
        ----------
        opened : csr_matrix, shape (n_cells, n_peaks)
            Training cells.
        chance : ndarray, shape (n_cells,)
            Chance of each cell that an open peak is seen.
        n_components : int
            At most; components that do not stand out from noise are left out.
        seed : int
        """
        n_seen = np.diff(opened.indptr).astype(np.float64)
        n_open = float(n_seen.sum() / chance.sum())
        chance = np.clip(n_seen / n_open, 1e-3, MAX_CHANCE)
        share = np.bincount(opened.indices, minlength=opened.shape[1]) / chance.sum()
        loadings = principal_loadings(opened, chance, share, n_components, seed)
        none = torch.zeros(loadings.shape[1])
        model = cls(n_open, *(torch.from_numpy(x.astype(np.float32)) for x in (share, loadings)), none, none)
        _, raw, noise = model._components(opened)
        model.centre = raw.mean(0)
        model.signal = ((raw - model.centre) ** 2 - noise).mean(0).clamp(min=1e-6)
        return model

    def __call__(self, opened: sparse.csr_matrix) -> tuple[Tensor, Tensor]:
        """Chance, shape (n_cells,), and components, shape (n_cells, n_components), of cells.

        Components are shrunk by their reliability, the more the fewer peaks are seen, and have a standard
        deviation of at most about one.
        """
        chance, raw, noise = self._components(opened)
        return chance, (raw - self.centre) * self.signal.sqrt() / (self.signal + noise)

    def _components(self, opened: sparse.csr_matrix) -> tuple[Tensor, Tensor, Tensor]:
        """Chance, components as they are, and their variance from missed and seen openings."""
        n_seen = torch.from_numpy(np.diff(opened.indptr).astype(np.float32))
        chance = (n_seen / self.n_open).clamp(1e-3, MAX_CHANCE)
        pooled = torch.from_numpy(opened.astype(np.float32) @ self.loadings.numpy())
        noise = (self.share @ self.loadings**2) / chance[:, None]
        return chance, pooled / chance[:, None] - self.share @ self.loadings, noise


def principal_loadings(
    opened: sparse.csr_matrix, chance: np.ndarray, share: np.ndarray, n_components: int, seed: int
) -> np.ndarray:
    """Loadings of the principal components of Pearson residuals ``(x - p * share) / sqrt(variance)``.

    The matrix of residuals is never formed, only its products with vectors are.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
    chance : ndarray, shape (n_cells,)
    share : ndarray, shape (n_peaks,)
    n_components : int
        At most.
    seed : int

    Returns
    -------
    ndarray, shape (n_peaks, n_kept)
        For residuals ``x - p * share``; see :func:`shrink_loadings`.
    """
    n_cells, n_peaks = opened.shape
    n_components = min(n_components, min(opened.shape) - 1)
    if n_components < 1:
        return np.zeros((n_peaks, 0))
    seen = share * chance.mean()
    weight = 1 / np.sqrt(np.maximum(seen * (1 - np.minimum(seen, 1)), 1e-3))
    depth = np.sqrt(chance / chance.mean())
    weighted = (sparse.diags(1 / depth) @ opened.astype(np.float64) @ sparse.diags(weight)).tocsr()
    mean, scaled = share * weight, chance / depth
    residual = LinearOperator(
        opened.shape,
        matvec=lambda v: weighted @ v.ravel() - scaled * (mean @ v.ravel()),
        rmatvec=lambda u: weighted.T @ u.ravel() - mean * (scaled @ u.ravel()),
        dtype=np.float64,
    )
    start = generator(seed, "cell state").standard_normal(min(opened.shape))
    _, size, right = svds(residual, n_components, v0=start)
    order = np.argsort(-size)
    vectors = shrink_loadings(size[order], right[order].T, n_cells)
    largest = vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])]
    return vectors * np.sign(largest) * weight[:, None]


def shrink_loadings(size: np.ndarray, vectors: np.ndarray, n_cells: int) -> np.ndarray:
    """Keep the components that stand out from noise, and shrink the loadings of peaks that have none.

    For a matrix of unit-variance noise and a few components, a component of singular value below
    ``sqrt(n_cells) + sqrt(n_peaks)`` is noise, and a known share of a larger one's vector is (Benaych-Georges &
    Nadakuditi, Journal of Multivariate Analysis 2012). Peaks whose loadings are no larger than that noise are
    shrunk to zero, all components of a peak together (positive-part James-Stein).

    Parameters
    ----------
    size : ndarray, shape (n_components,)
        Singular values, of entries with variance near one.
    vectors : ndarray, shape (n_peaks, n_components)
        Unit right singular vectors.
    n_cells : int

    Returns
    -------
    ndarray, shape (n_peaks, n_kept)
    """
    n_peaks = len(vectors)
    kept = size > np.sqrt(n_cells) + np.sqrt(n_peaks)
    size, vectors = size[kept], vectors[:, kept]
    excess = size**2 - n_cells - n_peaks
    signal = (excess + np.sqrt(np.maximum(excess**2 - 4 * n_cells * n_peaks, 0))) / 2
    noise_share = np.clip(n_peaks * (signal + n_cells) / (signal * (signal + n_peaks)), 0, 1)
    noise = noise_share.sum() / n_peaks
    return vectors * np.maximum(1 - noise / np.maximum((vectors**2).sum(1), 1e-30), 0)[:, None]


def openness_score(seen: Tensor, chance: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative of the log-likelihood of what is seen by the logit of openness, and its Fisher information.

    Parameters
    ----------
    seen, chance, logit : Tensor
        Of one shape, or broadcast to it.
    """
    openness = torch.sigmoid(logit.clamp(-MAX_LOGIT, MAX_LOGIT))
    expected = chance * openness
    slope = expected * (1 - openness)
    unseen = slope / (1 - expected)
    return torch.where(seen > 0, 1 - openness, -unseen), (1 - openness) * unseen


def fit_openness(opened: sparse.csr_matrix, chance: Tensor, covariates: Tensor) -> Tensor:
    """Coefficients of each peak's openness given the cell's state, by penalised maximum likelihood.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        Training cells.
    chance : Tensor, shape (n_cells,)
    covariates : Tensor, shape (n_cells, n_covariates)
        The first one is the intercept, which is hardly penalised.

    Returns
    -------
    Tensor, shape (n_peaks, n_covariates)
    """
    n_cells, n_covariates = covariates.shape
    by_peak = opened.tocsc()
    products = (covariates[:, :, None] * covariates[:, None, :]).flatten(1)
    penalty = torch.full((n_covariates,), COEFFICIENT_PRECISION)
    penalty[0] = 1e-2
    coefficients = torch.zeros(opened.shape[1], n_covariates)
    n_seen = torch.from_numpy(np.diff(by_peak.indptr).astype(np.float32))
    mean = (n_seen / chance.sum()).clamp(0.005, 0.99)
    coefficients[:, 0] = torch.log(mean / (1 - mean))
    size = max(ENTRIES_PER_BLOCK // n_cells, 1)
    for first in tqdm(range(0, opened.shape[1], size), desc="openness of peaks", unit="block"):
        block = slice(first, first + size)
        seen = torch.from_numpy(by_peak[:, block].toarray()).to(torch.float32)
        current = coefficients[block]
        for _ in range(NEWTON_STEPS):
            score, information = openness_score(seen, chance[:, None], covariates @ current.T)
            hessian = (information.T @ products).view(-1, n_covariates, n_covariates) + torch.diag(penalty)
            gradient = score.T @ covariates - penalty * current
            step = torch.linalg.solve(hessian, gradient)
            current = current + step.clamp(-1, 1)
            if step.abs().max() < 1e-3:
                break
        coefficients[block] = current
    return coefficients


def expected_openness(seen: Tensor, chance: Tensor, covariates: Tensor, coefficients: Tensor) -> Tensor:
    """Chance that each peak is open given what was seen: 1 where seen, Bayes' rule where not.

    Parameters
    ----------
    seen : Tensor, shape (n_cells, n)
    chance : Tensor, shape (n_cells,)
    covariates : Tensor, shape (n_cells, n_covariates)
    coefficients : Tensor, shape (n, n_covariates)
        The peaks' own; see :func:`fit_openness`.

    Returns
    -------
    Tensor, shape (n_cells, n)
    """
    openness = torch.sigmoid((covariates @ coefficients.T).clamp(-MAX_LOGIT, MAX_LOGIT))
    missed = openness * (1 - chance[:, None]) / (1 - openness * chance[:, None])
    return torch.where(seen > 0, torch.ones_like(missed), missed)
