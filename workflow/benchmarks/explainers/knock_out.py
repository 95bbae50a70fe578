"""The exact scan: what perturbing each peak alone does."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.explainers.problem import Problem
from grids.io.logging import log
from grids.search.transitions import addition_gain

# Predictions of single perturbations that are in memory at a time.
PREDICTIONS_PER_BLOCK = 2**22


def knock_out(problem: Problem, n_cells: int = 500, n_exact: int = 4096) -> Tensor:
    """Exact change of the mean prediction by each candidate alone, in the sought direction.

    Closing a peak is evaluated in the cells in which it is open, so that the scan of every peak costs as many
    predictions as the cells have open candidates. Opening would cost all closed ones: beyond `n_exact` candidates,
    those with the largest first-order gain are evaluated exactly, and the others rank below them by that gain.

    Parameters
    ----------
    problem : Problem
    n_cells : int
        Of more cells, so many random ones are used.
    n_exact : int
        Candidates that are evaluated exactly when peaks are opened.

    Returns
    -------
    Tensor, shape (n_peaks,)
        In log-expression; -inf for peaks that are no candidates.
    """
    cells, sign = problem.cells, problem.cells.sign
    if len(cells) > n_cells:
        cells = cells.subset(np.sort(problem.rng.choice(len(cells), n_cells, replace=False)))
    scores = cells.shift.new_full((cells.n_peaks,), -torch.inf)
    scanned = problem.allowed
    if cells.value == 1 and len(problem.allowed) > n_exact:
        gain = addition_gain(cells, problem.gene, cells.pooled)[problem.allowed]
        order = gain.argsort(descending=True, stable=True)
        scanned, others = problem.allowed[order[:n_exact]], problem.allowed[order[n_exact:]]
        scores[others] = gain[order[n_exact:]]
        log.info("knock-out: %d of %d candidates opened exactly", n_exact, len(problem.allowed))
    before = cells.predict(problem.gene).mean()
    for peaks in scanned.split(max(PREDICTIONS_PER_BLOCK // len(cells), 1)):
        scores[peaks] = sign * (cells.mean_of_sets(peaks[:, None], problem.gene) - before)
    if len(scanned) < len(problem.allowed):
        scores[others] += scores[scanned].min() - scores[others].max()
    return scores
