"""The score test of a link: does a gene's expression go with the openness of a peak, beyond what covariates tell?

The score of a peak is the sum of the gene's residuals over the cells in which the peak is open; that of a window, the
sum over its peaks. Were it chance which cell of a stratum (cells of similar depth) has which residual, the score's
variance and skewness would be known exactly (moments of the permutation distribution, e.g. Mielke & Berry,
Permutation Methods, 2007), and its distribution close to the Pearson type III one with these moments. In sparse data,
where few cells carry a score, that is far from normal. Where so few do that no distribution can be told, there is no
p-value: see :data:`LEAST_EFFECTIVE_CELLS`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import gammainc, gammaincc, ndtr

from grids.analysis.links.residuals import Residuals

# Below, chance can produce any score.
LEAST_EFFECTIVE_CELLS = 5.0
MOST_STRATA, CELLS_PER_STRATUM = 5, 50
# A peak that covariates tell this well has nothing of its own.
LEAST_OWN_SHARE = 0.05
# p-values near one must not hide small ones that they are combined with.
MOST_P = 0.99


@dataclass(frozen=True)
class Scores:
    """Score tests of links, or of windows, in the order of the arrays; all of shape (n,).

    Attributes
    ----------
    score : ndarray
    information : ndarray
        Fisher information on the effect: ``effect = score / information``.
    variance, skewness : ndarray
        Of the score, were residuals permuted over the cells of a stratum.
    n_effective_cells : ndarray
        Equally weighted cells with normal residuals that would give the score the tails it has: from the fourth
        moments of openness and residuals.
    """

    score: np.ndarray
    information: np.ndarray
    variance: np.ndarray
    skewness: np.ndarray
    n_effective_cells: np.ndarray

    @property
    def effect(self) -> np.ndarray:
        """Change of log-expression (natural log) with the peak open, or with one more peak of the window."""
        return np.divide(
            self.score, self.information, where=self.information > 0, out=np.full(len(self.score), np.nan)
        )

    @property
    def standard_error(self) -> np.ndarray:
        return np.divide(
            np.sqrt(self.variance),
            self.information,
            where=self.information > 0,
            out=np.full(len(self.score), np.nan),
        )

    @property
    def z(self) -> np.ndarray:
        """Score over its standard deviation; missing where nothing varies."""
        return self.score / np.sqrt(np.where(self.variance > 0, self.variance, np.nan))

    @property
    def p_value(self) -> np.ndarray:
        """Two-sided; missing where too few cells carry the score."""
        can_tell = (self.n_effective_cells >= LEAST_EFFECTIVE_CELLS) & (self.variance > 0)
        return np.where(can_tell, two_sided(self.z, self.skewness), np.nan)


class TestedCells:
    """Cells that links are tested in; what does not depend on the gene is computed once.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        1 where the peak is open or, of metacells, in how many of its cells.
    covariates : ndarray, shape (n_cells, n_covariates)
        What genes may follow without their peaks; intercept first.
    depth : ndarray, shape (n_cells,)
        Cells of similar depth are a stratum.
    """

    __test__ = False  # no class of tests

    def __init__(self, opened: sparse.csr_matrix, covariates: np.ndarray, depth: np.ndarray):
        n_cells = opened.shape[0]
        self.covariates, self.basis = covariates, np.linalg.qr(covariates)[0]
        self.strata = strata_of(depth)
        self.by_peak = opened.T.tocsr().astype(np.float32)
        self.n_open = np.asarray(self.by_peak.sum(1), float).ravel()
        n = np.asarray(self.strata.sum(1)).ravel()
        is_binary = bool((self.by_peak.data == 1).all())
        raised = [self.by_peak if is_binary else self.by_peak.power(k) for k in (1, 2, 3, 4)]
        powers = [(x @ self.strata.T).toarray() for x in raised[: 1 if is_binary else 3]] * (
            3 if is_binary else 1
        )
        # Sums over the cells of a stratum of the centred openness to second and third order, (n_peaks, n_strata).
        _, self.second, self.third, _ = _centred(*powers, n)
        whole = [np.asarray(x.sum(1), float).ravel() for x in raised]
        _, variance, _, fourth = _centred(*whole[:3], n_cells, whole[3])
        told = ((self.by_peak @ self.basis.astype(np.float32)) ** 2).sum(1)
        self.own_share = np.clip((whole[1] - told) / np.maximum(variance, 1e-9), LEAST_OWN_SHARE, 1)
        self.n_effective = variance**2 / np.maximum(fourth, 1e-9)

    def __len__(self) -> int:
        return self.covariates.shape[0]

    def links(self, peaks: list[np.ndarray], residuals: Residuals) -> Scores:
        """The links of each of the block's genes with its peaks, whose positions are given, gene by gene."""
        score, weight = (np.ascontiguousarray(x.T) for x in (residuals.score, residuals.weight))
        totals = np.empty((2, sum(map(len, peaks))))
        first = 0
        for gene, of_gene in enumerate(peaks):
            rows, own = self.by_peak[of_gene], slice(first, first + len(of_gene))
            totals[0, own], totals[1, own] = rows @ score[gene], rows @ weight[gene]
            first += len(of_gene)
        pairs, gene = concatenate(peaks), np.repeat(np.arange(len(peaks)), [len(x) for x in peaks])
        variance = (self.second[pairs] * residuals.second.T[gene]).sum(1) * self.own_share[pairs]
        third = (self.third[pairs] * residuals.third.T[gene]).sum(1) * self.own_share[pairs] ** 1.5
        information = totals[1] - totals[1] ** 2 / np.maximum(weight.sum(1), 1e-300)[gene]
        information = np.maximum(information, 0) * self.own_share[pairs]
        return Scores(
            totals[0],
            information,
            information * residuals.excess[gene],
            _skewness(variance, third),
            3 * self.n_effective[pairs] / residuals.kurtosis[gene],
        )

    def own_openness(self, n_open: np.ndarray) -> np.ndarray:
        """What covariates and strata do not tell of numbers of open peaks, shape (n_cells, n_windows)."""
        own = n_open - self.basis @ (self.basis.T @ n_open)
        n = np.asarray(self.strata.sum(1)).ravel()[:, None]
        return own - self.strata.T @ ((self.strata @ own) / n)

    def windows(self, n_open: np.ndarray, residuals: Residuals) -> Scores:
        """The windows of the block's genes, as numbers of open peaks in each cell, shape (n_cells, n_genes)."""
        own = self.own_openness(n_open)
        square = own**2
        variance = ((self.strata @ square) * residuals.second).sum(0)
        third = ((self.strata @ (square * own)) * residuals.third).sum(0)
        spread = square.sum(0) ** 2 / np.maximum((square**2).sum(0), 1e-300)
        information = (square * residuals.weight).sum(0)
        return Scores(
            (own * residuals.score).sum(0),
            information,
            information * residuals.excess,
            _skewness(variance, third),
            3 * spread / residuals.kurtosis,
        )


def window_openness(by_peak: sparse.csr_matrix, pairs: list[np.ndarray]) -> np.ndarray:
    """Number of open peaks of each window in each cell, shape (n_cells, n_windows); `pairs` are positions of peaks."""
    n_open = np.empty((len(pairs), by_peak.shape[1]))
    for row, peaks in zip(n_open, pairs, strict=True):
        opened = by_peak[peaks]
        row[:] = np.bincount(opened.indices, opened.data, by_peak.shape[1])
    return np.ascontiguousarray(n_open.T)


def concatenate(pairs: list[np.ndarray]) -> np.ndarray:
    """Positions of the peaks of several genes, one after the other."""
    return np.concatenate([np.empty(0, int), *pairs])


def _centred(first, second, third, n, fourth=0.0):
    """Sums of centred values to orders one to four from those of the values, of `n` each."""
    mean = first / n
    return (
        np.zeros_like(first),
        second - n * mean**2,
        third - 3 * mean * second + 2 * n * mean**3,
        fourth - 4 * mean * third + 6 * mean**2 * second - 3 * n * mean**4,
    )


def strata_of(depth: np.ndarray) -> sparse.csr_matrix:
    """Strata of cells of similar depth, as equal in size as can be: 1 where the cell is in, (n_strata, n_cells)."""
    n = len(depth)
    n_strata = int(np.clip(n // CELLS_PER_STRATUM, 1, MOST_STRATA))
    rank = np.empty(n, int)
    rank[np.argsort(depth, kind="stable")] = np.arange(n)
    return sparse.csr_matrix((np.ones(n), (rank * n_strata // n, np.arange(n))), shape=(n_strata, n))


def _skewness(variance: np.ndarray, third: np.ndarray) -> np.ndarray:
    return third / np.where(variance > 0, variance, np.inf) ** 1.5


def upper_tail(z: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Chance of at least `z` under the Pearson type III distribution with mean 0, variance 1 and this skewness."""
    size = np.abs(skewness)
    is_normal = size < 1e-3
    root = 2 / np.where(is_normal, 1.0, size)  # square root of the gamma distribution's shape
    sign = np.where(skewness < 0, -1.0, 1.0)
    place = np.maximum(root * (root + sign * z), 0)
    tail = np.where(sign > 0, gammaincc(root**2, place), gammainc(root**2, place))
    return np.where(is_normal, ndtr(-z), tail)


def two_sided(z: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Twice the smaller tail, at most 1."""
    return np.minimum(2 * np.minimum(upper_tail(z, skewness), upper_tail(-z, -skewness)), 1)


def combine(p_values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """One p-value of each group by the Cauchy combination (Liu & Xie, JASA 2020), which dependence leaves valid.

    Missing values are passed over; missing for a group without any. `p_values` and `group`, the number of the group of
    each, have shape (n,).
    """
    known = np.isfinite(p_values)
    p = np.clip(p_values[known], 1e-300, MOST_P)
    # The tangent of small p-values is 1 / (pi p), which does not lose digits.
    tangent = np.where(p < 1e-8, 1 / (np.pi * p), np.tan((0.5 - p) * np.pi))
    n = np.bincount(group[known], minlength=n_groups)
    mean = np.bincount(group[known], tangent, minlength=n_groups) / np.maximum(n, 1)
    combined = np.where(mean > 1e8, 1 / (np.pi * np.maximum(mean, 1)), 0.5 - np.arctan(mean) / np.pi)
    return np.where(n > 0, combined, np.nan)
