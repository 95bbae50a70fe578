"""Search again: sets that could have been found instead, and how often a member is found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grids.io.caps import REDUNDANCY_CELLS
from grids.search.objective import PerturbedCells
from grids.search.search import Search
from grids.search.sets import Question


@dataclass(frozen=True)
class RedundancySettings:
    """What the redundancy of sets is measured with.

    Attributes
    ----------
    search : Question
        What the found sets were searched with. Searches here start greedily; those for alternative sets look for as
        many peaks as the minimal sufficient set has.
    n_bootstrap : int
        Draws behind each interval.
    n_stability : int
        Searches on resampled training cells behind `selection_frequency`.
    max_alternatives : int
        Alternative sets to search for at most.
    n_permutations : int
        Orders behind the Shapley values of a set of more than 12 members.
    max_cells : int
        A larger type is measured on this many random test cells, and searched for stability on as many
        training cells.
    """

    search: Question
    n_bootstrap: int = 200
    n_stability: int = 20
    max_alternatives: int = 5
    n_permutations: int = 100
    max_cells: int = REDUNDANCY_CELLS


def next_sets(
    cells: PerturbedCells,
    gene: int,
    members: Tensor,
    allowed: Tensor,
    settings: RedundancySettings,
    rng: np.random.Generator,
) -> Iterator[Tensor]:
    """Sets of as many members at most, each found with the members of all sets before it excluded.

    Parameters
    ----------
    cells : PerturbedCells
        The cells that the first set was found on.
    members : LongTensor, shape (set_size,)
        The first set, not among those yielded.
    allowed : LongTensor
        Candidate peaks of the first search.

    Yields
    ------
    LongTensor, shape (at most set_size,)
        In nested order, without members that do nothing; ends when no candidate that is left does anything.
    """
    found = members
    while len(left := allowed[~torch.isin(allowed, found)]):
        search = Search(cells, gene, left, settings.search.candidates, rng=rng)
        alternative = _search(search, len(members), settings.search.max_rounds, rng)
        if not len(alternative):
            return
        yield search.nested_order(alternative)
        found = torch.cat([found, alternative])


def selection_frequency(
    cells: Sequence[PerturbedCells],
    gene: int,
    members: Tensor,
    allowed: Tensor,
    settings: RedundancySettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """How often a search selects each member when the training cells are drawn again.

    A repeat draws as many cells as there are, with replacement, but no more than ``settings.max_cells``. It selects a
    member if it is in its set without those that do nothing: members that only fill the set are selected by none.
    Parameters but `cells` as for :func:`next_sets`.

    Parameters
    ----------
    cells : sequence of PerturbedCells
        The same training cells under each refit of the surrogate, taken in turn; or under the surrogate only.

    Returns
    -------
    ndarray, shape (set_size,)
        Share of the repeats; missing when there are none.

    Raises
    ------
    InputError
        When there are fewer candidates than members.
    """
    times, n_repeats = np.zeros(len(members)), settings.n_stability
    for repeat in range(n_repeats):
        whole = cells[repeat % len(cells)]
        n_drawn = min(len(whole), settings.max_cells)
        resampled = whole.subset(np.sort(rng.integers(len(whole), size=n_drawn)))
        search = Search(resampled, gene, allowed, settings.search.candidates, rng=rng)
        search.check_size(len(members))
        selected = _search(search, settings.search.set_size, settings.search.max_rounds, rng)
        times += torch.isin(members, selected).cpu().numpy()
    return times / n_repeats if n_repeats else np.full(len(members), np.nan)


def _search(search: Search, size: int, max_rounds: int, rng: np.random.Generator) -> Tensor:
    """Members of a set of this size, or of all candidates, without those that do nothing."""
    start = search.greedy(min(size, len(search.allowed)))
    return search.unfilled(search.improve(start, rng, max_rounds).members)
