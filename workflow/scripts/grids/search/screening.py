"""What rules peaks out of a step of the search before they are evaluated in every cell.

:class:`GainBounds` finds the peaks of the largest first-order gain without computing the gain of every peak. From one
step to the next gradients move little, and with them the gains: only peaks that may have come among the best are
computed. The result is that of computing all.

:class:`Sample` judges these candidates by exact evaluation in some of the cells. The first-order effect of a candidate
is known in all cells. Only what it misses is estimated from the sample, so that a few cells tell candidates apart whose
effects are close.
"""

import numpy as np
import torch
from torch import Tensor

from grids.search.objective import PerturbedCells
from grids.search.transitions import Linearised

# With fewer peaks all gains are computed; and when bounds leave more than this, to bound the next ones from there.
MOST_LEFT = 4096
# With more than this, sharper bounds cost less than the gains.
MANY_LEFT = 2048
# Rounding of a gain, as a share of its bound's terms, and of a sum.
ROUNDING_OF_BOUND = 1e-5
ROUNDING_OF_BOUNDED_SUM = 1e-3
# A candidate changed in fewer sampled cells is not judged by them.
MIN_CHANGED = 12
# Standard errors by which a candidate has to fall behind another one.
MARGIN = 4.0
# A difference below this share of the objective is no difference.
ROUNDING = 1e-6
# Sums over many cells in single precision are rounded by no more than this share.
ROUNDING_OF_SUMS = 1e-4


class GainBounds:
    """Gains known at one state, and how far those at another one can be from them.

    The gain of peak ``q`` is the mean over cells of ``+-(p - x_q) D_q . G``. Where gradients move by ``dG``, it moves
    by no more than ``|D_q|`` times the mean over the cells that ``q`` changes of ``|dG|`` (Cauchy and Schwarz), and so
    by no more than with the cells of the largest ``|dG|`` in their place, which is faster to know. All linearisations
    are of the same cells.
    """

    def __init__(self, cells: PerturbedCells):
        self._cells, self._length, self._n_changed = cells, cells.shift.norm(dim=1), cells.n_changed
        self._known: Linearised | None = None

    def best(self, at: Linearised, barred: Tensor, n_best: int) -> Tensor:
        """The peaks of the largest gain, shape (n_best,), largest first.

        Those `barred`, (n_peaks,), are not wanted; `n_best` is at most the number of the others.
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
        moved = (at.gradient - self._known.gradient).norm(dim=2) + ROUNDING_OF_BOUND * at.gradient.norm(dim=2)
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
        summed = (1 + ROUNDING_OF_BOUNDED_SUM) * self._cells.sum_over_changed(
            moved
        ) + ROUNDING_OF_BOUND * of_all
        return summed / len(moved)


class Sample:
    """Some of the cells, in which candidates are evaluated first: in a quarter of them, then in the others.

    `n_evaluations` counts the cells evaluated so far, once for each candidate.
    """

    def __init__(self, cells: PerturbedCells, n_sampled: int, rng: np.random.Generator):
        drawn = rng.choice(len(cells), n_sampled, replace=False)
        parts = [np.sort(part) for part in np.split(drawn, [n_sampled // 4]) if len(part)]
        self.parts = [(torch.from_numpy(part).to(cells.device), cells.subset(part)) for part in parts]
        self.n_cells, self.sign = len(cells), cells.sign
        self.n_evaluations = 0

    def contenders(self, candidates: Tensor, gene: int, states: Tensor, at: Linearised) -> Tensor:
        """Candidates that the sample does not rule out as the best, shape (n_candidates,), bool.

        A candidate is ruled out when its estimated effect is more than :data:`MARGIN` standard errors of the
        difference below that of another candidate. Of one that the sample does not show (changed in few of its cells,
        or of another first order than in all cells) nothing but the first order is known, which may be far from
        its effect: it stays, and so does what is behind it. `states` are of all cells, (n_cells, n_groups, width), with
        no candidate perturbed, and `at` is the objective there.
        """
        gain, left = at.gain_of(candidates), torch.arange(len(candidates), device=candidates.device)
        first_order = missed = gain.new_empty(len(left), 0)
        n_changed = torch.zeros_like(left)
        rounding = ROUNDING * at.predicted.mean().abs()
        for rows, cells in self.parts:
            evaluated, predicted = candidates[left], at.predicted[rows]
            self.n_evaluations += len(evaluated) * len(cells)
            exact = cells.predict_sets(evaluated[:, None], gene, states[rows], predicted) - predicted
            here = cells.first_order(evaluated, at.gradient[rows])
            first_order = torch.cat([first_order, self.sign * here], 1)
            missed = torch.cat([missed, self.sign * (exact - here)], 1)
            n_changed = n_changed + cells.changed(evaluated).sum(1)
            estimate = gain[left] + missed.mean(1)
            judged = (n_changed >= MIN_CHANGED) & self._agrees(first_order, gain[left])
            behind = estimate[:, None] + self._margin(missed) + rounding < estimate
            kept = ~(behind & judged & judged[:, None]).any(1)
            left, n_changed = left[kept], n_changed[kept]
            first_order, missed = first_order[kept], missed[kept]
        contends = torch.zeros_like(candidates, dtype=torch.bool)
        contends[left] = True
        return contends

    def _agrees(self, first_order: Tensor, gain: Tensor) -> Tensor:
        """Whether the first order in the sample is that of all cells, but for its standard error, shape (n,)."""
        error = first_order.std(1) * self._error_per_sd(first_order.shape[1])
        return (first_order.mean(1) - gain).abs() <= MARGIN * error + ROUNDING_OF_SUMS * gain.abs()

    def _error_per_sd(self, n_sampled: int) -> float:
        """Standard error of a mean over the sample, which is drawn without replacement."""
        return ((1 - n_sampled / self.n_cells) / n_sampled) ** 0.5

    def _margin(self, missed: Tensor) -> Tensor:
        """:data:`MARGIN` standard errors of the difference of every two candidates, shape (n, n)."""
        n_sampled = missed.shape[1]
        centred = missed - missed.mean(1, keepdim=True)
        products = centred @ centred.T / (n_sampled - 1)
        squares = products.diagonal()
        variance = (squares[:, None] + squares - 2 * products).clamp(min=0)
        return MARGIN * variance.sqrt() * self._error_per_sd(n_sampled)
