"""Search again: sets that could have been found instead, and how often a member is found."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from grids.search.objective import PerturbedCells
from grids.search.search import Search


def next_sets(
    cells: PerturbedCells,
    gene: int,
    members: Tensor,
    allowed: Tensor,
    rng: np.random.Generator,
    *,
    candidates: int = 32,
    max_rounds: int = 50,
) -> Iterator[Tensor]:
    """Sets of as many members at most, each found with the members of all sets before it excluded.

    Parameters
    ----------
    cells : PerturbedCells
        The cells that the first set was found on.
    gene : int
    members : LongTensor, shape (set_size,)
        The first set, not among those returned.
    allowed : LongTensor
        Candidate peaks of the first search.
    rng : Generator
    candidates, max_rounds : int
        As in :class:`~grids.search.search.Search`, which starts greedily.

    Yields
    ------
    LongTensor, shape (at most set_size,)
        In nested order, without members that do nothing; ends when no candidate that is left does anything.
    """
    found = members
    while True:
        left = allowed[~torch.isin(allowed, found)]
        if not len(left):
            return
        search = Search(cells, gene, left, candidates, rng=rng)
        start = search.greedy(min(len(members), len(left)))
        alternative = search.unfilled(search.improve(start, rng, max_rounds, nested=False).members)
        if not len(alternative):
            return
        yield search.nested_order(alternative)
        found = torch.cat([found, alternative])


def selection_frequency(
    cells: Sequence[PerturbedCells],
    gene: int,
    members: Tensor,
    allowed: Tensor,
    rng: np.random.Generator,
    *,
    set_size: int,
    n_repeats: int,
    max_cells: int,
    candidates: int = 32,
    max_rounds: int = 50,
) -> np.ndarray:
    """How often a search selects each member when the training cells are drawn again.

    A repeat selects a member if it is in its set without those that do nothing
    (:meth:`~grids.search.search.Search.unfilled`): members that only fill the set are selected by none.

    Parameters
    ----------
    cells : sequence of PerturbedCells
        The same training cells under each refit of the surrogate, taken in turn; or under the surrogate only.
    gene : int
    members : LongTensor, shape (set_size,)
    allowed : LongTensor
        Candidate peaks.
    rng : Generator
    set_size : int
        Peaks that each repeat searches for, as many as there are candidates at most.
    n_repeats : int
    max_cells : int
        A repeat draws as many cells as there are, with replacement, but no more than these.
    candidates, max_rounds : int
        As in :class:`~grids.search.search.Search`, which starts greedily.

    Returns
    -------
    ndarray, shape (set_size,)
        Share of the repeats; missing when there are none.

    Raises
    ------
    InputError
        When there are fewer candidates than members.
    """
    times = np.zeros(len(members))
    for repeat in range(n_repeats):
        whole = cells[repeat % len(cells)]
        resampled = whole.subset(np.sort(rng.integers(len(whole), size=min(len(whole), max_cells))))
        search = Search(resampled, gene, allowed, candidates, rng=rng)
        search.check_size(len(members))
        start = search.greedy(min(set_size, len(allowed)))
        chosen = search.improve(start, rng, max_rounds, nested=False).members
        times += torch.isin(members, search.unfilled(chosen)).cpu().numpy()
    return times / n_repeats if n_repeats else np.full(len(members), np.nan)
