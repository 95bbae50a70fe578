"""State and detection chance of cells, where both are planted."""

import numpy as np
import pytest
import torch
from scipy import sparse

from grids.surrogates.window.cell_state import (
    MAX_CHANCE,
    MIN_CHANCE,
    CellState,
    principal_loadings,
    shrink_loadings,
)


def planted_cells(
    n_cells: int, n_peaks: int = 400, loading: float = 1.0, more_open: float = 0.0, seed: int = 0
):
    """Open peaks seen, chance (depth) and state; depth and state are independent.

    The state opens some peaks and closes others, and where `more_open` is positive opens more than it closes.
    """
    rng = np.random.default_rng(seed)
    state = rng.standard_normal(n_cells)
    chance = np.clip(0.3 * np.exp(rng.normal(0, 0.4, n_cells)), 0.05, 0.9)
    slope = loading * rng.standard_normal(n_peaks) + more_open
    log_odds = rng.normal(-1, 0.7, n_peaks) + state[:, None] * slope
    is_open = rng.random((n_cells, n_peaks)) < 1 / (1 + np.exp(-log_odds))
    seen = is_open & (rng.random(is_open.shape) < chance[:, None])
    return sparse.csr_matrix(seen.astype(np.uint8)), chance, state


def correlation(x, y) -> float:
    return abs(float(np.corrcoef(np.asarray(x), np.asarray(y))[0, 1]))


def test_state_and_chance_are_recovered_when_depth_and_state_both_vary():
    """The state opens more peaks than it closes, so that the number seen tells of both."""
    opened, chance, state = planted_cells(2000, more_open=0.5)
    n_seen = np.diff(opened.indptr)
    assert correlation(n_seen, chance) < 0.8 and correlation(n_seen, state) > 0.45
    fit = CellState.fit(opened, chance, 10, seed=0)
    found_chance, components = fit(opened)
    assert components.shape[1] <= 3
    assert correlation(components[:, 0], state) > 0.9 and correlation(found_chance, chance) > 0.9
    assert correlation(components[:, 0], chance) < 0.1 and correlation(found_chance, state) < 0.1
    assert float(found_chance.mean()) == pytest.approx(chance.mean(), rel=0.03)


def test_new_cells_get_the_state_they_have():
    opened, chance, state = planted_cells(3000, more_open=0.3, seed=1)
    fit = CellState.fit(opened[:2000], chance[:2000], 10, seed=0)
    found_chance, components = fit(opened[2000:])
    assert correlation(components[:, 0], state[2000:]) > 0.9
    assert correlation(found_chance, chance[2000:]) > 0.9
    # a cell's state does not depend on the cells it comes with
    alone_chance, alone = fit(opened[2000:2001])
    torch.testing.assert_close(alone[0], components[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone_chance[0], found_chance[0])


def test_the_chance_is_shrunk_for_counting_noise():
    """With few peaks seen, the cells that show most are partly those that happened to."""
    opened, chance, _ = planted_cells(1500, n_peaks=100, more_open=0.3)
    found, _ = CellState.fit(opened, chance, 10, seed=0)(opened)
    assert np.polyfit(found, chance, 1)[0] == pytest.approx(1, abs=0.12)


def test_components_have_a_standard_deviation_of_at_most_one():
    opened, chance, _ = planted_cells(2000, seed=2)
    _, components = CellState.fit(opened, chance, 10, seed=0)(opened)
    assert 0.8 < float(components[:, 0].std()) <= 1.05 and abs(float(components[:, 0].mean())) < 0.1


def test_components_of_a_cell_that_shows_less_are_shrunk_more():
    opened, chance, state = planted_cells(2000, seed=3)
    fit = CellState.fit(opened, chance, 10, seed=0)
    rng = np.random.default_rng(0)
    extreme = opened[np.argsort(-np.abs(state))[:200]]
    thinned = extreme.copy()
    thinned.data = (rng.random(thinned.nnz) < 0.15).astype(np.uint8)
    thinned.eliminate_zeros()
    (_, whole), (_, thin) = fit(extreme), fit(thinned)
    assert float(thin[:, 0].abs().mean()) < 0.8 * float(whole[:, 0].abs().mean())
    assert correlation(thin[:, 0], whole[:, 0]) > 0.8


def test_noise_has_no_components():
    for seed in range(3):
        opened, chance, _ = planted_cells(800, loading=0.0, seed=seed)
        fit = CellState.fit(opened, chance, 10, seed=0)
        found, components = fit(opened)
        assert fit.loadings.shape == (400, 0) and components.shape == (800, 0)
        assert correlation(found, chance) > 0.9


def test_the_fit_depends_on_the_given_cells_and_the_seed_only():
    opened, chance, _ = planted_cells(600, seed=4)
    first, again = (CellState.fit(opened[:400], chance[:400], 5, seed=1) for _ in range(2))
    np.random.default_rng(0).random(10)
    for name in ("share", "loadings", "centre", "signal", "n_open_slope", "chance_line"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    other = CellState.fit(opened[200:], chance[200:], 5, seed=1)
    assert not torch.equal(first.share, other.share)


def test_of_the_chance_given_only_the_mean_is_used():
    opened, chance, _ = planted_cells(400, seed=5)
    mean = np.full(400, chance.mean())
    (a, x), (b, y) = (CellState.fit(opened, c, 5, seed=0)(opened) for c in (chance, mean))
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(x, y, atol=1e-4, rtol=1e-3)


def test_the_sign_of_a_component_is_that_of_its_largest_loading():
    opened, chance, _ = planted_cells(800, seed=6)
    loadings = principal_loadings(
        opened, chance, np.asarray(opened.mean(0)).ravel() / chance.mean(), 3, seed=0
    )
    weight = 1 / np.sqrt(np.maximum(opened.mean(0).A1 * (1 - opened.mean(0).A1), 1e-3))
    vectors = loadings / weight[:, None]
    assert all(v[np.abs(v).argmax()] > 0 for v in vectors.T)


def test_principal_loadings_equal_a_dense_decomposition():
    opened, chance, _ = planted_cells(300, n_peaks=60, loading=2.0, seed=7)
    share = np.asarray(opened.sum(0)).ravel() / chance.sum()
    seen = share * chance.mean()
    weight = 1 / np.sqrt(np.maximum(seen * (1 - seen), 1e-3))
    residual = (opened.toarray() - chance[:, None] * share) * weight
    residual /= np.sqrt(chance / chance.mean())[:, None]
    _, size, right = np.linalg.svd(residual, full_matrices=False)
    expected = shrink_loadings(size[:4], right[:4].T, 300) * weight[:, None]
    actual = principal_loadings(opened, chance, share, 4, seed=0)
    assert actual.shape == expected.shape and actual.shape[1] >= 1
    signs = np.sign((actual * expected).sum(0))
    np.testing.assert_allclose(actual * signs, expected, atol=1e-6)


def test_small_components_are_left_out_and_uninformative_peaks_shrunk():
    edge = np.sqrt(400) + np.sqrt(100)
    vectors = np.zeros((100, 2))
    vectors[0, 0], vectors[1, 1] = np.sqrt(0.999), 1.0
    vectors[2:, 0] = np.sqrt(0.001 / 98)
    shrunk = shrink_loadings(np.array([2 * edge, 0.99 * edge]), vectors, 400)
    assert shrunk.shape == (100, 1)
    assert shrunk[0, 0] > 0.95 and not shrunk[2:].any()


@pytest.mark.parametrize("n_cells", [1, 2, 30])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_degenerate_cells_are_finite(n_cells, share):
    """Few cells; nothing or everything open; and mostly a cell without any open peak."""
    dense = np.random.default_rng(0).random((n_cells, 20)) < share
    dense[0] = share == 1
    opened = sparse.csr_matrix(dense.astype(np.uint8))
    fit = CellState.fit(opened, np.full(n_cells, 0.4), 3, seed=0)
    chance, components = fit(opened)
    assert torch.isfinite(chance).all() and torch.isfinite(components).all()
    assert float(chance.min()) >= MIN_CHANCE - 1e-9 and float(chance.max()) <= MAX_CHANCE + 1e-6
    empty_chance, empty = fit(sparse.csr_matrix((2, 20), dtype=np.uint8))
    assert torch.isfinite(empty).all() and torch.isfinite(empty_chance).all()
