"""What a cell's accessibility says beyond one window: its state, and the chance that an open peak is seen in it.

The state is the leading components of a cell's open peaks, corrected for detection. It is what a gene may follow
without any help of its window, so the window surrogate has it as a covariate: peaks are credited with what they
say beyond it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from grids.io.seeds import generator

MIN_CHANCE, MAX_CHANCE = 1e-3, 0.98


@dataclass
class CellState:
    """The map from a cell's open peaks to its detection chance and its state.

    A cell has more open peaks seen because more are seen or because, in its state, more are open. The chance is
    first taken as proportional to the peaks seen, then corrected for the state found with it, assuming that within
    a data set depth does not depend on state, and shrunk for counting noise; the state is computed again with it.

    Attributes
    ----------
    n_open : float
        Open peaks of a mean cell, seen or not: at first ``p = n_seen / n_open``.
    share : Tensor, shape (n_peaks,)
        Mean openness of each peak.
    loadings : Tensor, shape (n_peaks, n_components)
    centre, signal : Tensor, shape (2, n_components)
        Mean of the components, and their variance beyond that of detection: with the first chance, and the final.
    n_open_slope : Tensor, shape (n_components,)
        Change of the log number of open peaks with each component.
    chance_line : Tensor, shape (3,)
        Scale of the corrected chance, its mean, and the share of its variance that is no counting noise.
    """

    n_open: float
    share: Tensor
    loadings: Tensor
    centre: Tensor
    signal: Tensor
    n_open_slope: Tensor
    chance_line: Tensor

    @classmethod
    def fit(cls, opened: sparse.csr_matrix, chance: np.ndarray, n_components: int, seed: int) -> "CellState":
        """Principal components of what is seen beyond what detection and mean openness explain.

        Of each training cell's `chance`, (n_cells,), that an open peak is seen, only the mean is used. At most
        `n_components` are kept; those that do not stand out from noise are left out.
        """
        n_seen = np.diff(opened.indptr).astype(np.float64)
        n_open = max(float(n_seen.sum()), 1.0) / float(chance.sum())
        first = np.clip(n_seen / n_open, MIN_CHANCE, MAX_CHANCE)
        share = np.bincount(opened.indices, minlength=opened.shape[1]) / first.sum()
        loadings = principal_loadings(opened, first, share, n_components, seed)
        share, loadings = (torch.from_numpy(x.astype(np.float32)) for x in (share, loadings))
        k = loadings.shape[1]
        line = torch.tensor([1.0, 0.0, 1.0])
        state = cls(n_open, share, loadings, torch.zeros(2, k), torch.ones(2, k), torch.zeros(k), line)
        pooled, n_seen = state._pool(opened)
        chance = state._first_chance(n_seen)
        state._standardise(0, pooled, chance)
        state._correct_chance(n_seen, chance, state._components(0, pooled, chance))
        state._standardise(1, pooled, state._chance(pooled, n_seen))
        return state

    def __call__(self, opened: sparse.csr_matrix) -> tuple[Tensor, Tensor]:
        """Chance, shape (n_cells,), and components, shape (n_cells, n_components), of cells.

        Components are shrunk by their reliability, the more the fewer peaks are seen, and have a standard
        deviation of at most about one.
        """
        pooled, n_seen = self._pool(opened)
        chance = self._chance(pooled, n_seen)
        return chance, self._components(1, pooled, chance)

    def _pool(self, opened: sparse.csr_matrix) -> tuple[Tensor, Tensor]:
        """Sums of the loadings of each cell's open peaks, and their number (one for a cell without any)."""
        pooled = torch.from_numpy(opened.astype(np.float32) @ self.loadings.numpy())
        return pooled, torch.from_numpy(np.diff(opened.indptr).astype(np.float32)).clamp(min=1)

    def _first_chance(self, n_seen: Tensor) -> Tensor:
        return (n_seen / self.n_open).clamp(MIN_CHANCE, MAX_CHANCE)

    def _chance(self, pooled: Tensor, n_seen: Tensor) -> Tensor:
        first = self._first_chance(n_seen)
        scale, mean, kept = self.chance_line
        chance = scale * n_seen / torch.exp(self._components(0, pooled, first) @ self.n_open_slope)
        return (mean + kept * (chance - mean)).clamp(MIN_CHANCE, MAX_CHANCE)

    def _raw(self, pooled: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        """Components as they are, and their variance from missed and seen openings."""
        return (
            pooled / chance[:, None] - self.share @ self.loadings,
            (self.share @ self.loadings**2) / chance[:, None],
        )

    def _standardise(self, which: int, pooled: Tensor, chance: Tensor) -> None:
        raw, noise = self._raw(pooled, chance)
        self.centre[which] = raw.mean(0)
        self.signal[which] = ((raw - self.centre[which]) ** 2 - noise).mean(0).clamp(min=1e-6)

    def _components(self, which: int, pooled: Tensor, chance: Tensor) -> Tensor:
        raw, noise = self._raw(pooled, chance)
        signal = self.signal[which]
        return (raw - self.centre[which]) * signal.sqrt() / (signal + noise)

    def _correct_chance(self, n_seen: Tensor, chance: Tensor, components: Tensor) -> None:
        """Regress the log number of peaks seen on the state; what is left is the chance, up to counting noise."""
        design = torch.cat([torch.ones(len(n_seen), 1), components], 1).double()
        gram = design.T @ design + 1e-6 * torch.eye(design.shape[1])
        self.n_open_slope = torch.linalg.solve(gram, design.T @ torch.log(n_seen).double())[1:].float()
        corrected = n_seen / torch.exp(components @ self.n_open_slope)
        scale = chance.mean() / corrected.mean()
        corrected = scale * corrected
        noise = (corrected**2 / n_seen).mean()
        kept = (1 - noise / corrected.var(correction=0).clamp(min=1e-12)).clamp(0, 1)
        self.chance_line = torch.stack([scale, corrected.mean(), kept])


def principal_loadings(
    opened: sparse.csr_matrix, chance: np.ndarray, share: np.ndarray, n_components: int, seed: int
) -> np.ndarray:
    """Loadings of the principal components of Pearson residuals ``(x - p * share) / sqrt(variance)``.

    The matrix of residuals is never formed, only its products with vectors are. Loadings of at most `n_components` are
    for residuals ``x - p * share``, shape (n_peaks, n_kept), after :func:`shrink_loadings`.
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
    rng = generator(seed, "cell state")
    start = rng.standard_normal(min(opened.shape))
    if np.abs(residual.matvec(rng.standard_normal(n_peaks))).max() < 1e-6:  # all cells are alike
        return np.zeros((n_peaks, 0))
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
    shrunk to zero, all components of a peak together (positive-part James-Stein). `size`, (n_components,), are singular
    values, of entries with variance near one, and `vectors`, (n_peaks, n_components), the unit right singular vectors.
    """
    n_peaks = len(vectors)
    kept = size > np.sqrt(n_cells) + np.sqrt(n_peaks)
    size, vectors = size[kept], vectors[:, kept]
    excess = size**2 - n_cells - n_peaks
    signal = (excess + np.sqrt(np.maximum(excess**2 - 4 * n_cells * n_peaks, 0))) / 2
    noise_share = np.clip(n_peaks * (signal + n_cells) / (signal * (signal + n_peaks)), 0, 1)
    noise = noise_share.sum() / n_peaks
    return vectors * np.maximum(1 - noise / np.maximum((vectors**2).sum(1), 1e-30), 0)[:, None]
