"""Index, intervals, p-values and classes of sets against closed forms and simulated cells."""

import numpy as np
import pytest
from scipy.stats import kstest, ttest_1samp
from scipy.stats import t as t_distribution

from grids.analysis.redundancy.subsets import measure_subsets
from grids.analysis.redundancy.verdict import (
    backups,
    class_of_set,
    n_sufficient,
    p_values,
    redundancy_index,
    verdict_of,
)
from grids.analysis.statistics import bootstrap_weights

SILENCE = -1.0


def predictor_of(function, opened):
    """Predictions of subsets, the set being all peaks: each subset's members closed in every cell."""
    return lambda subsets: np.stack([function(opened & ~subset) for subset in subsets])


def any_of(opened):
    return opened.any(1).astype(float)


def all_of(opened):
    return opened.all(1).astype(float)


def measure(function, opened, rng, n_bootstrap=200):
    opened = np.asarray(opened, bool)
    weights = bootstrap_weights(len(opened), n_bootstrap, rng)
    return measure_subsets(predictor_of(function, opened), [], opened.shape[1], weights)


def test_index_by_hand():
    assert redundancy_index(np.array([0.0, 0.0]), np.array(-1.0)) == 1
    assert redundancy_index(np.array([-0.5, -1.5]), np.array(-2.0)) == 0
    assert redundancy_index(np.array([-2.0, -2.0]), np.array(-2.0)) == -1
    stacked = redundancy_index(np.array([[-1.0, 0.0], [-1.0, -1.0]]), np.array([-1.0, -4.0]))
    assert stacked.tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("function", "index", "name"), [(any_of, 0.5 / 0.9, "redundant"), (all_of, -1.0, "synergistic")]
)
def test_intervals_cover_the_population(function, index, name):
    # of the population's cells 50 % have both open, 40 % one of them, 10 % none
    kinds = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=bool)
    rng = np.random.default_rng(1)
    joint = -0.9 if function is any_of else -0.5
    covered, joint_covered = 0, 0
    for _ in range(400):
        opened = kinds[rng.choice(4, size=120, p=[0.5, 0.2, 0.2, 0.1])]
        verdict = verdict_of(measure(function, opened, rng), SILENCE)
        covered += verdict.index_low - 1e-9 <= index <= verdict.index_high + 1e-9
        joint_covered += verdict.joint_low <= joint <= verdict.joint_high
        assert verdict.set_class == name
    assert 0.91 <= joint_covered / 400 <= 0.975  # 95 %, two binomial errors and the bootstrap's small bias
    assert covered / 400 >= 0.91


def test_no_effect_no_index():
    # the set raises half of the cells and lowers the other half
    opened = np.array([[1, 0], [0, 1]] * 30)
    verdict = verdict_of(measure(lambda x: x @ [1.0, -1.0], opened, np.random.default_rng(0)), SILENCE)
    assert verdict.joint_low < 0 < verdict.joint_high
    assert verdict.set_class == "none" and not verdict.has_effect
    assert np.isnan([verdict.index, verdict.index_low, verdict.index_high]).all()
    assert verdict.n_sufficient == 0


@pytest.mark.parametrize(("sign", "name"), [(-1.0, "none"), (1.0, "multiplicative")])
def test_an_effect_in_the_other_direction_is_none(sign, name):
    verdict = verdict_of(measure(lambda x: x @ [-1.0, -1.0], np.ones((9, 2)), np.random.default_rng(0)), sign)
    assert verdict.set_class == name


def test_p_value_is_that_of_the_t_test_over_cells():
    # without a member, the change by the other is one number per cell: the t-test on these numbers
    rng = np.random.default_rng(3)
    values = rng.normal(0.05, 1.0, size=200)
    draws = bootstrap_weights(200, 20_000, rng) @ values[:, None]
    p = p_values(np.array([values.mean()]), draws, 200)
    assert p[0] == pytest.approx(ttest_1samp(values, 0).pvalue, abs=0.01)


def test_interactions_that_cancel_over_cells_have_uniform_p_values():
    # peaks 0 and 1 help each other where peak 2 is open and hinder each other where it is closed
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        opened = rng.random((80, 2)) < 0.6
        help_or_hinder = np.where(rng.random(80) < 0.5, 1.0, -1.0)
        measured = measure(lambda x, s=help_or_hinder: 2.0 + s * x[:, 0] * x[:, 1], opened, rng)
        found.append(p_values(measured.log.interactions, measured.log_draws.interactions, 80)[0])
    assert kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_doubt_about_the_surrogate_widens_p_values():
    # every refit has an interaction of its own, equal in all cells: only refits can tell that it is noise
    rng = np.random.default_rng(0)
    opened, weights = np.ones((50, 2), bool), bootstrap_weights(50, 200, rng)
    with_refits, without = [], []
    for _ in range(300):
        first, *refits = (predictor_of(lambda x, i=i: i * x.all(1), opened) for i in rng.normal(size=9))
        for found, models, n in ((with_refits, refits, 8), (without, [], 50)):
            measured = measure_subsets(first, models, 2, weights)
            found.append(p_values(measured.log.interactions, measured.log_draws.interactions, n)[0])
    assert kstest(with_refits, "uniform").pvalue > 0.01
    assert max(without) < 1e-3


def test_p_value_over_refits_has_their_sample_spread():
    # one fit is as uncertain as one refit: the spread of the refits, not of their mean
    refits = np.array([0.3, 0.9, -0.2, 0.6])
    p = p_values(np.array([0.7]), np.tile(refits, 50)[:, None], 4)
    assert p[0] == pytest.approx(2 * t_distribution.sf(0.7 / refits.std(ddof=1), 3), rel=1e-4)


def test_rounding_is_no_evidence():
    noise = 1e-8 * np.random.default_rng(0).normal(size=(200, 1))
    assert p_values(np.array([3e-7]), noise, 1000)[0] > 0.5
    assert p_values(np.array([0.5]), noise, 1000)[0] < 1e-12


def test_minimal_sufficient_set():
    assert n_sufficient(np.array([0.1, 0.89, 0.95, 1.0])) == 3
    assert n_sufficient(np.array([0.9, 0.95, 1.0])) == 1
    assert n_sufficient(np.array([0.0, 0.0, 1.0])) == 3


def test_backups_matter_more_in_context():
    # nothing alone; the same with a wide interval; equal; the other way alone; a negligible difference
    alone, in_context = np.array([0.0, 0.0, 1.0, -0.4, 0.99]), np.array([1.0, 0.1, 1.0, 0.2, 1.0])
    low = np.array([0.5, -0.1, 0.0, 0.3, 0.005])
    assert backups(alone, in_context, low).tolist() == [True, False, False, False, False]
    # what moves the gene the other way in context is no backup
    assert not backups(np.array([0.0]), np.array([-1.0]), np.array([-1.2])).any()


def draws_with(alone, low: float, high: float, n=101):
    """Draws of a set of joint drop one, members' drops stretched to indices evenly spread over an interval."""
    sums = 1 - np.linspace(low, high, n)
    return np.array(alone) / np.sum(alone) * sums[:, None], np.ones(n)


@pytest.mark.parametrize(
    ("alone", "low", "high", "name"),
    [
        ([0.95, 0.04], -0.01, 0.03, "single"),
        ([0.93, 0.88], -0.9, -0.7, "synergistic"),  # each of two takes everything: both are needed
        ([0.3, 0.1], 0.4, 0.7, "redundant"),
        ([0.3, 0.1], -0.1, 0.9, "undecided"),  # too few cells to tell
        ([0.7, 0.8], -0.9, -0.1, "synergistic"),
        ([0.7, 0.8], -1.1, 0.1, "undecided"),
        ([0.7, 0.8], -2.0, 0.1, "synergistic"),  # 81 % of the draws are far from zero
        ([0.2, 0.2], -0.05, 1.8, "redundant"),
        ([0.5, 0.5], -0.1, 0.1, "multiplicative"),
        ([0.5, 0.5], -0.35, 0.35, "multiplicative"),  # 86 % of the draws are near zero
        ([0.5, 0.5], -0.45, 0.45, "undecided"),  # 67 %
        ([0.48, 0.49], 0.02, 0.04, "multiplicative"),  # sure, but negligible
        ([0.52, 0.51], -0.04, -0.02, "multiplicative"),
        ([1.0], 0.0, 0.0, "single"),
        ([0.95, 0.04], -0.3, 0.3, "undecided"),  # in half of the draws the first one does not suffice
    ],
)
def test_classes(alone, low, high, name):
    assert class_of_set(np.array(alone), 1.0, *draws_with(alone, low, high)) == name


@pytest.mark.parametrize(
    ("n_drops", "name"), [(30, "none"), (50, "none"), (51, "undecided"), (95, "undecided")]
)
def test_an_effect_that_most_but_not_all_draws_have_is_undecided(n_drops, name):
    """Two members of one strength in 100 draws of a surrogate, some of which say that closing them does nothing."""
    opened = np.ones((5, 2), bool)
    strength = (np.arange(100) < n_drops).astype(float)
    refits = [predictor_of(lambda x, s=s: s * x.sum(1), opened) for s in strength]
    measured = measure_subsets(
        predictor_of(lambda x: x.sum(1) * strength.mean(), opened), refits, 2, np.full((100, 5), 0.2)
    )
    verdict = verdict_of(measured, SILENCE)
    assert verdict.set_class == name and not verdict.has_effect and np.isnan(verdict.index)
    assert verdict.joint_low == -2 and verdict.joint_high == 0


@pytest.mark.parametrize(("n_single", "name"), [(79, "undecided"), (80, "single")])
def test_single_needs_the_draws_to_agree(n_single, name):
    alone = np.where(np.arange(100)[:, None] < n_single, [1.0, 0.1], [0.4, 0.4])
    assert class_of_set(np.array([0.95, 0.2]), 1.0, alone, np.ones(100)) == name
