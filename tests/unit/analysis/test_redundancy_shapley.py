"""Shapley values: closed forms, the axioms, brute force over orders, and the stated error of sampling."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grids.analysis.redundancy.subsets import all_subsets, exact_shapley, sampled_shapley, shapley_values

sizes_and_seeds = {"size": st.integers(1, 7), "seed": st.integers(0, 10_000)}


def random_values(size, seed):
    return np.random.default_rng(seed).normal(size=2**size)


def by_number(values):
    """The value function of a table over all subsets."""
    return lambda subsets: values[subsets @ (1 << np.arange(subsets.shape[1]))]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_all_subsets_are_numbered_by_their_bits(size):
    subsets = all_subsets(size)
    assert len({tuple(row) for row in subsets}) == 2**size
    assert (subsets @ (1 << np.arange(size))).tolist() == list(range(2**size))


def test_closed_forms():
    subsets = all_subsets(3)
    np.testing.assert_allclose(exact_shapley(subsets @ np.array([1.0, -2.0, 5.0])), [1, -2, 5], atol=1e-12)
    np.testing.assert_allclose(exact_shapley(subsets.all(1).astype(float)), [1 / 3] * 3)
    # glove game: member 0 needs 1 or 2
    np.testing.assert_allclose(
        exact_shapley(subsets[:, 0] * subsets[:, 1:].any(1).astype(float)), [2 / 3, 1 / 6, 1 / 6]
    )


@given(size=st.integers(1, 5), seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_exact_is_the_mean_over_all_orders(size, seed):
    values = random_values(size, seed)
    total = np.zeros(size)
    orders = list(permutations(range(size)))
    for order in orders:
        number = 0
        for member in order:
            total[member] += values[number | 1 << member] - values[number]
            number |= 1 << member
    np.testing.assert_allclose(exact_shapley(values), total / len(orders), atol=1e-12)


@given(**sizes_and_seeds)
@settings(max_examples=40)
def test_efficiency(size, seed):
    values = random_values(size, seed)
    assert exact_shapley(values).sum() == pytest.approx(values[-1] - values[0], abs=1e-12)
    estimate, _ = sampled_shapley(by_number(values), size, 6, np.random.default_rng(seed))
    assert estimate.sum() == pytest.approx(values[-1] - values[0], abs=1e-12)


@given(**sizes_and_seeds)
@settings(max_examples=40)
def test_symmetry_and_dummy(size, seed):
    # the value depends on how many of the first `size` members are in, and not on the last one
    of_count = random_values(size, seed)[: size + 1] if size > 1 else np.array([0.0, 2.0])
    values = of_count[all_subsets(size + 1)[:, :size].sum(1)]
    shapley = exact_shapley(values)
    np.testing.assert_allclose(shapley[:size], (of_count[size] - of_count[0]) / size, atol=1e-12)
    assert shapley[size] == pytest.approx(0, abs=1e-12)


def test_sampled_is_within_its_stated_error_of_the_exact_one():
    rng = np.random.default_rng(0)
    scores = []
    for repeat in range(60):
        values = random_values(6, repeat)
        estimate, error = sampled_shapley(by_number(values), 6, 80, rng)
        scores.append((estimate - exact_shapley(values)) / error)
    scores = np.concatenate(scores)
    # 40 independent pairs of orders: Student's t with 39 degrees of freedom, variance 39 / 37
    assert scores.std() == pytest.approx(1, abs=0.15)
    assert abs(scores.mean()) < 0.2
    assert (np.abs(scores) < 2.02).mean() == pytest.approx(0.95, abs=0.04)


def test_more_orders_less_error():
    value = by_number(random_values(6, 1))
    _, few = sampled_shapley(value, 6, 40, np.random.default_rng(0))
    _, many = sampled_shapley(value, 6, 640, np.random.default_rng(0))
    np.testing.assert_allclose(few / many, 4, rtol=0.5)


def test_reversed_orders_make_pairwise_games_exact():
    # each pair of members adds its weight once both are in: either order of a pair gives half on average
    weights = np.triu(np.random.default_rng(0).normal(size=(15, 15)), 1)

    def value(subsets):
        return np.einsum("si,ij,sj->s", subsets, weights, subsets)

    shapley, error = shapley_values(value, 15, 4, np.random.default_rng(1))
    np.testing.assert_allclose(shapley, (weights.sum(0) + weights.sum(1)) / 2, atol=1e-9)
    np.testing.assert_allclose(error, 0, atol=1e-9)


def test_exact_to_twelve_members_sampled_above():
    def is_whole(subsets):
        return subsets.all(1).astype(float)

    shapley, error = shapley_values(is_whole, 12, 4, np.random.default_rng(0))
    np.testing.assert_allclose(shapley, 1 / 12)
    assert (error == 0).all()
    shapley, error = shapley_values(is_whole, 13, 400, np.random.default_rng(0))
    assert (error[shapley > 0] > 0).all()
    np.testing.assert_allclose(shapley, 1 / 13, atol=4 * error.max())
