"""The window surrogate as a function of open peaks, against enumeration of what may be open and missed."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import open_peaks, small_window_surrogate
from scipy import sparse

from grids.io.errors import InputError
from grids.surrogates.window.curve import MIN_ACTIVITY, expected_index, log_activity
from grids.surrogates.window.model import (
    WindowSurrogate,
    covariates,
    window_pairs,
)

CELLS = open_peaks(60)


@pytest.fixture
def surrogate() -> WindowSurrogate:
    return small_window_surrogate()


@given(st.floats(-20, 25), st.floats(-0.99, 50))
def test_log_activity_is_the_curve(index, size):
    activity = 1 + size * np.expm1(index)
    actual = float(log_activity(torch.tensor([index], dtype=torch.float64), torch.tensor([size])))
    assert actual == pytest.approx(np.log(max(activity, MIN_ACTIVITY)), abs=1e-4)


def test_log_activity_is_finite_for_any_index():
    extreme = log_activity(torch.tensor([-1e9, -100.0, 0.0, 100.0, 1e9]), torch.tensor(2.0))
    assert torch.isfinite(extreme).all()
    assert extreme[0] == pytest.approx(np.log(MIN_ACTIVITY)) and extreme[2] == 0


def mean_over_openings(chance: np.ndarray, weights: np.ndarray, function) -> float:
    """Mean of a function of the index over all openings of peaks, each open with its chance."""
    total = 0.0
    for z in itertools.product([0, 1], repeat=len(chance)):
        total += np.where(z, chance, 1 - chance).prod() * function(float(np.dot(z, weights)))
    return total


@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, -6.0, -0.4, 0.7, 2.5])), min_size=1, max_size=5)
)
def test_the_expected_index_averages_over_what_may_be_open(pairs):
    chance, weights = map(np.array, zip(*pairs, strict=True))
    actual = expected_index(torch.from_numpy(chance)[None], torch.from_numpy(weights))
    assert float(actual) == pytest.approx(np.log(mean_over_openings(chance, weights, np.exp)), abs=1e-8)


def test_predictions_average_over_drawn_models_and_missed_openings(surrogate):
    surrogate.calibration = torch.tensor([[0.1, 2.0], [0.0, 1.0], [-0.3, 0.5], [0.2, 1.5]])
    predicted = surrogate.predict(CELLS).double().numpy()
    cells = surrogate.window_cells(CELLS)
    by_state = (cells.covariates @ surrogate.state_effect.T).double().numpy()
    for column, gene in enumerate(surrogate.genes):
        view = surrogate.for_gene(gene)
        weights, size = view.shift[:, :-1].double().numpy(), view.size.double().numpy()
        openness = cells.openness(column).double().numpy()
        for cell in range(0, 60, 7):
            log_activities = [
                np.log(mean_over_openings(openness[cell], w, lambda x, s=s: 1 + s * np.expm1(x)))
                for w, s in zip(weights.T, size, strict=True)
            ]
            mean = np.exp(by_state[cell, column] + np.mean(log_activities))
            a, b = surrogate.calibration[column].tolist()
            assert predicted[cell, column] == pytest.approx(a + b * np.log1p(mean), abs=1e-4)


def test_a_permuted_window_changes_the_windows_part_only(surrogate):
    surrogate.calibration = torch.tensor([[0.0, 1.0]]).repeat(4, 1)
    identity, shuffled = np.arange(60), np.random.default_rng(1).permutation(60)
    plain = surrogate.predict(CELLS)
    torch.testing.assert_close(surrogate.predict(CELLS, identity), plain)
    by_state = surrogate.window_cells(CELLS).covariates @ surrogate.state_effect.T

    def of_window(predicted):
        return torch.log(torch.expm1(predicted)) - by_state

    expected = of_window(plain)[torch.from_numpy(shuffled)]
    torch.testing.assert_close(of_window(surrogate.predict(CELLS, shuffled)), expected, atol=2e-3, rtol=1e-3)
    assert float((surrogate.predict(CELLS, shuffled) - plain).abs().mean()) > 1e-3


def test_openness_is_certain_where_seen_and_by_state_and_chance_where_not(surrogate):
    cells = surrogate.window_cells(CELLS)
    for column in range(4):
        peaks, pairs = surrogate.window(surrogate.genes[column]).numpy(), surrogate._pairs(column)
        slopes = cells.covariates[:, 1:].double().numpy()
        along = np.clip(slopes @ surrogate.direction[column].double().numpy(), -3, 3)
        curved = np.stack([along**2 - 1, along**3 - 3 * along], 1) / 3
        shared = np.concatenate([slopes, curved], 1) @ surrogate.shared[column].double().numpy()
        own = surrogate.intercept[pairs].numpy() + slopes @ surrogate.deviation[pairs].double().numpy().T
        is_open = 1 / (1 + np.exp(-np.clip(shared[:, None] + own, -5, 5)))
        missed = is_open * (1 - cells.chance.double().numpy()[:, None])
        expected = np.where(CELLS[:, peaks].toarray(), 1, missed / (missed + 1 - is_open))
        np.testing.assert_allclose(cells.openness(column), expected, rtol=1e-3)


def test_openness_is_drawn_as_often_as_its_chance(surrogate):
    opened = sparse.vstack([CELLS] * 200).tocsr()
    drawn, by_state = surrogate.window_cells(opened).draw("G3", np.random.default_rng(0))
    chance = surrogate.window_cells(CELLS).openness(3)
    frequency = drawn.toarray().reshape(200, 60, 4).mean(0)
    assert drawn.dtype == np.uint8 and set(np.unique(drawn.data)) == {1}
    assert (frequency[chance == 1] == 1).all()
    np.testing.assert_allclose(frequency, chance, atol=4.5 * np.sqrt(0.25 / 200))
    assert np.abs(frequency - chance.numpy()).mean() < 0.04
    again, _ = surrogate.window_cells(opened).draw("G3", np.random.default_rng(0))
    assert (again != drawn).nnz == 0
    expected = surrogate.window_cells(CELLS).covariates @ surrogate.state_effect[3]
    torch.testing.assert_close(by_state[:60], expected)
    other, _ = surrogate.window_cells(opened).draw("HLA-DQB1", np.random.default_rng(0))
    assert other.shape == (12000, 4)


def test_a_gene_is_explained_by_its_part_of_the_surrogate(surrogate):
    for gene in surrogate.genes:
        view = surrogate.for_gene(gene)
        assert view.peaks == [surrogate.peaks[i] for i in surrogate.window(gene)] and view.genes == [gene]
        column = surrogate.genes.index(gene)
        z = open_peaks(20, len(view.peaks), seed=2)
        pairs = surrogate._pairs(column)
        index = z.toarray() @ surrogate.weights[pairs].numpy()
        expected = np.log1p(surrogate.size[column].numpy() * np.expm1(index)).mean(1)
        np.testing.assert_allclose(view.predict(z)[:, 0], expected, atol=1e-5)


def test_drawn_models_are_the_refits(surrogate):
    assert surrogate.n_replicates == 3
    z = open_peaks(30, 4, seed=3)
    whole = surrogate.for_gene("G3").predict(z)
    each = [surrogate.replicate(b) for b in range(3)]
    torch.testing.assert_close(torch.stack([r.for_gene("G3").predict(z) for r in each]).mean(0), whole)
    assert all(r.n_replicates == 0 and r.weights.shape == (12, 1) for r in each)
    assert surrogate.weights.shape == (12, 3) and each[0].state is surrogate.state
    assert not torch.equal(each[0].predict(CELLS), each[1].predict(CELLS))


def test_an_unknown_gene_is_named_with_the_closest_one(surrogate):
    with pytest.raises(InputError, match=r"gene 'HLA-DQB2' is not in the window .*HLA-DQB1"):
        surrogate.for_gene("HLA-DQB2")
    with pytest.raises(InputError, match="expected 40 peaks"):
        surrogate.predict(CELLS[:, :7])


def test_forms_are_named(surrogate):
    table = surrogate.forms()
    assert list(table.columns) == ["none", "single", "multiplicative", "redundant", "synergistic"]
    assert table.index.tolist() == surrogate.genes
    np.testing.assert_allclose(table.sum(1), 1, rtol=1e-5)


def test_prediction_by_depth_follows_the_chance_of_detection_only(surrogate):
    chance, _ = surrogate.covariates(CELLS)
    expected = np.log1p(
        np.exp(
            surrogate.depth_only[:, 0].numpy()
            + surrogate.depth_only[:, 1].numpy() * 2 * np.log(chance.numpy()[:, None] / 0.3)
        )
    )
    calibration = surrogate.calibration.numpy()
    np.testing.assert_allclose(
        surrogate.predict_by_depth(CELLS), calibration[:, 0] + calibration[:, 1] * expected, rtol=1e-4
    )


def test_covariates_are_intercept_depth_state_and_type():
    components = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    table = covariates(torch.tensor([0.3, 0.6]), components, torch.tensor([0, 2]), 3)
    expected = [[1, 0, 0.5, -1, 0, 0], [1, 2 * np.log(2), 2, 0, 0, 1]]
    np.testing.assert_allclose(table, expected, atol=1e-6)


def test_pairs_are_those_of_the_data_in_order():
    windows = pd.DataFrame(
        {"peak": ["p2", "p0", "gone", "p1", "p2", "p0"], "gene": ["B", "B", "B", "gone", "A", "B"]}
    )
    genes, first_pair, peak_of_pair = window_pairs(windows, ["p0", "p1", "p2"], ["A", "C", "B"])
    assert genes == ["A", "B"]
    assert first_pair.tolist() == [0, 1, 3] and peak_of_pair.tolist() == [2, 0, 2]
