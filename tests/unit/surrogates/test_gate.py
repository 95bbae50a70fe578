"""The gate's p-value: uniform where the window tells nothing, however the gene follows the state."""

import numpy as np
import pytest
import torch
from scipy import stats

from grids.surrogates.judged_windows import local_control_moments, local_control_p_value

N_CELLS, DISPERSION = 400, 0.2


def p_value(*data) -> float:
    return local_control_p_value(local_control_moments(*data))


def gene(rng, by_window: float, n_cells: int = N_CELLS):
    """Counts of one gene that follows a state in a curve, as the activity of its window does.

    Returns what the test takes: counts, counts expected by state, activity, state.
    """
    state = rng.standard_normal(n_cells)
    smooth = np.tanh(1.2 * state)
    activity = 0.8 * smooth + 0.4 * rng.standard_normal(
        n_cells
    )  # follows the state, and beyond it what is open
    mean = np.exp(0.7 * smooth + by_window * activity)
    counts = rng.poisson(mean * rng.gamma(1 / DISPERSION, DISPERSION, n_cells))
    covariates = np.stack([np.ones(n_cells), state, state**2 - 1, state**3 - 3 * state], 1)
    return tuple(torch.from_numpy(x).float() for x in (counts, np.exp(0.7 * smooth), activity, covariates))


def p_values(n_genes: int, by_window: float, **options) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([p_value(*gene(rng, by_window, **options), DISPERSION) for _ in range(n_genes)])


def test_p_values_are_uniform_when_state_explains_both_window_and_gene():
    p = p_values(400, 0.0)
    assert stats.kstest(p, "uniform").pvalue > 0.05
    # without the state they would be anything but
    rng = np.random.default_rng(0)
    naive = []
    for _ in range(50):
        counts, _, activity, _ = gene(rng, 0.0)
        flat = torch.full_like(counts, float(counts.mean()))
        naive.append(p_value(counts, flat, activity, torch.ones(N_CELLS, 1), DISPERSION))
    assert np.median(naive) < 1e-4


def test_a_prediction_that_is_off_on_average_does_not_make_windows_tell():
    """The expected counts are from other cells: wrong by a fifth here."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(200):
        counts, expected, activity, covariates = gene(rng, 0.0)
        p.append(p_value(counts, 1.2 * expected, activity, covariates, DISPERSION))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_p_values_are_small_when_the_window_tells_more_and_not_when_it_tells_the_opposite():
    assert np.mean(p_values(50, 0.5) < 0.02) > 0.9
    assert np.mean(p_values(50, -0.5) > 0.9) > 0.9


def test_power_grows_with_cells():
    few, many = (np.median(p_values(40, 0.25, n_cells=n)) for n in (200, 2000))
    assert many < 1e-3 < few


@pytest.mark.parametrize("value", [0.0, 1.7])
def test_a_window_that_adds_the_same_everywhere_tells_nothing(value):
    counts, expected, activity, covariates = gene(np.random.default_rng(0), 1.0)
    flat = torch.full_like(activity, value)
    assert p_value(counts, expected, flat, covariates, DISPERSION) == 1.0


def test_the_p_value_does_not_depend_on_level_and_scale_of_the_activity():
    data = counts, expected, activity, covariates = gene(np.random.default_rng(2), 0.3)
    p = p_value(*data, DISPERSION)
    again = p_value(counts, expected, 3 * activity + 2, covariates, DISPERSION)
    assert 1e-12 < p < 0.5 and again == pytest.approx(p, rel=0.02)


def test_the_p_value_equals_the_plain_formula():
    counts, expected, activity, covariates = (x.double().numpy() for x in gene(np.random.default_rng(3), 0.2))
    noise = 1 + DISPERSION * expected
    root = np.sqrt(expected / noise)
    slopes = np.linalg.lstsq(root[:, None] * covariates, root * activity, rcond=None)[0]
    product = (activity - covariates @ slopes) * (counts - expected) / noise
    expected_p = stats.norm.sf(np.sqrt(N_CELLS) * product.mean() / product.std(ddof=1))
    data = (torch.from_numpy(x).float() for x in (counts, expected, activity, covariates))
    assert p_value(*data, DISPERSION) == pytest.approx(expected_p, rel=0.01)


def test_variances_of_small_groups_are_unbiased_and_add_up():
    p = local_control_p_value(np.array([5, 2.0, 3.0]), np.array([3, 1.0, 0.5]))
    assert p == pytest.approx(stats.norm.sf(3.0 / np.sqrt(5 * 3.0 / 4 + 3 * 0.5 / 2)))


@pytest.mark.parametrize("n_cells", [1, 2, 30])
def test_degenerate_genes_have_a_p_value(n_cells):
    """No counts, next to nothing expected; a single cell; covariates that never change."""
    activity = torch.linspace(0, 1, n_cells)
    covariates = torch.ones(n_cells, 4)
    for counts in (torch.zeros(n_cells), torch.full((n_cells,), 7.0)):
        for level in (1e-12, 3.0):
            expected = torch.full((n_cells,), level)
            p = p_value(counts, expected, activity, covariates, 0.01)
            assert 0 <= p <= 1


def learned_p_values(n_genes: int, effect: float, groups: list[tuple[slice, slice]]) -> np.ndarray:
    """p-values of peaks whose weights are learned from some cells and judged on others, for pairs of such cells."""
    rng = np.random.default_rng(4)
    p = []
    for _ in range(n_genes):
        peaks = torch.from_numpy(rng.standard_normal((600, 10))).float()
        counts = torch.from_numpy(rng.poisson(np.exp(effect * peaks[:, 0].numpy()))).float()
        flat, intercept = torch.ones(600), torch.ones(600, 1)
        moments = []
        for known, unseen in groups:
            activity = peaks[unseen] @ (peaks[known].T @ (counts[known] - 1))
            moments.append(
                local_control_moments(counts[unseen], flat[unseen], activity, intercept[unseen], 0.01)
            )
        p.append(local_control_p_value(*moments))
    return np.array(p)


def test_groups_that_later_fits_are_made_with_add_up():
    first, second, test = slice(0, 240), slice(240, 480), slice(480, 600)
    both = [(first, second), (slice(0, 480), test)]
    assert stats.kstest(learned_p_values(300, 0.0, both), "uniform").pvalue > 0.05
    one, two = (np.median(learned_p_values(40, 0.2, groups)) for groups in (both[1:], both))
    assert two < one / 3


def test_halves_that_judge_each_other_would_not_be_independent():
    first, second = slice(0, 300), slice(300, 600)
    p = learned_p_values(300, 0.0, [(first, second), (second, first)])
    assert np.mean((p < 0.05) | (p > 0.95)) > 0.15  # a tenth, were they independent
