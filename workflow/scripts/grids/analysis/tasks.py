"""Sets on their way into an analysis: held against surrogate and cells, and the cells that each direction perturbs."""

from collections.abc import Collection, Sequence

import pandas as pd
from scipy import sparse

from grids.io.errors import InputError, did_you_mean
from grids.io.tables import SET_KEYS
from grids.search.task_cells import TaskCells
from grids.search.transitions import VALUE_OF_DIRECTION


def check_sets(surrogate, opened: sparse.csr_matrix, peaks: Sequence[str], sets: pd.DataFrame) -> None:
    """Refuse sets of several cell types, or that belong to another surrogate or other cells.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
    opened : csr_matrix, shape (n_cells, n_peaks)
        The test cells to measure on.
    peaks : sequence of str, length n_peaks
        Names of its columns.
    sets : DataFrame
        One row per member: `surrogate method cell_type gene direction set_size peak`.

    Raises
    ------
    InputError
    """
    cell_types = pd.unique(sets["cell_type"])
    if len(cell_types) > 1:
        raise InputError(f"sets: expected one cell type per call, got {', '.join(map(str, cell_types))}")
    if len(sets):
        check_cells(opened, cell_types[0], "test")
    if list(surrogate.peaks) != list(peaks) or opened.shape[1] != len(peaks):
        raise InputError("the surrogate was trained on other peaks than the multiome holds; train it again")
    check_genes(sets, surrogate.genes, "the surrogate's genes")
    for direction in pd.unique(sets["direction"]):
        if direction not in VALUE_OF_DIRECTION:
            raise InputError(f"sets: direction '{direction}' is unknown; expected silence or activate")
    if sets.duplicated([*SET_KEYS, "peak"]).any():
        raise InputError("sets: a set names the same peak twice; expected distinct members")


def check_cells(opened: sparse.csr_matrix, cell_type: str, split: str) -> None:
    """Refuse a cell type without cells in a split."""
    if opened.shape[0] == 0:
        raise InputError(
            f"cell type '{cell_type}' has no {split} cells to look at; raise preprocessing.split.{split} "
            "or leave the type out of tasks"
        )


def check_genes(sets: pd.DataFrame, known: Collection[str], where: str) -> None:
    """Refuse sets of genes that are not known."""
    missing = sorted(set(sets["gene"]) - set(known))
    if missing:
        raise InputError(f"sets: gene '{missing[0]}' is not in {where}.{did_you_mean(missing[0], known)}")


def cells_by_direction(
    surrogate, opened: sparse.csr_matrix, sets: pd.DataFrame, *, seed: int, split: str
) -> dict[str, TaskCells]:
    """The cells ready to be perturbed in each direction that the sets ask for; parameters as of TaskCells."""
    return {
        direction: TaskCells(surrogate, opened, VALUE_OF_DIRECTION[direction], seed=seed, split=split)
        for direction in pd.unique(sets["direction"])
    }
