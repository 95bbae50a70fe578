"""Sets placed on chromosomes, and their members compared with other peaks, or bins, at a similar distance."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grids.analysis.statistics import TIE, interval
from grids.io.tables import TASK_KEYS

ITEMS_PER_STRATUM = 20
MAX_DISTANCE_RATIO = 2.0
N_PERMUTATIONS = 1000


@dataclass(frozen=True)
class PlacedSet:
    """A set of a gene that has a TSS.

    Attributes
    ----------
    task : tuple
        Values of :data:`TASK_KEYS`.
    members : ndarray of int, shape (set_size,)
        In the order of their ranks, as rows of the peaks of the gene's chromosome; -1 on other chromosomes.
    """

    task: tuple
    tss: int
    members: np.ndarray

    @property
    def on_chromosome(self) -> np.ndarray:
        return self.members >= 0


@dataclass(frozen=True)
class PlacedSets:
    """The sets of one chromosome's genes.

    Attributes
    ----------
    middles : ndarray of int, shape (n_peaks_of_chromosome,)
        Middles of its peaks, in bp.
    """

    chromosome: str
    middles: np.ndarray
    sets: list[PlacedSet]


def place_sets(sets: pd.DataFrame, genes: pd.DataFrame, peaks: pd.DataFrame) -> Iterator[PlacedSets]:
    """The sets of each chromosome's genes; genes without a position are left out.

    Tables are those of :func:`grids.analysis.contacts.measurement.measure_contacts`.
    """
    located = genes.dropna(subset=["chromosome", "tss"]).drop_duplicates("gene").set_index("gene")
    for chromosome, of_chromosome in sets.groupby(sets["gene"].map(located["chromosome"]), sort=False):
        here = peaks[peaks["chromosome"] == chromosome]
        row_of_peak, placed = pd.Index(here["peak"]), []
        for task, rows in of_chromosome.groupby(TASK_KEYS, sort=False):
            tss = int(located.loc[rows["gene"].iloc[0], "tss"])
            placed.append(PlacedSet(task, tss, row_of_peak.get_indexer(rows.sort_values("rank")["peak"])))
        middles = ((here["start"] + here["end"]) // 2).to_numpy(np.int64)
        yield PlacedSets(chromosome, middles, placed)


@dataclass(frozen=True)
class Comparison:
    """Members against items of their strata.

    Attributes
    ----------
    members, matched : float
        Mean over members, and over members of the mean of the other items of their strata.
    matched_low, matched_high : float
        Between these lie 95 % of the means of permuted members.
    p_value : float
        One-sided: share of permutations whose mean is at least that of the members.
    n_members : int
        Members that have other items in their strata; the others are left out.
    matched_of_member : ndarray, shape (all members,)
        Mean of the other items of each member's stratum; NaN where there is none.
    n_matched : ndarray of int, shape (all members,)
        How many these are.
    """

    members: float
    matched: float
    matched_low: float
    matched_high: float
    p_value: float
    n_members: int
    matched_of_member: np.ndarray
    n_matched: np.ndarray


def distance_strata(distance: np.ndarray) -> np.ndarray:
    """Stratum of each item, shape (n_items,): items in the order of their unsigned distance, cut after every 20th.

    Equal distances share a stratum, and none holds distances of which one is more than twice another. Which
    items are members plays no part, so that members and others of a stratum can be exchanged.
    """
    order = np.argsort(distance, kind="stable")
    ordered = distance[order]
    first_of_stratum = [0]
    while (first := first_of_stratum[-1]) < len(ordered):
        last = ordered[min(first + ITEMS_PER_STRATUM, len(ordered)) - 1]
        farthest = min(last, MAX_DISTANCE_RATIO * ordered[first])
        first_of_stratum.append(int(np.searchsorted(ordered, farthest, side="right")))
    strata = np.empty(len(distance), dtype=np.int64)
    strata[order] = np.repeat(np.arange(len(first_of_stratum) - 1), np.diff(first_of_stratum))
    return strata


def compare(
    value: np.ndarray,
    members: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    n_permutations: int = N_PERMUTATIONS,
) -> Comparison:
    """Permutation of members and other items within each stratum.

    `value`, and `strata` from :func:`distance_strata`, have shape (n_items,); `members`, positions of different
    items, (n_members,).
    """
    matched, n_matched = np.full(len(members), np.nan), np.zeros(len(members), dtype=np.int64)
    permuted = np.zeros(n_permutations)
    for stratum in np.unique(strata[members]):
        of_stratum = strata[members] == stratum
        items = np.flatnonzero(strata == stratum)
        others = np.setdiff1d(items, members[of_stratum])
        if not len(others):
            continue
        matched[of_stratum], n_matched[of_stratum] = value[others].mean(), len(others)
        drawn = rng.permuted(np.tile(items, (n_permutations, 1)), axis=1)[:, : of_stratum.sum()]
        permuted += value[drawn].sum(axis=1)
    used = n_matched > 0
    if not used.any():
        return Comparison(*[np.nan] * 5, 0, matched, n_matched)
    observed, permuted = float(value[members[used]].mean()), permuted / used.sum()
    low, high = interval(permuted)
    n_as_high = int((permuted >= observed - TIE * max(1.0, abs(observed))).sum())
    return Comparison(
        members=observed,
        matched=float(matched[used].mean()),
        matched_low=float(low),
        matched_high=float(high),
        p_value=(1 + n_as_high) / (1 + n_permutations),
        n_members=int(used.sum()),
        matched_of_member=matched,
        n_matched=n_matched,
    )
