"""The learnable global perturbation: the set of peaks whose joint perturbation moves a gene most.

Liu et al., ACML 2024, algorithm 1, with three differences: peaks already in the set are not candidates; the
member in place is always one, so the objective never gets worse; and of candidates that reach the same
objective the one that does most alone is taken, so that a pair of which either member does everything is found
as a pair.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from grids.io.caps import SCREENED_CELLS
from grids.io.errors import InputError
from grids.search.objective import PerturbedCells
from grids.search.screening import GainBounds, Sample
from grids.search.transitions import Linearised, linearise

# A difference below this share of the objective is rounding: no progress, a tie.
RELATIVE_TOLERANCE = 1e-6
# A peak that moves mean log-expression by no more than this (a hundredth of a percent of expression), or by no more
# than this share of what its set does, does nothing.
LEAST_EFFECT, LEAST_SHARE = 1e-4, 0.05
# Where gradients are taken on the path from nothing to everything perturbed; how many of them in each cell at least,
# and in all cells together where there are few.
N_PATH_STEPS = 20
MIN_STEPS_PER_CELL = 4
MIN_STEPS_OF_ALL = 8192
# Fewer candidates are evaluated in all cells at once.
N_WORTH_SCREENING = 10


def origins(restarts: int, first: str = "greedy") -> list[str]:
    """Where the searches for one set start: from `first`, from :meth:`Search.along_path`, the others at random."""
    return [first, "path", *["random"] * restarts][:restarts]


@dataclass(eq=False)
class SearchResult:
    """One set and how it was found.

    Attributes
    ----------
    members : LongTensor, shape (set_size,)
        Distinct peaks, in no order; see :meth:`Search.nested_order`.
    objective_before, objective_after : float
        Mean predicted log-expression over all cells, without and with the set perturbed.
    trajectory : list of float
        Objective over all cells at the start and after every round of coordinates.
    converged : bool
        True when a step of every coordinate in turn improved nothing.
    n_evaluations : int
        Cells evaluated exactly, summed over all candidate sets.
    """

    members: Tensor
    objective_before: float
    objective_after: float = float("nan")
    trajectory: list[float] = field(default_factory=list)
    converged: bool = False
    n_steps: int = 0
    n_evaluations: int = 0
    seconds: float = 0.0

    @property
    def n_rounds(self) -> int:
        return len(self.trajectory) - 1


class Search:
    """Search for sets of one gene in the cells of one type.

    Parameters
    ----------
    cells : PerturbedCells
        All training cells of the type.
    gene : int
        Column of the explained gene.
    allowed : LongTensor, optional
        Candidate peaks; all by default.
    n_candidates : int
        Best-scoring peaks that are evaluated exactly in each step (k of the paper).
    batch_size : int, optional
        Cells drawn for each step; all cells by default. The paper draws 64.
    rng : Generator, optional
        Draws the cells on which many candidates are screened where there are many cells; without it, every proposal is
        evaluated in all cells.
    """

    def __init__(
        self,
        cells: PerturbedCells,
        gene: int,
        allowed: Tensor | None = None,
        n_candidates: int = 32,
        batch_size: int | None = None,
        rng: np.random.Generator | None = None,
    ):
        if len(cells) == 0:
            raise InputError("search: there are no cells to search over")
        self.cells, self.gene = cells, gene
        self.allowed = torch.arange(cells.n_peaks, device=cells.device) if allowed is None else allowed
        self.n_candidates = n_candidates
        self.batch_size = batch_size if batch_size is not None and batch_size < len(cells) else None
        self.sign = cells.sign
        self._excluded = torch.ones(cells.n_peaks, dtype=torch.bool, device=cells.device)
        self._excluded[self.allowed] = False
        self._n_evaluations = 0
        # A sample of more than a quarter of the cells would not pay.
        is_large = rng is not None and len(cells) >= 4 * SCREENED_CELLS
        self._sample = Sample(cells, SCREENED_CELLS, rng) if is_large else None
        self._bounds = GainBounds(cells)
        self._last: Linearised | None = None
        self._effect_alone: dict[int, float] = {}
        self._final: set[frozenset[int]] = set()
        self._objective_of_set: dict[frozenset[int], float] = {}

    def check_size(self, set_size: int) -> None:
        """Raise when there are fewer candidate peaks than members."""
        if not 1 <= set_size <= len(self.allowed):
            raise InputError(
                f"search.set_size is {set_size}, but there are {len(self.allowed)} candidate peaks; "
                "lower search.set_size, widen windows.window_bp or use search.scope genome"
            )

    def objective(
        self,
        sets: Tensor,
        states: Tensor | None = None,
        cells: PerturbedCells | None = None,
        predicted: Tensor | None = None,
    ) -> Tensor:
        """Signed mean log-expression of each set, shape (n_sets,): larger is better."""
        cells = self.cells if cells is None else cells
        self._n_evaluations += len(sets) * len(cells)
        return self.sign * cells.mean_of_sets(sets, self.gene, states, predicted)

    def proposals(self, at: Linearised, members: Tensor) -> Tensor:
        """The candidates with the largest first-order gain, none of them a member."""
        barred = self._excluded.index_fill(0, members, True)
        k = min(self.n_candidates, len(self.allowed) - int((~self._excluded[members]).sum()))
        if at.cells is self.cells:
            return self._bounds.best(at, barred, k)
        return at.gain.masked_fill(barred, -torch.inf).topk(k).indices

    def _linearise(self, cells: PerturbedCells, states: Tensor) -> Linearised:
        """The objective and its first order; most cells look in one step as they did in the one before."""
        if cells is not self.cells:
            return linearise(cells, self.gene, states)
        self._last = linearise(cells, self.gene, states, self._last)
        return self._last

    @cached_property
    def _unperturbed(self) -> Linearised:
        return self._linearise(self.cells, self.cells.pooled)

    @cached_property
    def _alone(self) -> Tensor:
        """Objective with each peak alone perturbed, shape (n_peaks,): exact for the peaks with the largest
        first-order gain, the others are taken to do nothing.
        """
        at = self._unperturbed
        alone = at.gain.new_full((self.cells.n_peaks,), self.sign * at.predicted.mean().item())
        first = self.proposals(at, self.allowed[:0])
        alone[first] = self._exact_alone(first)
        return alone

    def _candidates(self, at: Linearised, members: Tensor) -> Tensor:
        """The proposals and, for ties, the candidate that does most alone; none of them a member."""
        proposed = self.proposals(at, members)
        alone = self._alone.masked_fill(self._excluded, -torch.inf)
        alone[members] = -torch.inf
        return torch.cat([proposed, alone.argmax().view(1)]) if len(proposed) else proposed

    def _choose(
        self, cells: PerturbedCells, candidates: Tensor, states: Tensor, at: Linearised | None = None
    ) -> Tensor:
        """The candidate of the largest exact objective; a sample rules most of them out where there are many cells."""
        if cells is self.cells and self._sample is not None and len(candidates) > N_WORTH_SCREENING:
            at = at or self._linearise(cells, states)
            candidates = candidates[self._sample.contenders(candidates, self.gene, states, at)]
        if len(candidates) == 1:
            return candidates[0]
        value = self.objective(candidates[:, None], states, cells, at.predicted if at else None)
        return candidates[self._best(candidates, value)]

    def _best(self, candidates: Tensor, value: Tensor) -> Tensor:
        """Position of the largest objective; on a tie of the candidate that does most alone, then of the first."""
        tied = _is_largest(value).nonzero()[:, 0]
        return tied[_is_largest(self._alone[candidates[tied]])][0]

    def greedy(self, set_size: int) -> Tensor:
        """Forward selection: add the best of the proposals, evaluated exactly on all cells, one by one."""
        members = self._alone.masked_fill(self._excluded, -torch.inf).argmax().view(1)
        states = self.cells.perturbed(members)
        for _ in range(1, set_size):
            at = self._linearise(self.cells, states)
            best = self._choose(self.cells, self._candidates(at, members), states, at)
            states = self.cells.perturbed(best.view(1), states)
            members = torch.cat([members, best.view(1)])
        return members

    def along_path(self, set_size: int) -> Tensor:
        """The candidates with the largest first-order gain on the way from none of them perturbed to all of them.

        Gains are averaged over that path, as integrated gradients are (Sundararajan et al., ICML 2017, equation 1):
        peaks of which none does anything alone are seen once the others are perturbed. Of many cells each is looked at
        in a part of the path's steps, evenly spaced, neighbours in different ones.
        """
        if len(self.allowed) == self.cells.n_peaks:
            whole_way = self.cells.all_perturbed - self.cells.pooled
        else:
            shares = (~self._excluded).to(self.cells.shift)
            whole_way = self.cells.partly_perturbed(shares) - self.cells.pooled
        cell, n_cells = torch.arange(len(self.cells), device=self.cells.device), len(self.cells)
        n_steps = min(N_PATH_STEPS, max(MIN_STEPS_PER_CELL, MIN_STEPS_OF_ALL // n_cells))
        gradient = 0
        for step in range(n_steps):
            reached = ((cell + step * N_PATH_STEPS // n_steps) % N_PATH_STEPS + 0.5) / N_PATH_STEPS
            gradient = gradient + self.cells.gradient(
                self.gene, self.cells.pooled + reached[:, None, None] * whole_way
            )
        gain = self.sign * self.cells.project(gradient)
        return self.allowed[gain[self.allowed].topk(set_size).indices]

    def random(self, set_size: int, rng: np.random.Generator) -> Tensor:
        """Distinct candidate peaks drawn at random."""
        drawn = rng.choice(len(self.allowed), set_size, replace=False)
        return self.allowed[torch.from_numpy(drawn).to(self.cells.device)]

    def start(self, origin: str, set_size: int, rng: np.random.Generator) -> Tensor:
        """A set to start from; `origin` is greedy, path or random."""
        if origin == "random":
            return self.random(set_size, rng)
        return self.greedy(set_size) if origin == "greedy" else self.along_path(set_size)

    def best(self, results: Sequence[SearchResult]) -> SearchResult:
        """The result that goes furthest in the direction asked; the first of equal ones."""
        return max(results, key=lambda result: self.sign * result.objective_after)

    def improve(self, members: Tensor, rng: np.random.Generator, max_rounds: int = 50) -> SearchResult:
        """Coordinate transitions from a given set until a full round of them improves nothing.

        Parameters
        ----------
        members : LongTensor, shape (set_size,)
        rng : Generator
            Draws the minibatches; unused when every step sees all cells.
        max_rounds : int
            Rounds of `set_size` steps each.

        Returns
        -------
        SearchResult
            Its set is the best seen on all cells, never worse than `members` beyond rounding.

        Raises
        ------
        InputError
            When the set names a peak twice, or one that is no candidate, or has more members than there are candidates.
        """
        started = time.perf_counter()
        self.check_size(len(members))
        if len(members.unique()) != len(members):
            raise InputError("search: the given set names a peak twice")
        if self._excluded[members].any():
            raise InputError("search: the given set has members that are not candidate peaks")
        counted = self._evaluated()
        current, best = members.clone(), members.clone()
        trajectory = [self._in_all_cells(best)]
        result = SearchResult(best, float(self.cells.predict(self.gene).mean()))
        n_unchanged = 0
        while len(trajectory) <= max_rounds and not result.converged:
            for coordinate in range(len(current)):
                changed = self._move(current, coordinate, rng)
                result.n_steps += 1
                n_unchanged = 0 if changed else n_unchanged + 1
                if self.batch_size is None and self._is_final(current, n_unchanged):
                    result.converged = True
                    break
            value = self._in_all_cells(current)
            rounding = RELATIVE_TOLERANCE * abs(trajectory[-1])
            result.converged |= value <= trajectory[-1] + rounding
            if value >= trajectory[-1] - rounding:
                best = current.clone()
            trajectory.append(max(value, trajectory[-1]))
        if result.converged and self.batch_size is None:
            self._final.add(frozenset(best.tolist()))
        result.members = best
        result.objective_after = self.sign * trajectory[-1]
        result.trajectory = [self.sign * value for value in trajectory]
        result.n_evaluations = self._evaluated() - counted
        result.seconds = time.perf_counter() - started
        return result

    def _in_all_cells(self, members: Tensor) -> float:
        """Objective of a set; rounds that change nothing and searches that end alike ask for the same one."""
        key = frozenset(members.tolist())
        if key not in self._objective_of_set:
            self._objective_of_set[key] = float(self.objective(members[None])[0])
        return self._objective_of_set[key]

    def _evaluated(self) -> int:
        return self._n_evaluations + (self._sample.n_evaluations if self._sample is not None else 0)

    def _move(self, members: Tensor, coordinate: int, rng: np.random.Generator) -> bool:
        """Take one step, in place; whether it replaced the member."""
        cells = self.cells
        if self.batch_size is not None:
            cells = cells.subset(np.sort(rng.choice(len(cells), self.batch_size, replace=False)))
        chosen = self.step(cells, members, coordinate)
        changed = bool(chosen != members[coordinate])
        members[coordinate] = chosen
        return changed

    def _is_final(self, members: Tensor, n_unchanged: int) -> bool:
        """Whether no step changes the set: all were tried since it last changed, or an earlier search ended in it."""
        if n_unchanged == 0:
            return frozenset(members.tolist()) in self._final
        return n_unchanged == len(members)

    def step(self, cells: PerturbedCells, members: Tensor, coordinate: int) -> Tensor:
        """The best peak for one coordinate, the others staying: the member in place or one of the proposals.

        Proposals are linearised where the replacement happens, with the coordinate's member unperturbed.
        """
        others = torch.cat([members[:coordinate], members[coordinate + 1 :]])
        states = cells.perturbed(others)
        at = self._linearise(cells, states)
        candidates = torch.cat([members[coordinate].view(1), self._candidates(at, members)])
        return self._choose(cells, candidates, states, at)

    def nested_order(self, members: Tensor) -> Tensor:
        """Order a set so that its first k members are the greedy best of it, for every k (exact evaluation).

        It costs up to ``set_size ** 2 / 2`` evaluations.
        """
        left, ordered = members, []
        states = self.cells.pooled
        while len(left):
            if states is self.cells.pooled and len(left) <= N_WORTH_SCREENING:
                best = left[self._best(left, self._exact_alone(left))]
            else:
                best = self._choose(self.cells, left, states)
            ordered.append(best)
            states = self.cells.perturbed(best.view(1), states)
            left = left[left != best]
        return torch.stack(ordered) if ordered else members

    def contributing(self, members: Tensor) -> Tensor:
        """The members that do something: alone, or added to the rest of the set (exact evaluation).

        The others only fill the set: any peak without an effect could stand in their place. Something is more than
        :data:`LEAST_EFFECT`, and than :data:`LEAST_SHARE` of what the set does, in the direction asked.
        """
        before, together = self.sign * self._unperturbed.predicted.mean(), self.objective(members[None])
        rounding = RELATIVE_TOLERANCE * float(before.abs())
        least = max(LEAST_EFFECT, rounding, LEAST_SHARE * float(together - before))
        contributes = self._exact_alone(members) > before + least
        if not contributes.all():
            without = torch.stack([members[members != member] for member in members[~contributes]])
            contributes[~contributes] = together > self.objective(without) + least
        return members[contributes]

    def unfilled(self, members: Tensor) -> Tensor:
        """The set without members that do nothing, in ascending order; it may be empty.

        They leave one by one, those with the highest index first: of two that each do nothing as long as the other is
        there, one stays. With each that leaves, the objective drops by no more than :data:`LEAST_EFFECT`, or
        :data:`LEAST_SHARE` of what the set does.
        """
        members = members.sort().values
        while len(idle := members[~torch.isin(members, self.contributing(members))]):
            members = members[members != idle[-1]]
        return members

    def _exact_alone(self, peaks: Tensor) -> Tensor:
        """Objective with each peak alone perturbed, shape (n,); every peak is evaluated once."""
        new = peaks.new_tensor([peak for peak in peaks.tolist() if peak not in self._effect_alone])
        values = self.objective(new[:, None], predicted=self._unperturbed.predicted)
        self._effect_alone.update(zip(new.tolist(), values.tolist(), strict=True))
        return values.new_tensor([self._effect_alone[peak] for peak in peaks.tolist()])


def _is_largest(value: Tensor) -> Tensor:
    """Which objectives are the largest one, up to rounding."""
    return ~(value.max() > value + RELATIVE_TOLERANCE * value.abs())
