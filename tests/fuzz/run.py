"""Feed every parser generated files for a while:  bash envs/run python tests/fuzz/run.py --minutes 10

Each execution has to end in success or in one InputError of lines to read, within 20 s of processor time, and without
taking more than 2 GB beyond what the libraries take. Each parser runs in a process of its own, so that one that dies
is told from one that is done. Inputs are drawn from seeds 0, 1, 2, ...: a run repeats what an earlier one did, for
longer or shorter. Prints the executions of each parser; ends with status 1 if anything failed.
"""

import argparse
import contextlib
import faulthandler
import logging
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
from parsers import PARSERS, whole

from grids.io.errors import LONGEST, InputError

CPU_SECONDS = 20
WALL_SECONDS = 300  # for what no signal of Python reaches
MEMORY_BYTES = 2 << 30
EXAMPLES_PER_SEED = 100
LEAST = 20  # executions of a parser, however slow the machine
MOST_FAILURES = 5  # different ones, per parser


class Hang(BaseException):
    """Not an Exception: no parser may catch it."""


def fuzz(name: str, seconds: float, folder: Path, connection) -> None:
    """Run one parser for so long; send its counts, failures and memory, and end the process."""
    with (folder / "log").open("w") as log:  # warnings of the libraries
        faulthandler.enable(log)
        logging.getLogger("grids").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGPROF, _hang)
        before = _memory_now()
        resource.setrlimit(resource.RLIMIT_AS, (before + MEMORY_BYTES, resource.RLIM_INFINITY))
        counts, failures = Counter(), {}
        until, seed = time.monotonic() + seconds, 0
        while (time.monotonic() < until or counts["executions"] < LEAST) and len(failures) < MOST_FAILURES:
            _examples(PARSERS[name], seed, until, folder, counts, failures, log)
            seed += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        connection.send((counts, failures, peak))


def _examples(parser, seed, until, folder, counts, failures, log) -> None:
    """The examples of one seed."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=EXAMPLES_PER_SEED,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(parser.inputs)
    def execute(value):
        if time.monotonic() > until and counts["executions"] >= LEAST:
            return
        faulthandler.dump_traceback_later(WALL_SECONDS, exit=True, file=log)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        counts["executions"] += 1
        try:
            parser.parse(value, folder)
        except InputError as error:
            counts["refused"] += 1
            told = error.told
            if not all(line.isprintable() and 10 <= len(line) <= 4 * LONGEST for line in told) or not told:
                failures.setdefault("the message has no lines to read", repr(told))
        except (Exception, Hang) as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            where = traceback.extract_tb(error.__traceback__)[-1]
            shown = (
                f"{value!r:.2000}" if not isinstance(value, bytes) or len(value) < 2000 else "in the folder"
            )
            key = f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
            failures.setdefault(key, f"{''.join(traceback.format_exception(error)[-12:])}\ninput: {shown}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()

    with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # the time was over before the first one
        execute()


def _hang(*_):
    raise Hang(f"more than {CPU_SECONDS} s of processor time")


def _memory_now() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def run(name: str, seconds: float) -> tuple[Counter, dict, float]:
    """Fuzz one parser in a process of its own."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        process = context.Process(target=fuzz, args=(name, seconds, Path(folder), sender))
        process.start()
        sender.close()
        try:
            result = receiver.recv()
        except EOFError:
            process.join()
            last = (Path(folder) / "log").read_text()[-3000:]
            result = Counter(), {f"the process ended with status {process.exitcode}": last}, 0
        process.join()
    return result


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--minutes", type=float, default=10, help="in all, shared by the parsers")
    options.add_argument("--jobs", type=int, default=1, help="parsers at a time")
    options.add_argument("--only", nargs="+", choices=PARSERS, default=list(PARSERS), metavar="PARSER")
    given = options.parse_args()
    import scanpy  # noqa: F401  (before the processes part, as the files below)

    for kind in ("h5mu", "preprocessed", "10x", "cool", "rna", "atac", "window", "paper", "normalised"):
        whole(kind)
    hypothesis.given(hypothesis.strategies.text())(
        lambda _: None
    )()  # looks through all modules the first time
    seconds = 60 * given.minutes / len(given.only)
    with ThreadPoolExecutor(given.jobs) as pool:
        results = list(pool.map(lambda name: run(name, seconds), given.only))
    print(f"{'parser':<20}{'executions':>12}{'accepted':>10}{'refused':>10}{'failures':>10}{'peak MB':>9}")
    for name, (counts, failures, peak) in zip(given.only, results, strict=True):
        accepted = counts["executions"] - counts["refused"]
        print(
            f"{name:<20}{counts['executions']:>12,}{accepted:>10,}{counts['refused']:>10,}{len(failures):>10}"
            f"{peak / 2**20:>9.0f}"
        )
    total = sum(counts["executions"] for counts, _, _ in results)
    failed = {name: failures for name, (_, failures, _) in zip(given.only, results, strict=True) if failures}
    print(
        f"fuzz executions: {total:,} of {len(given.only)} parsers; failures: {sum(map(len, failed.values()))}"
    )
    for name, failures in failed.items():
        for what, how in failures.items():
            print(f"\n== {name}: {what}\n{how}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
