"""GRIDS in the truth benchmark: what it hands over, and that it finds what is planted where that is easy."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.truth import dataset
from benchmarks.truth.grids_methods import likeliest, run_bound, run_told, run_window
from benchmarks.truth.result import SET_SIZES, as_table
from benchmarks.truth.scores import score_genes
from grids.data import preprocessing
from grids.io import tables

LEVEL = {
    "n_cells": 2000, "open_peaks": 1000, "loss": 0.88, "coaccessibility": 0.3, "detection": 0.6, "strength": "equal",
    "direction": "silence",
}  # fmt: skip
N_GENES = 3


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    preprocessed, windows, truth = dataset.simulate(LEVEL, seed=1, n_genes_per_logic=N_GENES, n_candidates=8)
    paths = {"multiome": folder / "a.h5mu", "windows": folder / "windows.tsv", "truth": folder / "truth.tsv"}
    preprocessing.write(preprocessed, {"multiome": str(paths["multiome"])})
    tables.write(windows, str(paths["windows"]))
    tables.write(truth, str(paths["truth"]))
    return dataset.read(**paths, level=LEVEL)


@pytest.fixture(scope="module")
def results(simulated):
    return [*run_window(simulated, seed=0), *run_told(simulated, seed=0)]


def test_the_window_surrogate_hands_over_scores_sets_calls_and_effects(simulated, results):
    by_name = {result.method: result for result in results}
    assert list(by_name) == [
        "grids_window", "grids_window_search", "single_peak_scan", "gradient_saliency", "grids_window_told",
    ]  # fmt: skip
    assert len(as_table(results, simulated.candidates)) == 5 * 5 * N_GENES * 8
    sets = by_name["grids_window_search"].sets
    assert sorted(sets) == SET_SIZES
    said = by_name["grids_window"].genes
    assert ((said["p_value"] >= 0) & (said["p_value"] <= 1)).all()
    stated = by_name["grids_window"].inclusion
    assert (np.isnan(stated).all(1) == ~said["called"]).all() and said["called"].any()
    assert (said["logic_call"][~said["called"]] == "none").all()
    low, effect, high = (said[f"joint_log_effect{end}"] for end in ("_low", "", "_high"))
    assert ((low <= effect + 0.05) & (effect - 0.05 <= high)).all()


def test_planted_members_are_found_and_their_joint_effect_is_near_the_planted_one(simulated, results):
    scored = score_genes(as_table(results, simulated.candidates), simulated.truth).set_index("method")
    planted = scored[scored["logic"] != "none"]
    assert planted.loc["grids_window", "f1"].mean() > 0.95
    assert planted.loc["grids_window_search", "f1"].mean() > 0.95
    ratio = planted.loc["grids_window_told", "joint_effect_ratio"].astype(float)
    assert np.abs(ratio.median() - 1) < 0.2
    assert planted.loc["grids_window_told", "logic_right"].mean() > 0.8


def test_told_the_logic_only_models_of_that_logic_speak(simulated):
    (bound,) = run_bound(simulated, seed=0)
    scored = score_genes(as_table([bound], simulated.candidates), simulated.truth)
    planted = scored[scored["logic"] != "none"]
    assert (planted["logic_right"] == 1).all()
    assert (planted["f1"] == 1).all()
    ratio = planted.groupby("logic")["joint_effect_ratio"].mean()
    assert np.abs(ratio - 1).max() < 0.25
    assert (scored.loc[scored["logic"] == "none", "joint_log_effect"] == 0).all()


def test_a_logic_is_called_where_it_is_likely_enough_among_those_with_members():
    forms = pd.DataFrame({"single": [0.09, 0.05, 0.0], "redundant": [0.02, 0.05, 0.0]})
    assert likeliest(forms).tolist() == ["single", "undecided", "undecided"]
