"""The scale benchmark from end to end, in reduced form."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from running import succeed

from benchmarks.scale.points import points, stages_of

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CONFIG = yaml.safe_load((Path(__file__).parent / "scale.yaml").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return succeed(tmp_path_factory.mktemp("scale"), CONFIG)


def test_every_stage_is_measured_at_every_point(run):
    measurements, costs = (run.table(f"scale/{name}.tsv") for name in ("measurements", "costs"))
    expected = {
        (name, stage)
        for name, point in points(CONFIG["scale"]).items()
        for stage in ["training", *stages_of(point)]
    }
    assert set(zip(costs["point"], costs["stage"], strict=True)) == expected
    assert len(measurements) == len(expected) * 2 - 3  # training runs once
    assert np.isfinite(costs["result"]).all() and (costs["seconds"] > 0).all()
    assert ((costs["base_mb"] <= costs["start_mb"]) & (costs["start_mb"] <= costs["peak_mb"])).all()
    searched = costs[costs["stage"] == "search"].set_index("point")["result"]
    assert (searched < 0).all()  # closing the found set lowers the gene


def test_pooled_and_dense_steps_do_the_same(run):
    ratios, exponents = (run.table(f"scale/{name}.tsv") for name in ("ratios", "exponents"))
    assert len(ratios) == 2 * 3 and ratios["same_result"].all()
    assert (ratios["ratio"] > 0).all() and (ratios["dense_peak_mb"] > ratios["pooled_peak_mb"]).any()
    assert np.isfinite(exponents[["exponent", "standard_error"]]).all(axis=None)
    assert set(exponents["size"]) == {"n_peaks"} and exponents["n_values"].eq(3).all()


def test_what_was_run(run):
    assert run.jobs == {
        "simulate_scale": 3, "train_scale": 3, "measure_scale": 3, "collect_scale": 1, "figure_scale_cost": 1,
        "describe_provenance": 1, "all": 1,
    }  # fmt: skip
    assert (run.folder / "figures/scale_cost.svg").stat().st_size > 5000
    assert not list(run.folder.glob("scale/data/*/*.h5mu"))
