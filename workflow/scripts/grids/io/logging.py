"""One log per job: time-stamped lines, progress bars, warnings, and errors that speak."""

import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from grids.io.errors import InputError
from grids.io.writing import refusal

log = logging.getLogger("grids")

# Warnings of one job that go to the terminal; the log has all.
MOST_WARNINGS = 5


class _Terminal(logging.Handler):
    """The library's warnings, which must not stand in a log only, and what it tells (:func:`tell`), on the terminal."""

    def __init__(self, terminal, path: Path):
        super().__init__()
        self.terminal, self.path, self.n_told = terminal, path, 0

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "told", False):
            print(record.getMessage(), file=self.terminal, flush=True)
        if record.levelno != logging.WARNING:
            return
        self.n_told += 1
        if self.n_told <= MOST_WARNINGS:
            print(f"warning: {record.getMessage()}", file=self.terminal, flush=True)
        elif self.n_told == MOST_WARNINGS + 1:
            print(f"warning: more in {self.path}", file=self.terminal, flush=True)


def tell(message: str, *values) -> None:
    """A line for the log that the user sees too, on the terminal of a run or in the log of a cluster's job."""
    log.info(message, *values, extra={"told": True})


@contextlib.contextmanager
def job(snakemake) -> Iterator[logging.Logger]:
    """Run the body of a script with its log file open.

    Everything goes to ``snakemake.log[0]``: log lines, warnings, and whatever is printed to stderr (tqdm bars
    included). The first warnings of the library, and the lines of an :class:`~grids.io.errors.InputError`, which ends
    with exit status 1, go to the terminal too; any other exception keeps its traceback in the log.
    """
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    started = time.monotonic()
    with _closed_whatever_happens(path.open("w", buffering=1)) as file, contextlib.redirect_stderr(file):
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.handlers[:] = [handler, _Terminal(terminal, path)]
        log.setLevel(logging.INFO)
        log.propagate = False
        logging.captureWarnings(True)
        logging.getLogger("py.warnings").handlers[:] = [handler]
        warnings.simplefilter("ignore", FutureWarning)
        try:
            yield log
        except InputError as error:
            for line in error.told:
                log.error("%s", line)
            print(error.report, file=terminal, flush=True)
            sys.exit(1)
        except Exception as error:
            refused = refusal(error, path)  # progress bars too need room
            told = refused or f"{type(error).__name__}: {error} (traceback in {path})"
            log.error("%s", refused) if refused else log.exception("%s", error)
            print(f"error: {told}", file=terminal, flush=True)
            sys.exit(1)
        log.info("done: %s in %.1f s", getattr(snakemake, "rule", "job"), time.monotonic() - started)


@contextlib.contextmanager
def _closed_whatever_happens(file):
    """A full disk must not hide how the job ended."""
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()
