"""The synthetic benchmark from end to end, in reduced form."""

import pytest
from browser import click_through, needs_chromium
from running import succeed

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CONFIG = {
    "run": "synthetic",
    "synthetic": {
        "functions": ["redundant", "switch"],
        "background": [0, 0.25],
        "n_replicates": 2,
        "n_cells": 200,
        "methods": ["random", "sage", "knock_out", "grids"],
    },
    "explainers": {"sage": {"n_permutations": 200}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return succeed(tmp_path_factory.mktemp("synthetic"), CONFIG)


def test_every_method_is_scored_on_every_function(run):
    replicates, summary = (run.table(f"synthetic/{name}") for name in ("replicates.tsv.gz", "summary.tsv"))
    assert len(replicates) == 2 * 2 * 2 * 4
    same = replicates.groupby(["function", "background", "replicate"])["best_effect"].nunique()
    assert same.eq(1).all()
    assert summary["method"].unique().tolist() == ["grids", "knock_out", "sage", "random"]
    assert summary["n_replicates"].eq(2).all()
    f1 = summary[summary["score"] == "f1"].groupby("method")["mean"].mean()
    assert f1["grids"] > 0.8 > 0.3 > f1["random"]


def test_quick_methods_share_a_job(run):
    assert run.jobs == {
        "explain_synthetic": 3, "collect_synthetic": 1, "figure_synthetic_recovery": 1,
        "describe_provenance": 1, "all": 1,
    }  # fmt: skip
    assert (run.folder / "figures/synthetic_recovery.svg").stat().st_size > 5000


@needs_chromium
def test_everything_in_the_report_opens(run):
    report = run.folder / "report.html"
    succeed(run.folder.parents[1], CONFIG, options=["--report", report])
    seen = click_through(report, ["summary", "recovery"])
    assert len(seen["Synthetic benchmark/Other"]) == 2
