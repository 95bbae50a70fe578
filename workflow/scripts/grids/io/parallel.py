"""Parts of a job, such as its genes, in several processes at once: the same tables as one after the other."""

import contextlib
import dataclasses
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from logging.handlers import QueueHandler
from queue import Queue
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from grids.io.checkpoints import KeptTables
from grids.io.logging import log
from grids.io.tables import concatenate

Part, Tables = TypeVar("Part"), TypeVar("Tables")

# A process costs some seconds to start: it should have so many genes, in so many parts, to be worth it.
GENES_PER_WORKER, PARTS_PER_WORKER = 4, 4
# Of a job that keeps the parts that are done and is killed.
MOST_GENES_LOST = 8


def over_genes(
    explain: Callable[[pd.DataFrame], Tables],
    table: pd.DataFrame,
    n_workers: int,
    kept: KeptTables | None = None,
) -> Tables:
    """Explain the genes of a table, in several processes where there are many.

    Every process computes with one thread, so that results do not depend on their number.

    Parameters
    ----------
    explain : callable
        From rows of the table to a tuple, or a dataclass, of DataFrames; what it makes of a gene must not depend on
        the other genes. It is sent to the processes with all that it holds.
    table : DataFrame
        Has a column `gene`; the rows of a gene stay together.
    n_workers : int
        Processes at most; 1: this process does it all.
    kept : KeptTables, optional
        Where `explain` returns a tuple: parts that are done are kept there, and what is there is not done again.

    Returns
    -------
    tuple or dataclass of DataFrames
        What ``explain(table)`` returns. Log lines and warnings of the processes come out here, their progress bars
        do not: one bar counts the parts.
    """
    genes = pd.unique(table["gene"])
    n_workers = min(n_workers, len(genes) // GENES_PER_WORKER)
    n_parts = min(len(genes), PARTS_PER_WORKER * n_workers) if n_workers > 1 else 1
    if kept is not None:
        n_parts = max(n_parts, -(-len(genes) // MOST_GENES_LOST))
    parts = [table[table["gene"].isin(part)] for part in np.array_split(genes, max(n_parts, 1))]
    results = [None if kept is None else kept.load(pd.unique(part["gene"])) for part in parts]
    left = [k for k, result in enumerate(results) if result is None]
    if len(left) < len(parts):
        log.info("resumed: %d of %d parts of the genes had been done", len(parts) - len(left), len(parts))
    left_parts = [parts[k] for k in left]
    title = f"{sum(part['gene'].nunique() for part in left_parts)} genes"
    for k, result in zip(left, in_processes(explain, left_parts, n_workers, title), strict=True):
        results[k] = result
        if kept is not None:
            kept.save(pd.unique(parts[k]["gene"]), result)
    return _joined(results) if len(results) > 1 else results[0]


def in_processes(
    explain: Callable[[Part], Tables], parts: Sequence[Part], n_workers: int, title: str
) -> Iterator[Tables]:
    """The result of each part, as soon as it and those before it are there; `title` is that of the progress bar.

    Every process computes with one thread. With one worker, this process does it all.
    """
    if n_workers < 2:
        for part in parts:
            with _one_thread():
                result = explain(part)
            yield result
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=n_workers, inner_max_num_threads=1):
        # Arrays are sent, not mapped from files: a mapped one could not be written to.
        done = Parallel(return_as="generator", max_nbytes=None)(
            delayed(_recorded)(explain, part) for part in parts
        )
        for result, records in tqdm(done, total=len(parts), unit="part", desc=title):
            for record in records:
                logging.getLogger(record.name).handle(record)
            yield result


@contextlib.contextmanager
def _one_thread():
    """One thread for torch and NumPy, as the processes have."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _recorded(explain: Callable[[Part], Tables], part: Part) -> tuple[Tables, list[logging.LogRecord]]:
    """What `explain` returns, and what it logged."""
    records = Queue()
    recorder = QueueHandler(records)  # fills arguments in, so that records can be sent on
    logging.captureWarnings(True)
    for logger in (log, logging.getLogger("py.warnings")):
        logger.handlers[:] = [recorder]
        logger.propagate = False
    log.setLevel(logging.INFO)
    with contextlib.redirect_stderr(io.StringIO()):
        return explain(part), list(records.queue)


def _joined(results: list[Tables]) -> Tables:
    """Each table of the results from all parts, one below the other."""
    first = results[0]
    if isinstance(first, tuple):
        return tuple(concatenate(parts) for parts in zip(*results, strict=True))
    names = [table.name for table in dataclasses.fields(first)]
    return type(first)(**{name: concatenate(getattr(result, name) for result in results) for name in names})
