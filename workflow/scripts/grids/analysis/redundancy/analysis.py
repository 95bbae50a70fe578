"""Redundancy of the found sets of one cell type: five tables, with intervals over held-out cells.

Intervals and p-values are of *the surrogate's* answer. With refits of the surrogate (``n_replicates``) they
hold the doubt about the surrogate and about the cells; without, about the cells only.
"""

from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from grids.analysis.effects import TASK_KEYS
from grids.analysis.redundancy.searches import next_sets, selection_frequency
from grids.analysis.redundancy.set_tables import (
    alternative_table,
    interaction_table,
    judge,
    knock_down_table,
    member_table,
    redundancy_table,
)
from grids.analysis.redundancy.shapley import shapley_values
from grids.analysis.redundancy.statistics import SUFFICIENT_SHARE, bootstrap_weights
from grids.analysis.redundancy.subsets import measure_subsets, predictor
from grids.io.caps import REDUNDANCY_CELLS
from grids.io.cells import Multiome
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import (
    ALTERNATIVE_COLUMNS,
    INTERACTION_COLUMNS,
    KNOCK_DOWN_COLUMNS,
    MEMBER_COLUMNS,
    REDUNDANCY_COLUMNS,
    stack,
)
from grids.search.objective import PerturbedCells
from grids.search.task_cells import TaskCells
from grids.search.transitions import VALUE_OF_DIRECTION, direction_sign

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
    *,
    seed: int,
    scope: str = "genome",
    set_size: int | None = None,
    n_bootstrap: int = 200,
    n_stability: int = 20,
    max_alternatives: int = 5,
    n_permutations: int = 100,
    max_cells: int = REDUNDANCY_CELLS,
    candidates: int = 32,
    max_rounds: int = 50,
) -> Redundancy:
    """Analyse the found sets of one cell type.

    Log effects are changes of mean predicted log-expression (natural log) in the test cells. A *drop* is a
    change counted in the direction asked: minus the change for silence, the change for activate.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
    test_cells : Multiome
        The cells to measure on: test split, one cell type.
    training_opened : csr_matrix, shape (n_training_cells, n_peaks)
        The type's training cells, which alternative sets are searched on, as the found ones were.
    sets : DataFrame
        One row per member: `surrogate method cell_type gene direction set_size rank peak`; one cell type.
        Ranks are the nested order.
    windows : DataFrame
        `peak gene`; read with ``scope="window"`` only.
    seed : int
    scope : {"genome", "window"}
        Candidates of the searches: every peak the surrogate sees for the gene, or those in its window.
    set_size : int, optional
        Peaks that the searches behind `selection_frequency` look for, as the first one did; by default as many as
        the set has.
    n_bootstrap : int
        Draws behind each interval.
    n_stability : int
        Searches on resampled training cells behind `selection_frequency`.
    max_alternatives : int
        Alternative sets to search for at most.
    n_permutations : int
        Orders behind the Shapley values of a set of more than 12 members.
    max_cells : int
        A larger type is measured on this many random test cells, and searched for stability on as many
        training cells.
    candidates, max_rounds : int
        Of the searches, as in :class:`~grids.search.search.Search`.

    Returns
    -------
    Redundancy
        `redundancy`: a row per set. A set whose joint drop is not above zero, by its interval, has class none, no
        index and no sufficient or alternative sets. `n_alternative_sets`: sets of `n_sufficient` members at most,
        none of them in the minimal sufficient set or in another alternative, that reach 90 % of the joint drop; a
        lower bound where the last one allowed does.
        `members`: a row per member. `shapley_value` is a log effect, in the cells measured.
        `interactions`: a row per pair; `interaction_log` is ``drop({i,j}) - drop({i}) - drop({j})``, zero when
        effects multiply on the scale of expression; `additive_interaction` is the same with drops of
        mean ``exp(prediction)``, zero when they add there. q-values are missing until :func:`collect`.
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
    _check(surrogate, test_cells, training_opened, sets, n_bootstrap)
    cell_type = sets["cell_type"].iloc[0]
    test_opened = _some_cells(test_cells.atac.X, max_cells, generator(seed, "redundancy cells", cell_type))
    n_cells = test_opened.shape[0]
    test, training = (
        {
            direction: TaskCells(surrogate, opened, VALUE_OF_DIRECTION[direction], seed=seed, split=split)
            for direction in pd.unique(sets["direction"])
        }
        for split, opened in (("test", test_opened), ("train", training_opened))
    )
    analyse_set = partial(
        _analyse_set,
        weights=bootstrap_weights(n_cells, n_bootstrap, generator(seed, "redundancy bootstrap", cell_type)),
        n_independent=getattr(surrogate, "n_replicates", 0) or n_cells,
        n_stability=n_stability,
        max_alternatives=max_alternatives,
        n_permutations=n_permutations,
        max_cells=max_cells,
        set_size=set_size,
        search={"candidates": candidates, "max_rounds": max_rounds},
    )
    parts = []
    bar = tqdm(sets.groupby([*TASK_KEYS, "set_size"], sort=False, dropna=False), unit="set")
    for task, rows in bar:
        labels = dict(zip([*TASK_KEYS, "set_size"], task, strict=True))
        gene, direction = labels["gene"], labels["direction"]
        bar.set_description(f"{cell_type} {gene}")
        tables = analyse_set(
            labels,
            test[direction].members(gene, _in_nested_order(rows, gene)),
            test[direction].candidates(gene, windows if scope == "window" else None),
            test[direction],
            training[direction],
            rng=generator(seed, "redundancy", *task),
        )
        parts.append(tables)
        row = tables["redundancy"].iloc[0]
        log.info(
            "%s, %s (%s, %d members): joint log effect %.4f, redundancy index %.3f (%.3f to %.3f), %s, "
            "%d alternative sets",
            cell_type, gene, direction, labels["set_size"], row["joint_log_effect"], row["redundancy_index"],
            row["redundancy_index_low"], row["redundancy_index_high"], row["class"], row["n_alternative_sets"],
        )  # fmt: skip
    return Redundancy(
        **{name: stack((tables[name] for tables in parts), columns) for name, columns in COLUMNS.items()}
    )


def _analyse_set(
    labels: dict,
    members: Tensor,
    allowed: Tensor,
    test: TaskCells,
    training: TaskCells,
    *,
    rng: np.random.Generator,
    weights: np.ndarray,
    n_independent: int,
    n_stability: int,
    max_alternatives: int,
    n_permutations: int,
    max_cells: int,
    set_size: int | None,
    search: dict,
) -> dict[str, pd.DataFrame]:
    """The five tables of one set."""
    gene = labels["gene"]
    cells, column, seen = test.of(gene)
    sign = direction_sign(cells.value)
    predict, *refits = (predictor(c, column, members) for c in (cells, *test.refits(gene)))
    measured = measure_subsets(predict, refits, len(members), weights)
    verdict = judge(measured, sign)
    shapley = shapley_values(lambda subsets: predict(subsets).mean(1), len(members), n_permutations, rng)

    found, log_changes = [members], [float(measured.log.joint)]
    search_cells, *_ = training.of(gene)
    further = next_sets(search_cells, column, members[: verdict.n_sufficient], allowed, rng, **search)
    for alternative in islice(further, max_alternatives if verdict.has_effect else 0):
        found.append(alternative)
        log_changes.append(_log_change(cells, column, alternative))
        if log_changes[-1] / log_changes[0] < SUFFICIENT_SHARE:
            break
    frequency = selection_frequency(
        training.refits(gene) or [search_cells],
        column,
        members,
        allowed,
        rng,
        set_size=set_size or len(members),
        n_repeats=n_stability,
        max_cells=max_cells,
        **search,
    )
    names = [[seen[m] for m in one.tolist()] for one in found]
    alternatives = alternative_table(labels, names, log_changes, verdict)
    reach = alternatives["reaches_90_percent"] & (alternatives["alternative"] > 0)
    n_alternatives = alternatives.loc[reach, "alternative"].nunique()
    return {
        "redundancy": redundancy_table(labels, measured, verdict, len(cells), n_alternatives),
        "members": member_table(labels, names[0], measured, verdict, sign, shapley, frequency),
        "interactions": interaction_table(labels, names[0], measured, sign, n_independent),
        "knock_down": knock_down_table(labels, names[0], measured),
        "alternatives": alternatives,
    }


def _in_nested_order(rows: pd.DataFrame, gene: str) -> list[str]:
    """Names of a set's members by rank."""
    rows = rows.sort_values("rank")
    if rows["rank"].tolist() != list(range(1, rows["set_size"].iloc[0] + 1)):
        raise InputError(
            f"sets: expected ranks 1 to set_size {rows['set_size'].iloc[0]} for '{gene}', "
            f"got {listing(rows['rank'])}"
        )
    return list(rows["peak"])


def _log_change(cells: PerturbedCells, column: int, members: Tensor) -> float:
    after = cells.predict_sets(members[None], column)[0]
    return float((after - cells.predict(column)).double().mean())


def _some_cells(opened: sparse.csr_matrix, most: int, rng: np.random.Generator) -> sparse.csr_matrix:
    n_cells = opened.shape[0]
    return opened if n_cells <= most else opened[np.sort(rng.choice(n_cells, most, replace=False))]


def _check(surrogate, test_cells: Multiome, training_opened, sets: pd.DataFrame, n_bootstrap: int) -> None:
    """Refuse inputs that do not belong together."""
    cell_types = pd.unique(sets["cell_type"])
    if len(cell_types) > 1:
        raise InputError(f"sets: expected one cell type per call, got {', '.join(map(str, cell_types))}")
    for split, opened in (("test", test_cells.atac.X), ("train", training_opened)):
        if opened.shape[0] == 0:
            raise InputError(
                f"cell type '{cell_types[0]}' has no {split} cells; raise "
                f"preprocessing.split.{split} or leave the type out of tasks"
            )
    if list(surrogate.peaks) != list(test_cells.atac.var.index):
        raise InputError("the surrogate was trained on other peaks than the multiome holds; train it again")
    missing = sorted(set(sets["gene"]) - set(surrogate.genes))
    if missing:
        hint = did_you_mean(missing[0], surrogate.genes)
        raise InputError(f"sets: gene '{missing[0]}' is not in the surrogate's genes.{hint}")
    for direction in pd.unique(sets["direction"]):
        if direction not in VALUE_OF_DIRECTION:
            raise InputError(f"sets: direction '{direction}' is unknown; expected silence or activate")
    if sets.duplicated([*TASK_KEYS, "set_size", "peak"]).any():
        raise InputError("sets: a set names the same peak twice; expected distinct members")
    if n_bootstrap < N_BOOTSTRAP_LEAST:
        raise InputError(
            f"redundancy.n_bootstrap is {n_bootstrap}; intervals need {N_BOOTSTRAP_LEAST} draws or more"
        )
