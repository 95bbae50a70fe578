"""What several analyses share: bins, intervals of a bootstrap, q-values, and those of all cell types' tables.

Nothing here needs torch: loading it would be most of the time of a job that only puts tables together.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from grids.io.tables import (
    EFFECT_COLUMNS,
    FAMILY_KEYS,
    INTERACTION_COLUMNS,
    SET_KEYS,
    STATE_COLUMNS,
    TASK_KEYS,
    stack,
)

CONFIDENCE = 0.95
# Surrogates predict in single precision. Mean log effects within MEAN_ROUNDING of zero, or of each other, are the
# same; those of single cells, and means over the few cells of a state's level, within CELL_ROUNDING.
MEAN_ROUNDING = 1e-6
CELL_ROUNDING = 1e-5
# A permuted statistic that is lower than the observed one by this share or less is as high.
TIE = 1e-9


def bootstrap_counts(n: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `n` units is in each of the samples drawn with replacement, shape (n_draws, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=n_draws)


def bootstrap_weights(n_cells: int, n_bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """Each draw's weights of the cells, summing to one, shape (n_bootstrap, n_cells)."""
    return bootstrap_counts(n_cells, n_bootstrap, rng) / n_cells


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval at :data:`CONFIDENCE` over the first dimension (Efron 1979)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def with_interval(name: str, value: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """A value and the :func:`interval` of its draws, as columns ``name``, ``name_low`` and ``name_high``."""
    low, high = interval(draws)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def interval_over_genes(draws: np.ndarray, n_genes: int) -> tuple[float, float]:
    """:func:`interval` of the draws that have a value; missing for a single gene, which is all there is to draw."""
    draws = draws[np.isfinite(draws)]
    if n_genes < 2 or not len(draws):
        return np.nan, np.nan
    low, high = interval(draws)
    return float(low), float(high)


def q_values(p_value: pd.Series, family: pd.DataFrame | None = None) -> pd.Series:
    """Benjamini-Hochberg within each family; a missing p-value has no q-value and does not count as a test.

    The columns of `family` tell the family of each p-value; by default all are of one.
    """
    from scipy.stats import false_discovery_control  # here: a second of a job's start

    p_value = p_value.astype(float)
    tested = p_value.notna()
    if not tested.any():
        return p_value
    known = p_value[tested]
    keys: Sequence = [np.zeros(len(known))] if family is None else [family.loc[tested, k] for k in family]
    adjusted = known.groupby(keys, dropna=False).transform(lambda p: false_discovery_control(p.to_numpy()))
    return adjusted.reindex(p_value.index)


def equal_count_bins(values: np.ndarray, n_bins: int) -> tuple[np.ndarray, list[str]]:
    """Divide values into bins of as equal counts as ties allow; equal values share a bin.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Missing values belong to no bin.
    n_bins : int
        With many ties there may be fewer.

    Returns
    -------
    codes : ndarray of int, shape (n,)
        Number of each value's bin, lowest values first; -1 where missing.
    labels : list of str
        ``"0.1 to 0.25"``: the smallest and largest value in each bin; ``"3"`` for a bin of one value.
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    codes = np.full(len(values), -1)
    if not known.any():
        return codes, []
    inside = values[known]
    edges = np.unique(np.quantile(inside, np.arange(1, n_bins) / n_bins, method="inverted_cdf"))
    # An edge is the last value of its bin; bins that ties have left empty vanish in the renumbering.
    codes[known] = np.unique(np.searchsorted(edges, inside, side="left"), return_inverse=True)[1]
    ranges = pd.Series(inside).groupby(codes[known]).agg(["min", "max"]).to_numpy()
    for digits in range(3, 18):
        labels = [_label(low, high, digits) for low, high in ranges]
        if len(set(labels)) == len(labels):
            break
    return codes, labels


def _label(low: float, high: float, digits: int) -> str:
    return f"{low:.{digits}g}" if low == high else f"{low:.{digits}g} to {high:.{digits}g}"


def collect_effects(effects: Iterable[pd.DataFrame], nested: bool = True) -> pd.DataFrame:
    """Put the effects of all cell types together and add q-values.

    Families of tests are, of each surrogate and method, the tasks' full sets, of whatever size, and the smaller ones
    of each size. Unless sets are `nested`, every size is a full set of its own, and a family.

    `effects`: the table of :func:`grids.analysis.effects.measure_effects` for each cell type.
    """
    table = stack(effects, EFFECT_COLUMNS)
    size = table["set_size"]
    if nested:
        size = size.mask(size == table.groupby(TASK_KEYS, dropna=False)["set_size"].transform("max"), 0)
    return table.assign(q_value=q_values(table["p_value"], table[FAMILY_KEYS].assign(size=size)))


def collect_interactions(interactions: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the interactions of all cell types together and add q-values.

    A family of tests is the pairs of all sets of the run, for each of the two nulls. `interactions`: the table of
    :func:`grids.analysis.redundancy.analysis.analyse_sets` for each cell type.
    """
    table = stack(interactions, INTERACTION_COLUMNS)
    return table.assign(
        q_value=q_values(table["p_value"]), additive_q_value=q_values(table["additive_p_value"])
    )


def collect_states(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the states of all cell types together and add q-values.

    Families of tests are the tasks of each surrogate, method and state; a task counts once, however many
    levels it has. `parts`: of :func:`grids.analysis.states.measure_states` for each cell type.
    """
    table = stack(parts, STATE_COLUMNS)
    set_and_state = [*SET_KEYS, "state"]
    tests = table.drop_duplicates(set_and_state)
    q_value = q_values(tests["p_value_of_change"], tests[[*FAMILY_KEYS, "state"]])
    tests = tests[set_and_state].assign(q_value_of_change=q_value)
    return table.drop(columns="q_value_of_change").merge(tests, on=set_and_state, how="left")[STATE_COLUMNS]
