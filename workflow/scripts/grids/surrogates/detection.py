"""The chance that an open peak is seen: most open peaks of a single cell leave no fragment.

An open peak yields a Poisson number of fragments, so a peak that is seen (at least one fragment) would often
have been seen twice if detection were good. The mean number of fragments in seen peaks thus tells the rate at
which open peaks are missed (zero-truncated Poisson; compare Miao & Kim, Nature Methods 2024, who model the
capture of open peaks the same way).
"""

import logging

import numpy as np
from scipy import sparse
from scipy.optimize import brentq

log = logging.getLogger("grids")

# In fragment counts of one Poisson rate the ratio n2 / n1 is 1.5 times n3 / n2. Counts of cut sites, two to a
# fragment, have far more twos than that.
CUT_SITE_RATIO = 3.0
# Bounds of the mean chance over cells, for data that hardly tell.
LOWEST, HIGHEST = 0.02, 0.95
# Share of peaks, the most often seen ones, that are taken to be always open when counts say nothing.
ALWAYS_OPEN_SHARE = 0.01


def as_fragments(counts: np.ndarray) -> np.ndarray:
    """Counts of fragments; counts of cut sites are recognised and halved, rounding up."""
    n = [int((counts == k).sum()) for k in (1, 2, 3)]
    if n[1] * n[1] > CUT_SITE_RATIO * max(n[0], 1) * max(n[2], 1) and n[1] > 0.3 * max(n[0], 1):
        return np.ceil(counts / 2)
    return counts


def detection_chance(counts: sparse.csr_matrix, cell_type: np.ndarray) -> np.ndarray:
    """Chance of each cell that an open peak is seen in it.

    A cell sees ``n_open * (1 - exp(-rate))`` of its open peaks. The number of open peaks is taken to be the
    same in all cells of a type and found from the mean count of seen peaks; a cell's rate follows from how
    many it shows. Where no peak is counted twice (binary data), the most often seen peaks of the type are
    taken to be open in all its cells instead.

    Parameters
    ----------
    counts : csr_matrix, shape (n_cells, n_peaks)
        Fragments or cut sites per peak.
    cell_type : ndarray, shape (n_cells,)

    Returns
    -------
    ndarray, shape (n_cells,)
        In (0, 1).
    """
    chance = np.empty(counts.shape[0])
    n_seen = np.maximum(np.diff(counts.indptr), 1).astype(float)
    for of_type in (cell_type == t for t in np.unique(cell_type)):
        rows = counts[np.flatnonzero(of_type)]
        mean_count = float(as_fragments(rows.data).mean()) if rows.nnz else 1.0
        mean_chance = _chance_from_counts(n_seen[of_type], mean_count)
        if mean_chance is None:
            mean_chance = _chance_of_always_open(rows)
            log.info("no peak is counted twice: detection is judged by the most often seen peaks")
        mean_chance = float(np.clip(mean_chance, LOWEST, HIGHEST))
        chance[of_type] = np.clip(n_seen[of_type] * (mean_chance / n_seen[of_type].mean()), 1e-3, 0.98)
    return chance


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


def _chance_of_always_open(rows: sparse.csr_matrix) -> float:
    share = np.sort(np.bincount(rows.indices, minlength=rows.shape[1]) / max(rows.shape[0], 1))
    return float(share[-max(round(ALWAYS_OPEN_SHARE * len(share)), 1) :].mean())
