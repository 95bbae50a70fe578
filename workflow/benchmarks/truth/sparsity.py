"""How many peaks beside the candidates, and which chance that an open one is seen, show so many open peaks per cell.

In a cell, ``detection`` of the peaks that are truly open are seen. Where the candidates and the fewest other peaks
leave room, detection stays as the level has it and other peaks are added; where they do not, fewer are seen of each. So
cells with many open peaks tell their state from many peaks, and cells with few see little of each gene's own, too.
"""

from collections.abc import Mapping

from grids.data.simulation import OPEN_SHARE

N_OTHER_GENES = 400  # without planted regulation: depths come from many
FEWEST_OTHER_PEAKS = 2000
# Mean shares of cells in which the simulation's promoters, and its peaks that are no candidates, are truly open.
PROMOTER_SHARE, OTHER_SHARE = 0.65, 0.21


def other_peaks(level: Mapping, n_planted: int, n_candidates: int) -> tuple[int, float]:
    """Peaks that are neither promoters nor candidates, and the mean chance that an open peak is seen.

    Parameters
    ----------
    level : mapping
        `open_peaks`, those seen in a mean cell, and `detection`, the highest chance.
    n_planted, n_candidates : int
        Planted genes, and candidate peaks of each.
    """
    promoters = PROMOTER_SHARE * (n_planted + N_OTHER_GENES)
    n_open = OPEN_SHARE * n_planted * n_candidates + promoters  # truly, in a mean cell
    n_other = round((level["open_peaks"] / level["detection"] - n_open) / OTHER_SHARE)
    if n_other >= FEWEST_OTHER_PEAKS:
        return n_other, level["detection"]
    return FEWEST_OTHER_PEAKS, level["open_peaks"] / (n_open + OTHER_SHARE * FEWEST_OTHER_PEAKS)
