"""First-order transition scores: which peak should replace which member of a set."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from grids.search.objective import PerturbedCells


@dataclass(frozen=True)
class Linearised:
    """The objective and its first order at given states.

    Attributes
    ----------
    cells : PerturbedCells
    states : Tensor, shape (n_cells, n_groups, width)
    predicted : Tensor, shape (n_cells,)
        Predicted log-expression.
    gradient : Tensor, shape (n_cells, n_groups, width)
    """

    cells: PerturbedCells
    states: Tensor
    predicted: Tensor
    gradient: Tensor

    @cached_property
    def gain(self) -> Tensor:
        """First-order gain of perturbing one more peak, for every peak, as of :func:`addition_gain`."""
        return self.cells.sign * self.cells.project(self.gradient)

    def gain_of(self, peaks: Tensor) -> Tensor:
        """The same for some peaks, shape (n,)."""
        if "gain" in self.__dict__:
            return self.gain[peaks]
        return self.cells.sign * self.cells.project(self.gradient, peaks)


def linearise(
    cells: PerturbedCells, gene: int, states: Tensor, known: Linearised | None = None
) -> Linearised:
    """First order of perturbing one more peak, as :func:`addition_gain`.

    Cells whose state is the same as in `known`, of the same cells and gene, are not evaluated again.
    """
    if known is None:
        return Linearised(cells, states, *cells.linearise(gene, states))
    moved = (states != known.states).flatten(1).any(1).nonzero()[:, 0]
    predicted, gradient = known.predicted.clone(), known.gradient.clone()
    if len(moved):
        predicted[moved], gradient[moved] = cells.linearise(gene, states[moved])
    return Linearised(cells, states, predicted, gradient)


def addition_gain(cells: PerturbedCells, gene: int, states: Tensor) -> Tensor:
    """First-order gain of perturbing one more peak, for every peak.

    Parameters
    ----------
    cells : PerturbedCells
    gene : int
        The explained gene's column.
    states : Tensor, shape (n_cells, n_groups, width)
        Pooled states at which to linearise.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Estimated change of the mean log-expression in the sought direction; larger is better.
    """
    return linearise(cells, gene, states).gain


def transition_gain(cells: PerturbedCells, members: Tensor, gene: int) -> Tensor:
    """First-order gain of replacing each member of a set by each other peak.

    The transition matrix as the paper has it (Liu et al., ACML 2024, algorithm 1, line 6), linearised at the perturbed
    cells: the estimated gain of perturbing the new peak less that of the member that is given up. The search needs
    the first of the two only; this form is what it is compared with.

    Returns
    -------
    Tensor, shape (set_size, n_peaks)
        -inf for peaks already in the set.
    """
    gain = addition_gain(cells, gene, cells.perturbed(members))
    matrix = gain[None, :] - gain[members][:, None]
    matrix[:, members] = -torch.inf
    return matrix
