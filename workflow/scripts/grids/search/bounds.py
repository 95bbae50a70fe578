"""The peaks of the largest first-order gain, without computing the gain of every peak.

From one step of the search to the next gradients move little, and with them the gains. How far each gain can have moved
is bounded; only peaks that may have come among the best are computed. The result is that of computing all.
"""

import torch
from torch import Tensor

from grids.search.objective import PerturbedCells
from grids.search.transitions import Linearised

# With fewer peaks all gains are computed; and when bounds leave more than this, to bound the next ones from there.
MOST_LEFT = 4096
# With more than this, sharper bounds cost less than the gains.
MANY_LEFT = 2048
# Rounding of a gain, as a share of its bound's terms, and of a sum.
ROUNDING = 1e-5
ROUNDING_OF_SUM = 1e-3


class GainBounds:
    """Gains known at one state, and how far those at another one can be from them.

    The gain of peak ``q`` is the mean over cells of ``+-(p - x_q) D_q . G``. Where gradients move by ``dG``, it moves
    by no more than ``|D_q|`` times the mean over the cells that ``q`` changes of ``|dG|`` (Cauchy and Schwarz), and so
    by no more than with the cells of the largest ``|dG|`` in their place, which is faster to know.

    Parameters
    ----------
    cells : PerturbedCells
        All linearisations are of these.
    """

    def __init__(self, cells: PerturbedCells):
        self._cells, self._length, self._n_changed = cells, cells.shift.norm(dim=1), cells.n_changed
        self._known: Linearised | None = None

    def best(self, at: Linearised, barred: Tensor, n_best: int) -> Tensor:
        """The peaks of the largest gain, shape (n_best,), largest first.

        Parameters
        ----------
        at : Linearised
        barred : Tensor, shape (n_peaks,), bool
            Peaks that are not wanted.
        n_best : int
            At most the number of the others.
        """
        left = self._may_be_best(at, barred, n_best)
        if left is None or len(left) > MOST_LEFT:
            self._known = at
            return at.gain.masked_fill(barred, -torch.inf).topk(n_best).indices
        return left[at.gain_of(left).topk(n_best).indices]

    def _may_be_best(self, at: Linearised, barred: Tensor, n_best: int) -> Tensor | None:
        """Peaks whose bound reaches what `n_best` others have at least; None when nothing is known."""
        if self._known is None or not n_best or len(barred) <= MOST_LEFT:
            return None
        moved = (at.gradient - self._known.gradient).norm(dim=2) + ROUNDING * at.gradient.norm(dim=2)
        left = ~barred
        for most_moved in (self._of_the_largest, self._of_those_changed):
            left &= self._reaches(self._length * most_moved(moved), left, n_best)
            if left.count_nonzero() <= MANY_LEFT:
                break
        return left.nonzero()[:, 0]

    def _reaches(self, bound: Tensor, left: Tensor, n_best: int) -> Tensor:
        """Which peaks may have a gain as large as `n_best` of those left have at least, shape (n_peaks,), bool."""
        gain = self._known.gain
        return gain + bound >= (gain - bound).masked_fill(~left, -torch.inf).topk(n_best).values[-1]

    def _of_the_largest(self, moved: Tensor) -> Tensor:
        """For each peak, the mean of what moved with the cells of the largest in place of those it changes."""
        largest = moved.sort(dim=0, descending=True).values.cumsum(0) / len(moved)
        of_most = torch.cat([largest.new_zeros(1, largest.shape[1]), largest])
        return of_most[self._n_changed, self._cells.group_of_peak]

    def _of_those_changed(self, moved: Tensor) -> Tensor:
        """For each peak, the mean of what moved over the cells that it changes, and zero for the others."""
        of_all = moved.sum(0)[self._cells.group_of_peak]  # what opening changes is the rest of it
        summed = (1 + ROUNDING_OF_SUM) * self._cells.sum_over_changed(moved) + ROUNDING * of_all
        return summed / len(moved)
