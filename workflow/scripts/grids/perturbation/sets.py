"""The sets of all genes of one cell type: of each gene, searches from several starts and the best of them."""

import logging
import os
from collections import Counter

import pandas as pd
from scipy import sparse
from tqdm import tqdm

from grids import tables
from grids.errors import InputError, did_you_mean, listing
from grids.perturbation.search import Search
from grids.perturbation.task_cells import TaskCells
from grids.perturbation.transition import VALUE_OF_DIRECTION
from grids.seeds import generator
from grids.tables import SKIPPED_COLUMNS

log = logging.getLogger("grids")

FOUND_COLUMNS = [
    "surrogate", "method", "cell_type", "gene", "direction", "set_size", "rank", "peak", "selection_frequency",
]  # fmt: skip
SEARCH_COLUMNS = [
    "surrogate", "method", "cell_type", "gene", "direction", "set_size", "start", "objective_before",
    "objective_after", "n_rounds", "n_steps", "n_evaluations", "converged", "seconds",
]  # fmt: skip


def find_sets(
    surrogate,
    opened: sparse.csr_matrix,
    tasks: pd.DataFrame,
    windows: pd.DataFrame,
    seed: int,
    *,
    set_size: int = 10,
    candidates: int = 32,
    scope: str = "genome",
    direction: str = "silence",
    batch_size: int | None = None,
    restarts: int = 4,
    start: str = "greedy",
    given: pd.DataFrame | None = None,
    max_rounds: int = 50,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Find the sets of all genes of one cell type.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
    opened : csr_matrix, shape (n_cells, n_peaks)
        Training cells of the type.
    tasks : DataFrame
        Columns ``cell_type, gene``; one cell type.
    windows : DataFrame
        Columns ``peak, gene``; read with ``scope="window"`` only.
    seed : int
    set_size, candidates, batch_size, max_rounds
        As in :class:`Search`.
    scope : {"genome", "window"}
        Candidates: every peak that the surrogate sees for the gene, or those in the gene's window.
    direction : {"silence", "activate"}
        Close peaks to lower the gene, or open them to raise it.
    restarts : int
        Searches per task: the first from `start`, the second from :meth:`Search.along_path`, the others from random
        sets. The best one is returned.
    start : {"greedy", "random", "given"}
    given : DataFrame, optional
        Columns ``cell_type, gene, peak``: the sets to start from with ``start="given"``.

    Returns
    -------
    sets : DataFrame
        :data:`FOUND_COLUMNS`; a row per member in nested order. `selection_frequency`: share of the restarts whose
        set holds the member and in which it does something (:meth:`Search.contributing`).
    searches : DataFrame
        :data:`SEARCH_COLUMNS`; a row per restart.
    skipped : DataFrame
        ``cell_type, gene, reason`` of tasks with fewer candidate peaks than `set_size`, and of genes that the
        surrogate does not have.

    Raises
    ------
    InputError
        When there are no cells, or `given` lacks a task's set or names peaks that the surrogate does not see.
    """
    task_cells = TaskCells(surrogate, opened, VALUE_OF_DIRECTION[direction], seed=seed, split="train")
    predicted_genes = set(surrogate.genes)
    origins = [start, "path"][:restarts] + ["random"] * (restarts - 2)
    found, searches, skipped = [], [], []
    bar = tqdm(tasks[["cell_type", "gene"]].itertuples(index=False), total=len(tasks), unit="gene")
    for cell_type, gene in bar:
        bar.set_description(f"{cell_type} {gene}")
        reason = None
        if gene not in predicted_genes:
            reason = f"not among the {len(predicted_genes)} genes of the {surrogate.name} surrogate"
        else:
            cells, column, peaks = task_cells.of(gene)
            allowed = task_cells.candidates(gene, windows if scope == "window" else None)
            if len(allowed) < set_size:
                reason = f"{len(allowed)} candidate peaks ({scope}), search.set_size is {set_size}"
        if reason:
            log.warning("%s, %s skipped: %s", cell_type, gene, reason)
            skipped.append([cell_type, gene, reason])
            continue
        screening = generator(seed, "screening", cell_type, gene)
        search = Search(cells, column, allowed, candidates, batch_size, screening)
        results = []
        for restart, origin in enumerate(origins):
            rng = generator(seed, "find_sets", cell_type, gene, restart)
            if origin == "given":
                names = _given_set(given, cell_type, gene, set_size)
                first = task_cells.members(gene, names, where="search.given")
            else:
                first = search.start(origin, set_size, rng)
            results.append(search.improve(first, rng, max_rounds, nested=False))
        best = max(results, key=lambda r: search.sign * r.objective_after)
        times_chosen = Counter(m for r in results for m in search.contributing(r.members).tolist())
        key = [surrogate.name, "grids", cell_type, gene, direction, set_size]
        found += [
            [*key, rank, peaks[member], times_chosen[member] / len(results)]
            for rank, member in enumerate(search.nested_order(best.members).tolist(), start=1)
        ]
        searches += [
            [*key, origin, result.objective_before, result.objective_after, result.n_rounds, result.n_steps,
             result.n_evaluations, result.converged, result.seconds]
            for origin, result in zip(origins, results, strict=True)
        ]  # fmt: skip
        log.info(
            "%s, %s: mean log-expression %.4f -> %.4f, %d of %d searches converged (no coordinate improves)",
            cell_type, gene, best.objective_before, best.objective_after,
            sum(r.converged for r in results), len(results),
        )  # fmt: skip
    return (
        pd.DataFrame(found, columns=FOUND_COLUMNS),
        pd.DataFrame(searches, columns=SEARCH_COLUMNS),
        pd.DataFrame(skipped, columns=SKIPPED_COLUMNS),
    )


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


def _given_set(given: pd.DataFrame | None, cell_type: str, gene: str, set_size: int) -> list[str]:
    """Names of the peaks of the task's given set."""
    here = given[(given["cell_type"] == cell_type) & (given["gene"] == gene)] if given is not None else ()
    if len(here) != set_size:
        raise InputError(
            f"search.start is given: expected {set_size} peaks for {cell_type}, {gene} in search.given, "
            f"found {len(here)}"
        )
    return list(here["peak"])
