"""Forward selection with exact evaluation."""

import torch
from torch import Tensor

from benchmarks.explainers.problem import Problem
from grids.io.logging import log
from grids.search.search import Search


def greedy(problem: Problem, n_evaluations_per_step: int = 1_000_000, n_proposals: int = 256) -> Tensor:
    """Add the candidate that moves the mean prediction furthest, one by one (:meth:`Search.greedy`).

    Every candidate is evaluated in every step where that is affordable, else those with the largest first-order
    gain; the log says which.

    Parameters
    ----------
    problem : Problem
    n_evaluations_per_step : int
        Every candidate is evaluated if cells times candidates are no more than this.
    n_proposals : int
        Candidates that are evaluated otherwise.

    Returns
    -------
    Tensor, shape (n_peaks,)
        ``set_size`` for the first member to 1 for the last one; -inf for all other peaks.

    Raises
    ------
    InputError
        There are no cells, or fewer candidates than members.
    """
    n_candidates = len(problem.allowed)
    if len(problem.cells) * n_candidates > n_evaluations_per_step:
        n_candidates = min(n_candidates, n_proposals)
    log.info("greedy: %d of %d candidates evaluated in each step", n_candidates, len(problem.allowed))
    search = Search(problem.cells, problem.gene, problem.allowed, n_candidates, rng=problem.rng)
    search.check_size(problem.set_size)
    scores = problem.cells.shift.new_full((problem.cells.n_peaks,), -torch.inf)
    scores[search.greedy(problem.set_size)] = torch.arange(problem.set_size, 0, -1).to(scores)
    return scores
