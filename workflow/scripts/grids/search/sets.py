"""The sets of all genes of one cell type: of each gene, searches from several starts and the best of them."""

import os
from collections import Counter
from dataclasses import dataclass

import pandas as pd
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from grids.io import tables
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import SKIPPED_COLUMNS
from grids.search.directions import DIRECTIONS, SOUGHT
from grids.search.search import LEAST_EFFECT, Search, SearchResult, origins
from grids.search.task_cells import TaskCells
from grids.surrogates.pooling import Surrogate

FOUND_COLUMNS = [
    "surrogate", "method", "cell_type", "gene", "direction", "set_size", "rank", "peak", "share_of_restarts",
]  # fmt: skip
SEARCH_COLUMNS = [
    "surrogate", "method", "cell_type", "gene", "direction", "set_size", "start", "objective_before",
    "objective_after", "n_rounds", "n_steps", "n_evaluations", "converged", "seconds",
]  # fmt: skip


_CHANGES = {(-1,): "lowers", (1,): "raises", (-1, 1): "lowers or raises"}


@dataclass(frozen=True)
class Question:
    """What is searched for, and how hard: the config's `search`.

    Attributes
    ----------
    set_size : int
        Peaks that are searched for, as many as there are candidates at most. Those that do nothing
        (:meth:`Search.unfilled`) are no members.
    fill : bool
        Every set has `set_size` members, whatever they do.
    candidates, batch_size, max_rounds
        As in :class:`Search`.
    scope : {"genome", "window"}
        Candidates: every peak that the surrogate sees for the gene, or those in the gene's window.
    direction : {"change", "silence", "derepress", "activate"}
        Close peaks to lower the gene or to raise it, or open them to raise it. With `change` peaks are closed and
        both signs are searched: the set with the larger effect is returned, and its direction with it.
    restarts : int
        Searches per task and sign, see :func:`~grids.search.search.origins`. The best one is returned.
    start : {"greedy", "random", "given"}
    """

    set_size: int = 10
    fill: bool = False
    candidates: int = 32
    scope: str = "genome"
    direction: str = "silence"
    batch_size: int | None = None
    restarts: int = 4
    start: str = "greedy"
    max_rounds: int = 50


def find_sets(
    surrogate: Surrogate,
    opened: sparse.csr_matrix,
    tasks: pd.DataFrame,
    windows: pd.DataFrame | None,
    seed: int,
    question: Question,
    given: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Find the sets of all genes of one cell type.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        Training cells of the type.
    tasks : DataFrame
        Columns ``cell_type, gene``; one cell type.
    windows : DataFrame, optional
        Columns ``peak, gene``; read with ``scope="window"`` only.
    given : DataFrame, optional
        Columns ``cell_type, gene, peak``: the sets to start from with ``start="given"``, of `set_size` peaks, or
        of fewer unless `fill`.

    Returns
    -------
    sets : DataFrame
        :data:`FOUND_COLUMNS`; a row per member in nested order, `set_size` being the number of members.
        `share_of_restarts`: share of the restarts in whose set the member does something.
    searches : DataFrame
        :data:`SEARCH_COLUMNS`; a row per restart and direction that was searched, `set_size` being that of the set
        found in it.
    skipped : DataFrame
        ``cell_type, gene, reason`` of tasks in which no peak does anything, of those without candidate peaks (with
        `fill`: with fewer than `set_size`), and of genes that the surrogate does not have.

    Raises
    ------
    InputError
        When there are no cells, or `given` lacks a task's set or names peaks that the surrogate does not see.
    """
    value = DIRECTIONS[SOUGHT[question.direction][0]].value  # the same in all directions of a question
    task_cells = TaskCells(surrogate, opened, value, seed=seed, split="train")
    predicted_genes = set(surrogate.genes)
    found, searches, skipped = [], [], []
    bar = tqdm(tasks[["cell_type", "gene"]].itertuples(index=False), total=len(tasks), unit="gene")
    for cell_type, gene in bar:
        bar.set_description(f"{cell_type} {gene}")
        if gene not in predicted_genes:
            reason = f"not among the {len(predicted_genes)} genes of the {surrogate.name} surrogate"
        else:
            allowed = task_cells.candidates(gene, windows if question.scope == "window" else None)
            if not (reason := _too_few(len(allowed), question)):
                furthest, of_task = 0.0, []
                for direction in SOUGHT[question.direction]:
                    went, rows, of_searches = _find_set(
                        task_cells, (cell_type, gene, direction), allowed, seed, question, given
                    )
                    searches += of_searches
                    if rows and (went > furthest or not of_task):
                        furthest, of_task = went, rows
                found += of_task
                reason = None if of_task else _nothing_found(surrogate, gene, question)
        if reason:
            log.warning("%s, %s skipped: %s", cell_type, gene, reason)
            skipped.append([cell_type, gene, reason])
    return (
        pd.DataFrame(found, columns=FOUND_COLUMNS),
        pd.DataFrame(searches, columns=SEARCH_COLUMNS),
        pd.DataFrame(skipped, columns=SKIPPED_COLUMNS),
    )


def _too_few(n_allowed: int, question: Question) -> str | None:
    """Why a gene's candidate peaks are too few, where they are."""
    if n_allowed >= (question.set_size if question.fill else 1):
        return None
    reason = f"{n_allowed} candidate peaks ({question.scope})"
    return f"{reason}, search.set_size is {question.set_size}" if question.fill else reason


def _find_set(
    task_cells: TaskCells,
    task: tuple[str, str, str],
    allowed: Tensor,
    seed: int,
    question: Question,
    given: pd.DataFrame | None,
) -> tuple[float, list[list], list[list]]:
    """How far a task's set in one direction moves mean log-expression, rows of its members, and of the searches."""
    *task, direction = task
    cell_type, gene = task
    cells, column, peaks = task_cells.of(gene)
    cells = cells.seeking(DIRECTIONS[direction].sign)
    size = min(question.set_size, len(allowed))
    screening = generator(seed, "screening", *task)
    search = Search(cells, column, allowed, question.candidates, question.batch_size, screening)
    starts, first = origins(question.restarts, question.start), []
    rngs = [generator(seed, "find_sets", *task, restart) for restart in range(len(starts))]
    for origin, rng in zip(starts, rngs, strict=True):
        if origin == "given":
            names = _given_set(given, task, size, question.fill)
            first.append(task_cells.members(gene, names, where="search.given"))
        else:
            first.append(search.start(origin, size, rng))
    results = [search.improve(one, rng, question.max_rounds) for one, rng in zip(first, rngs, strict=True)]
    best, members, shares = _best(search, results, question.fill)
    key = [task_cells.surrogate.name, "grids", cell_type, gene, direction, len(members)]
    found = [
        [*key, rank, peaks[member], share]
        for rank, (member, share) in enumerate(zip(members, shares, strict=True), start=1)
    ]
    searches = [
        [*key, origin, result.objective_before, result.objective_after, result.n_rounds, result.n_steps,
         result.n_evaluations, result.converged, result.seconds]
        for origin, result in zip(starts, results, strict=True)
    ]  # fmt: skip
    log.info(
        "%s, %s, %s: mean log-expression %.4f -> %.4f, %d members, %d of %d searches converged "
        "(no coordinate improves)",
        cell_type, gene, direction, best.objective_before, best.objective_after, len(members),
        sum(r.converged for r in results), len(results),
    )  # fmt: skip
    went = cells.sign * (best.objective_after - best.objective_before)
    return went, found, searches


def _best(
    search: Search, results: list[SearchResult], fill: bool
) -> tuple[SearchResult, list[int], list[float]]:
    """The best result, its members in nested order, and in which share of the results each does something."""
    doing = [search.unfilled(result.members) for result in results]
    best = search.best(results)
    members = search.nested_order(best.members if fill else doing[results.index(best)]).tolist()
    times = Counter(member for one in doing for member in one.tolist())
    return best, members, [times[member] / len(results) for member in members]


def _nothing_found(surrogate: Surrogate, gene: str, question: Question) -> str:
    """Why a task has no set."""
    sought = [DIRECTIONS[name] for name in SOUGHT[question.direction]]
    act, what = "opening" if sought[0].value else "closing", _CHANGES[tuple(one.sign for one in sought)]
    reason = (
        f"nothing found: {act} no peak of the {question.scope} {what} predicted log-expression by more than "
        f"{LEAST_EFFECT:g}"
    )
    chance = surrogate.chance_of_no_member(gene)
    return reason if chance is None else f"{reason} (posterior chance that no peak is a member: {chance:.2f})"


def read_given(path: str | os.PathLike) -> pd.DataFrame:
    """Read the sets to start from: a TSV with columns ``cell_type, gene, peak``, a row per member.

    Raises
    ------
    InputError
        It is no such table.
    """
    where = f"search.given: '{path}'"
    try:
        given = tables.read(path, dtype=str)
    except tables.UNREADABLE as error:
        raise InputError(f"{where} cannot be read as a tab-separated table ({error})") from None
    if missing := [column for column in ("cell_type", "gene", "peak") if column not in given]:
        raise InputError(
            f"{where}: column '{missing[0]}' is missing; expected cell_type, gene and peak, it has: "
            f"{listing(given.columns)}.{did_you_mean(missing[0], given.columns)}"
        )
    return given


def _given_set(given: pd.DataFrame | None, task: tuple[str, str], set_size: int, fill: bool) -> list[str]:
    """Names of the peaks of the task's given set."""
    cell_type, gene = task
    here = given[(given["cell_type"] == cell_type) & (given["gene"] == gene)] if given is not None else ()
    if not (set_size if fill else 1) <= len(here) <= set_size:
        raise InputError(
            f"search.start is given: expected {'' if fill else '1 to '}{set_size} peaks for {cell_type}, {gene} in "
            f"search.given, found {len(here)}"
        )
    return list(here["peak"])
