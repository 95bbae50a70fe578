"""Screening of candidates on a sample of the cells against exact evaluation in all of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import N_PEAKS, open_peaks, random_surrogate
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy, SaturatingToy

from grids.io.caps import SCREENED_CELLS
from grids.search import objective
from grids.search.objective import PerturbedCells
from grids.search.screening import MIN_CHANGED, Sample
from grids.search.search import Search
from grids.search.transitions import linearise

SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}
CELLS = {
    (encoder, value): PerturbedCells(SURROGATES[encoder], open_peaks(1500, share=0.4, seed=1), value)
    for encoder in SURROGATES
    for value in (0, 1)
}
ALL_PEAKS = torch.arange(N_PEAKS)


@given(
    members=st.lists(st.integers(0, N_PEAKS - 1), max_size=8, unique=True),
    value=st.sampled_from([0, 1]),
    gene=st.integers(0, 5),
    encoder=st.sampled_from(["paper", "normalised"]),
)
@settings(max_examples=60)
def test_the_best_candidate_of_all_cells_is_never_ruled_out(members, value, gene, encoder):
    cells = CELLS[encoder, value]
    states = cells.perturbed(torch.tensor(members, dtype=torch.long))
    candidates = ALL_PEAKS[~torch.isin(ALL_PEAKS, torch.tensor(members))]
    after = cells.mean_of_sets(candidates[:, None], gene, states)
    best = after.argmax() if value else after.argmin()
    kept = Sample(cells, 128, np.random.default_rng(0)).contenders(
        candidates, gene, states, linearise(cells, gene, states)
    )
    assert kept[best]


def test_most_candidates_are_ruled_out():
    kept = []
    for cells in CELLS.values():
        at = linearise(cells, 2, cells.pooled)
        kept.append(Sample(cells, 128, np.random.default_rng(0)).contenders(ALL_PEAKS, 2, cells.pooled, at))
    assert torch.stack(kept).float().mean() < 0.25


def test_of_a_linear_surrogate_only_the_best_candidate_is_left():
    # the first order is all there is: however few cells were sampled, close effects are told apart
    cells = PerturbedCells(LinearToy([1.0, 1.01, -3.0]), open_peaks(2000, 3, share=0.5), 0)
    at = linearise(cells, 0, cells.pooled)
    kept = Sample(cells, 20 * MIN_CHANGED, np.random.default_rng(0)).contenders(
        torch.arange(3), 0, cells.pooled, at
    )
    assert kept.tolist() == (at.gain == at.gain.max()).tolist()


def test_a_candidate_that_hardly_any_sampled_cell_shows_is_kept():
    opened = open_peaks(1000, 6, share=0.5).tolil()
    opened[:, 3] = 0
    opened[:5, 3] = 1
    cells = PerturbedCells(LinearToy([1.0, 2.0, 0.0, 1.0, 0.0, 0.0]), opened.tocsr(), 0)
    at = linearise(cells, 0, cells.pooled)
    kept = Sample(cells, 200, np.random.default_rng(0)).contenders(torch.arange(6), 0, cells.pooled, at)
    assert kept.nonzero()[:, 0].tolist() == [1, 3]


def compensated_cells(n_open, weights, rng, value=0, n_cells=1024, rows=None):
    """Pairs of peaks of opposite weights, open together: the curve is steep at the cells, one of a pair saturates it.

    By first order a peak is worth its weight in each cell that shows it, in truth one at most.
    """
    opened = np.zeros((n_cells, 2 * len(n_open)), np.uint8)
    for pair, n in enumerate(n_open):
        shown = rows if rows is not None and pair == 0 else rng.choice(n_cells, n, replace=False)
        opened[shown, pair] = opened[shown, pair + len(n_open)] = 1
    return PerturbedCells(SaturatingToy([*weights, *(-w for w in weights)]), sparse.csr_matrix(opened), value)


def test_a_candidate_that_the_sample_does_not_show_rules_out_no_other():
    sampled = np.random.default_rng(5).choice(1024, SCREENED_CELLS, replace=False)
    unseen = np.setdiff1d(np.arange(1024), sampled)[:8]
    n_open, weights = [8, 700, *[300] * 8], [200.0, 1.0, *[0.01] * 8]
    cells = compensated_cells(n_open, weights, np.random.default_rng(0), rows=unseen)
    at = linearise(cells, 0, cells.pooled)
    assert at.gain[0] > 1.5 > 1.0 > at.gain[1]
    after = cells.mean_of_sets(torch.arange(20)[:, None], 0)
    assert after.argmin() == 1 and after[0] > after[1] + 0.4
    search = Search(cells, 0, rng=np.random.default_rng(5))
    assert int(search.step(cells, torch.tensor([5]), 0)) == 1
    assert search.improve(torch.tensor([5]), np.random.default_rng(0)).members.tolist() == [1]


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.floats(-3, 6)), min_size=8, max_size=14),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1]),
)
@settings(max_examples=150)
def test_of_sparse_peaks_the_screened_choice_is_the_exact_best(pairs, seed, value):
    n_open, log_weights = zip(*pairs, strict=True)
    cells = compensated_cells(n_open, np.exp(log_weights).tolist(), np.random.default_rng(seed), value)
    screened = Search(cells, 0, n_candidates=30, rng=np.random.default_rng(seed))
    exact = Search(cells, 0, n_candidates=30)
    chosen = torch.stack([search.step(cells, torch.tensor([0]), 0) for search in (screened, exact)])
    found, best = exact.objective(chosen[:, None]).tolist()
    assert found >= best - 1e-5 * (abs(best) + 1)


@pytest.mark.parametrize("toy", [AllOfToy, AnyOfToy])
def test_candidates_that_do_the_same_are_kept_together(toy):
    cells = PerturbedCells(toy(40, [17, 31]), sparse.csr_matrix(np.ones((600, 40), np.uint8)), 0)
    states = cells.perturbed(torch.tensor([3]))
    at = linearise(cells, 0, states)
    kept = Sample(cells, 100, np.random.default_rng(0)).contenders(torch.tensor([5, 17, 31]), 0, states, at)
    assert kept[1] == kept[2]
    found = Search(cells, 0, rng=np.random.default_rng(0)).improve(
        torch.tensor([17, 3]), np.random.default_rng(0)
    )
    assert sorted(found.members.tolist()) == [17, 31]


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
@pytest.mark.parametrize("value", [0, 1])
def test_a_screened_search_finds_what_the_exact_one_finds(encoder, value):
    cells = CELLS[encoder, value]
    screened = Search(cells, 1, n_candidates=20, rng=np.random.default_rng(0))
    exact = Search(cells, 1, n_candidates=20)
    for start in (screened.greedy(12), screened.random(12, np.random.default_rng(3))):
        found, expected = (search.improve(start, np.random.default_rng(0)) for search in (screened, exact))
        assert found.members.tolist() == expected.members.tolist()
        assert found.objective_after == pytest.approx(expected.objective_after, rel=1e-6)
        assert found.n_evaluations < 0.5 * expected.n_evaluations


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
@pytest.mark.parametrize("value", [0, 1])
def test_first_order_effects_are_the_gradient_along_the_perturbation(encoder, value, monkeypatch):
    monkeypatch.setattr(objective, "PEAKS_PER_BLOCK", 7)
    opened = open_peaks(30)
    cells = PerturbedCells(SURROGATES[encoder], opened, value)
    gradient = cells.gradient(3, cells.pooled)
    by_peak = (gradient[:, cells.group_of_peak] * cells.shift).sum(2)
    expected = (value - torch.from_numpy(opened.toarray()).float()) * by_peak
    torch.testing.assert_close(cells.first_order(ALL_PEAKS, gradient), expected.T)
    torch.testing.assert_close(cells.project(gradient), expected.mean(0), atol=1e-6, rtol=1e-4)
