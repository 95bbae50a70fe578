"""Scores of the truth benchmark and their summaries, against scikit-learn and hand-made cases."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from benchmarks.truth.dataset import Candidates
from benchmarks.truth.levels import FACTORS, datasets, levels
from benchmarks.truth.result import CALLS, RESULT_COLUMNS, MethodResult, as_table
from benchmarks.truth.scores import SCORES, auprc, score_genes, top
from benchmarks.truth.summary import calibration, confusion, power, summarise
from grids.io.errors import InputError

SETTINGS = {
    "n_cells": [5000, 1500],
    "open_peaks": [1000, 100],
    "loss": [0.6, 0.15, 0.88],
    "coaccessibility": [0.5, 0.2, 0.8],
    "detection": [0.3, 0.6, 0.15],
    "strength": ["equal", "unequal"],
    "direction": ["silence"],
    "n_replicates": 2,
}
LEVEL = {name: SETTINGS[name][0] for name in FACTORS}


def candidates():
    """Two genes with four candidates: R is controlled by the first three, N by none."""
    return Candidates(
        genes=["R", "N"],
        peaks=np.array([["r0", "r1", "r2", "r3"], ["n0", "n1", "n2", "n3"]]),
        **dict.fromkeys(
            ("distance_to_tss_bp", "opened", "counts", "expression", "depth", "atac_depth", "split")
        ),
    )


def truth():
    return pd.DataFrame(
        {
            "gene": np.repeat(["R", "N"], 4),
            "peak": candidates().peaks.ravel(),
            "logic": np.repeat(["redundant", "none"], 4),
            "is_member": [True, True, True, False] + [False] * 4,
            "joint_log_effect": np.repeat([-1.5, 0.0], 4),
        }
    )


def test_a_star_varies_one_thing_at_a_time_and_a_grid_all():
    star = levels({**SETTINGS, "design": "star"})
    assert star[0] == LEVEL
    assert len(star) == 1 + 1 + 1 + 2 + 2 + 2 + 1
    assert all(sum(level[k] != LEVEL[k] for k in LEVEL) == 1 for level in star[1:])
    assert len(levels({**SETTINGS, "design": "grid"})) == 2 * 2 * 3 * 3 * 3 * 2


def test_data_sets_have_their_own_names():
    named = datasets({**SETTINGS, "design": "grid"})
    assert len(named) == 2 * 216
    name = (
        "ncells1500_openpeaks100_loss0.15_coaccessibility0.2_detection0.15_strengthunequal_directionsilence"
    )
    assert named[f"{name}_replicate2"] == {
        "n_cells": 1500, "open_peaks": 100, "loss": 0.15, "coaccessibility": 0.2, "detection": 0.15,
        "strength": "unequal", "direction": "silence", "replicate": 2,
    }  # fmt: skip


@given(
    scores=st.lists(st.integers(0, 4), min_size=6, max_size=6),
    member=st.lists(st.booleans(), min_size=6, max_size=6).filter(any),
)
def test_average_precision_equals_scikit_learn_also_with_ties(scores, member):
    expected = average_precision_score(member, scores)
    assert_allclose(auprc(np.array([scores]), np.array([member])), expected)


def test_top_takes_the_largest_and_the_first_of_equal_ones():
    scores = np.array([[3.0, 1, 2, 2], [0, 0, 0, 0]])
    chosen = top(scores, np.array([2, 0]))
    assert chosen.tolist() == [[True, False, True, False], [False] * 4]


def test_a_hand_made_result_is_scored():
    result = MethodResult(
        "m",
        np.array([[4.0, 3, 1, 2], [1, 2, 3, 4]]),
        genes={
            "logic_call": np.array(["redundant", "single"]),
            "joint_log_effect": np.array([-1.2, -0.1]),
            "joint_log_effect_low": np.array([-1.6, -0.3]),
            "joint_log_effect_high": np.array([-0.9, 0.1]),
            "p_value": np.array([0.001, 0.5]),
            "called": np.array([True, False]),
        },
        inclusion=np.array([[0.9, 0.5, 0.1, 0.6], [np.nan] * 4]),
    )
    named = MethodResult("named", result.scores, sets={3: np.array([[1, 1, 1, 0], [0, 1, 1, 1]], dtype=bool)})
    scored = score_genes(as_table([result, named], candidates()), truth()).set_index(["method", "gene"])
    own = scored.loc[("m", "R")]
    assert own["f1"] == pytest.approx(2 / 3)
    assert own["auprc"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert (own["exact_recovery"], own["logic_right"], own["joint_effect_covered"]) == (0, 1, 1)
    assert own["joint_effect_ratio"] == pytest.approx(0.8)
    assert own["joint_effect_error"] == pytest.approx(0.2)
    assert own["members_found"] == pytest.approx(2 / 3)
    assert own[["called", "called_effect_covered"]].tolist() == [1, 1]
    assert own["called_effect_ratio"] == pytest.approx(0.8)
    without = scored.loc[("m", "N")]
    assert without["called"] == 0 and np.isnan(without["members_found"])
    assert (
        without[["auprc", "f1", "exact_recovery", "joint_effect_ratio", "joint_effect_covered"]].isna().all()
    )
    assert without["logic_right"] == 0
    # A set that was named counts instead of the top scores; what was not said stays missing.
    assert scored.loc[("named", "R"), ["f1", "exact_recovery"]].tolist() == [1, 1]
    assert scored.loc["named", ["logic_right", "joint_effect_covered", "p_value"]].isna().all(axis=None)


def test_effects_of_genes_that_are_not_called_stand_apart_and_undecided_is_neither_right_nor_wrong():
    genes = {
        "called": np.array([False, True]), "logic_call": np.array(["undecided", "none"]),
        "joint_log_effect": np.array([-1.5, 0]), "joint_log_effect_low": np.array([-2, 0]),
        "joint_log_effect_high": np.array([-1, 0]),
    }  # fmt: skip
    result = MethodResult("m", np.ones((2, 4)), genes=genes, credible=np.zeros((2, 4), dtype=int))
    scored = score_genes(as_table([result], candidates()), truth()).set_index("gene")
    assert (scored.loc["R", "joint_effect_covered"], scored.loc["R", "joint_effect_ratio"]) == (1, 1)
    assert scored.loc["R", ["called_effect_covered", "called_effect_ratio", "members_found"]].isna().all()
    assert scored.loc["R", ["logic_right", "logic_undecided"]].tolist() == [0, 1]
    assert scored.loc["N", ["logic_right", "logic_undecided"]].tolist() == [1, 0]


def test_power_counts_what_passes_over_all_genes_of_a_data_set():
    table = genes_table(
        method="m",
        replicate=1,
        f1=1.0,
        logic=["single"] * 4 + ["none"] * 2,
        p_value=[1e-6, 1e-5, 1e-4, 0.9, 0.6, 0.8],
        members_found=[1, 0.5, 0, 1, np.nan, np.nan],
        logic_right=[1, 0, 0, 1, 1, 1],
        logic_undecided=[0, 1, 0, 0, 0, 0],
    )
    table = power(table).set_index("logic")
    shares = ["passed", "members_found", "logic_right", "logic_undecided", "logic_wrong"]
    assert_allclose(
        table.loc["single", [f"share_{name}" for name in shares]].astype(float),
        [0.75, 1.5 / 4, 0.25, 0.25, 0.25],
    )
    assert (table.loc["none", "share_passed"], table.loc["none", "n_genes"]) == (0, 2)
    assert np.isnan(table.loc["none", "share_members_found"])


def test_a_candidate_without_a_score_is_refused():
    table = as_table([MethodResult("m", np.ones((2, 4)))], candidates())
    assert list(table.columns) == RESULT_COLUMNS
    with pytest.raises(InputError, match="'m' has no score for peak r2 of gene R"):
        score_genes(table[table["peak"] != "r2"], truth())


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (MethodResult("m", np.ones((2, 3))), r"scores has shape \(2, 3\); expected \(2, 4\)"),
        (MethodResult("m", np.ones((2, 4)), sets={3: np.eye(4, dtype=bool)[:2]}), "must have 3 members"),
        (MethodResult("m", np.ones((2, 4)), genes={"q": np.ones(2)}), "'q' is unknown"),
        (MethodResult("m", np.ones((2, 4)), genes={"p_value": np.ones(3)}), "3 values; expected 2"),
        (MethodResult("m", np.ones((2, 4)), genes={"logic_call": np.array(["or", "none"])}), "logic 'or'"),
    ],
)
def test_results_that_do_not_fit_are_refused(result, message):
    with pytest.raises(InputError, match=message):
        result.table(candidates())


def genes_table(**columns):
    table = pd.DataFrame(columns)
    missing = dict.fromkeys([name for name in SCORES if name != "f1"], np.nan)
    return table.assign(**{k: v for k, v in {**missing, **LEVEL}.items() if k not in table})


def test_the_summary_gives_mean_and_standard_error_over_genes():
    table = genes_table(method="m", logic="single", replicate=[1, 1, 2, 2], f1=[1.0, 0.5, 0.5, np.nan])
    summary = summarise(table)
    assert len(summary) == 1  # scores that a method does not have are left out
    row = summary.iloc[0]
    assert (row["score"], row["n_genes"]) == ("f1", 3)
    assert row["mean"] == pytest.approx(2 / 3)
    assert row["standard_error"] == pytest.approx(np.std([1, 0.5, 0.5], ddof=1) / np.sqrt(3))


def test_the_confusion_counts_every_pair_of_logics():
    table = genes_table(
        method=["m"] * 4 + ["silent"],
        logic=["none", "redundant", "redundant", "redundant", "none"],
        logic_call=["none", "redundant", "redundant", "single", None],
        f1=1.0,
    )
    calls = confusion(table)
    assert set(calls["method"]) == {"m"}
    assert len(calls) == 2 * len(CALLS)
    shares = calls.set_index(["logic", "logic_call"])["share"]
    assert shares[("redundant", "redundant")] == pytest.approx(2 / 3)
    assert shares[("redundant", "single")] == pytest.approx(1 / 3)
    assert shares[("redundant", "none")] == 0
    assert shares[("none", "none")] == 1


def test_calibration_tells_uniform_p_values_from_small_ones():
    uniform = (np.arange(200) + 0.5) / 200
    parts = [
        genes_table(method=name, logic="none", replicate=1, f1=np.nan, p_value=p)
        for name, p in (("honest", uniform), ("eager", uniform**4))
    ]
    table = calibration(pd.concat(parts)).set_index("method")
    assert table.loc["honest", "share_p_below_0.05"] == pytest.approx(0.05)
    assert table.loc["honest", "share_q_below_0.05"] == 0
    assert table.loc["honest", "ks_p_value"] > 0.99
    assert table.loc["eager", "share_p_below_0.05"] > 0.4
    assert table.loc["eager", "ks_p_value"] < 1e-6


def test_q_values_are_taken_over_all_genes_of_a_data_set():
    # Beside 18 planted genes with tiny p, two p of 0.03 pass at q < 0.05; on their own they would too, but not
    # with 18 other genes without control.
    table = genes_table(
        method="m",
        replicate=1,
        f1=np.nan,
        logic=["none"] * 2 + ["single"] * 18,
        p_value=[0.03] * 2 + [1e-9] * 18,
    )
    assert calibration(table)["share_q_below_0.05"].item() == 1
    table["p_value"] = [0.03] * 2 + [0.9] * 18
    assert calibration(table)["share_q_below_0.05"].item() == 0
