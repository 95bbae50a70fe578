"""Openness of the peaks of a window, on simulated cells whose true openness is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grids.surrogates.window.openness import (
    MAX_LOG_ODDS,
    WindowOpenness,
    curved_terms,
    expected_openness,
    fit_openness,
    openness_score,
)

N_SLOPES = 3


def simulated(n_cells: int, intercept, deviation, shared, curved=0.0, seed: int = 0):
    """Cells of one window: what is seen (1, n_cells, n_peaks), chance, covariates, and true log odds.

    `deviation` has shape (n_peaks, 3), `shared` (3,); `curved` bends the shared part along `shared`.
    """
    rng = np.random.default_rng(seed)
    slopes = rng.standard_normal((n_cells, N_SLOPES))
    chance = rng.uniform(0.2, 0.8, n_cells)
    along = slopes @ np.asarray(shared, float)
    along_standard = (along - along.mean()) / max(along.std(), 1e-9)
    bent = curved * (along_standard**2 - 1) / 3
    log_odds = (along + bent)[:, None] + slopes @ np.asarray(deviation).T + np.asarray(intercept)
    is_open = rng.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds))
    seen = is_open & (rng.random(log_odds.shape) < chance[:, None])
    covariates = np.concatenate([np.ones((n_cells, 1)), slopes], 1)
    arrays = (seen[None], chance, covariates, log_odds)
    return tuple(torch.from_numpy(x.astype(np.float32)) for x in arrays)


def fitted(seen, chance, covariates) -> WindowOpenness:
    return fit_openness(seen, torch.ones(seen.shape[0], seen.shape[2], dtype=torch.bool), chance, covariates)


def own_slopes(openness: WindowOpenness) -> torch.Tensor:
    """The slopes of each peak of the first window, but for the curved terms."""
    return openness.shared[0, :-2] + openness.deviation[0]


def test_log_odds_are_recovered():
    intercept, shared = np.linspace(-2, 0.5, 8), [0.8, -0.5, 0.0]
    seen, chance, covariates, truth = simulated(4000, intercept, np.zeros((8, 3)), shared)
    openness = fitted(seen, chance, covariates)
    fit = openness.log_odds(covariates)[0]
    assert float((fit - truth).abs().mean()) < 0.1 and float((fit - truth).abs().max()) < 1.0
    np.testing.assert_allclose(openness.intercept[0], intercept, atol=0.15)
    np.testing.assert_allclose(openness.shared[0, :3], shared, atol=0.05)
    along = covariates[:, 1:] @ torch.tensor(shared)
    assert np.corrcoef(openness.state_of_window(covariates)[0], along)[0, 1] > 0.99


def test_a_curved_dependence_on_the_state_is_recovered():
    flat = np.zeros((8, 3))
    seen, chance, covariates, truth = simulated(4000, np.full(8, -0.5), flat, [1.0, 0.0, 0.0], curved=1.5)
    openness = fitted(seen, chance, covariates)
    assert float((openness.log_odds(covariates)[0] - truth).abs().mean()) < 0.12
    assert float(openness.shared[0, -2]) == pytest.approx(1.5, abs=0.3)


def test_deviations_are_none_when_peaks_share_everything_and_recovered_when_they_differ():
    intercept, shared = np.full(10, -0.5), [0.5, 0.0, 0.0]
    deviation = np.random.default_rng(1).normal(0, 0.8, (10, 3))
    alike = fitted(*simulated(3000, intercept, 0 * deviation, shared)[:3])
    assert float(alike.deviation.abs().mean()) < 0.04
    # so few cells that a peak's own slopes are mostly noise
    few = fitted(*simulated(300, intercept, 0 * deviation, shared)[:3])
    assert float(few.deviation.abs().mean()) < 0.03
    differ = fitted(*simulated(3000, intercept, deviation, shared)[:3])
    truth = np.asarray(shared) + deviation
    assert np.corrcoef(own_slopes(differ).ravel(), truth.ravel())[0, 1] > 0.97
    assert float((own_slopes(differ) - torch.from_numpy(truth)).abs().mean()) < 0.15


def test_the_predicted_share_seen_is_what_is_seen():
    """Cells in ten bins by what is predicted: peaks with each their own slopes, half of the openings missed."""
    deviation = np.random.default_rng(2).normal(0, 0.4, (8, 3))
    data = simulated(6000, np.linspace(-2.5, 1, 8), deviation, [0.7, 0.0, -0.4], seed=2)
    seen, chance, covariates, _ = data
    openness = torch.sigmoid(fitted(seen, chance, covariates).log_odds(covariates)[0])
    predicted = (openness * chance[:, None]).ravel().numpy()
    observed = seen[0].ravel().numpy()
    bins = np.array_split(np.argsort(predicted), 10)
    for rows in bins:
        error = np.sqrt(predicted[rows].mean() / len(rows))
        assert abs(predicted[rows].mean() - observed[rows].mean()) < 3 * error + 0.01


def test_openness_given_what_was_seen_is_calibrated():
    seen, chance, covariates, truth = simulated(6000, np.full(6, 0.3), np.zeros((6, 3)), [1.0, 0.0, 0.0])
    openness = fitted(seen, chance, covariates)
    given_seen = expected_openness(seen[0], chance, openness.log_odds(covariates)[0])
    true_chance = expected_openness(seen[0], chance, truth)
    unseen = seen[0] == 0
    assert (given_seen[~unseen] == 1).all()
    assert float((given_seen - true_chance)[unseen].abs().mean()) < 0.02


@given(st.floats(0.01, 0.99), st.floats(-4, 4))
def test_expected_openness_is_bayes_rule(chance, log_odds):
    openness = 1 / (1 + np.exp(-log_odds))
    # All four outcomes of open or closed, seen or not.
    joint = {
        (1, 1): openness * chance,
        (1, 0): openness * (1 - chance),
        (0, 1): 0.0,
        (0, 0): 1 - openness,
    }
    seen = torch.tensor([[1.0, 0.0]])
    actual = expected_openness(seen, torch.tensor([chance]), torch.full((1, 2), log_odds))[0]
    for value, s in zip(actual.tolist(), (1, 0), strict=True):
        assert value == pytest.approx(joint[1, s] / (joint[1, s] + joint[0, s]), abs=1e-4)


@given(st.floats(0.05, 0.95), st.floats(-4, 4))
def test_the_score_is_the_derivative_of_the_log_likelihood(chance, log_odds):
    def log_likelihood(seen: int, x: torch.Tensor) -> torch.Tensor:
        share = chance * torch.sigmoid(x)
        return torch.log(share if seen else 1 - share)

    information, x = 0.0, torch.tensor(log_odds, dtype=torch.float64)
    for seen in (0, 1):
        value = x.clone().requires_grad_()
        log_likelihood(seen, value).backward()
        score, fisher = openness_score(torch.tensor(float(seen)), torch.tensor(chance), x)
        assert float(score) == pytest.approx(float(value.grad), abs=1e-6)
        information += float(log_likelihood(seen, x).exp()) * float(value.grad) ** 2
    assert float(fisher) == pytest.approx(information, abs=1e-6)


def test_curved_terms_are_orthogonal_to_the_line():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    terms = torch.cat([torch.ones(len(x), 1), x[:, None], curved_terms(x)], 1)
    gram = terms.T @ terms / len(x)
    np.testing.assert_allclose(gram - torch.diag(torch.diagonal(gram)), 0, atol=0.05)


def test_padding_has_no_influence():
    rng = np.random.default_rng(3)
    deviation = rng.normal(0, 0.5, (9, 3))
    seen, chance, covariates, _ = simulated(800, rng.normal(-0.5, 0.5, 9), deviation, [0.6, 0.2, 0.0])
    small = seen[:, :, :3]
    alone = fitted(small, chance, covariates)
    block = torch.cat([seen, torch.nn.functional.pad(small, (0, 6))])
    is_peak = torch.arange(9) < torch.tensor([[9], [3]])
    both = fit_openness(block, is_peak, chance, covariates)
    for row, n, one in ((0, 9, fitted(seen, chance, covariates)), (1, 3, alone)):
        mine = WindowOpenness(*(values[row : row + 1] for values in vars(both).values()))
        for name in ("direction", "centre", "shared"):
            torch.testing.assert_close(getattr(mine, name), getattr(one, name), atol=2e-3, rtol=2e-3)
        expected = one.log_odds(covariates)
        torch.testing.assert_close(mine.log_odds(covariates)[:, :, :n], expected, atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(
            mine.state_of_window(covariates), one.state_of_window(covariates), atol=5e-3, rtol=5e-3
        )


@pytest.mark.parametrize("seen_share", [0.0, 1.0])
@pytest.mark.parametrize("n_peaks", [1, 4])
@pytest.mark.parametrize("constant", [False, True])
def test_degenerate_windows_are_finite(seen_share, n_peaks, constant):
    """Peaks that are never or always seen, covariates that never change, 30 cells."""
    rng = np.random.default_rng(0)
    covariates = torch.ones(30, 4) if constant else torch.from_numpy(rng.normal(size=(30, 4))).float()
    covariates[:, 0] = 1
    seen = torch.full((1, 30, n_peaks), seen_share)
    openness = fitted(seen, torch.full((30,), 0.4), covariates)
    log_odds = openness.log_odds(covariates)
    assert torch.isfinite(log_odds).all() and torch.isfinite(openness.state_of_window(covariates)).all()
    share = torch.sigmoid(log_odds.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)).mean()
    assert float(share) < 0.1 if seen_share == 0 else float(share) > 0.9


def test_without_covariates_only_intercepts_are_left():
    rng = np.random.default_rng(4)
    seen = torch.from_numpy((rng.random((1, 3000, 2)) < [0.1, 0.3]).astype(np.float32))
    openness = fitted(seen, torch.full((3000,), 0.5), torch.ones(3000, 1))
    share = torch.sigmoid(openness.log_odds(torch.ones(1, 1))[0, 0])
    np.testing.assert_allclose(share, seen[0].mean(0) / 0.5, atol=0.01)
