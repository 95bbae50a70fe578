"""Tables of all cell types as one, with :func:`~grids.analysis.statistics.q_values` over the whole run.

What only puts tables together needs no torch: loading it would be most of such a job's time.
"""

from collections.abc import Iterable

import pandas as pd

from grids.analysis.statistics import q_values
from grids.io.tables import (
    EFFECT_COLUMNS,
    INTERACTION_COLUMNS,
    RUN_KEYS,
    SET_KEYS,
    STATE_COLUMNS,
    TASK_KEYS,
    stack,
)


def collect_effects(effects: Iterable[pd.DataFrame], nested: bool = True) -> pd.DataFrame:
    """Put the effects of all cell types together and add q-values.

    Families of tests are, of each surrogate, method and direction, the tasks' full sets, of whatever size, and the
    smaller ones of each size.

    Parameters
    ----------
    effects : iterable of DataFrame
        The table `effects` of :func:`grids.analysis.effects.measure_effects`, one for each cell type.
    nested : bool
        Whether the smaller sizes of a task are of its full set. Otherwise every size is a full set of its own, and a
        family.
    """
    table = stack(effects, EFFECT_COLUMNS)
    size = table["set_size"]
    if nested:
        size = size.mask(size == table.groupby(TASK_KEYS, dropna=False)["set_size"].transform("max"), 0)
    return table.assign(q_value=q_values(table["p_value"], table[RUN_KEYS].assign(size=size)))


def collect_interactions(interactions: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the interactions of all cell types together and add q-values.

    A family of tests is the pairs of all sets of the run, for each of the two nulls.

    Parameters
    ----------
    interactions : iterable of DataFrame
        The table `interactions` of :func:`grids.analysis.redundancy.analysis.analyse_sets`, one for each cell type.
    """
    table = stack(interactions, INTERACTION_COLUMNS)
    return table.assign(
        q_value=q_values(table["p_value"]), additive_q_value=q_values(table["additive_p_value"])
    )


def collect_states(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the states of all cell types together and add q-values.

    Families of tests are the tasks of each surrogate, method, direction and state; a task counts once, however many
    levels it has.

    Parameters
    ----------
    parts : iterable of DataFrame
        Of :func:`grids.analysis.states.measure_states`, one for each cell type.
    """
    table = stack(parts, STATE_COLUMNS)
    set_and_state = [*SET_KEYS, "state"]
    tests = table.drop_duplicates(set_and_state)
    q_value = q_values(tests["p_value_of_change"], tests[[*RUN_KEYS, "state"]])
    tests = tests[set_and_state].assign(q_value_of_change=q_value)
    return table.drop(columns="q_value_of_change").merge(tests, on=set_and_state, how="left")[STATE_COLUMNS]
