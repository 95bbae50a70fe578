"""The star of points, what is measured at each, and the config of the scale benchmark."""

from pathlib import Path

import pytest
import yaml
from schemas import GUESTS, schema_of

from benchmarks.scale import explaining_stages, training_stages
from benchmarks.scale.points import (
    ASKED_STAGES,
    MANY_STAGES,
    SIZES,
    SIZES_OF_STAGE,
    asks_for_long_stages,
    check_sizes,
    dataset_of,
    points,
    stages_of,
    training_stage_of,
)
from grids.io.config import check
from grids.io.errors import InputError

ROOT = Path(__file__).parents[3]
SCHEMA = GUESTS["scale"]
OTHERS = ("paper", "repeats", "tasks_per_type", "genes_of_one_type", "restarts", "paper_epochs")
SCALE = yaml.safe_load((ROOT / "config/scale.yaml").read_text())["scale"]


def test_one_size_at_a_time_is_varied():
    found = points(SCALE)
    middle = found["middle"]
    assert {size: middle[size] for size in SIZES} == SCALE["middle"]
    for name, point in found.items():
        different = {size for size in SIZES if point[size] != middle[size]}
        if not name.startswith(("paper", "many")) and name != "middle":
            assert different == {point["varied"]} and name == f"{point['varied']}-{point[point['varied']]}"
    assert len(found) == 1 + 6 * 4 + 2 + 4
    assert [found[f"paper-{n}"]["n_peaks"] for n in (10, 128)] == [127_219] * 2


def test_a_value_that_is_the_middles_is_no_point_of_its_own():
    few = {**SCALE, "vary": {"n_genes": [1000, 500]}, "paper": [], "many_cells": []}
    assert list(points(few)) == ["middle", "n_genes-500"]


def test_points_that_only_ask_another_question_share_the_data():
    found = points(SCALE)
    assert len({dataset_of(point) for point in found.values()}) == 1 + 4 * 4 + 1 + 4
    assert dataset_of(found["set_size-40"]) == dataset_of(found["middle"])


def test_stages_are_measured_where_their_sizes_vary():
    found = points(SCALE)
    assert stages_of(found["middle"]) == stages_of(found["paper-10"]) == list(SIZES_OF_STAGE)
    assert stages_of(found["candidates-8"]) == ["search_step", "search", "paper_search_step"]
    assert stages_of(found["paper-128"]) == ["search_step", "search", "effects", "paper_search_step"]
    assert "dense_paper_atac_step" in stages_of(found["n_peaks-7500"])
    assert "dense_paper_atac_step" not in stages_of(found["n_cells-750"])
    assert stages_of(found["many-50000"]) == MANY_STAGES
    assert training_stage_of(found["many-50000"]) == "training_pass"
    assert training_stage_of(found["middle"]) == "training"


def test_long_stages_are_measured_where_they_are_asked_for():
    found = points(SCALE | {"tasks_per_type": 2, "genes_of_one_type": 30, "paper_epochs": 4})
    assert stages_of(found["paper-10"])[-5:] == [
        "all_tasks", "many_genes", "atac_training", "paper_atac_training", "paper_training",
    ]  # fmt: skip
    assert stages_of(found["paper-128"])[-2:] == ["paper_search_step", "all_tasks"]
    assert not set(ASKED_STAGES) & set(stages_of(found["middle"]))
    assert asks_for_long_stages({"tasks_per_type": 2}) and not asks_for_long_stages(SCALE)


def test_every_stage_exists_once():
    for stage in dict.fromkeys(("training", "training_pass", *MANY_STAGES, *SIZES_OF_STAGE, *ASKED_STAGES)):
        assert hasattr(training_stages, stage) != hasattr(explaining_stages, stage)


def test_the_shipped_config_is_the_default():
    of_schema = SCHEMA["properties"]["scale"]["properties"]
    for key in ("middle", "vary"):
        assert {size: entry["default"] for size, entry in of_schema[key]["properties"].items()} == SCALE[key]
    assert {key: of_schema[key]["default"] for key in OTHERS} == {key: SCALE[key] for key in OTHERS}


def test_defaults_need_no_data():
    check({"scale": {}}, schema_of({"scale": {}}), "study.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "scale: {}\ninput: {}",
            "scale and input exclude each other: the scale benchmark generates its own data",
        ),
        ("scale: {middle: {cells: 3}}", "unknown key 'cells' in 'scale.middle'."),
        ("scale: {paper: [0]}", "scale.paper[0]: 0 is not allowed"),
        (
            "scale: {middle: {n_peaks: 10000}}",
            "scale: n_open 4000 is more than a quarter of n_peaks 10000; lower it, or take more peaks",
        ),
        (
            "scale: {vary: {n_peaks: [2000]}}",
            "scale: n_open 1000 is more than a quarter of n_peaks 2000; lower it, or take more peaks",
        ),
    ],
)
def test_messages(text, expected):
    with pytest.raises(InputError) as error:
        config = yaml.safe_load(text)
        check(config, schema_of(config), "study.yaml")
        scale = config["scale"]
        check_sizes({key: SCALE[key] | scale.get(key, {}) for key in ("middle", "vary")}, "study.yaml")
    assert str(error.value).startswith(f"study.yaml: {expected}") and "\n" not in str(error.value)
