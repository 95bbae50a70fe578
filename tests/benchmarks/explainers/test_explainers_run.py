"""Any explainer by its name: from a problem to a set and its cost."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from models import open_peaks
from toys import AnyOfToy, LinearToy

from benchmarks.explainers.cxplain import cxplain
from benchmarks.explainers.jobs import SLOW, jobs
from benchmarks.explainers.problem import Problem
from benchmarks.explainers.run import DEPEND_ON_SET_SIZE, EXPLAINERS, METHODS, explain, top
from grids.search.objective import PerturbedCells

ROOT = Path(__file__).parents[3]
N_PEAKS = 24
QUICK = {
    "subset_sampler": {"n_steps": 100},
    "fimap": {"n_steps": 60},
    "sage": {"n_permutations": 8},
    "lime": {"n_neighbours": 128, "n_cells": 16},
    **{f"cxplain_{w}": {"n_epochs": 3} for w in (4, 16, 32, 64)},
}


def problem(weights: np.ndarray, set_size: int, value: int = 0, **more) -> Problem:
    toy = LinearToy(weights, bias=5.0)
    cells = PerturbedCells(toy, open_peaks(80, len(weights), share=0.5), value)
    allowed = more.pop("allowed", torch.arange(len(weights)))
    return Problem(cells, 0, allowed, set_size, np.random.default_rng(3), **more)


def steep_weights() -> np.ndarray:
    """Peaks 4, 11 and 17 do most, in this order; the others next to nothing."""
    weights = np.full(N_PEAKS, 0.01)
    weights[[4, 11, 17]] = 3.0, 2.0, 1.0
    return weights


def everything(set_size: int, value: int = 0) -> Problem:
    asked = problem(steep_weights(), set_size, value)
    observed = asked.cells.predict(0).numpy()
    distance = np.abs(np.arange(N_PEAKS) - 4) * 1000.0
    return problem(steep_weights(), set_size, value, observed=observed, distance_bp=distance)


@pytest.mark.parametrize("method", [m for m in METHODS if not m.startswith("cxplain_")])
@pytest.mark.parametrize("value", [0, 1])
def test_every_method_returns_a_set_of_distinct_candidates(method, value):
    found = explain(everything(3, value), method, QUICK.get(method))[3]
    assert len(found.members) == 3 == len(found.members.unique())
    assert found.seconds > 0


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("random", "distance", "cxplain_64")])
def test_every_method_but_those_that_do_not_look_finds_the_peak_that_does_most(method):
    found = explain(everything(4), method, QUICK.get(method))[4]
    # CXPlain scores windows of neighbouring peaks: the strongest one's window comes first.
    assert 4 in found.members.tolist()


@pytest.mark.parametrize("method", sorted(DEPEND_ON_SET_SIZE | {"knock_out"}))
def test_only_candidates_are_chosen(method):
    allowed = torch.tensor([2, 11, 13, 17, 20])
    asked = problem(steep_weights(), 2, allowed=allowed)
    assert explain(asked, method, QUICK.get(method))[2].members.sort().values.tolist() == [11, 17]


def test_equal_seeds_give_equal_sets():
    for method in ("grids", "lime", "fimap", "sage", "subset_sampler", "random"):
        first, second = (explain(everything(5), method, QUICK.get(method))[5].members for _ in range(2))
        assert first.tolist() == second.tolist(), method


def test_cost_counts_what_the_surrogate_evaluated():
    asked = problem(steep_weights(), 3)
    scan = explain(asked, "knock_out")[3]
    # One prediction for each open peak of each cell, and each cell as it is: before, and to start from.
    assert scan.n_forward == asked.cells.opened.nnz + 2 * len(asked.cells)
    assert scan.n_backward == 0
    assert explain(asked, "saliency")[3].n_backward > 0
    assert explain(asked, "random")[3].n_forward == 0


def test_scores_that_do_not_depend_on_the_size_are_made_once():
    asked = everything(6)
    sets = explain(asked, "knock_out", set_sizes=[2, 6])
    assert sets[2].members.tolist() == sets[6].members[:2].tolist()
    assert sets[2].n_forward == sets[6].n_forward > 0


def test_a_search_runs_for_each_size():
    sets = explain(everything(6), "grids", set_sizes=[1, 3])
    assert sets[1].members.tolist() == [4]
    assert sets[3].members.sort().values.tolist() == [4, 11, 17]
    assert sets[1].n_forward < sets[3].n_forward


def test_grids_finds_the_redundant_set_that_single_peaks_do_not_show():
    toy = AnyOfToy(12, members=[2, 5, 8])
    opened = open_peaks(60, 12, share=0.2).tolil()
    opened[:, [2, 5, 8]] = 1
    cells = PerturbedCells(toy, opened.tocsr(), 0)
    asked = Problem(cells, 0, torch.arange(12), 3, np.random.default_rng(0))
    single = explain(asked, "knock_out")[3]
    assert cells.mean_of_sets(single.members[None], 0).item() >= 0
    found = explain(asked, "grids", {"restarts": 8})[3]
    assert found.members.sort().values.tolist() == [2, 5, 8]


def test_ties_go_to_the_first_peak():
    asked = problem(np.ones(6), 2, allowed=torch.tensor([1, 3, 4]))
    assert top(torch.tensor([9.0, 1, 9, 2, 2, 9]), asked).tolist() == [3, 4]


def test_the_config_has_the_defaults_of_the_methods():
    schema = yaml.safe_load((ROOT / "workflow/benchmarks/explainers/schema.yaml").read_text())
    asked = schema["properties"]["explainers"]["properties"]
    for name, entry in asked.items():
        keywords = inspect.signature(EXPLAINERS.get(name, cxplain)).parameters
        for key, value in entry["properties"].items():
            assert value["default"] == keywords[key].default, f"{name}.{key}"
    assert set(asked) < {*EXPLAINERS, "cxplain"}


def test_every_slow_method_is_one_and_gets_a_job_of_its_own():
    assert set(SLOW) <= set(METHODS)
    assert jobs(["sage", "random", "grids", "saliency"]) == {
        "sage": ["sage"], "grids": ["grids"], "quick": ["random", "saliency"]
    }  # fmt: skip
    assert set(EXPLAINERS) < set(METHODS)
