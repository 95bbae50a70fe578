"""Which candidates are worth evaluating in every cell: judged by exact evaluation in a sample of the cells.

The first-order effect of a candidate is known in all cells. Only what it misses is estimated from the sample, so that
a few cells tell candidates apart whose effects are close.
"""

import numpy as np
import torch
from torch import Tensor

from grids.search.objective import PerturbedCells
from grids.search.transitions import Linearised, direction_sign

# A candidate changed in fewer sampled cells is not judged by them.
MIN_CHANGED = 12
# Standard errors by which a candidate has to fall behind another one.
MARGIN = 4.0
# A difference below this share of the objective is no difference.
ROUNDING = 1e-6
# Sums over many cells in single precision are rounded by no more than this share.
ROUNDING_OF_SUMS = 1e-4


class Sample:
    """Some of the cells, in which candidates are evaluated first: in a quarter of them, then in the others.

    Parameters
    ----------
    cells : PerturbedCells
    n_sampled : int
        Cells to draw.
    rng : Generator

    Attributes
    ----------
    n_evaluations : int
        Cells evaluated so far, once for each candidate.
    """

    def __init__(self, cells: PerturbedCells, n_sampled: int, rng: np.random.Generator):
        drawn = rng.choice(len(cells), n_sampled, replace=False)
        parts = [np.sort(part) for part in np.split(drawn, [n_sampled // 4]) if len(part)]
        self.parts = [(torch.from_numpy(part).to(cells.device), cells.subset(part)) for part in parts]
        self.n_cells, self.sign = len(cells), direction_sign(cells.value)
        self.n_evaluations = 0

    def contenders(self, candidates: Tensor, gene: int, states: Tensor, at: Linearised) -> Tensor:
        """Candidates that the sample does not rule out as the best, shape (n_candidates,), bool.

        A candidate is ruled out when its estimated effect is more than :data:`MARGIN` standard errors of the
        difference below that of another candidate. Of one that the sample does not show (changed in few of its cells,
        or of another first order than in all cells) nothing but the first order is known, which may be far from
        its effect: it stays, and so does what is behind it.

        Parameters
        ----------
        candidates : LongTensor, shape (n_candidates,)
        gene : int
        states : Tensor, shape (n_cells, n_groups, width)
            States of all cells, in which no candidate is perturbed.
        at : Linearised
            The objective at `states`.
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
