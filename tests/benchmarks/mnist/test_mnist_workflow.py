"""The image benchmark from end to end, in reduced form."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from browser import click_through, needs_chromium
from running import ROOT, succeed

from benchmarks.mnist import classifier, digits  # noqa: F401 (the classifier is a kind of surrogate once imported)
from grids.surrogates import storage

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CONFIG = yaml.safe_load((Path(__file__).parent / "mnist.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "workflow/benchmarks/mnist/schema.yaml").read_text())
METHODS = SCHEMA["properties"]["mnist"]["properties"]["methods"]["default"]
SET_SIZE = CONFIG["mnist"]["set_size"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return succeed(tmp_path_factory.mktemp("mnist"), CONFIG)


def test_every_method_has_a_set_and_an_effect_on_the_test_eights(run):
    effects, sets, cells = (run.table(f"mnist/{n}") for n in ("effects.tsv", "sets.tsv", "cells.tsv.gz"))
    assert sorted(effects["method"]) == sorted(METHODS)
    assert effects["n_cells"].eq(100).all() and effects["seconds"].gt(0).all()
    assert sets.groupby("method")["peak"].nunique().eq(SET_SIZE).all()
    assert cells.groupby("method").size().eq(100).all()
    change = effects.set_index("method")["log_change"]
    assert (change.drop("grids") >= change["grids"] * 1.01).all()
    assert change["grids"] < 5 * change["random"] < 0


def test_tables_agree_with_the_stored_classifier(run):
    trained = storage.load(run.folder / "mnist/classifier.safetensors")
    stored = digits.read(run.folder / "mnist/digits.h5ad")
    test = stored.cells(cell_type="8", split="test")
    sets = run.table("mnist/sets.tsv").query("method == 'grids'")
    X = test.X.tolil()
    X[:, (sets["row"] * 28 + sets["column"]).to_numpy()] = 0
    after = run.table("mnist/cells.tsv.gz").query("method == 'grids'").set_index("cell")["after"]
    assert after.index.tolist() == test.obs.index.tolist()
    np.testing.assert_allclose(after, trained.predict(X.tocsr())[:, 0], rtol=1e-4, atol=1e-4)
    quality = run.table("mnist/quality.tsv").set_index("split")
    assert quality.loc["test", "accuracy"] > 0.93


def test_grids_is_compared_with_every_rival(run):
    comparisons = run.table("mnist/comparisons.tsv").query("cell_type.isna()")
    assert sorted(comparisons["method"]) == sorted(set(METHODS) - {"grids"})
    assert comparisons["cell_p_value"].between(0, 1).all()
    assert comparisons.set_index("method").loc["random", "cell_p_value"] < 1e-10


def test_figures_are_drawn_and_nothing_else_runs(run):
    for name in ("mnist_changes", "mnist_digits"):
        for suffix in ("pdf", "png", "svg"):
            assert (run.folder / f"figures/{name}.{suffix}").stat().st_size > 5000
    assert set(run.jobs) == {
        "train_mnist_classifier", "explain_mnist", "collect_mnist", "figure_mnist_changes",
        "figure_mnist_digits", "describe_provenance", "all",
    }  # fmt: skip


@needs_chromium
def test_everything_in_the_report_opens(run):
    report = run.folder / "report.html"
    succeed(run.folder.parents[1], CONFIG, options=["--report", report])
    seen = click_through(report, ["effects", "digits"])
    assert len(seen["Image benchmark/Other"]) == 4
