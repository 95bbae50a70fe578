"""Redundancy of the found sets of one cell type: five tables, with intervals over held-out cells.

Intervals and p-values are of *the surrogate's* answer. With refits of the surrogate (``n_replicates``) they
hold the doubt about the surrogate and about the cells; without, about the cells only.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from grids.analysis.redundancy.searches import RedundancySettings, next_sets, selection_frequency
from grids.analysis.redundancy.subsets import measure_subsets, predictor, shapley_values
from grids.analysis.redundancy.verdict import (
    SUFFICIENT_SHARE,
    alternative_table,
    interaction_table,
    knock_down_table,
    member_table,
    redundancy_table,
    verdict_of,
)
from grids.analysis.set_changes import cells_by_direction, check_cells, check_sets, some_rows
from grids.analysis.statistics import bootstrap_weights
from grids.io.cells import Multiome
from grids.io.errors import InputError, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import (
    ALTERNATIVE_COLUMNS,
    INTERACTION_COLUMNS,
    KNOCK_DOWN_COLUMNS,
    MEMBER_COLUMNS,
    REDUNDANCY_COLUMNS,
    SET_KEYS,
    stack,
)
from grids.search.task_cells import TaskCells

N_BOOTSTRAP_LEAST = 20


@dataclass(frozen=True)
class Redundancy:
    """Tables of :func:`analyse_sets`; columns: ``*_COLUMNS`` in :mod:`grids.io.tables`."""

    redundancy: pd.DataFrame
    members: pd.DataFrame
    interactions: pd.DataFrame
    knock_down: pd.DataFrame
    alternatives: pd.DataFrame


COLUMNS = {
    "redundancy": REDUNDANCY_COLUMNS,
    "members": MEMBER_COLUMNS,
    "interactions": INTERACTION_COLUMNS,
    "knock_down": KNOCK_DOWN_COLUMNS,
    "alternatives": ALTERNATIVE_COLUMNS,
}


def analyse_sets(
    surrogate,
    test_cells: Multiome,
    training_opened: sparse.csr_matrix,
    sets: pd.DataFrame,
    windows: pd.DataFrame,
    settings: RedundancySettings,
    *,
    seed: int,
) -> Redundancy:
    """Analyse the found sets of one cell type.

    Log effects are changes of mean predicted log-expression (natural log) in the test cells. A *drop* is a
    change counted in the direction of the set: minus the change for silence, the change for derepress and activate.

    Parameters
    ----------
    surrogate : Surrogate
    test_cells : Multiome
        The cells to measure on: test split, one cell type.
    training_opened : csr_matrix, shape (n_training_cells, n_peaks)
        The type's training cells, which alternative sets are searched on, as the found ones were.
    sets : DataFrame
        One row per member: `surrogate method cell_type gene direction set_size rank peak`; one cell type.
        Ranks are the nested order.
    windows : DataFrame
        `peak gene`; read with ``scope="window"`` only.

    Returns
    -------
    Redundancy
        `redundancy`: a row per set. A set whose joint drop is not above zero, by its interval, has class none or
        undecided, no index and no sufficient or alternative sets. `n_alternative_sets`: sets of `n_sufficient`
        members at most, none of them in the minimal sufficient set or in another alternative, that reach 90 % of the
        joint drop; a lower bound where the last one allowed does.
        `members`: a row per member. `shapley_value` is a log effect, in the cells measured.
        `interactions`: a row per pair; `interaction_log` is ``drop({i,j}) - drop({i}) - drop({j})``, zero when
        effects multiply on the scale of expression; `additive_interaction` is the same with drops of
        mean ``exp(prediction)``, zero when they add there. q-values are missing until all are collected.
        `knock_down`: a row for each number of members perturbed, from none.
        `alternatives`: a row per member of each set, the found one being alternative 0 with all its members, in
        nested order, with the log change by that whole set.

    Raises
    ------
    InputError
        No cells; peaks, genes or cell types that do not belong together; too few draws.
    """
    if not len(sets):
        return Redundancy(**{name: pd.DataFrame(columns=columns) for name, columns in COLUMNS.items()})
    cell_type = sets["cell_type"].iloc[0]
    check_sets(surrogate, test_cells.atac.X, test_cells.atac.var.index, sets)
    check_cells(training_opened, cell_type, "train")
    if settings.n_bootstrap < N_BOOTSTRAP_LEAST:
        raise InputError(
            f"redundancy.n_bootstrap is {settings.n_bootstrap}; intervals need {N_BOOTSTRAP_LEAST} draws or more"
        )
    rng = generator(seed, "redundancy cells", cell_type)
    test_opened = test_cells.atac.X[some_rows(test_cells.atac.X.shape[0], settings.max_cells, rng)]
    test = cells_by_direction(surrogate, test_opened, sets, seed=seed, split="test")
    training = cells_by_direction(surrogate, training_opened, sets, seed=seed, split="train")
    rng = generator(seed, "redundancy bootstrap", cell_type)
    weights = bootstrap_weights(test_opened.shape[0], settings.n_bootstrap, rng)
    windows = windows if settings.search.scope == "window" else None
    parts = []
    bar = tqdm(sets.groupby(SET_KEYS, sort=False, dropna=False), unit="set")
    for key, rows in bar:
        labels = dict(zip(SET_KEYS, key, strict=True))
        bar.set_description(f"{cell_type} {labels['gene']}")
        cells = (of_split[labels["direction"]] for of_split in (test, training))
        rng = generator(seed, "redundancy", *key)
        parts.append(_analyse_set(labels, rows, *cells, windows, weights, settings, rng))
    return Redundancy(
        **{name: stack((tables[name] for tables in parts), columns) for name, columns in COLUMNS.items()}
    )


def _analyse_set(
    labels: dict,
    rows: pd.DataFrame,
    test: TaskCells,
    training: TaskCells,
    windows: pd.DataFrame | None,
    weights: np.ndarray,
    settings: RedundancySettings,
    rng: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """The five tables of one set."""
    gene, peaks = labels["gene"], _in_nested_order(rows, labels["gene"])
    members, allowed = test.members(gene, peaks), test.candidates(gene, windows)
    cells, column, seen = test.of(gene)
    sign, n_refits = cells.sign, test.surrogate.n_replicates
    predict, *refits = (predictor(c, column, members) for c in (cells, *test.refits(gene)))
    measured = measure_subsets(predict, refits, len(members), weights)
    verdict = verdict_of(measured, sign)
    shapley = shapley_values(
        lambda subsets: predict(subsets).mean(1), len(members), settings.n_permutations, rng
    )

    found, log_changes = [members], [float(measured.log.joint)]
    search_cells, *_ = training.of(gene)
    others = next_sets(search_cells, column, members[: verdict.n_sufficient], allowed, settings, rng)
    for alternative in islice(others, settings.max_alternatives if verdict.has_effect else 0):
        found.append(alternative)
        after = cells.predict_sets(alternative[None], column)[0]
        log_changes.append(float((after - cells.predict(column)).double().mean()))
        if log_changes[-1] / log_changes[0] < SUFFICIENT_SHARE:
            break
    versions = training.refits(gene) or [search_cells]
    frequency = selection_frequency(versions, column, members, allowed, settings, rng)

    names = [[seen[m] for m in one.tolist()] for one in found]
    alternatives = alternative_table(names, log_changes, verdict)
    reach = alternatives["reaches_90_percent"] & (alternatives["alternative"] > 0)
    n_alternatives = alternatives.loc[reach, "alternative"].nunique()
    log.info(
        "%s, %s (%s, %d members): joint log effect %.4f, redundancy index %.3f (%.3f to %.3f), %s, "
        "%d alternative sets",
        *(labels[name] for name in ("cell_type", "gene", "direction", "set_size")), measured.log.joint,
        verdict.index, verdict.index_low, verdict.index_high, verdict.set_class, n_alternatives,
    )  # fmt: skip
    tables = {
        "redundancy": redundancy_table(measured, verdict, len(cells), n_alternatives),
        "members": member_table(names[0], measured, verdict, sign, shapley, frequency),
        "interactions": interaction_table(names[0], measured, sign, n_refits or len(cells)),
        "knock_down": knock_down_table(names[0], measured),
        "alternatives": alternatives,
    }
    return {name: table.assign(**labels) for name, table in tables.items()}


def _in_nested_order(rows: pd.DataFrame, gene: str) -> list[str]:
    """Names of a set's members by rank."""
    rows, size = rows.sort_values("rank"), rows["set_size"].iloc[0]
    if rows["rank"].tolist() != list(range(1, size + 1)):
        raise InputError(
            f"sets: expected ranks 1 to set_size {size} for '{gene}', got {listing(rows['rank'])}"
        )
    return list(rows["peak"])
