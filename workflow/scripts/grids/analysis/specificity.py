"""Does a set found in one cell type matter in another? Each set, applied to the cells of every type."""

import numpy as np
import pandas as pd

from grids.analysis.redundancy.statistics import bootstrap_weights, interval
from grids.analysis.resampling import bootstrap_means, changes_by_set
from grids.io.cells import Modality
from grids.io.errors import InputError
from grids.io.seeds import generator
from grids.io.tables import SPECIFICITY_COLUMNS
from grids.search.task_cells import TaskCells
from grids.search.transitions import VALUE_OF_DIRECTION


def jaccard(first: set, second: set) -> float:
    """Shared members as a share of all members of two sets; missing when either is empty."""
    return len(first & second) / len(first | second) if first and second else np.nan


def measure_specificity(
    surrogate, atac: Modality, applied_to: str, sets: pd.DataFrame, *, n_bootstrap: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Apply the sets found in all cell types to the cells of one.

    The surrogate and the accessibility are those of `applied_to`: closing peaks that are closed in all its
    cells changes nothing. Sets of genes that its surrogate does not predict are left out. The type's own sets
    are among the rows, to compare with.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
        The surrogate of `applied_to`.
    atac : Modality
        Test cells of `applied_to`.
    applied_to : str
    sets : DataFrame
        A row per member: `surrogate method cell_type gene direction set_size peak`; all cell types.
    n_bootstrap : int
        Draws of cells, and of the surrogate's replicates where it has them, for the intervals.
    seed : int

    Returns
    -------
    DataFrame
        :data:`grids.io.tables.SPECIFICITY_COLUMNS`. `log_change`: change of mean predicted log-expression
        (natural log), with the bounds of its 95 % interval. `jaccard`: overlap with the set that was found in
        `applied_to` for the same gene, of the same size where a task has sets of several sizes; missing when there
        is none.

    Raises
    ------
    InputError
        When there are no cells, or a member is not a peak of the surrogate.
    """
    if not len(sets):
        return pd.DataFrame(columns=SPECIFICITY_COLUMNS)
    n_cells = atac.X.shape[0]
    if n_cells == 0:
        raise InputError(
            f"cell type '{applied_to}' has no test cells to apply sets to; raise preprocessing.split.test"
        )
    weights = bootstrap_weights(n_cells, n_bootstrap, generator(seed, "specificity", applied_to))
    cells = {
        direction: TaskCells(surrogate, atac.X, VALUE_OF_DIRECTION[direction], seed=seed, split="test")
        for direction in pd.unique(sets["direction"])
    }
    task = ["gene", "direction", "surrogate", "method", "set_size"]
    # Where a task has sets of several sizes, those of one size are compared.
    has_several = (sets.groupby([*task[:-1], "cell_type"])["set_size"].nunique() > 1).any()
    compared = task if has_several else task[:-1]
    own = {key: set(rows["peak"]) for key, rows in sets[sets["cell_type"] == applied_to].groupby(compared)}
    rows = []
    # Gene by gene, so that a surrogate with a part for each gene prepares its cells once.
    known = sets[sets["gene"].isin(surrogate.genes)].groupby([*task, "cell_type"])
    for (gene, direction, name, method, set_size, found_in), members in known:
        changes = changes_by_set(cells[direction], gene, members["peak"])
        low, high = interval(bootstrap_means(changes, weights)[:, 0])
        key = (gene, direction, name, method, set_size)[: len(compared)]
        overlap = jaccard(set(members["peak"]), own.get(key, set()))
        rows.append(
            [name, method, gene, direction, found_in, applied_to, set_size, n_cells, changes[0].mean(),
             low, high, overlap]
        )  # fmt: skip
    return pd.DataFrame(rows, columns=SPECIFICITY_COLUMNS)
