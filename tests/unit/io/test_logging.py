"""What a job says: everything in its log, and on the terminal what the user has to know."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from grids.io.errors import InputError
from grids.io.logging import MOST_WARNINGS, job, tell


@pytest.fixture
def snakemake(tmp_path):
    handlers = logging.getLogger("grids").handlers[:]
    yield SimpleNamespace(log=[str(tmp_path / "logs" / "step.log")], rule="step")
    log = logging.getLogger("grids")
    log.handlers[:], log.propagate = handlers, True
    logging.captureWarnings(False)


def test_the_first_warnings_of_a_job_are_lines_on_the_terminal(snakemake, capsys):
    with job(snakemake) as log:
        print("a progress bar", file=sys.stderr)
        log.info("all is well")
        for i in range(MOST_WARNINGS + 3):
            log.warning("cells %d doubtful", i)
    told = capsys.readouterr().err.splitlines()
    path = snakemake.log[0]
    assert told == [
        *(f"warning: cells {i} doubtful" for i in range(MOST_WARNINGS)),
        f"warning: more in {path}",
    ]
    text = Path(path).read_text()
    assert (
        "a progress bar" in text and "all is well" in text and f"cells {MOST_WARNINGS + 2} doubtful" in text
    )


def test_what_is_told_stands_on_the_terminal_and_in_the_log(snakemake, capsys):
    with job(snakemake):
        tell("%s: %d genes can be tested", "Oligo", 40)
    assert capsys.readouterr().err == "Oligo: 40 genes can be tested\n"
    assert "INFO Oligo: 40 genes can be tested" in Path(snakemake.log[0]).read_text()


def test_an_error_is_one_line_on_the_terminal(snakemake, capsys):
    with pytest.raises(SystemExit), job(snakemake):
        raise InputError("cells.h5ad: no cells")
    assert capsys.readouterr().err == "error: cells.h5ad: no cells\n"
    assert "ERROR cells.h5ad: no cells" in Path(snakemake.log[0]).read_text()
