"""What perturbing chosen peaks in chosen cells adds to pooled states: the step that sampling explainers share."""

import numpy as np
from torch import Tensor, nn

from grids.search.objective import PerturbedCells


def changed_peaks(cells: PerturbedCells, cell: int, allowed: Tensor) -> Tensor:
    """The candidates that perturbing changes in one cell: the open ones when peaks are closed.

    Parameters
    ----------
    cells : PerturbedCells
    cell : int
    allowed : LongTensor, shape (n_candidates,)

    Returns
    -------
    LongTensor, shape (n_changed,)
        In the order of `allowed`.
    """
    return allowed[cells.subset(np.array([cell])).changed(allowed)[:, 0]]


def moves(
    cells: PerturbedCells, peaks: Tensor, row: Tensor, n_rows: int, share: Tensor | None = None
) -> Tensor:
    """What perturbing peaks adds to each of several pooled states.

    Parameters
    ----------
    cells : PerturbedCells
    peaks : LongTensor, shape (n,)
        Each is changed by perturbing it in the state that it belongs to.
    row : LongTensor, shape (n,)
        The state that each peak moves.
    n_rows : int
    share : Tensor, shape (n,), optional
        How far each peak is perturbed, between 0 and 1; fully by default. Gradients flow to it.

    Returns
    -------
    Tensor, shape (n_rows, n_groups, width)
    """
    step = cells.sign * nn.functional.embedding(peaks, cells.shift)
    if share is not None:
        step = step * share[:, None]
    n_groups, width = cells.pooled.shape[1:]
    moved = step.new_zeros(n_rows * n_groups, width)
    return moved.index_add(0, row * n_groups + cells.group_of_peak[peaks], step).view(n_rows, n_groups, width)
