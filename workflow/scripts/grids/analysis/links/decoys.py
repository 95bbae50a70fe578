"""Decoys: what scores a gene reaches with peaks and windows that cannot control it, on other chromosomes.

Over cells of all types almost any peak goes with almost any gene, for both follow the types. A score says something
only beside those that the same gene reaches with *decoys*: each is standardised by the mean and the spread of decoys
that are about as often open, and a p-value is the share of the gene's decoys that lie as far out. Where fewer than ten
do, the share is read off a generalised Pareto tail (Knijnenburg et al., Bioinformatics 2009).
"""

from abc import ABC, abstractmethod

import numpy as np

from grids.analysis.links.residuals import Residuals
from grids.analysis.links.score_test import TestedCells, window_openness

# Decoys that all are chosen from, and those of similar size that one is standardised by.
MOST_DECOYS, N_NEAREST = 2000, 200
# With fewer, nothing can be told.
LEAST_DECOYS = 100
# A decoy must have been seen open so many times.
LEAST_OPEN = 20
LEAST_FAR, TAIL_SHARE, MOST_SHAPE = 10, 0.1, 0.4


class Decoys(ABC):
    """What could be a decoy, by size: of those that are seen open often enough, some at evenly spaced ranks.

    Parameters
    ----------
    size : ndarray, shape (n,)
        How often each is seen open.
    chromosome : ndarray, shape (n,)
    """

    def __init__(self, size: np.ndarray, chromosome: np.ndarray):
        order = np.argsort(size, kind="stable")
        order = order[size[order] >= LEAST_OPEN]
        if len(order) > MOST_DECOYS:
            order = order[np.linspace(0, len(order) - 1, MOST_DECOYS).round().astype(int)]
        self.position, self.size, self.chromosome = order, size[order], chromosome[order]

    @abstractmethod
    def scores(self, residuals: Residuals) -> np.ndarray:
        """z of a block's genes with every decoy, shape (n_decoys, n_genes)."""

    def judge(
        self, z: np.ndarray, size: np.ndarray, scores: np.ndarray, avoided: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of one gene beside its decoys.

        Parameters
        ----------
        z, size : ndarray, shape (n,)
            The gene's own scores, and how often what they are of is seen open.
        scores : ndarray, shape (n_decoys,)
            The gene's scores with the decoys.
        avoided : ndarray of str
            Chromosomes that no decoy may lie on.

        Returns
        -------
        z, p_value : ndarray, shape (n,)
            Standardised, and two-sided. Missing where there are fewer than :data:`LEAST_DECOYS`, or where what is
            scored is seen open less than a decoy has to be.
        """
        elsewhere = np.flatnonzero(np.all([self.chromosome != name for name in avoided], axis=0))
        if len(elsewhere) < LEAST_DECOYS:
            return np.full(len(z), np.nan), np.full(len(z), np.nan)
        of_decoys, sizes = scores[elsewhere], self.size[elsewhere]
        mean, sd = _around(of_decoys, np.searchsorted(sizes, size))
        own = np.where(size >= LEAST_OPEN, (z - mean) / sd, np.nan)
        mean, sd = _around(of_decoys, np.arange(len(sizes)), without=of_decoys)
        return own, tail_share(np.abs(own), np.abs(of_decoys - mean) / sd)


class PeakDecoys(Decoys):
    """Single peaks; `chromosome` of all, shape (n_peaks,)."""

    def __init__(self, cells: TestedCells, chromosome: np.ndarray):
        super().__init__(cells.n_open, chromosome)
        self._opened = cells.by_peak[self.position]
        self._squares = cells.second[self.position] * cells.own_share[self.position, None]

    def scores(self, residuals: Residuals) -> np.ndarray:
        total, variance = self._opened @ residuals.score, self._squares @ residuals.second
        return total / np.sqrt(np.where(variance > 0, variance, np.inf))


class WindowDecoys(Decoys):
    """Windows of other genes: positions of their peaks, and their chromosomes, shape (n_windows,)."""

    def __init__(self, cells: TestedCells, windows: list[np.ndarray], chromosome: np.ndarray):
        super().__init__(np.array([cells.n_open[peaks].sum() for peaks in windows]), chromosome)
        n_open = window_openness(cells.by_peak, [windows[i] for i in self.position])
        self._own = cells.own_openness(n_open)
        self._own_squares = cells.strata @ self._own**2

    def scores(self, residuals: Residuals) -> np.ndarray:
        variance = self._own_squares.T @ residuals.second
        return (self._own.T @ residuals.score) / np.sqrt(np.where(variance > 0, variance, np.inf))


def _around(
    scores: np.ndarray, place: np.ndarray, without: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the :data:`N_NEAREST` scores around each place; `without` is left out of each."""
    n = len(scores)
    first = np.clip(place - N_NEAREST // 2, 0, max(n - N_NEAREST, 0))
    last = np.minimum(first + N_NEAREST, n)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(np.stack([scores, scores**2], 1), 0)])
    total, count = sums[last] - sums[first], last - first
    if without is not None:
        total, count = total - np.stack([without, without**2], 1), count - 1
    mean, square = (total / count[:, None]).T
    return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


def tail_share(values: np.ndarray, decoys: np.ndarray) -> np.ndarray:
    """Share of decoys that are at least as large as each value, itself counted among them; missing for missing ones.

    Where fewer than ten are, the tail of a generalised Pareto distribution fitted by moments to the largest tenth; its
    shape is kept between 0 (exponential) and 0.4. `values` have shape (n,), `decoys` (n_decoys,).
    """
    ordered = np.sort(decoys)
    n, n_tail = len(ordered), max(int(TAIL_SHARE * len(ordered)), 30)
    n_larger = n - np.searchsorted(ordered, values)
    start = ordered[-n_tail - 1]
    beyond = ordered[-n_tail:] - start
    mean, variance = beyond.mean(), max(beyond.var(), 1e-12)
    shape = float(np.clip((1 - mean**2 / variance) / 2, 1e-6, MOST_SHAPE))
    scale = max(mean * (1 - shape), 1e-12)
    far = np.maximum(values - start, 0) / scale
    tail = n_tail / n * (1 + shape * far) ** (-1 / shape)
    return np.where(np.isnan(values), np.nan, np.where(n_larger >= LEAST_FAR, (1 + n_larger) / (1 + n), tail))
