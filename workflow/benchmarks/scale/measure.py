"""Wall time and peak memory of a stage, in a process of its own."""

import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

# Work shorter than this is done again and again until it has taken about as long.
SHORTEST_SECONDS = 1
# After so long no further repeat is begun; a first call that is shorter than five seconds only warms up.
ENOUGH_SECONDS, WARM_UP_SECONDS = 60, 5

Work = Callable[[], float]


def peak_mb() -> float:
    """The most memory that this process and each of its children that still run have held so far, summed, in MB."""
    of_children = sum(_peak_kb(child) for child in _children())
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + of_children) / 1024


def cpu_seconds() -> float:
    """Processor time of this process and of its children that still run."""
    of_children = (child.cpu_times() for child in _children())
    return time.process_time() + sum(times.user + times.system for times in of_children)


def _children() -> Iterator[psutil.Process]:
    yield from psutil.Process().children(recursive=True)


def _peak_kb(process: psutil.Process) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    return int(found[1]) if found else 0


def measure(prepare: Callable[[], Work], repeats: int) -> list[dict]:
    """Prepare a stage and time it, in a forked process that does nothing else.

    Parameters
    ----------
    prepare : callable
        Reads and builds what the stage starts from, which is not timed, but its memory counts; returns the work. The
        work returns the number that says what came of it, and that of the first time is reported.
    repeats : int
        Fewer when they take more than a minute.

    Returns
    -------
    list of dict
        One per repeat: `repeat`, `seconds` (wall time of one call) and `cpu_seconds` (of all its threads and
        processes), `n_calls` (averaged over), `result`, and of the process `base_mb` (interpreter and libraries),
        `start_mb` (before the work begins) and `peak_mb` (the most it has held).
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(prepare, repeats, sender))
    process.start()
    sender.close()
    try:
        rows = receiver.recv()
    except EOFError:
        rows = None
    process.join()
    if rows is None or process.exitcode:
        raise RuntimeError(f"the measuring process ended with status {process.exitcode}")
    return rows


def _measure(prepare: Callable[[], Work], repeats: int, sender) -> None:
    memory = {"base_mb": peak_mb()}
    work = prepare()
    memory["start_mb"] = peak_mb()
    first, result = _timed(work)
    rows, n_calls = [], 1
    if first["seconds"] > WARM_UP_SECONDS:
        rows.append(first)
    else:
        n_calls = max(1, round(SHORTEST_SECONDS / max(_timed(work)[0]["seconds"], 1e-6)))
    while len(rows) < repeats and sum(row["seconds"] * row["n_calls"] for row in rows) < ENOUGH_SECONDS:
        rows.append(_timed(work, n_calls)[0])
    memory["peak_mb"] = peak_mb()
    sender.send(
        [{"repeat": i, **row, **memory, "result": float(result)} for i, row in enumerate(rows, start=1)]
    )
    if "joblib" in sys.modules:  # whose processes would be waited for until they have been idle for minutes
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(kill_workers=True)


def _timed(work: Work, n_calls: int = 1) -> tuple[dict[str, float], float]:
    """What one of some calls takes on average, and the result of the last."""
    cpu_started = cpu_seconds()
    started = time.perf_counter()
    for _ in range(n_calls):
        result = work()
    seconds = time.perf_counter() - started
    taken = {"seconds": seconds / n_calls, "cpu_seconds": (cpu_seconds() - cpu_started) / n_calls}
    return taken | {"n_calls": n_calls}, result
