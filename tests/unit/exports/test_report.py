import os

import pandas as pd
import pytest

from grids.exports.report import font_warnings, last_words, make_report, what_went_wrong
from grids.io import tables


def write(folder, name, text, modified):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (modified, modified))
    return path


def test_failed_jobs_of_this_run_are_told_with_their_last_errors(tmp_path):
    failed = write(
        tmp_path,
        "preprocess.log",
        "t ERROR a\nt INFO b\nt ERROR gene 'X' is absent\nt ERROR gene 'Y' is absent\n",
        20,
    )
    killed = write(tmp_path, "train/a.log", "2026 INFO epoch 3\n", 20)
    write(tmp_path, "done.log", "t ERROR retried\n2026 INFO done: simulate in 1.0 s\n", 20)
    write(tmp_path, "earlier.log", "t ERROR of an earlier run\n", 5)
    assert what_went_wrong(tmp_path, since=10) == [
        f"{failed}: gene 'X' is absent",
        f"{failed}: gene 'Y' is absent",
        f"{killed}: ended without a message: stopped from outside, or out of memory",
    ]

    assert what_went_wrong(tmp_path, since=30) == [
        "the logs of all jobs end well; Snakemake's own lines above tell"
    ]


def test_what_figures_lack_is_told_once(tmp_path):
    lacks = "fonts: no installed font has letters of some names (script: CJK)"
    for name in ("figure_gate.log", "figure_locus/a.log"):
        write(tmp_path, name, f"2026 WARNING {lacks}\n2026 WARNING other\n2026 INFO done: x in 1.0 s\n", 20)
    assert font_warnings(tmp_path, since=10) == [lacks] and font_warnings(tmp_path, since=30) == []


def test_a_report_that_fails_leaves_nothing_and_says_why(tmp_path):
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text("rule all:\n    input: 'absent'\n")
    with pytest.raises(RuntimeError, match=r"snakemake --report failed: .*absent"):
        make_report(tmp_path / "report.html", "all", snakefile, [], [], tmp_path / "report.css")
    assert list(tmp_path.glob("*.html")) == []


def test_a_run_ends_with_what_came_of_its_tasks_and_where_the_report_is(tmp_path):
    report = f"The report of this run: {tmp_path / 'report.html'}"
    assert last_words(tmp_path) == [report]  # a benchmark
    summary = pd.DataFrame({"cell_type": "A", "gene": ["x", "y"], "outcome": "explained"})
    tables.write(summary, tmp_path / "summary.tsv")
    assert last_words(tmp_path) == ["within types: 2 of 2 tasks explained", report]
    (tmp_path / "summary.tsv").write_text("another table\n")
    assert last_words(tmp_path) == [report]
    tables.write(summary.assign(outcome="cannot be told"), tmp_path / "summary.tsv")
    assert last_words(tmp_path) == [
        f"within types: 0 of 2 tasks explained, 2 cannot be told (why: {tmp_path / 'report.html'})",
        report,
    ]
