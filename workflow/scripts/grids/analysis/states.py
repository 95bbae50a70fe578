"""How the redundancy of a set changes along a state of the cells: a condition, a time, a pseudotime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grids.analysis.redundancy.verdict import redundancy_index
from grids.analysis.set_changes import bootstrap_means, cells_by_direction, changes_by_set
from grids.analysis.statistics import CELL_ROUNDING, TIE, bootstrap_weights, equal_count_bins, with_interval
from grids.io.cells import Multiome
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import SET_KEYS, STATE_COLUMNS
from grids.search.directions import DIRECTIONS

DEFAULT_BINS = 5
MOST_NUMERIC_LEVELS = 10
N_PERMUTATIONS = 10_000
PERMUTATIONS_PER_BLOCK = 256
# A level's variance counts as at least this share of the variance of all cells.
LEAST_VARIANCE = 1e-3
# Levels of fewer test cells are left out.
MIN_CELLS = 20


@dataclass(frozen=True)
class State:
    """Which level of a state each cell is in.

    Attributes
    ----------
    key : str
        Column of `obs`.
    codes : ndarray of int, shape (n_cells,)
        Number of the cell's level; -1 where it has none.
    ordered : bool
        Whether the levels have an order: bins, numbers, ordered categories.
    """

    key: str
    codes: np.ndarray
    levels: list[str]
    ordered: bool

    def without_rare_levels(self, where: str) -> "State":
        """Without the levels of fewer than :data:`MIN_CELLS` cells; each one left out is logged."""
        n_cells = np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels))
        kept = np.flatnonzero(n_cells >= MIN_CELLS)
        for rare in np.flatnonzero(n_cells < MIN_CELLS):
            log.warning(
                "%s: level '%s' of state '%s' left out: %d test cells, at least %d are needed",
                *(where, self.levels[rare], self.key, n_cells[rare], MIN_CELLS),
            )
        number = np.full(len(self.levels) + 1, -1)
        number[kept] = np.arange(len(kept))
        return State(self.key, number[self.codes], [self.levels[i] for i in kept], self.ordered)


def state_values(multiome: Multiome, key: str) -> pd.Series:
    """A column of `obs` for the ATAC cells; of paired cells, the RNA's `obs` is looked up too.

    Raises
    ------
    InputError
        When there is no such column.
    """
    tables = [multiome.atac.obs, multiome.rna.obs] if multiome.paired else [multiome.atac.obs]
    for obs in tables:
        if key in obs:
            return obs[key]
    known = list(dict.fromkeys(column for obs in tables for column in obs.columns))
    where = "obs" if multiome.paired else "obs of the ATAC cells"
    raise InputError(
        f"states: key '{key}' is not in {where}; it has: {listing(known)}.{did_you_mean(key, known)}"
    )


def divide(values: pd.Series, bins: int | None = None) -> State:
    """Divide cells by a state.

    Numbers of more than :data:`MOST_NUMERIC_LEVELS` distinct values, and all numbers when `bins` is given,
    are cut into bins of equal counts, by default :data:`DEFAULT_BINS`; other columns have a level for each value.
    Missing values are in no level.

    Raises
    ------
    InputError
        When `bins` is given for values that are not numbers.
    """
    key = str(values.name)
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if bins is not None and not numeric:
        raise InputError(
            f"states: key '{key}' holds {listing(values.dropna().unique(), 3)}, which cannot be cut into bins; "
            "leave out bins, or name a column of numbers"
        )
    if numeric and (bins is not None or values.nunique() > MOST_NUMERIC_LEVELS):
        numbers = values.to_numpy(float, na_value=np.nan)
        return State(key, *equal_count_bins(numbers, bins or DEFAULT_BINS), True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values, ordered = values.cat.remove_unused_categories(), values.cat.ordered
    else:
        values, ordered = values.astype("category"), numeric
    # A number in as many digits as tell it from every other: a date may have fourteen.
    levels = [
        np.format_float_positional(level, trim="-")
        if numeric and isinstance(level, np.floating)
        else str(level)
        for level in values.cat.categories.to_numpy()
    ]
    return State(key, values.cat.codes.to_numpy(int), levels, ordered)


def measure_states(
    surrogate,
    multiome: Multiome,
    cell_type: str,
    sets: pd.DataFrame,
    states: Sequence[Mapping],
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Joint effect and redundancy index of each set in the cells of each level of each state.

    Parameters
    ----------
    surrogate : Surrogate
    multiome : Multiome
        Test cells of the type.
    sets : DataFrame
        A row per member: `surrogate method cell_type gene direction set_size peak`; one cell type.
    states : sequence of mapping
        `key`, a column of `obs`, and optionally `bins`; see :func:`divide`. Levels of fewer than
        :data:`MIN_CELLS` test cells are left out.
    n_bootstrap : int
        Draws of cells, and of the surrogate's replicates where it has them, for the intervals.

    Returns
    -------
    DataFrame
        :data:`grids.io.tables.STATE_COLUMNS`. The index is missing where the interval of the joint effect is not
        on the side asked: a ratio to no effect means nothing. `q_value_of_change` is missing until
        all are collected.

    Raises
    ------
    InputError
        For a state that is not in `obs` or stands twice, or a member that is not a peak of the surrogate.
    """
    keys = [state["key"] for state in states]
    if len(set(keys)) < len(keys):
        raise InputError(f"states: a key stands twice ({listing(keys)}); name each column of obs once")
    divided = [
        divide(state_values(multiome, state["key"]), state.get("bins")).without_rare_levels(cell_type)
        for state in states
    ]
    levels = []
    for state in divided:
        for code, level in enumerate(state.levels):
            inside = np.flatnonzero(state.codes == code)
            rng = generator(seed, "states", cell_type, state.key, level)
            weights = bootstrap_weights(len(inside), n_bootstrap, rng)
            levels.append(({"state": state.key, "state_value": level}, inside, weights))
    cells = cells_by_direction(surrogate, multiome.atac.X, sets, seed=seed, split="test")
    of_cells, rows = [], []
    for key, members in sets.groupby(SET_KEYS, sort=False):
        labels = dict(zip(SET_KEYS, key, strict=True))
        sign = DIRECTIONS[labels["direction"]].sign
        changes = changes_by_set(cells[labels["direction"]], labels["gene"], members["peak"], alone=True)
        of_cells.append(changes[0])
        for level, inside, weights in levels:
            rows.append(labels | level | _summary(changes[:, inside], weights, sign))
    table = pd.DataFrame(rows, columns=STATE_COLUMNS)
    for state in divided:
        rng = generator(seed, "states", cell_type, state.key)
        p_values = p_values_of_change(of_cells, state, N_PERMUTATIONS, rng)
        table.loc[table["state"] == state.key, "p_value_of_change"] = np.repeat(p_values, len(state.levels))
    return table


def _summary(changes: np.ndarray, weights: np.ndarray, sign: float) -> dict:
    """A row's numbers from the changes of a level's cells, shape (1 + n_replicates, n_cells, 2)."""
    joint, alone = changes[0].mean(0)
    draws = bootstrap_means(changes, weights)
    row = {"n_cells": changes.shape[1], **with_interval("joint_log_effect", joint, draws[:, 0])}
    if min(sign * row["joint_log_effect_low"], sign * row["joint_log_effect_high"]) > CELL_ROUNDING:
        index = redundancy_index(np.array([alone]), joint)
        row |= with_interval("redundancy_index", index, redundancy_index(draws[:, 1:], draws[:, 0]))
    return row


def p_values_of_change(
    changes: Sequence[np.ndarray], state: State, n_permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Does the redundancy index depend on the level? One p-value per set.

    With the index of all cells together, ``1 - s / j`` (`j`: mean joint change, `s`: mean sum of the members'
    changes alone), a cell's residual ``s_i - (s / j) j_i`` has mean zero in every level exactly when all levels have
    the same index. Levels are permuted among the cells. Along ordered levels the statistic is the squared sum of
    residual times level number, between unordered ones the sum of squared mean residuals; both over their squared
    errors, and less what another common ratio would explain. Studentised like this, the test is exact where cells are
    exchangeable, and holds in large samples where levels differ in effect and spread but not in index (Chung & Romano,
    Ann. Stat. 2013; DiCiccio & Romano, JASA 2017).

    The p-value is conditional on the surrogate, and takes cells as independent: cells of one donor are not.

    `changes`, an array of shape (n_cells, 2) per set: each cell's joint change and the sum of its changes by single
    members. p-values, shape (n_sets,), are missing with fewer than two levels, and for sets without any joint effect.
    """
    p_values = np.full(len(changes), np.nan)
    inside = state.codes >= 0
    if len(state.levels) < 2 or not len(changes):
        return p_values
    codes = state.codes[inside]
    joint, alone = np.moveaxis(np.stack([change[inside] for change in changes], axis=1), 2, 0)
    has_effect = np.abs(joint.mean(0)) > CELL_ROUNDING
    joint, alone = joint[:, has_effect], alone[:, has_effect]
    residuals = alone - alone.sum(0) / joint.sum(0) * joint
    residuals[:, np.abs(residuals).max(0) <= CELL_ROUNDING] = 0
    observed = _statistic(codes[None], joint, residuals, state)
    n_extreme = np.zeros(residuals.shape[1])
    for done in range(0, n_permutations, PERMUTATIONS_PER_BLOCK):
        n_now = min(PERMUTATIONS_PER_BLOCK, n_permutations - done)
        permuted = rng.permuted(np.tile(codes, (n_now, 1)), axis=1)
        n_extreme += (_statistic(permuted, joint, residuals, state) >= observed * (1 - TIE)).sum(0)
    p_values[has_effect] = (1 + n_extreme) / (1 + n_permutations)
    return p_values


def _statistic(codes: np.ndarray, joint: np.ndarray, residuals: np.ndarray, state: State) -> np.ndarray:
    """Of each assignment of cells to levels, shape (n, n_cells), and set: shape (n, n_sets).

    `joint` and `residuals`, shape (n_cells, n_sets); each set's residuals sum to zero.
    """
    squared = residuals**2
    least = np.maximum(LEAST_VARIANCE * squared.mean(0), CELL_ROUNDING**2)
    if state.ordered:
        centre = codes @ joint / joint.sum(0)
        spread = codes**2 @ squared - 2 * centre * (codes @ squared) + centre**2 * squared.sum(0)
        return (codes @ residuals) ** 2 / np.maximum(spread, codes.shape[1] * least)
    inside = (codes == np.arange(len(state.levels))[:, None, None]).astype(float)
    n_cells = inside.sum(2, keepdims=True)
    mean, mean_joint = inside @ residuals / n_cells, inside @ joint / n_cells
    precision = n_cells / np.maximum(inside @ squared / n_cells - mean**2, least)
    explained = (precision * mean * mean_joint).sum(0) ** 2 / (precision * mean_joint**2).sum(0)
    return (precision * mean**2).sum(0) - explained
