"""CXPlain: exact masking, the U-Net that predicts it, and toys whose order is known."""

import numpy as np
import pytest
import torch
from models import CHROMOSOMES, N_PEAKS, open_peaks, random_surrogate
from questions import all_alike, ask
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from benchmarks.explainers.cxplain import WindowUNet, _n_changed, _windows, causal_objective, cxplain
from grids.io.errors import InputError
from grids.search.objective import PerturbedCells


def order_of(scores: torch.Tensor) -> list[int]:
    return scores.argsort(descending=True).tolist()


@pytest.mark.parametrize("value", [0, 1])
def test_objective_equals_dense_masking(value):
    surrogate, opened = random_surrogate("paper"), open_peaks(9)
    allowed = torch.arange(1, N_PEAKS)
    asked = ask(surrogate, opened, value, allowed=allowed)
    window_of_peak = torch.full((N_PEAKS,), -1)
    window_of_peak[allowed] = _windows(allowed, torch.from_numpy(CHROMOSOMES)[allowed], 4, None)
    explained = np.asarray([0, 3, 8])
    before = surrogate.predict(opened[explained])[:, 0]
    gain = []
    for window in range(int(window_of_peak.max()) + 1):
        dense = opened[explained].toarray()
        dense[:, (window_of_peak == window).numpy()] = value
        after = surrogate.predict(sparse.csr_matrix(dense))[:, 0]
        gain.append(((1 if value else -1) * (after - before)).clamp(min=0))
    gain = torch.stack(gain, 1)
    expected = gain / gain.sum(1, keepdim=True).clamp(min=1e-12)
    assert (expected > 0).sum() > 5
    objective = causal_objective(asked, window_of_peak, explained)
    np.testing.assert_allclose(objective.toarray(), expected.numpy(), atol=2e-4)


def test_windows_are_runs_of_candidates_that_end_with_their_group():
    group = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    assert _windows(torch.arange(8), group, 2, None).tolist() == [0, 0, 1, 1, 2, 3, 3, 4]
    mixed = torch.tensor([1, 0, 1, 0, 1, 0])
    assert _windows(torch.arange(6), mixed, 2, None).tolist() == [2, 0, 2, 0, 3, 1]
    assert _windows(torch.arange(8), group, 64, None).tolist() == [0] * 5 + [1] * 3


def test_windows_of_an_image_are_squares():
    group = torch.zeros(15, dtype=torch.long)
    squares = _windows(torch.arange(15), group, 4, image_width=5).view(3, 5)
    assert squares.tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    with pytest.raises(InputError, match="window is 6; of an image it must be a square"):
        _windows(torch.arange(15), group, 6, image_width=5)


def test_network_predicts_shares_of_the_windows_that_masking_changes():
    torch.manual_seed(0)
    n_changed = torch.randint(0, 3, (4, 21)).float()
    share = WindowUNet(21)(n_changed).exp()
    np.testing.assert_allclose(share.sum(1).detach().numpy(), 1.0, rtol=1e-5)
    assert ((share > 0) == (n_changed > 0)).all()


def test_counts_of_changed_peaks():
    window_of_peak = torch.tensor([0, 0, -1, 1, 1])
    opened = sparse.csr_matrix(np.asarray([[1, 1, 1, 0, 1], [0, 0, 1, 0, 0]], dtype=np.uint8))
    closing = PerturbedCells(LinearToy(np.ones(5)), opened, 0)
    opening = PerturbedCells(LinearToy(np.ones(5)), opened, 1)
    assert _n_changed(closing, window_of_peak).tolist() == [[2, 1], [0, 0]]
    assert _n_changed(opening, window_of_peak).tolist() == [[0, 1], [2, 2]]


@pytest.mark.parametrize("value", [0, 1])
def test_single_peaks_of_an_additive_model_come_in_their_true_order(value):
    # In cells that are alike the objective of a peak is its share of all weights.
    weights = np.full(N_PEAKS, 0.1)
    weights[[8, 31, 2, 19]] = [3.0, 2.0, 1.2, 0.6]
    asked = ask(LinearToy(weights), all_alike(20, 1 - value), value)
    assert order_of(cxplain(asked, window=1))[:4] == [8, 31, 2, 19]


@pytest.mark.parametrize("value", [0, 1])
def test_windows_of_an_additive_model_come_in_the_order_of_their_mean_share(value):
    weights = np.zeros(N_PEAKS)
    weights[[8, 9, 10, 11]] = [0.4, 0.9, 0.5, 1.0]
    weights[[0, 21]] = [0.9, 0.8]
    opened = open_peaks(80)
    scores = cxplain(ask(LinearToy(weights), opened, value), window=4)
    # The window of peaks 8 to 11 first, in it by first-order gain, then those of the single peaks.
    changes = (opened.toarray() != value).mean(0)
    first = sorted(range(8, 12), key=lambda peak: -weights[peak] * changes[peak])
    assert order_of(scores)[:4] == first
    assert {order_of(scores)[4], order_of(scores)[8]} == {0, 21}


@pytest.mark.parametrize("value", [0, 1])
def test_what_no_window_moves_alone_is_not_seen(value):
    # Three redundant copies in three windows: no masking does anything. In one window they are found at once.
    toy = (AllOfToy if value else AnyOfToy)(N_PEAKS, [5, 6, 7])
    apart = cxplain(ask(toy, all_alike(12, 1 - value), value), window=1)
    together = cxplain(ask(toy, all_alike(12, 1 - value), value), window=4)
    assert set(order_of(apart)[:3]) != {5, 6, 7}
    assert set(order_of(together)[:4]) == {4, 5, 6, 7}


def test_only_candidates_are_masked():
    allowed = torch.tensor([20, 1, 6, 4])
    weights = np.ones(N_PEAKS)
    weights[[4, 5]] = [2.0, 9.0]
    scores = cxplain(ask(LinearToy(weights), all_alike(10, 1), allowed=allowed), window=1)
    assert scores.nonzero()[:, 0].tolist() == [1, 4, 6, 20]
    assert scores.argmax() == 4


def test_same_seed_same_scores_of_a_bounded_number_of_cells():
    surrogate, opened = random_surrogate("paper"), open_peaks(40)
    asked = ask(surrogate, opened, seed=1)
    first = cxplain(asked, n_cells=10, n_epochs=2)
    # Ten cells masked in at most eleven windows each, every cell unperturbed.
    assert asked.cells.evaluations.n_forward <= 10 * 11 + 2 * 40
    state = torch.random.get_rng_state()
    assert torch.equal(first, cxplain(ask(surrogate, opened, seed=1), n_cells=10, n_epochs=2))
    assert not torch.equal(first, cxplain(ask(surrogate, opened, seed=2), n_cells=10, n_epochs=2))
    assert torch.equal(state, torch.random.get_rng_state())
