"""Run any explainer by its name: from a problem to a set, and what finding it cost."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.explainers.cxplain import cxplain
from benchmarks.explainers.fimap import fimap
from benchmarks.explainers.gradients import integrated_gradients, saliency, smoothgrad
from benchmarks.explainers.greedy import greedy
from benchmarks.explainers.knock_out import knock_out
from benchmarks.explainers.lime import lime
from benchmarks.explainers.problem import Problem
from benchmarks.explainers.sage import sage
from benchmarks.explainers.simple import correlation, distance, random
from benchmarks.explainers.subset_sampler import subset_sampler
from grids.search.search import Search, origins

EXPLAINERS = {
    "greedy": greedy,
    "subset_sampler": subset_sampler,
    "knock_out": knock_out,
    "saliency": saliency,
    "smoothgrad": smoothgrad,
    "integrated_gradients": integrated_gradients,
    "lime": lime,
    "fimap": fimap,
    "cxplain_4": partial(cxplain, window=4),
    "cxplain_16": partial(cxplain, window=16),
    "cxplain_32": partial(cxplain, window=32),
    "cxplain_64": partial(cxplain, window=64),
    "sage": sage,
    "correlation": correlation,
    "distance": distance,
    "random": random,
}
# These look for a set of the asked size; the scores of the others are the same for every size.
DEPEND_ON_SET_SIZE = {"grids", "greedy", "subset_sampler", "fimap"}
METHODS = ["grids", *EXPLAINERS]


@dataclass(frozen=True)
class Explanation:
    """A set, and what finding it cost.

    Attributes
    ----------
    members : LongTensor, shape (set_size,)
        Peaks, the one that is to be perturbed first in front.
    seconds : float
    n_forward, n_backward : int
        Cells predicted, and gradients of a prediction.
    """

    members: Tensor
    seconds: float
    n_forward: int
    n_backward: int


def explain(
    problem: Problem, method: str, settings: Mapping | None = None, set_sizes: list[int] | None = None
) -> dict[int, Explanation]:
    """The sets that a method finds, of each size.

    Parameters
    ----------
    problem : Problem
    method : str
        One of :data:`METHODS`.
    settings : mapping, optional
        Keywords of the explainer, beside its defaults; of `grids` those of :func:`search`.
    set_sizes : list of int, optional
        By default the problem's one. A method whose scores do not depend on the size runs once, and each of
        its sets is said to cost that run.

    Returns
    -------
    dict of int to Explanation
    """
    settings = dict(settings or {})
    set_sizes = [problem.set_size] if set_sizes is None else set_sizes
    if method in DEPEND_ON_SET_SIZE:
        return {
            size: _measured(replace(problem, set_size=size), method, settings, [size])[size]
            for size in set_sizes
        }
    return _measured(replace(problem, set_size=max(set_sizes)), method, settings, set_sizes)


def _measured(problem: Problem, method: str, settings: dict, set_sizes: list[int]) -> dict[int, Explanation]:
    evaluations = problem.cells.evaluations
    before = evaluations.n_forward, evaluations.n_backward
    started = time.perf_counter()
    if method == "grids":
        members = search(problem, **settings)
    else:
        members = top(EXPLAINERS[method](problem, **settings), problem)
    seconds = time.perf_counter() - started
    cost = seconds, evaluations.n_forward - before[0], evaluations.n_backward - before[1]
    return {size: Explanation(members[:size], *cost) for size in set_sizes}


def top(scores: Tensor, problem: Problem) -> Tensor:
    """The candidates with the largest scores, in their order; of equal scores the first peak."""
    order = torch.argsort(scores[problem.allowed], descending=True, stable=True)
    return problem.allowed[order[: problem.set_size]]


def search(
    problem: Problem,
    candidates: int = 32,
    restarts: int = 4,
    batch_size: int | None = None,
    max_rounds: int = 50,
) -> Tensor:
    """GRIDS' own search: the best of several, from the greedy set, the one along the path, and random ones.

    Parameters
    ----------
    problem : Problem
    candidates, batch_size, max_rounds
        As in :class:`~grids.search.search.Search`.
    restarts : int

    Returns
    -------
    LongTensor, shape (set_size,)
    """
    searcher = Search(problem.cells, problem.gene, problem.allowed, candidates, batch_size, problem.rng)
    searcher.check_size(problem.set_size)
    starts = [searcher.start(origin, problem.set_size, problem.rng) for origin in origins(restarts)]
    results = [searcher.improve(start, problem.rng, max_rounds) for start in starts]
    return searcher.nested_order(searcher.best(results).members)
