"""Rank tests of groups that share units and overlap, against scipy, enumeration and pure noise."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import kruskal, kstest, mannwhitneyu, rankdata

from grids.analysis.atlas import _rank_sums, rank_tests


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from("ABC")), min_size=1, max_size=40).filter(
        lambda rows: (
            all([group for _, group in rows].count(name) >= 3 for name in "ABC")
            and len({value for value, _ in rows}) > 1
        )
    )
)
def test_with_one_value_per_unit_they_are_those_of_mann_whitney_and_kruskal_wallis(rows):
    values, group = (np.array(column) for column in zip(*rows, strict=True))
    inside = group[:, None] == np.array(list("ABC"))
    p_values, p_value = rank_tests(values, np.arange(len(values)), inside)
    each = [values[here] for here in inside.T]
    assert_allclose(p_value, kruskal(*each).pvalue, rtol=1e-6)
    expected = [mannwhitneyu(values[here], values[~here], method="asymptotic").pvalue for here in inside.T]
    assert_allclose(p_values, np.minimum(expected, 1), rtol=1e-6)


def test_mean_and_covariance_are_those_of_all_permutations():
    # Two units of two values, two of one: pairs change places and are turned round, singles change places.
    values = np.array([0.3, 0.9, 0.1, 0.8, 0.5, 0.4])
    unit = np.array(["a", "a", "b", "b", "c", "d"])
    inside = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [0, 0]], dtype=float)
    ranks, sums = rankdata(values), []
    pairs = [(0, 1), (2, 3)]
    for order, turns, singles in itertools.product(
        itertools.permutations(pairs), itertools.product([1, -1], repeat=2), itertools.permutations([4, 5])
    ):
        rows = [i for pair, turn in zip(order, turns, strict=True) for i in pair[::turn]] + list(singles)
        sums.append(ranks[rows] @ inside)
    excess, covariance = _rank_sums(ranks, np.unique(unit, return_inverse=True)[1], inside)
    assert_allclose(excess, ranks @ inside - np.mean(sums, 0))
    assert_allclose(covariance, np.cov(np.array(sums).T, bias=True))


@pytest.mark.parametrize("n_names", [2, 4, 8])
def test_a_group_under_several_names_counts_once(n_names):
    rng = np.random.default_rng(0)
    values, unit = rng.normal(size=40), np.arange(40)
    one = np.stack([np.arange(40) < 12, np.arange(40) % 3 == 0], 1)  # overlapping
    p_values, p_value = rank_tests(values, unit, one)
    again, p_again = rank_tests(values, unit, np.repeat(one, [n_names, 1], axis=1))
    assert_allclose(p_again, p_value, rtol=1e-6)
    assert_allclose(again, np.repeat(p_values, [n_names, 1]))
    assert 0.01 < p_value < 0.99


def p_values_of_noise(shared: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Four cell types, genes in one to four of them, the index a gene's own in part; nothing differs between types."""
    rng, found = np.random.default_rng(1), []
    for _ in range(n):
        types = [rng.choice(4, rng.integers(1, 5), replace=False) for _ in range(30)]
        unit = np.repeat(np.arange(30), [len(t) for t in types])
        values = shared * rng.normal(size=30)[unit] + (1 - shared**2) ** 0.5 * rng.normal(size=len(unit))
        found.append(rank_tests(values, unit, np.concatenate(types)[:, None] == np.arange(4)))
    return np.array([each[0] for each, _ in found]), np.array([p for _, p in found])


@pytest.mark.parametrize("shared", [0.0, 0.7, 0.95])
def test_p_values_of_noise_are_uniform_however_alike_the_values_of_a_unit(shared):
    for p in p_values_of_noise(shared):
        assert kstest(p, "uniform").pvalue > 0.01
        assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_a_difference_within_units_is_found_that_differences_between_them_hide():
    rng = np.random.default_rng(2)
    of_unit, inside = 10 * rng.normal(size=(20, 1)), np.tile([True, False], 20)
    values = (of_unit + [0.5, 0.0] + 0.1 * rng.normal(size=(20, 2))).ravel()
    p_values, p_value = rank_tests(values, np.repeat(np.arange(20), 2), inside[:, None])
    assert p_values[0] < 0.001 and p_value < 0.001
    assert mannwhitneyu(values[inside], values[~inside]).pvalue > 0.5


@pytest.mark.parametrize(
    ("values", "unit", "inside"),
    [
        ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [1, 1, 0, 0, 0]),  # two units inside
        ([1, 2, 3, 4, 5], [0, 1, 0, 2, 3], [1, 1, 1, 0, 0]),  # three values inside, of two units
        ([1, 2, 3, 4], [0, 1, 2, 3], [1, 1, 1, 1]),  # no other
        ([7, 7, 7, 7, 7, 7], [0, 1, 2, 3, 4, 5], [1, 1, 1, 0, 0, 0]),
        ([], [], []),
    ],
)
def test_what_cannot_differ_is_not_tested(values, unit, inside):
    p_values, p_value = rank_tests(np.array(values), unit, np.array(inside, dtype=bool)[:, None])
    assert np.isnan(p_values).all() and np.isnan(p_value)
