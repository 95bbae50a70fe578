"""Random sets that resemble a found one in the accessibility of its peaks and in their distance to the gene."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from grids.analysis.statistics import MEAN_ROUNDING
from grids.data.intervals import distance_to_tss
from grids.search.directions import DIRECTIONS

DISTANCE_CLASSES = ("promoter", "within 10 kb", "in window", "same chromosome", "other chromosome")
NEAR_BP = 10_000
N_ACCESSIBILITY_BINS = 20
MIN_STRATUM = 20


@dataclass(frozen=True)
class Surroundings:
    """Where genes and peaks lie, and how often the peaks are open.

    Attributes
    ----------
    genes : DataFrame
        `gene chromosome start end strand tss`.
    peaks : DataFrame, n_peaks rows, indexed by peak name
        `chromosome start end`, in the surrogate's order.
    accessibility : ndarray, shape (n_peaks,)
        Share of the type's cells in which each peak is open.
    window_bp, promoter_upstream_bp, promoter_downstream_bp : int
        Bounds of the distance classes, around the TSS.
    """

    genes: pd.DataFrame
    peaks: pd.DataFrame
    accessibility: np.ndarray
    window_bp: int = 500_000
    promoter_upstream_bp: int = 1_000
    promoter_downstream_bp: int = 100

    @cached_property
    def _gene_rows(self) -> pd.DataFrame:
        return self.genes.drop_duplicates("gene").set_index("gene", drop=False)

    @cached_property
    def bins(self) -> np.ndarray:
        """:func:`accessibility_bins` of the peaks, shape (n_peaks,)."""
        return accessibility_bins(self.accessibility)

    def gene(self, name: str) -> pd.Series:
        """The row of a gene."""
        return self._gene_rows.loc[name]

    def distance_to(self, gene: str) -> np.ndarray:
        """:func:`~grids.data.intervals.distance_to_tss` of the peaks, shape (n_peaks,)."""
        return distance_to_tss(self.peaks, self.gene(gene))

    def distance_classes(self, gene: str) -> np.ndarray:
        """:func:`distance_classes` of the peaks, shape (n_peaks,)."""
        bounds = (self.window_bp, self.promoter_upstream_bp, self.promoter_downstream_bp)
        return distance_classes(self.distance_to(gene), *bounds)


def accessibility_bins(accessibility: np.ndarray, n_bins: int = N_ACCESSIBILITY_BINS) -> np.ndarray:
    """Quantile bin of each peak's open share, shape (n_peaks,); equal shares are in one bin."""
    accessibility = np.asarray(accessibility, dtype=float)
    edges = np.unique(np.quantile(accessibility, np.arange(1, n_bins) / n_bins))
    return np.searchsorted(edges, accessibility, side="right")


def distance_classes(
    distance: np.ndarray,
    window_bp: int = 500_000,
    promoter_upstream_bp: int = 1_000,
    promoter_downstream_bp: int = 100,
) -> np.ndarray:
    """Index into ``DISTANCE_CLASSES`` from signed distances to a TSS (NaN: other chromosome)."""
    far = np.abs(distance)
    promoter = (distance >= -promoter_upstream_bp) & (distance <= promoter_downstream_bp)
    conditions = [promoter, far <= NEAR_BP, far <= window_bp, np.isfinite(distance)]
    return np.select(conditions, [0, 1, 2, 3], default=4)


def draw_null_sets(
    members: np.ndarray, bins: np.ndarray, classes: np.ndarray, n_sets: int, rng: np.random.Generator
) -> np.ndarray:
    """Random sets that resemble a found set, member by member.

    Column `i` holds a random peak of the accessibility bin and the distance class of member `i`, outside the
    found set; a set holds distinct peaks. Where fewer than ``max(MIN_STRATUM, set_size)`` such peaks exist,
    bins on both sides are added, one step at a time, within the class; if the class itself is too small,
    the next farther classes (then the nearer ones) are added, nearest bins first. With fewer peaks outside the
    found set than it has members there are no null sets. The prefix of a null set is a null set of the prefix.

    `members`, shape (set_size,); `bins` and `classes`, shape (n_peaks,), of :func:`accessibility_bins` and
    :func:`distance_classes`. Returned are columns of the peaks, shape (n_sets, set_size), or (0, set_size).
    """
    available = np.ones(len(bins), dtype=bool)
    available[members] = False
    size = len(members)
    needed = max(MIN_STRATUM, size)
    if available.sum() < size:
        return np.empty((0, size), dtype=np.int64)
    pools = {}
    drawn = np.empty((n_sets, size), dtype=np.int64)
    for column, stratum in enumerate(zip(bins[members], classes[members], strict=True)):
        if stratum not in pools:
            pools[stratum] = _pool(*stratum, bins, classes, available, needed)
        pool = pools[stratum]
        open_rows = np.arange(n_sets)
        while len(open_rows):
            drawn[open_rows, column] = pool[rng.integers(0, len(pool), len(open_rows))]
            clash = (drawn[open_rows, :column] == drawn[open_rows, column, None]).any(axis=1)
            open_rows = open_rows[clash]
    return drawn


def _pool(bin_: int, class_: int, bins, classes, available, needed: int) -> np.ndarray:
    """Available peaks of a stratum, widened until there are `needed` of them (or all there are)."""
    step_of_bin = np.abs(bins - bin_)
    step_of_class = np.argsort([*range(class_, len(DISTANCE_CLASSES)), *range(class_ - 1, -1, -1)])
    for n_classes in range(len(DISTANCE_CLASSES)):
        eligible = available & (step_of_class[classes] <= n_classes)
        if eligible.sum() >= needed:
            break
    for step in range(int(step_of_bin.max())):
        pool = np.flatnonzero(eligible & (step_of_bin <= step))
        if len(pool) >= needed:
            return pool
    return np.flatnonzero(eligible)


def permutation_p_value(observed: float, null: np.ndarray, direction: str) -> float:
    """``(1 + n at least as extreme) / (1 + n)``; ties count as extreme. NaN without null sets.

    `observed` and `null`, shape (n_null_sets,): changes of log-expression. Extreme is low for the direction
    "silence", high for the others.
    """
    if not len(null):
        return np.nan
    sign = DIRECTIONS[direction].sign
    return (1 + int((sign * null >= sign * observed - MEAN_ROUNDING).sum())) / (1 + len(null))
