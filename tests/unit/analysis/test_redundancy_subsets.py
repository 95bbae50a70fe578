"""Subsets of a set: exact evaluation against dense and one-by-one evaluation, and their bootstrap draws."""

import numpy as np
import pytest
import torch
from dense import dense_set_effect
from hypothesis import given, settings
from hypothesis import strategies as st
from models import N_PEAKS, open_peaks, random_surrogate

from grids.analysis.redundancy.subsets import (
    all_subsets,
    changes,
    measure_subsets,
    predictor,
    reported_subsets,
)
from grids.analysis.statistics import bootstrap_weights
from grids.search import objective
from grids.search.objective import PerturbedCells

SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}


@given(
    members=st.lists(st.integers(0, N_PEAKS - 1), min_size=1, max_size=N_PEAKS, unique=True),
    value=st.sampled_from([0, 1]),
    encoder=st.sampled_from(["paper", "normalised"]),
    share=st.sampled_from([0.05, 0.4, 1.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_subsets_equal_the_same_sets_one_by_one(members, value, encoder, share, seed):
    cells = PerturbedCells(SURROGATES[encoder], open_peaks(20, share=share, seed=seed), value)
    masks = np.random.default_rng(seed).random((7, len(members))) < 0.5
    predicted = cells.predict_subsets(torch.tensor(members), torch.from_numpy(masks), 2)
    for mask, row in zip(masks, predicted, strict=True):
        chosen = torch.tensor(members)[torch.from_numpy(mask)]
        torch.testing.assert_close(row, cells.predict_sets(chosen[None], 2)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("value", [0, 1])
def test_all_subsets_of_ten_equal_dense_evaluation_in_several_blocks(value, monkeypatch):
    monkeypatch.setattr(objective, "FLAGS_PER_BLOCK", 5 * 1024)
    monkeypatch.setattr(objective, "ROWS_PER_BLOCK", 300)
    surrogate, opened = SURROGATES["normalised"], open_peaks(12, share=0.6, seed=3)
    members = torch.tensor([0, 3, 11, 14, 15, 19, 22, 30, 31, 39])
    subsets = all_subsets(10)
    cells = PerturbedCells(surrogate, opened, value)
    predicted = cells.predict_subsets(members, torch.from_numpy(subsets), 1)
    assert predicted.shape == (1024, 12)
    for row in range(0, 1024, 37):
        chosen = members[torch.from_numpy(subsets[row])].tolist()
        dense = dense_set_effect(surrogate, opened.toarray(), chosen, value, 1)
        torch.testing.assert_close(predicted[row], dense, atol=1e-5, rtol=1e-5)


def test_subsets_of_some_of_the_cells():
    cells = PerturbedCells(SURROGATES["paper"], open_peaks(30), 0)
    members, masks, some = torch.tensor([4, 20, 33]), torch.from_numpy(all_subsets(3)), np.array([7, 7, 2])
    part = cells.subset(some).predict_subsets(members, masks, 0)
    torch.testing.assert_close(part, cells.predict_subsets(members, masks, 0)[:, some])


def test_equal_perturbations_are_predicted_once(monkeypatch):
    opened = open_peaks(50, share=0.1, seed=1)
    cells, members = PerturbedCells(SURROGATES["paper"], opened, 0), torch.arange(12)
    n_open = opened.toarray()[:, :12].sum(1).astype(int)
    predicted = []
    tail = cells.surrogate.tail
    monkeypatch.setattr(cells.surrogate, "tail", lambda s, g: predicted.append(len(s)) or tail(s, g))
    cells.predict_subsets(members, torch.from_numpy(all_subsets(12)), 0)
    assert sum(predicted) == (2**n_open).sum() < 50 * 4096 / 100


def test_changes_of_the_reported_subsets_by_hand():
    def value(subset):  # members worth 1, 2 and 4, and 8 more for the first two together
        return -(subset @ [1, 2, 4] + 8 * (subset[0] & subset[1]))

    means = np.array([3.0 + value(subset) for subset in reported_subsets(3).astype(int)])
    change = changes(means, 3)
    assert change.alone.tolist() == [-1, -2, -4]
    assert change.without.tolist() == [-6, -5, -11]
    assert change.nested.tolist() == [-1, -11, -15]
    assert change.pairs.tolist() == [-11, -5, -6]
    assert change.joint == -15
    assert change.in_context.tolist() == [-9, -10, -4]
    assert change.interactions.tolist() == [-8, 0, 0]
    stacked = changes(np.stack([means, 2 * means]), 3)
    assert stacked.interactions.tolist() == [[-8, 0, 0], [-16, 0, 0]]


def test_one_member_has_no_pairs():
    assert reported_subsets(1).tolist() == [[False], [True], [False], [True]]
    change = changes(np.array([[1.0, 0.5, 1.0, 0.5]]), 1)
    assert change.interactions.shape == (1, 0)
    assert change.in_context.tolist() == [[-0.5]]


def test_bootstrap_draws_are_changes_in_resampled_cells():
    cells = PerturbedCells(SURROGATES["normalised"], open_peaks(40, seed=5), 0)
    predict = predictor(cells, 3, torch.tensor([2, 16, 25]))
    counts = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=6)
    measured = measure_subsets(predict, [], 3, counts / 40)
    for draw, times in enumerate(counts):
        resampled = np.repeat(np.arange(40), times)
        predicted = predict(reported_subsets(3))[:, resampled]
        for name, scale in (("log_draws", predicted), ("expression_draws", np.exp(predicted))):
            expected = changes(scale.mean(1), 3)
            for actual, wanted in zip(getattr(measured, name), expected, strict=True):
                np.testing.assert_allclose(actual[draw], wanted, atol=1e-12)


def test_draws_take_the_refits_in_turn():
    def surrogate(height):
        return lambda subsets: np.outer(1.0 - height * subsets[:, 0], np.ones(5))

    measured = measure_subsets(
        surrogate(10.0), [surrogate(h) for h in (1.0, 2.0, 3.0)], 1, np.full((7, 5), 0.2)
    )
    assert measured.log.joint == pytest.approx(-10)
    np.testing.assert_allclose(measured.log_draws.joint, [-1, -2, -3, -1, -2, -3, -1])
    np.testing.assert_allclose(measured.expression_draws.joint[1], np.exp(-1) - np.e)


def test_bootstrap_weights_resample_the_cells():
    weights = bootstrap_weights(30, 400, np.random.default_rng(0))
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights * 30, np.round(weights * 30), atol=1e-9)
    # the mean of a resample of n values has variance (population variance) / n
    values = np.arange(30.0)
    assert (weights @ values).var() == pytest.approx(values.var() / 30, rel=0.25)
