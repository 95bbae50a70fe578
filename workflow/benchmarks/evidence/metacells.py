"""Metacells: sums of about equally many neighbouring cells of one type."""

import numpy as np


def metacells(state: np.ndarray, cell_type: np.ndarray, n_cells: int) -> np.ndarray:
    """Cut each type's cells into metacells of about `n_cells` neighbours.

    The cells of a type are halved at the median of their widest direction, and the halves again, until the parts have
    the size asked for: all are as large as each other, and no cell is drawn.

    Parameters
    ----------
    state : ndarray, shape (n_cells, n_components)
    cell_type : ndarray, shape (n_cells,)
    n_cells : int
        Types with fewer are one metacell.

    Returns
    -------
    ndarray of int, shape (n_cells,)
        Number of each cell's metacell.
    """
    number, n_found = np.empty(len(state), int), 0
    for name in np.unique(cell_type):
        cells = np.flatnonzero(cell_type == name)
        for part in _halved(state, cells, max(round(len(cells) / n_cells), 1)):
            number[part], n_found = n_found, n_found + 1
    return number


def _halved(state: np.ndarray, cells: np.ndarray, n_parts: int) -> list[np.ndarray]:
    if n_parts == 1:
        return [cells]
    centred = state[cells] - state[cells].mean(0)
    along = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1:]
    order = cells[np.argsort(along.sum(1), kind="stable")]
    n_first = n_parts // 2
    cut = round(len(cells) * n_first / n_parts)
    return _halved(state, order[:cut], n_first) + _halved(state, order[cut:], n_parts - n_first)
