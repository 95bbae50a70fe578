"""Which candidates are worth evaluating in every cell: judged by exact evaluation in a sample of the cells.

The first-order effect of a candidate is known in all cells. Only what it misses is estimated from the sample, so that
a few cells tell candidates apart whose effects are close.
"""

from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from grids.perturbation.objective import PerturbedCells
from grids.perturbation.transition import Linearised, direction_sign

# A candidate changed in fewer sampled cells is not judged by them.
MIN_CHANGED = 12
# Standard errors by which a candidate has to fall behind another one.
MARGIN = 4.0
# A difference below this share of the objective is no difference.
ROUNDING = 1e-6

_samples: WeakKeyDictionary[PerturbedCells, dict[int, "Sample"]] = WeakKeyDictionary()


def sample_of(cells: PerturbedCells, n_sampled: int) -> "Sample":
    """The sample of these cells, drawn once for all genes that are searched in them."""
    drawn = _samples.setdefault(cells, {})
    if n_sampled not in drawn:
        drawn[n_sampled] = Sample(cells, n_sampled)
    return drawn[n_sampled]


class Sample:
    """Some of the cells, in which candidates are evaluated first: in a quarter of them, then in the others.

    Parameters
    ----------
    cells : PerturbedCells
    n_sampled : int
        Cells to draw, the same ones whenever they are drawn.

    Attributes
    ----------
    n_evaluations : int
        Cells evaluated so far, once for each candidate.
    """

    def __init__(self, cells: PerturbedCells, n_sampled: int):
        drawn = np.random.default_rng(0).choice(len(cells), n_sampled, replace=False)
        parts = [np.sort(part) for part in np.split(drawn, [n_sampled // 4]) if len(part)]
        self.parts = [(torch.from_numpy(part).to(cells.device), cells.subset(part)) for part in parts]
        self.n_cells, self.sign = len(cells), direction_sign(cells.value)
        self.n_evaluations = 0

    def contenders(self, candidates: Tensor, gene: int, states: Tensor, at: Linearised) -> Tensor:
        """Candidates that the sample does not rule out as the best, shape (n_candidates,), bool.

        A candidate is ruled out when its estimated effect is more than :data:`MARGIN` standard errors of the
        difference below that of another candidate.

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
        missed, n_changed = gain.new_empty(len(left), 0), torch.zeros_like(left)
        rounding = ROUNDING * at.predicted.mean().abs()
        for rows, cells in self.parts:
            evaluated, predicted = candidates[left], at.predicted[rows]
            self.n_evaluations += len(evaluated) * len(cells)
            exact = cells.predict_sets(evaluated[:, None], gene, states[rows], predicted) - predicted
            first_order = cells.first_order(evaluated, at.gradient[rows])
            missed = torch.cat([missed, self.sign * (exact - first_order)], 1)
            n_changed = n_changed + cells.changed(evaluated).sum(1)
            estimate = gain[left] + missed.mean(1)
            behind = (estimate[:, None] + self._margin(missed) + rounding < estimate).any(1)
            kept = ~behind | (n_changed < MIN_CHANGED)
            left, missed, n_changed = left[kept], missed[kept], n_changed[kept]
        contends = torch.zeros_like(candidates, dtype=torch.bool)
        contends[left] = True
        return contends

    def _margin(self, missed: Tensor) -> Tensor:
        """:data:`MARGIN` standard errors of the difference of every two candidates, shape (n, n)."""
        n_sampled = missed.shape[1]
        centred = missed - missed.mean(1, keepdim=True)
        products = centred @ centred.T / (n_sampled - 1)
        squares = products.diagonal()
        variance = (squares[:, None] + squares - 2 * products).clamp(min=0)
        return MARGIN * (variance * (1 - n_sampled / self.n_cells) / n_sampled).sqrt()
