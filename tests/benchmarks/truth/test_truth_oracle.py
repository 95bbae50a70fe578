"""The oracles' sums, likelihoods and chances against brute force, and their answers on plain data."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import poisson

from benchmarks.truth.dataset import Candidates
from benchmarks.truth.oracle import (
    SEARCH_SLOPES,
    activity,
    explain_members,
    given_all_is_seen,
    given_some_is_hidden,
    search_all_sets,
    sums_by_number_seen,
)
from grids.data.simulation_plan import log_activity


def window(opened, atac_depth=None):
    n_cells, n_candidates = opened.shape
    ones = np.ones(n_cells)
    return Candidates(
        genes=["G"],
        peaks=np.array([[f"p{i}" for i in range(n_candidates)]]),
        distance_to_tss_bp=np.ones((1, n_candidates)),
        opened=opened[None],
        counts=ones[:, None],
        expression=ones[:, None],
        depth=ones,
        atac_depth=ones if atac_depth is None else atac_depth,
        split=np.full(n_cells, "train"),
    )


@given(size=st.integers(1, 3), n_candidates=st.integers(3, 6), seed=st.integers(0, 999))
def test_sums_by_number_seen_equal_sums_over_the_cells(size, n_candidates, seed):
    rng = np.random.default_rng(seed)
    opened = (rng.random((30, n_candidates)) < 0.4).astype(np.uint8)
    weights = rng.normal(size=(30, 2))
    sets = np.array(list(combinations(range(n_candidates), size)))
    sums = sums_by_number_seen(opened, weights, sets)
    for row, members in enumerate(sets):
        seen = opened[:, members].sum(1)
        expected = [[weights[seen == n, w].sum() for n in range(size + 1)] for w in range(2)]
        assert_allclose(sums[:, row], expected, atol=1e-9)


def test_larger_sets_are_refused():
    with pytest.raises(ValueError, match="at most 3"):
        sums_by_number_seen(np.ones((2, 4)), np.ones((2, 1)), np.arange(4)[None])


@pytest.mark.parametrize("logic", ["multiplicative", "redundant", "synergistic"])
def test_the_search_maximises_the_poisson_likelihood_over_sets_and_slopes(logic):
    rng = np.random.default_rng(4)
    opened = (rng.random((80, 5)) < 0.5).astype(np.uint8)
    counts, depth = rng.poisson(2, 80).astype(float), rng.uniform(0.5, 2, 80)
    n_open = rng.dirichlet([1, 1, 1], (80, 3))
    scores = search_all_sets(opened, counts, depth, n_open, logic, 2)
    likelihood = {}
    for members in combinations(range(5), 2):
        chance = n_open[np.arange(80), opened[:, members].sum(1)]
        values = []
        for slope in SEARCH_SLOPES:
            shape = depth * (chance @ np.exp(slope * activity(logic, 2)))
            values.append(poisson.logpmf(counts, shape * counts.sum() / shape.sum()).sum())
        likelihood[members] = max(values)
    best_with = np.array([max(v for m, v in likelihood.items() if i in m) for i in range(5)])
    assert_allclose(scores - scores.max(), best_with - best_with.max(), atol=1e-8)


@pytest.mark.parametrize("logic", ["multiplicative", "redundant", "synergistic"])
def test_activity_is_the_simulators_logic(logic):
    is_open = np.array([[False, False, False], [True, False, False], [True, True, False], [True, True, True]])
    expected = log_activity(is_open, logic, -2.0)
    assert_allclose(2 * (activity(logic, 3) - 1), expected, atol=1e-12)


def test_chances_of_hidden_members_are_those_of_the_simulated_cells():
    rng = np.random.default_rng(0)
    n_cells, n_candidates, correlation, detection = 400_000, 6, 0.6, 0.4
    latent = np.sqrt(correlation) * rng.standard_normal((n_cells, 1))
    latent = latent + np.sqrt(1 - correlation) * rng.standard_normal((n_cells, n_candidates))
    is_open = latent > 0
    seen = is_open & (rng.random(is_open.shape) < detection)
    level = {"coaccessibility": correlation, "detection": detection}
    members = [0, 1]
    n_open, n_seen, n_window = is_open[:, members].sum(1), seen[:, members].sum(1), seen.sum(1)
    for total, s in ((0, 0), (2, 1), (3, 0), (4, 2)):
        # The chance is told by one cell with so many peaks seen in its window.
        one_cell = window((np.arange(n_candidates) < total).astype(np.uint8)[None])
        chance = given_some_is_hidden(one_cell, 0, 2, level)[0, s]
        alike = (n_window == total) & (n_seen == s)
        frequency = np.bincount(n_open[alike], minlength=3) / alike.sum()
        assert_allclose(chance, frequency, atol=5 * np.sqrt(0.25 / alike.sum()))


def test_deep_cells_hide_less():
    opened = np.zeros((2, 20), dtype=np.uint8)
    opened[:, :5] = 1
    cells = window(opened, atac_depth=np.array([0.5, 1.5]))
    level = {"coaccessibility": 0.5, "detection": 0.3}
    shallow, deep = given_some_is_hidden(cells, 0, 3, level)
    assert_allclose(shallow.sum(1), 1)
    assert shallow[0, 0] < deep[0, 0]
    assert (shallow[1, 0], shallow[3, 3]) == (0, pytest.approx(1))


@pytest.mark.parametrize(
    ("logic", "n_members"), [("single", 1), ("multiplicative", 3), ("redundant", 3), ("synergistic", 2)]
)
@pytest.mark.parametrize("sign", [1, -1], ids=["silence", "activate"])
def test_with_everything_seen_the_oracle_finds_members_logic_and_joint_effect(logic, n_members, sign):
    rng = np.random.default_rng(7)
    opened = (rng.random((6000, 8)) < 0.5).astype(np.uint8)
    members = np.array([1, 4, 6])[:n_members]
    effect = log_activity(opened[:, members], logic, -2.0 * sign)
    depth = rng.uniform(0.5, 2, 6000)
    counts = rng.poisson(depth * np.exp(0.5 + effect)).astype(float)
    n_open = given_all_is_seen(window(opened), 0, n_members, {})
    n_open = np.broadcast_to(n_open[:1], (6000, *n_open.shape[1:]))
    scores = search_all_sets(opened, counts, depth, n_open, logic, n_members, sign)
    assert sorted(np.argsort(-scores)[:n_members]) == list(members)
    call, joint = explain_members(opened, counts, depth, n_open, logic, members, sign)
    assert call == logic
    closed = log_activity(np.zeros_like(opened[:, members]), logic, -2.0 * sign)
    assert joint == pytest.approx((closed - effect).mean(), rel=0.05)
