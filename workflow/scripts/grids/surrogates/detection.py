"""The chance that an open peak is seen: most open peaks of a single cell leave no fragment.

An open peak yields a Poisson number of fragments, so a peak that is seen (at least one fragment) would often
have been seen twice if detection were good. The mean number of fragments in seen peaks thus tells the rate at
which open peaks are missed (zero-truncated Poisson; compare Miao & Kim, Nature Methods 2024, who model the
capture of open peaks the same way).
"""

import logging

import numpy as np
from scipy.optimize import brentq

from grids import backed
from grids.backed import RunningMean

log = logging.getLogger("grids")

# In fragment counts of one Poisson rate the ratio n2 / n1 is 1.5 times n3 / n2. Counts of cut sites, two to a
# fragment, have far more twos than that.
CUT_SITE_RATIO = 3.0
# Bounds of the mean chance over cells, for data that hardly tell.
LOWEST, HIGHEST = 0.02, 0.95
# Share of peaks, the most often seen ones, that are taken to be always open when counts say nothing.
ALWAYS_OPEN_SHARE = 0.01


def _spectrum(counts: np.ndarray) -> np.ndarray:
    """How many peaks have one, two and three counts."""
    return np.array([(counts == k).sum() for k in (1, 2, 3)])


def _are_cut_sites(spectrum: np.ndarray) -> bool:
    """Whether counts are of cut sites, two to a fragment; they are to be halved, rounding up."""
    one, two, three = map(int, spectrum)
    return two * two > CUT_SITE_RATIO * max(one, 1) * max(three, 1) and two > 0.3 * max(one, 1)


def detection_chance(counts: backed.Rows, cell_type: np.ndarray) -> np.ndarray:
    """Chance of each cell that an open peak is seen in it.

    A cell sees ``n_open * (1 - exp(-rate))`` of its open peaks. The number of open peaks is taken to be the
    same in all cells of a type and found from the mean count of seen peaks; a cell's rate follows from how
    many it shows. Where no peak is counted twice (binary data), the most often seen peaks of the type are
    taken to be open in all its cells instead.

    Parameters
    ----------
    counts : csr_matrix or StoredRows, shape (n_cells, n_peaks)
        Fragments or cut sites per peak.
    cell_type : ndarray, shape (n_cells,)

    Returns
    -------
    ndarray, shape (n_cells,)
        In (0, 1).
    """
    chance, n_seen = np.empty(counts.shape[0]), np.empty(counts.shape[0])
    types, codes = np.unique(cell_type, return_inverse=True)
    summaries = [_Counts() for _ in types]
    for rows, block in backed.blocks(counts):
        n_seen[rows] = np.maximum(np.diff(block.indptr), 1)
        for code in np.unique(codes[rows]):
            summaries[code].add(block[np.flatnonzero(codes[rows] == code)].data)
    for code, summary in enumerate(summaries):
        of_type = codes == code
        mean_chance = _chance_from_counts(n_seen[of_type], summary.mean)
        if mean_chance is None:
            mean_chance = _chance_of_always_open(backed.select(counts, np.flatnonzero(of_type)))
            log.info("no peak is counted twice: detection is judged by the most often seen peaks")
        mean_chance = float(np.clip(mean_chance, LOWEST, HIGHEST))
        chance[of_type] = np.clip(n_seen[of_type] * (mean_chance / n_seen[of_type].mean()), 1e-3, 0.98)
    return chance


class _Counts:
    """What the counts of seen peaks tell, in one pass: their mean, taken as fragments or as cut sites."""

    def __init__(self):
        self.spectrum, self.as_fragments, self.as_cut_sites = np.zeros(3, int), RunningMean(), RunningMean()

    def add(self, counts: np.ndarray) -> None:
        if len(counts):
            self.spectrum += _spectrum(counts)
            self.as_fragments.add(float(counts.mean()), len(counts))
            self.as_cut_sites.add(float(np.ceil(counts / 2).mean()), len(counts))

    @property
    def mean(self) -> float:
        """Mean number of fragments in seen peaks; 1 without any."""
        found = self.as_cut_sites if _are_cut_sites(self.spectrum) else self.as_fragments
        return found.value if found.weight else 1.0


def _chance_from_counts(n_seen: np.ndarray, mean_count: float) -> float | None:
    """Mean chance at which ``rate / (1 - exp(-rate))``, over seen peaks, is `mean_count`; None for binary data."""
    if mean_count <= 1 + 1e-6:
        return None

    def excess(log_n_open: float) -> float:
        # A cell may see more than a mean cell has open.
        chance = np.minimum(n_seen / np.exp(log_n_open), HIGHEST)
        return -(n_seen * np.log1p(-chance) / chance).sum() / n_seen.sum() - mean_count

    low, high = np.log(n_seen.mean() / HIGHEST), np.log(n_seen.max()) + 20
    if excess(low) < 0:
        return HIGHEST
    return float(n_seen.mean() / np.exp(brentq(excess, low, high))) if excess(high) < 0 else LOWEST


def _chance_of_always_open(rows: backed.Rows) -> float:
    share = np.sort(backed.count_columns(rows) / max(rows.shape[0], 1))
    return float(share[-max(round(ALWAYS_OPEN_SHARE * len(share)), 1) :].mean())
