"""Which candidates are worth evaluating in every cell: judged by exact evaluation in a sample of the cells.

The first-order effect of a candidate is known in all cells. Only what it misses is estimated from the sample, so that
a few cells tell candidates apart whose effects are close.
"""

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


class Sample:
    """Some of the cells, in which candidates are evaluated first.

    Parameters
    ----------
    cells : PerturbedCells
    n_sampled : int
        Cells to draw, the same ones whenever they are drawn.
    """

    def __init__(self, cells: PerturbedCells, n_sampled: int):
        rows = np.sort(np.random.default_rng(0).choice(len(cells), n_sampled, replace=False))
        self.rows, self.cells = torch.from_numpy(rows), cells.subset(rows)
        self.share = n_sampled / len(cells)

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
        sign, predicted = direction_sign(self.cells.value), at.predicted[self.rows]
        exact = self.cells.predict_sets(candidates[:, None], gene, states[self.rows], predicted) - predicted
        missed = sign * (exact - self.cells.first_order(candidates, at.gradient[self.rows]))
        estimate = at.gain[candidates] + missed.mean(1)
        centred = missed - missed.mean(1, keepdim=True)
        products = centred @ centred.T / (len(self.rows) - 1)
        squares = products.diagonal()
        variance = (squares[:, None] + squares - 2 * products).clamp(
            min=0
        )  # of the difference of two candidates
        margin = MARGIN * (variance * (1 - self.share) / len(self.rows)).sqrt()
        rounding = ROUNDING * at.predicted.mean().abs()
        behind = (estimate[:, None] + margin + rounding < estimate).any(1)
        return ~behind | (self.cells.changed(candidates).sum(1) < MIN_CHANGED)
