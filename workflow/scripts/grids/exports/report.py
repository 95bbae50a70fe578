"""The report of a run, and the last words of a run that failed."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from grids.io.errors import InputError
from grids.io.writing import check_writable, whole


def make_report(
    path: str | os.PathLike,
    target: str,
    snakefile: str | os.PathLike,
    config_files: Sequence[str | os.PathLike],
    config_args: Sequence[str],
    stylesheet: str | os.PathLike,
) -> None:
    """Have Snakemake report on everything that ``target`` needs, in the working directory.

    `path` then holds a whole report or nothing. All files of `target`, a rule, exist. `config_files` and
    `config_args`, ``key=value``, are as given with ``--configfile`` and ``--config``.

    Raises
    ------
    RuntimeError
        With Snakemake's last words when no report came out.
    """
    command = [sys.executable, "-m", "snakemake", target, "--snakefile", snakefile, "--nocolor"]
    command += ["--configfile", *config_files] if config_files else []
    command += ["--config", *config_args] if config_args else []
    with whole(path) as partial:
        command += ["--report-stylesheet", stylesheet, "--report", partial]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        result = subprocess.run(list(map(str, command)), **output)
        print(result.stdout, file=sys.stderr)
        if result.returncode or not partial.is_file():
            raise RuntimeError(f"snakemake --report failed: {' '.join(result.stdout.split()[-40:])}")


def last_words(results: str | os.PathLike) -> list[str]:
    """What a run that ended well tells: how many tasks are explained, and where the report is.

    `results`: folder of the run; a benchmark's has no ``summary.tsv``.
    """
    report, path = Path(results, "report.html"), Path(results, "summary.tsv")
    lines = [f"The report of this run: {report}"]
    if path.is_file():
        # Loading pandas takes time that only a run that is done has.
        from grids.exports.summary import EXPLAINED, in_one_line
        from grids.io.tables import read

        summary = read(path)
        # Whatever somebody has put there must not fail a run that is done.
        if "outcome" in summary:
            why = "" if summary["outcome"].eq(EXPLAINED).all() else f" (why: {report})"
            lines.insert(0, in_one_line(summary) + why)
    return lines


def what_went_wrong(logs: str | os.PathLike, since: float) -> list[str]:
    """A line for each error that a job ended with, behind the job's log, one of those in the folder `logs`.

    Logs older than `since`, a time stamp in seconds, belong to earlier runs. When every log ends as that of a job that
    is done, a hint at Snakemake's messages.
    """
    lines = []
    for log, text in _new_logs(logs, since):
        if not any(" INFO done: " in line for line in text[-1:]):
            lines += [f"{log}: {error}" for error in _last_errors(text) or [_why_without_words(log)]]
    return lines or ["the logs of all jobs end well; Snakemake's own lines above tell"]


def font_warnings(logs: str | os.PathLike, since: float) -> list[str]:
    """What the figures of this run lack, each line once: they are many, and drawn by many jobs.

    Parameters as in :func:`what_went_wrong`.
    """
    lines = [line for _, text in _new_logs(logs, since) for line in text]
    return sorted({line.partition(" WARNING ")[2] for line in lines if " WARNING fonts: " in line})


def _new_logs(logs: str | os.PathLike, since: float) -> Iterator[tuple[Path, list[str]]]:
    """Each log that was written since, and its lines."""
    for log in sorted(Path(logs).rglob("*.log")):
        if log.stat().st_mtime >= since:
            yield log, log.read_text(encoding="utf-8", errors="replace").splitlines()


def _last_errors(text: list[str]) -> list[str]:
    """The errors in the lines of a log that stand below each other after everything else of their kind."""
    last = max((i for i, line in enumerate(text) if " ERROR " in line), default=-1)
    block = itertools.takewhile(lambda line: " ERROR " in line, reversed(text[: last + 1]))
    return [line.partition(" ERROR ")[2] for line in reversed(list(block))]


def _why_without_words(log: Path) -> str:
    """A log on a full disk does not take the message."""
    try:
        check_writable(log.parent, "the folder of this log")
    except InputError as error:
        return str(error)
    return "ended without a message: stopped from outside, or out of memory"
