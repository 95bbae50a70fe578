"""What a set of peaks does to a gene: exact evaluation of perturbations in pooled form."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from grids.surrogates.pooling import PooledSurrogate, check_opened, split_rows_by_group, sum_rows

# Rows of pooled states that are in memory at a time, peaks scored at a time, and flags of what a perturbation changes.
ROWS_PER_BLOCK = 4096
PEAKS_PER_BLOCK = 8192
FLAGS_PER_BLOCK = 2**20


@dataclass
class Evaluations:
    """How often the surrogate was evaluated, in cells, once for each perturbation: predictions, and gradients."""

    n_forward: int = 0
    n_backward: int = 0


class PerturbedCells:
    """Cells of one type, ready to be perturbed.

    Holds each cell's pooled state and, sparsely, which peaks are open. Perturbing peak ``j`` in cell ``i``
    moves the pooled state of the peak's group by ``(value - x_ij) * shift_j``; a set moves it by the sum.
    Cells that a perturbation does not change are not predicted again. Everything is on the device of the surrogate's
    weights, and so are the peaks that methods are asked about; which peaks are open stays in memory beside.

    Parameters
    ----------
    surrogate : PooledSurrogate
        Put into evaluation mode; what is evaluated is its folded form, as it is now.
    opened : csr_matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open.
    value : {0, 1}
        What a perturbed peak is set to: 0 closed, 1 open.
    by_state : Tensor, shape (n_cells,), optional
        As of :meth:`~grids.surrogates.pooling.PooledSurrogate.with_state`.
    sign : {-1, 1}, optional
        Of the change of expression that is sought; by default a decrease by closing, an increase by opening.

    Attributes
    ----------
    pooled : Tensor, shape (n_cells, n_groups, width)
        Unperturbed states.
    evaluations : Evaluations
        What was evaluated so far, by these cells and every subset of them.
    """

    @torch.no_grad()
    def __init__(
        self,
        surrogate: PooledSurrogate,
        opened: sparse.csr_matrix,
        value: int = 0,
        by_state: Tensor | None = None,
        sign: int | None = None,
    ):
        opened = check_opened(opened, len(surrogate.peaks))
        if value not in (0, 1):
            raise ValueError(f"value: expected 0 (closed) or 1 (open), got {value!r}")
        self.surrogate = surrogate.eval().folded()
        self.value = value
        self.sign = (1 if value else -1) if sign is None else sign
        self.evaluations = Evaluations()
        self.shift = surrogate.shift.detach()
        self.group_of_peak = surrogate.group_of_peak
        self._step = self.shift if value else -self.shift
        self.pooled = surrogate.with_state(surrogate.pool(opened), by_state).detach()
        self._by_group = split_rows_by_group(opened, self.group_of_peak.cpu().numpy(), surrogate.n_groups)
        self._by_peak = self._by_group.T.tocsr()

    def __len__(self) -> int:
        return len(self.pooled)

    @property
    def n_peaks(self) -> int:
        return len(self.shift)

    @property
    def device(self) -> torch.device:
        return self.shift.device

    @property
    def opened(self) -> sparse.csr_matrix:
        """Which peaks are open before any perturbation, shape (n_cells, n_peaks); entries are 1."""
        rows = self._by_group
        indptr = rows.indptr[:: self.surrogate.n_groups]
        return sparse.csr_matrix((rows.data, rows.indices, indptr), shape=(len(self), self.n_peaks))

    def seeking(self, sign: int) -> "PerturbedCells":
        """The same cells and perturbations, with a change of this sign sought; nothing is pooled again."""
        other = object.__new__(PerturbedCells)
        other.__dict__.update(self.__dict__, sign=sign)
        return other

    def subset(self, cells: np.ndarray) -> "PerturbedCells":
        """The same, for some of the cells (a minibatch); nothing is pooled again."""
        part = object.__new__(PerturbedCells)
        part.__dict__.update(self.__dict__)
        part.__dict__.pop("all_perturbed", None)
        n_groups = self.surrogate.n_groups
        part.pooled = self.pooled[torch.from_numpy(cells).to(self.device)]
        part._by_group = self._by_group[(cells[:, None] * n_groups + np.arange(n_groups)).ravel()]
        part._by_peak = part._by_group.T.tocsr()
        return part

    def changed(self, peaks: Tensor) -> Tensor:
        """Where perturbing each of n peaks alone changes it, shape (n, n_cells), bool: where it is not as wanted."""
        rows = self._by_peak[peaks.cpu().numpy()]
        row = np.repeat(np.arange(len(peaks)), np.diff(rows.indptr))
        opened = np.zeros((len(peaks), len(self)), dtype=bool)
        opened[row, rows.indices // self.surrogate.n_groups] = True
        return torch.from_numpy(opened != bool(self.value)).to(self.device)

    def perturbed(self, members: Tensor, states: Tensor | None = None) -> Tensor:
        """Pooled states after a set has been perturbed, shape (n_cells, n_groups, width).

        Parameters
        ----------
        members : LongTensor, shape (set_size,)
            Distinct peaks.
        states : Tensor, shape (n_cells, n_groups, width), optional
            States to start from, in which no member is perturbed yet; the unperturbed ones by default.
        """
        states = self.pooled if states is None else states
        changed = self.changed(members).T.to(self.shift)
        return states + (changed @ self._moves(members)).view(states.shape)

    def partly_perturbed(self, shares: Tensor) -> Tensor:
        """Pooled states of the same shape after every peak has been moved by ``share * (value - x)``.

        With shares of 0 and 1 this is :meth:`perturbed`; its cost does not grow with the number of ones.

        Parameters
        ----------
        shares : Tensor, shape (n_peaks,)
            Differentiable.
        """
        moves = shares[:, None] * self.shift
        states = self.pooled - sum_rows(self._by_group, moves).view(self.pooled.shape)
        if self.value:
            states = states + moves.new_zeros(self.pooled.shape[1:]).index_add(0, self.group_of_peak, moves)
        return states

    @cached_property
    def all_perturbed(self) -> Tensor:
        """Pooled states after every peak has been perturbed, shape (n_cells, n_groups, width)."""
        return self.partly_perturbed(self.shift.new_ones(self.n_peaks))

    def _moves(self, members: Tensor) -> Tensor:
        """What perturbing each peak adds to a cell that it changes, shape (n, n_groups * width)."""
        moves = self.shift.new_zeros(len(members), *self.pooled.shape[1:])
        member = torch.arange(len(members), device=self.device)
        moves[member, self.group_of_peak[members]] = self._step[members]
        return moves.flatten(1)

    def tail(self, gene: int, states: Tensor) -> Tensor:
        """Predicted log-expression of a gene from pooled states, shape (n_states,); differentiable, in one block."""
        self.evaluations.n_forward += len(states)
        return self.surrogate.tail(states, torch.tensor([gene], device=self.device))[:, 0]

    def predict(self, gene: int, states: Tensor | None = None) -> Tensor:
        """Predicted log-expression of a gene in each cell, shape (n_cells,)."""
        states = self.pooled if states is None else states
        with torch.no_grad():
            return torch.cat([self.tail(gene, block) for block in states.split(ROWS_PER_BLOCK)])

    def predict_sets(
        self, sets: Tensor, gene: int, states: Tensor | None = None, predicted: Tensor | None = None
    ) -> Tensor:
        """Predicted log-expression of a gene after each set has been perturbed, shape (n_sets, n_cells).

        Exact: cells in which no member changes keep their prediction, the others are predicted, block by block,
        so that memory grows with the result only.

        Parameters
        ----------
        sets : LongTensor, shape (n_sets, set_size)
            Distinct peaks in each row.
        gene : int
        states : Tensor, shape (n_cells, n_groups, width), optional
            As in :meth:`perturbed`.
        predicted : Tensor, shape (n_cells,), optional
            Predictions from `states`, where they are known.
        """
        states = self.pooled if states is None else states
        predicted = self.predict(gene, states) if predicted is None else predicted
        predicted = predicted.repeat(len(sets), 1)
        n_flags = max(sets.shape[1] * len(self), 1)
        for block in torch.arange(len(sets), device=self.device).split(max(FLAGS_PER_BLOCK // n_flags, 1)):
            members = sets[block]
            changed = self.changed(members.flatten()).view(*members.shape, len(self))
            for pairs in changed.any(1).nonzero().split(ROWS_PER_BLOCK):
                row, cell = pairs.T
                moved = states[cell]
                pair, member = changed[row, :, cell].nonzero(as_tuple=True)
                peak = members[row[pair], member]
                group = pair * self.surrogate.n_groups + self.group_of_peak[peak]
                moved.flatten(0, 1).index_add_(0, group, self._step[peak])
                predicted[block[row], cell] = self.predict(gene, moved)
        return predicted

    def predict_subsets(self, members: Tensor, masks: Tensor, gene: int) -> Tensor:
        """Predicted log-expression of a gene after subsets of one set are perturbed, shape (n_subsets, n_cells).

        Exact, and fast for many subsets of sparse cells: in a cell, subsets that differ only in members that
        are as wanted anyway (closed peaks that would be closed) are one perturbation, predicted once. Works
        through blocks of cells, so memory grows with the result only.

        Parameters
        ----------
        members : LongTensor, shape (set_size,)
            Distinct peaks.
        masks : Tensor, shape (n_subsets, set_size), bool
            Which members each subset perturbs.
        gene : int
        """
        n_subsets = len(masks)
        changed, moves = self.changed(members).T, self._moves(members)
        predicted = self.shift.new_empty(n_subsets, len(self))
        every_cell = torch.arange(len(self), device=self.device)
        for cells in every_cell.split(max(FLAGS_PER_BLOCK // max(n_subsets, 1), 1)):
            first, same_as = _distinct_perturbations(changed[cells], masks)
            parts = []
            for block in first.split(ROWS_PER_BLOCK):
                cell, subset = cells[block // n_subsets], block % n_subsets
                moved = (changed[cell] & masks[subset]).to(moves) @ moves
                states = self.pooled[cell]
                parts.append(self.predict(gene, states + moved.view(states.shape)))
            predicted[:, cells] = torch.cat(parts)[same_as].T
        return predicted

    def mean_of_sets(
        self, sets: Tensor, gene: int, states: Tensor | None = None, predicted: Tensor | None = None
    ) -> Tensor:
        """Mean over the cells of :meth:`predict_sets`, shape (n_sets,): the objective of the search."""
        return self.predict_sets(sets, gene, states, predicted).mean(1)

    def linearise(self, gene: int, states: Tensor) -> tuple[Tensor, Tensor]:
        """Each cell's predicted log-expression, shape (n_cells,), and its gradient, (n_cells, n_groups, width)."""
        self.evaluations.n_backward += len(states)
        predicted, gradient = [], []
        for block in states.detach().split(ROWS_PER_BLOCK):
            block = block.clone().requires_grad_()
            of_block = self.tail(gene, block)
            predicted.append(of_block.detach())
            gradient += torch.autograd.grad(of_block.sum(), block)
        return torch.cat(predicted), torch.cat(gradient)

    def gradient(self, gene: int, states: Tensor) -> Tensor:
        """Gradient of each cell's predicted log-expression, shape (n_cells, n_groups, width)."""
        return self.linearise(gene, states)[1]

    def first_order(self, peaks: Tensor, gradient: Tensor) -> Tensor:
        """First-order effect of perturbing each of n peaks alone in each cell, shape (n, n_cells)."""
        along = (gradient[:, self.group_of_peak[peaks]] * self._step[peaks]).sum(2)
        return along.T * self.changed(peaks)

    def project(self, gradient: Tensor, peaks: Tensor | None = None) -> Tensor:
        """For every peak, the mean over cells of ``(value - x) * shift . gradient``: its first-order effect.

        Open peaks sum the gradients of the cells that show them; closed ones enter through the gradient's sum.
        Works through blocks of peaks that stay in the cache.

        Parameters
        ----------
        gradient : Tensor, shape (n_cells, n_groups, width)
        peaks : LongTensor, shape (n,), optional
            Only these.

        Returns
        -------
        Tensor, shape (n_peaks,) or (n,)
        """
        of_rows, of_groups = gradient.flatten(0, 1), gradient.sum(0)
        rows, step, group = self._by_peak, self._step, self.group_of_peak
        if peaks is not None:
            rows, step, group = rows[peaks.cpu().numpy()], step[peaks], group[peaks]
        projected = [step.new_empty(0)]
        for start in range(0, len(step), PEAKS_PER_BLOCK):
            block = slice(start, start + PEAKS_PER_BLOCK)
            summed = sum_rows(rows, of_rows, block)
            if self.value:
                summed = of_groups[group[block]] - summed
            projected.append((summed * step[block]).sum(1))
        return torch.cat(projected) / len(self)

    def sum_over_changed(self, values: Tensor) -> Tensor:
        """For every peak, the sum of its group's value, (n_cells, n_groups), over the cells that it changes."""
        summed = torch.from_numpy(self._by_peak @ values.flatten().cpu().numpy()).to(self.device)
        return values.sum(0)[self.group_of_peak] - summed if self.value else summed

    @property
    def n_changed(self) -> Tensor:
        """Cells that perturbing each peak changes, shape (n_peaks,)."""
        n_open = torch.from_numpy(np.diff(self._by_peak.indptr)).long().to(self.device)
        return len(self) - n_open if self.value else n_open


def _distinct_perturbations(movable: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of a cell and a subset are the same perturbation of the cell, by the members that perturbing changes.

    One pair of each kind, as ``cell * n_subsets + subset``, and each pair's position among them, (n_cells, n_subsets).
    """
    device, movable, masks = movable.device, movable.cpu().numpy(), masks.cpu().numpy()
    key = np.arange(len(movable))[:, None]
    first = None
    for start in range(0, max(masks.shape[1], 1), 31):  # as many bits as fit beside a key
        part = slice(start, start + 31)
        bit = 1 << np.arange(masks[:, part].shape[1])
        code = (movable[:, part] @ bit)[:, None] & (masks[:, part] @ bit)
        _, first, key = np.unique(key << 31 | code, return_index=True, return_inverse=True)
        key = key.reshape(code.shape)
    return torch.from_numpy(first).to(device), torch.from_numpy(key).to(device)
