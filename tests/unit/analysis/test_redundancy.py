"""The redundancy analysis of whole sets, on surrogates whose answers are known in closed form."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refitted_toys import WindowToy, window_surrogate
from scipy import sparse
from scipy.stats import false_discovery_control
from scipy.stats import t as t_distribution
from toys import AllOfToy, AnyOfToy, LinearToy

from grids.analysis.redundancy.analysis import analyse_sets
from grids.analysis.redundancy.searches import RedundancySettings
from grids.analysis.redundancy.subsets import all_subsets, exact_shapley
from grids.analysis.statistics import collect_interactions
from grids.io import tables
from grids.io.cells import Modality, Multiome
from grids.io.errors import InputError
from grids.search.sets import Question
from grids.surrogates.pooling import PooledSurrogate

KEYS = {"surrogate": "toy", "method": "grids", "cell_type": "Oligo/OPC", "gene": "G0", "direction": "silence"}
COLUMNS = {
    "redundancy": tables.REDUNDANCY_COLUMNS,
    "members": tables.MEMBER_COLUMNS,
    "interactions": tables.INTERACTION_COLUMNS,
    "knock_down": tables.KNOCK_DOWN_COLUMNS,
    "alternatives": tables.ALTERNATIVE_COLUMNS,
}


class FunctionToy(PooledSurrogate):
    """Log-expression is any function of which peaks are open: the pooled state holds one number per peak.

    Parameters
    ----------
    function : from Tensor (n_cells, n_peaks) of zeros and ones to (n_cells,)
    refits : sequence of such functions
        Of the surrogate's replicates.
    """

    def __init__(self, n_peaks, function, refits=()):
        super().__init__()
        self.peaks = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(n_peaks)]
        self.genes = ["G0"]
        self.register_buffer("shift", torch.eye(n_peaks))
        self.register_buffer("group_of_peak", torch.zeros(n_peaks, dtype=torch.long))
        self.n_groups = 1
        self.function, self.refits = function, refits
        self.n_replicates = len(refits)

    def replicate(self, b):
        return FunctionToy(len(self.peaks), self.refits[b])

    def tail(self, pooled, genes=None):
        return self.function(pooled[:, 0])[:, None]


def multiome(surrogate, opened):
    opened = sparse.csr_matrix(np.asarray(opened, dtype=np.uint8))
    names = [f"cell{i}" for i in range(opened.shape[0])]
    obs = pd.DataFrame({"cell_type": "Oligo/OPC", "split": "test"}, index=names)
    rna = Modality(sparse.csr_matrix((len(names), 1), dtype=np.float32), obs, pd.DataFrame(index=["G0"]))
    return Multiome(rna, Modality(opened, obs, pd.DataFrame(index=surrogate.peaks)), paired=True)


def set_of(surrogate, columns, **keys):
    peaks = [surrogate.peaks[c] for c in columns]
    ranks = np.arange(1, len(columns) + 1)
    return pd.DataFrame({**KEYS, "set_size": len(columns), "rank": ranks, "peak": peaks, **keys})


def analyse(surrogate, opened, sets, training=None, windows=None, **options):
    sets = set_of(surrogate, sets) if isinstance(sets, list) else sets
    training = sparse.csr_matrix(np.asarray(opened if training is None else training, dtype=np.uint8))
    options = {"n_stability": 0, "max_alternatives": 0} | options
    seed = options.pop("seed", 1)
    search = {key: options.pop(key) for key in ("scope", "set_size") if key in options}
    search = Question(**{"set_size": sets["set_size"].max()} | search)
    settings = RedundancySettings(search, **options)
    return analyse_sets(surrogate, multiome(surrogate, opened), training, sets, windows, settings, seed=seed)


def row_of(result):
    (row,) = result.redundancy.to_dict("records")
    return row


PAIRS = np.array(
    [[1, 1, 1]] * 5 + [[1, 0, 1]] * 2 + [[0, 1, 1]] + [[0, 0, 1]] * 2
)  # 5 both, 2 and 1 one, 2 none


def test_two_multiplicative_enhancers_have_index_zero():
    result = analyse(LinearToy([0.5, 1.0, 0.0], bias=0.3), np.ones((6, 3)), [1, 0])
    for name, columns in COLUMNS.items():
        assert list(getattr(result, name).columns) == columns
    row = row_of(result)
    assert row["joint_log_effect"] == row["sum_of_single_log_effects"] == pytest.approx(-1.5, abs=1e-6)
    assert row["redundancy_index"] == pytest.approx(0, abs=1e-6)
    assert (row["class"], row["n_sufficient"], row["n_cells"]) == ("multiplicative", 2, 6)
    (pair,) = result.interactions.to_dict("records")
    assert pair["interaction_log"] == pytest.approx(0, abs=1e-6)
    assert pair["p_value"] > 0.5
    # drops of expression: e^b (e^x e^y - 1) together, e^b e^y (e^x - 1) and e^b e^x (e^y - 1) alone
    expected = -np.exp(0.3) * (np.exp(0.5) - 1) * (np.exp(1.0) - 1)
    assert pair["additive_interaction"] == pytest.approx(expected, rel=1e-5)
    assert pair["additive_p_value"] < 1e-3
    members = result.members
    for column in ("log_effect_alone", "log_effect_in_context", "shapley_value"):
        np.testing.assert_allclose(members[column], [-1.0, -0.5], atol=1e-6)
    assert not members["is_backup"].any()
    assert (members["shapley_error"] == 0).all()


def test_effects_that_add_on_the_scale_of_expression():
    # expression 1 + 2 x + 3 y: the additive null holds, the multiplicative one does not
    surrogate = FunctionToy(2, lambda x: torch.log(1 + 2 * x[:, 0] + 3 * x[:, 1]))
    result = analyse(surrogate, np.ones((6, 2)), [1, 0])
    (pair,) = result.interactions.to_dict("records")
    assert pair["additive_interaction"] == pytest.approx(0, abs=1e-5)
    assert pair["additive_p_value"] > 0.05
    alone = np.log(6 / 3) + np.log(6 / 4)
    assert pair["interaction_log"] == pytest.approx(np.log(6) - alone, abs=1e-6)
    assert row_of(result)["redundancy_index"] == pytest.approx(1 - alone / np.log(6), abs=1e-6)
    assert row_of(result)["class"] == "redundant"


def test_or_pair_in_closed_form():
    # alone a member counts in the cells without the other one, together in the cells with any
    result = analyse(AnyOfToy(3, [0, 1]), PAIRS, [0, 1])
    row = row_of(result)
    assert row["joint_log_effect"] == pytest.approx(-0.8)
    assert row["sum_of_single_log_effects"] == pytest.approx(-0.3)
    assert row["redundancy_index"] == pytest.approx(1 - 0.3 / 0.8)
    assert 0 < row["redundancy_index_low"] < 1 - 0.3 / 0.8 < row["redundancy_index_high"] <= 1
    assert (row["class"], row["n_sufficient"]) == ("redundant", 2)
    members = result.members
    np.testing.assert_allclose(members["log_effect_alone"], [-0.2, -0.1], atol=1e-6)
    np.testing.assert_allclose(members["log_effect_in_context"], [-0.7, -0.6], atol=1e-6)
    np.testing.assert_allclose(members["shapley_value"], [-0.45, -0.35], atol=1e-6)
    assert members["is_backup"].all() and members["in_minimal_sufficient_set"].all()
    assert result.interactions["interaction_log"].item() == pytest.approx(0.5)
    np.testing.assert_allclose(result.knock_down["log_change"], [0, -0.2, -0.8], atol=1e-6)
    np.testing.assert_allclose(result.knock_down["single_log_effect"], [np.nan, -0.2, -0.1], atol=1e-6)
    assert result.knock_down["n_closed"].tolist() == [0, 1, 2]
    assert result.knock_down["peak"].tolist() == [None, *members["peak"]]


def test_and_pair_in_closed_form():
    # either closing takes everything from the cells with both: diminishing, so the index is -1
    result = analyse(FunctionToy(3, lambda x: x[:, 0] * x[:, 1]), PAIRS, [0, 1])
    row = row_of(result)
    assert row["joint_log_effect"] == pytest.approx(-0.5)
    assert row["redundancy_index"] == row["redundancy_index_low"] == row["redundancy_index_high"] == -1
    assert (row["class"], row["n_sufficient"]) == ("synergistic", 1)
    np.testing.assert_allclose(result.members["log_effect_alone"], -0.5)
    np.testing.assert_allclose(result.members["log_effect_in_context"], 0)
    np.testing.assert_allclose(result.members["shapley_value"], -0.25)
    assert result.members["in_minimal_sufficient_set"].tolist() == [True, False]
    assert not result.members["is_backup"].any()
    pair = result.interactions.iloc[0]
    assert pair["interaction_log"] == pytest.approx(-0.5)
    assert pair["interaction_log_high"] < 0 and pair["p_value"] < 0.05


def test_three_way_redundancy_shows_in_no_pair():
    result = analyse(AnyOfToy(5, [0, 2, 4]), np.ones((4, 5)), [4, 0, 2])
    row = row_of(result)
    assert row["redundancy_index"] == row["redundancy_index_low"] == 1
    assert (row["class"], row["n_sufficient"]) == ("redundant", 3)
    assert (result.interactions["interaction_log"] == 0).all() and (result.interactions["p_value"] == 1).all()
    assert result.members["is_backup"].all()
    np.testing.assert_allclose(result.members["shapley_value"], -1 / 3, atol=1e-6)


def test_one_member_that_carries_the_set_is_single():
    result = analyse(LinearToy([0.0, 2.0, 0.05]), np.ones((4, 3)), [1, 2, 0])
    assert (row_of(result)["class"], row_of(result)["n_sufficient"]) == ("single", 1)
    result = analyse(LinearToy([2.0, 0.0]), np.ones((4, 2)), [0], max_alternatives=1)
    assert row_of(result)["class"] == "single"
    assert result.interactions.empty and list(result.interactions.columns) == tables.INTERACTION_COLUMNS


def test_a_set_without_effect_has_no_index():
    surrogate = LinearToy([0.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    result = analyse(surrogate, np.ones((4, 6)), [0, 1], max_alternatives=3)
    row = row_of(result)
    assert row["class"] == "none" and row["n_alternative_sets"] == 0
    assert np.isnan([row["redundancy_index"], row["redundancy_index_low"]]).all() and pd.isna(
        row["n_sufficient"]
    )
    assert not result.members["in_minimal_sufficient_set"].any()
    assert result.alternatives["alternative"].tolist() == [0, 0]
    assert result.alternatives["share_of_first"].isna().all()
    assert not result.alternatives["reaches_90_percent"].any()


@given(
    n_peaks=st.integers(2, 5), seed=st.integers(0, 10_000), direction=st.sampled_from(["silence", "activate"])
)
@settings(max_examples=25)
def test_any_function_against_brute_force(n_peaks, seed, direction):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=2**n_peaks).astype(np.float32)
    bit = 1 << np.arange(n_peaks)
    surrogate = FunctionToy(
        n_peaks, lambda x: torch.from_numpy(table)[(x.round().long() @ torch.from_numpy(bit))]
    )
    opened = rng.random((15, n_peaks)) < 0.6
    members = rng.permutation(n_peaks)[: rng.integers(1, n_peaks + 1)]
    size = len(members)

    def change(*chosen):
        perturbed = opened.copy()
        perturbed[:, list(chosen)] = direction == "activate"
        return (table[perturbed @ bit].astype(float) - table[opened @ bit]).mean()

    def expression(*chosen):
        perturbed = opened.copy()
        perturbed[:, list(chosen)] = direction == "activate"
        return np.exp(table[perturbed @ bit].astype(float)).mean()

    sign = 1 if direction == "activate" else -1
    result = analyse(surrogate, opened, set_of(surrogate, members, direction=direction))
    alone = [change(m) for m in members]
    joint = change(*members)
    close = {"atol": 1e-5}
    np.testing.assert_allclose(result.members["log_effect_alone"], alone, **close)
    context = [joint - change(*[n for n in members if n != m]) for m in members]
    np.testing.assert_allclose(result.members["log_effect_in_context"], context, **close)
    values = np.array([change(*members[subset]) for subset in all_subsets(size)])
    np.testing.assert_allclose(result.members["shapley_value"], exact_shapley(values), **close)
    nested = [change(*members[:k]) for k in range(size + 1)]
    np.testing.assert_allclose(result.knock_down["log_change"], nested, **close)
    row = row_of(result)
    assert row["joint_log_effect"] == pytest.approx(joint, abs=1e-5)
    reaches_zero = pd.isna(row["n_sufficient"])
    assert reaches_zero == np.isnan(row["redundancy_index"])
    if reaches_zero:
        assert row["class"] in ("none", "undecided")
    else:
        assert sign * joint > 0
        assert row["redundancy_index"] == pytest.approx(1 - sum(alone) / joint, rel=1e-3, abs=1e-3)
        enough = [k for k in range(1, size + 1) if sign * nested[k] >= 0.9 * sign * joint]
        assert row["n_sufficient"] == enough[0]
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
    expected = [
        sign * (change(members[i], members[j]) - change(members[i]) - change(members[j])) for i, j in pairs
    ]
    np.testing.assert_allclose(result.interactions["interaction_log"].astype(float), expected, **close)
    expected = [
        sign
        * (
            expression(members[i], members[j])
            - expression(members[i])
            - expression(members[j])
            + expression()
        )
        for i, j in pairs
    ]
    additive = result.interactions["additive_interaction"].astype(float)
    np.testing.assert_allclose(additive, expected, rtol=1e-4, atol=1e-4)
    assert result.interactions["peak_1"].tolist() == [surrogate.peaks[members[i]] for i, _ in pairs]
    assert result.interactions["peak_2"].tolist() == [surrogate.peaks[members[j]] for _, j in pairs]


def test_activation_mirrors_silencing():
    # opening peaks of the mirrored cells raises the mirrored surrogate as closing lowers the other
    def function(x):
        return torch.sigmoid(3 * x[:, 0] + x[:, 1] - 2 * x[:, 2] + x[:, 3] * x[:, 0])

    opened = np.random.default_rng(0).random((40, 4)) < 0.5
    closing = FunctionToy(4, function)
    opening = FunctionToy(4, lambda x: -function(1 - x))
    options = {"n_stability": 3, "max_alternatives": 2}
    down = analyse(closing, opened, set_of(closing, [0, 1]), **options)
    up = analyse(opening, ~opened, set_of(opening, [0, 1], direction="activate"), **options)
    # intervals are drawn anew for each set's cells, with the same draws: mirrored bounds change places
    for column in ("redundancy_index", "redundancy_index_low", "redundancy_index_high"):
        np.testing.assert_allclose(up.redundancy[column], down.redundancy[column], atol=1e-4)
    for column in ("class", "n_sufficient", "n_alternative_sets"):
        assert up.redundancy[column].tolist() == down.redundancy[column].tolist()
    joint = "joint_log_effect"
    assert up.redundancy[joint].item() == pytest.approx(-down.redundancy[joint].item(), abs=1e-6)
    assert up.redundancy[f"{joint}_low"].item() == pytest.approx(
        -down.redundancy[f"{joint}_high"].item(), abs=1e-6
    )
    for column in ("log_effect_alone", "log_effect_in_context", "shapley_value"):
        np.testing.assert_allclose(up.members[column], -down.members[column], atol=1e-6)
    for column in ("interaction_log", "interaction_log_low", "p_value"):
        np.testing.assert_allclose(up.interactions[column], down.interactions[column], atol=1e-4)
    assert up.members["is_backup"].tolist() == down.members["is_backup"].tolist()
    assert up.alternatives["peak"].tolist() == down.alternatives["peak"].tolist()


def copies(n_copies, n_peaks):
    """Log-expression is the product, over disjoint pairs of peaks, of the open share of the pair."""
    return FunctionToy(
        n_peaks, lambda x: torch.stack([x[:, 2 * c : 2 * c + 2].mean(1) for c in range(n_copies)]).prod(0)
    )


@pytest.mark.parametrize("n_copies", [1, 2, 4])
def test_disjoint_copies_are_alternative_sets(n_copies):
    # closing a pair takes everything, whichever pair; nothing is left to find after the last copy
    surrogate = copies(n_copies, 10)
    result = analyse(surrogate, np.ones((5, 10)), [0, 1], max_alternatives=9)
    assert row_of(result)["n_alternative_sets"] == n_copies - 1
    by_set = result.alternatives.groupby("alternative")
    found = {frozenset(surrogate.peaks.index(p) for p in rows["peak"]) for _, rows in by_set}
    assert {frozenset({2 * c, 2 * c + 1}) for c in range(n_copies)} == found
    assert by_set["reaches_90_percent"].first().all()
    np.testing.assert_allclose(by_set["share_of_first"].first(), 1, atol=1e-6)
    np.testing.assert_allclose(by_set["log_change"].first(), -1, atol=1e-6)
    assert not result.alternatives["peak"].duplicated().any()
    assert (by_set["rank"].agg(list).map(tuple) == (1, 2)).all()


def test_the_first_alternative_that_falls_short_is_reported_and_ends_the_search():
    # closing 0 and 1 takes 1, 2 and 3 half of that, 4 and 5 as much: the pair that falls short comes before it
    surrogate = FunctionToy(6, lambda x: x[:, :2].amax(1) + 0.5 * x[:, 2:4].amax(1) + 0.4 * x[:, 4:].amax(1))
    result = analyse(surrogate, np.ones((5, 6)), [0, 1], max_alternatives=9)
    assert row_of(result)["n_alternative_sets"] == 0
    assert result.alternatives["reaches_90_percent"].tolist() == [True, True, False, False]
    np.testing.assert_allclose(result.alternatives["share_of_first"], [1, 1, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("members", [[2, 6], [2, 6, 0, 1], [2]])
def test_degeneracy_does_not_depend_on_what_the_set_holds_beyond_its_sufficient_members(members):
    # closing either of a pair takes everything: one suffices and the other is an alternative, in the set or not
    result = analyse(AllOfToy(8, [2, 6]), np.ones((5, 8)), members, max_alternatives=9)
    row = row_of(result)
    assert (row["n_sufficient"], row["n_alternative_sets"]) == (1, 1)
    rows = result.alternatives
    assert rows.loc[rows["alternative"] == 1, "peak"].tolist() == ["chr1:6000-6500"]
    assert rows["alternative"].max() == 1


def test_alternatives_end_with_their_limit_or_with_the_candidates():
    surrogate = copies(4, 8)
    at_most_two = analyse(surrogate, np.ones((5, 8)), [0, 1], max_alternatives=2)
    assert row_of(at_most_two)["n_alternative_sets"] == 2
    all_used = analyse(surrogate, np.ones((5, 8)), [0, 1], max_alternatives=9)
    assert all_used.alternatives["alternative"].max() == 3


def test_alternatives_are_searched_in_training_cells_and_measured_in_test_cells():
    surrogate = FunctionToy(3, lambda x: x @ torch.tensor([1.0, 0.95, 0.9]))
    # peak 1 is the best that is left in the training cells, but closed in the test cells
    result = analyse(surrogate, [[1, 0, 1]] * 4, [0], training=[[1, 1, 1]] * 4, max_alternatives=3)
    assert result.alternatives["peak"].tolist() == surrogate.peaks[:2]
    assert result.alternatives["share_of_first"].tolist() == [1, 0]


def test_candidates_of_the_window():
    surrogate = copies(3, 10)
    windows = pd.DataFrame(
        {"gene": ["G0"] * 5 + ["G1"], "peak": [*surrogate.peaks[:4], "chr9:1-2", "chr1:4000-4500"]}
    )
    result = analyse(
        surrogate,
        np.ones((5, 10)),
        [0, 1],
        scope="window",
        windows=windows,
        max_alternatives=9,
        n_stability=2,
    )
    assert result.alternatives["peak"].tolist() == surrogate.peaks[:4]


def test_selection_frequency_by_refits():
    # three of four refits agree with the surrogate on the second member
    def weights(*values):
        return lambda x: x @ torch.tensor(values)

    same, other = weights(2.0, 1.0, 0.5), weights(2.0, 0.5, 1.0)
    surrogate = FunctionToy(3, same, refits=[same, other, same, same])
    result = analyse(surrogate, np.ones((8, 3)), [0, 1], n_stability=8)
    assert result.members["selection_frequency"].tolist() == [1, 0.75]


def test_selection_frequency_by_resampled_cells():
    # peaks 1 and 2 weigh the same and are open in 10 cells each: which one is better is up to the draw
    opened = np.ones((20, 3))
    opened[:10, 1] = opened[10:, 2] = 0
    surrogate = FunctionToy(3, lambda x: x @ torch.tensor([2.0, 1.0, 1.0]))
    result = analyse(surrogate, opened, [0, 1], n_stability=40)
    assert result.members["selection_frequency"].iloc[0] == 1
    assert 0.25 <= result.members["selection_frequency"].iloc[1] <= 0.8
    assert analyse(surrogate, opened, [0, 1]).members["selection_frequency"].isna().all()


def test_members_that_only_fill_a_set_are_selected_by_no_search():
    surrogate = FunctionToy(6, lambda x: x @ torch.tensor([0.0, 2.0, 0.0, 1.0, 0.0, 0.0]))
    result = analyse(surrogate, np.ones((8, 6)), [1, 3, 0, 2], n_stability=5)
    assert result.members["selection_frequency"].tolist() == [1, 1, 0, 0]


def test_intervals_hold_the_doubt_about_the_surrogate():
    heights = (1.0, 1.5, 2.0, 2.5)
    refits = [lambda x, h=h: h * x[:, 0] for h in heights]
    certain = row_of(analyse(FunctionToy(2, refits[1]), np.ones((9, 2)), [0]))
    assert certain["joint_log_effect_low"] == pytest.approx(-1.5, abs=1e-9)
    assert certain["joint_log_effect_high"] == pytest.approx(-1.5, abs=1e-9)
    doubtful = row_of(analyse(FunctionToy(2, refits[1], refits), np.ones((9, 2)), [0]))
    assert doubtful["joint_log_effect"] == -1.5
    assert doubtful["joint_log_effect_low"] == pytest.approx(-2.5)
    assert doubtful["joint_log_effect_high"] == pytest.approx(-1.0)


def test_interactions_are_tested_against_the_spread_of_the_refits():
    heights = [0.1, 0.6, -0.3, 0.4]
    refits = [lambda x, h=h: x[:, 0] + h * x[:, 0] * x[:, 1] for h in heights]
    surrogate = FunctionToy(2, lambda x: x[:, 0] - 0.5 * x[:, 0] * x[:, 1], refits)
    (pair,) = analyse(surrogate, np.ones((30, 2)), [0, 1]).interactions.to_dict("records")
    assert pair["interaction_log"] == pytest.approx(0.5)  # 0.5 together, 0.5 and -0.5 alone
    expected = 2 * t_distribution.sf(0.5 / np.std(heights, ddof=1), 3)
    assert pair["p_value"] == pytest.approx(expected, rel=1e-3)


def test_large_sets_are_sampled_and_large_types_too():
    rng = np.random.default_rng(0)
    weights = torch.from_numpy(rng.exponential(0.1, 15)).float()
    surrogate = FunctionToy(15, lambda x: torch.log1p(x @ weights))
    result = analyse(
        surrogate, rng.random((70, 15)) < 0.5, list(range(14)), max_cells=30, n_permutations=60, n_stability=2
    )
    row = row_of(result)
    assert row["n_cells"] == 30
    assert len(result.interactions) == 14 * 13 / 2
    assert (result.members["shapley_error"] > 0).all()
    assert result.members["shapley_value"].sum() == pytest.approx(row["joint_log_effect"], abs=1e-5)


def test_same_seed_same_tables_other_seed_other_draws():
    surrogate = AnyOfToy(6, [0, 1])
    opened = np.random.default_rng(0).random((50, 6)) < 0.5
    options = {"n_stability": 4, "max_alternatives": 2, "max_cells": 40}
    first, again, other = (
        analyse(surrogate, opened, [0, 1, 2], **options | {"seed": seed}) for seed in (1, 1, 2)
    )
    for field in fields(first):
        pd.testing.assert_frame_equal(getattr(first, field.name), getattr(again, field.name))
    assert row_of(first)["redundancy_index_low"] != row_of(other)["redundancy_index_low"]


def test_a_sets_tables_do_not_depend_on_the_other_sets():
    surrogate = AnyOfToy(6, [0, 1])
    opened = np.random.default_rng(0).random((30, 6)) < 0.5
    first, second = set_of(surrogate, [0, 1]), set_of(surrogate, [3, 1, 0], method="saliency")
    together = analyse(surrogate, opened, pd.concat([second, first]), n_stability=3)
    alone = analyse(surrogate, opened, first.iloc[::-1], n_stability=3)
    assert together.redundancy["method"].tolist() == ["saliency", "grids"]
    picked = together.members[together.members["method"] == "grids"].reset_index(drop=True)
    pd.testing.assert_frame_equal(picked, alone.members)


def test_collected_q_values_are_over_all_pairs():
    p_values = np.array([0.001, 0.02, 0.03, 0.5, 0.9])
    table = pd.DataFrame(index=range(5), columns=tables.INTERACTION_COLUMNS)
    table = table.assign(p_value=p_values, additive_p_value=p_values[::-1])
    result = collect_interactions([table.iloc[:2], table.iloc[2:2], table.iloc[2:]])
    np.testing.assert_allclose(result["q_value"], false_discovery_control(p_values))
    np.testing.assert_allclose(result["additive_q_value"], false_discovery_control(p_values)[::-1])
    assert collect_interactions([table.iloc[:0]]).columns.tolist() == tables.INTERACTION_COLUMNS


def test_tables_survive_a_file(tmp_path):
    result = analyse(AnyOfToy(4, [0, 1]), PAIRS[:, [0, 1, 2, 2]], [0, 1], max_alternatives=1)
    for field in fields(result):
        table = getattr(result, field.name)
        tables.write(table, tmp_path / f"{field.name}.tsv")
        back = tables.read(tmp_path / f"{field.name}.tsv")
        assert back.columns.tolist() == COLUMNS[field.name] and len(back) == len(table)


def test_a_gene_of_the_window_surrogate_is_explained_by_its_window_and_its_refits():
    surrogate, opened = window_surrogate(), np.ones((5, 4))
    sets = pd.concat([set_of(surrogate, [3, 1], gene="G1"), set_of(surrogate, [2], gene="G0")])
    result = analyse(surrogate, opened, sets, max_alternatives=3, n_stability=4)
    np.testing.assert_allclose(result.redundancy["joint_log_effect"], [-1.8, -0.4], rtol=1e-5)
    np.testing.assert_allclose(result.redundancy["joint_log_effect_low"], [-2.7, -0.6], rtol=1e-5)
    np.testing.assert_allclose(result.redundancy["joint_log_effect_high"], [-0.9, -0.2], rtol=1e-5)
    assert result.redundancy["redundancy_index"].abs().max() < 1e-5
    assert result.members["selection_frequency"].tolist() == [1, 0, 1]  # peak 2 is a better second for G1
    # one peak is left for G1, fewer than its set has, and one of the two in the window of G0
    assert result.alternatives["peak"].tolist() == [surrogate.peaks[i] for i in (3, 1, 2, 2, 0)]
    assert result.alternatives["alternative"].tolist() == [0, 0, 1, 0, 1]
    assert not result.alternatives.query("alternative > 0")["reaches_90_percent"].any()
    wider = analyse(surrogate, opened, sets, max_alternatives=0, n_stability=4, set_size=3)
    assert wider.members["selection_frequency"].tolist() == [
        1,
        1,
        1,
    ]  # three peaks are searched for: both are found
    with pytest.raises(
        InputError, match="'chr1:0-500' is not among the 3 peaks that the surrogate sees for gene 'G1'"
    ):
        analyse(surrogate, opened, set_of(surrogate, [0], gene="G1"))


def test_refits_do_not_prepare_the_cells_again():
    surrogate = WindowToy([0.5, 1.0, 0.2], {"G0": [0, 1], "G1": [2, 1]}, scales=[0.5, 1.0, 2.0])
    sets = pd.concat([set_of(surrogate, [1, 0]), set_of(surrogate, [1], gene="G1")])
    result = analyse(surrogate, np.ones((5, 3)), sets, n_stability=3)
    assert surrogate.n_prepared == 2  # test and training cells
    np.testing.assert_allclose(result.redundancy["joint_log_effect"], [-1.5, -1.0])
    np.testing.assert_allclose(result.redundancy["joint_log_effect_low"], [-3.0, -2.0])
    np.testing.assert_allclose(result.redundancy["joint_log_effect_high"], [-0.75, -0.5])
    assert result.members["selection_frequency"].tolist() == [1, 1, 1]


def test_no_sets_give_empty_tables_with_their_columns():
    surrogate = window_surrogate()
    result = analyse(surrogate, np.ones((0, 4)), set_of(surrogate, [0]).iloc[:0])
    for name, columns in COLUMNS.items():
        assert list(getattr(result, name).columns) == columns and getattr(result, name).empty
    assert (
        list(collect_interactions([result.interactions, result.interactions]).columns)
        == COLUMNS["interactions"]
    )


@pytest.mark.parametrize(
    ("edit", "options", "message"),
    [
        ({"gene": "g0"}, {}, "gene 'g0' is not in the surrogate's genes. Did you mean 'G0'?"),
        ({"direction": "down"}, {}, "direction 'down' is unknown; expected silence, derepress, activate"),
        ({"peak": "chr7:1-2", "set_size": 1}, {}, "peak 'chr7:1-2' is not among the 3 peaks"),
        ({"peak": "chr1:0-500"}, {}, "names the same peak twice"),
        ({"cell_type": ["A", "B"]}, {}, "expected one cell type per call, got A, B"),
        ({"rank": [1, 3]}, {}, "expected ranks 1 to set_size 2 for 'G0', got 1, 3"),
        ({}, {"n_bootstrap": 5}, "redundancy.n_bootstrap is 5; intervals need 20 draws or more"),
        ({}, {"training": np.ones((0, 3))}, "has no train cells"),
        ({}, {"opened": np.ones((0, 3))}, "has no test cells"),
        ({}, {"training": np.ones((4, 5))}, "expected 3 peaks"),
        ({}, {"scope": "window", "n_stability": 1}, "0 candidate peaks"),
    ],
)
def test_inputs_that_do_not_fit(edit, options, message):
    surrogate = LinearToy([0.5, 0.2, 0.1])
    sets = set_of(surrogate, [0, 1]).assign(**edit)
    if edit.get("set_size") == 1:
        sets = sets.iloc[:1]
    options = {"opened": np.ones((4, 3)), "windows": pd.DataFrame({"gene": [], "peak": []})} | options
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        analyse(surrogate, options.pop("opened"), sets, **options)


def test_other_peaks_than_the_surrogates():
    surrogate = LinearToy([0.5, 0.2])
    data = multiome(LinearToy([0.5, 0.2, 0.1]), np.ones((2, 3)))
    with pytest.raises(InputError, match="trained on other peaks"):
        analyse_sets(
            surrogate, data, data.atac.X, set_of(surrogate, [0]), None, RedundancySettings(Question()), seed=0
        )
