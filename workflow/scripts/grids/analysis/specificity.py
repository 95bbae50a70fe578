"""Does a set found in one cell type matter in another? Each set, applied to the cells of every type."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from grids.analysis.set_changes import bootstrap_means, cells_by_direction, changes_by_set, check_cells
from grids.analysis.statistics import bootstrap_weights, with_interval
from grids.io.cells import Modality
from grids.io.seeds import generator
from grids.io.tables import SPECIFICITY_COLUMNS


def jaccard(first: set, second: set) -> float:
    """Shared members as a share of all members of two sets; missing when either is empty."""
    return len(first & second) / len(first | second) if first and second else np.nan


def measure_specificity(
    surrogate,
    atac: Modality,
    applied_to: str,
    sets: pd.DataFrame,
    found_in: Collection[str] | None = None,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Apply the sets found in all cell types to the cells of one.

    The surrogate and the accessibility are those of `applied_to`: closing peaks that are closed in all its
    cells changes nothing. Sets of genes that its surrogate does not predict are left out. The type's own sets
    are among the rows, to compare with.

    Parameters
    ----------
    surrogate : Surrogate
        The surrogate of `applied_to`, or that of all types.
    atac : Modality
        Test cells of `applied_to`.
    sets : DataFrame
        A row per member: `surrogate method cell_type gene direction set_size peak`; all cell types.
    found_in : collection of str, optional
        The types whose sets are applied; all by default.
    n_bootstrap : int
        Draws of cells, and of the surrogate's replicates where it has them, for the intervals.

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
    check_cells(atac.X, applied_to, "test")
    n_cells = atac.X.shape[0]
    weights = bootstrap_weights(n_cells, n_bootstrap, generator(seed, "specificity", applied_to))
    cells = cells_by_direction(surrogate, atac.X, sets, seed=seed, split="test")
    task = ["gene", "direction", "surrogate", "method", "set_size"]
    # Where a task has sets of several sizes, those of one size are compared.
    has_several = (sets.groupby([*task[:-1], "cell_type"])["set_size"].nunique() > 1).any()
    compared = task if has_several else task[:-1]
    own = {key: set(rows["peak"]) for key, rows in sets[sets["cell_type"] == applied_to].groupby(compared)}
    rows = []
    # Gene by gene, so that a surrogate with a part for each gene prepares its cells once.
    applied = sets[sets["gene"].isin(surrogate.genes)]
    if found_in is not None:
        applied = applied[applied["cell_type"].isin(found_in)]
    for (*key, of_type), members in applied.groupby([*task, "cell_type"]):
        labels = dict(zip(task, key, strict=True))
        changes = changes_by_set(cells[labels["direction"]], labels["gene"], members["peak"])
        own_members = own.get(tuple(key[: len(compared)]), set())
        rows.append(
            {
                **labels,
                "found_in": of_type,
                "applied_to": applied_to,
                "n_cells": n_cells,
                **with_interval("log_change", changes[0].mean(), bootstrap_means(changes, weights)[:, 0]),
                "jaccard": jaccard(set(members["peak"]), own_members),
            }
        )
    return pd.DataFrame(rows, columns=SPECIFICITY_COLUMNS)
