"""Peaks of the largest gain by bounds against the gains of all peaks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import N_PEAKS, open_peaks, random_surrogate

from grids.search import screening
from grids.search.objective import PerturbedCells
from grids.search.screening import GainBounds
from grids.search.transitions import linearise

SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}
CELLS = {
    (encoder, value): PerturbedCells(SURROGATES[encoder], open_peaks(40, seed=4), value)
    for encoder in SURROGATES
    for value in (0, 1)
}
PEAK_SETS = st.lists(st.integers(0, N_PEAKS - 1), max_size=6, unique=True)


@given(
    key=st.sampled_from(sorted(CELLS)),
    sets=st.lists(PEAK_SETS, min_size=2, max_size=4),
    gene=st.integers(0, 5),
    n_best=st.integers(1, 12),
    many_left=st.sampled_from([0, N_PEAKS]),
)
@settings(max_examples=60)
def test_the_best_peaks_are_those_of_all_gains(key, sets, gene, n_best, many_left):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "MOST_LEFT", N_PEAKS - 1)
        patch.setattr(screening, "MANY_LEFT", many_left)
        cells = CELLS[key]
        bounds = GainBounds(cells)
        for members in sets:
            barred = torch.zeros(N_PEAKS, dtype=torch.bool).index_fill(0, torch.tensor(members).long(), True)
            at = linearise(cells, gene, cells.perturbed(torch.tensor(members).long()))
            best = bounds.best(at, barred, n_best)
            every = linearise(cells, gene, cells.perturbed(torch.tensor(members).long())).gain
            wanted = every.masked_fill(barred, -torch.inf).topk(n_best)
            torch.testing.assert_close(every[best], wanted.values, atol=1e-7, rtol=1e-5)
            assert not barred[best].any()


@given(key=st.sampled_from(sorted(CELLS)), members=PEAK_SETS, gene=st.integers(0, 5))
@settings(max_examples=60)
def test_no_gain_moves_farther_than_its_bounds_and_the_sharper_is_no_larger(key, members, gene):
    cells = CELLS[key]
    bounds, known = GainBounds(cells), linearise(cells, gene, cells.pooled)
    at = linearise(cells, gene, cells.perturbed(torch.tensor(members).long()), known)
    moved = (at.gradient - known.gradient).norm(dim=2) + screening.ROUNDING_OF_BOUND * at.gradient.norm(dim=2)
    first, sharper = bounds._of_the_largest(moved), bounds._of_those_changed(moved)
    change, length = (at.gain - known.gain).abs(), cells.shift.norm(dim=1)
    assert (change <= length * sharper).all()
    of_all = moved.mean(0)[cells.group_of_peak]
    assert (
        sharper
        <= first * (1 + 2 * screening.ROUNDING_OF_BOUNDED_SUM) + 2 * screening.ROUNDING_OF_BOUND * of_all
    ).all()


@given(key=st.sampled_from(sorted(CELLS)), sets=st.tuples(PEAK_SETS, PEAK_SETS), gene=st.integers(0, 5))
@settings(max_examples=60)
def test_only_cells_that_moved_are_linearised_again(key, sets, gene):
    cells = CELLS[key]
    before, after = (cells.perturbed(torch.tensor(members).long()) for members in sets)
    known, fresh = linearise(cells, gene, before), linearise(cells, gene, after)
    n_before = cells.evaluations.n_backward
    at = linearise(cells, gene, after, known)
    assert cells.evaluations.n_backward - n_before == (before != after).any(2).any(1).sum()
    torch.testing.assert_close(at.predicted, fresh.predicted)
    torch.testing.assert_close(at.gradient, fresh.gradient, atol=1e-6, rtol=1e-5)
    assert at.states is after


@pytest.mark.parametrize("key", sorted(CELLS))
def test_sums_are_over_the_cells_that_a_peak_changes(key):
    cells = CELLS[key]
    values = torch.rand(len(cells), cells.surrogate.n_groups)
    every = cells.changed(torch.arange(N_PEAKS)) * values.T[cells.group_of_peak]
    torch.testing.assert_close(cells.sum_over_changed(values), every.sum(1))


def test_few_gains_are_computed_where_gradients_hardly_move(monkeypatch):
    monkeypatch.setattr(screening, "MOST_LEFT", N_PEAKS - 1)
    cells = CELLS["normalised", 0]
    bounds, barred = GainBounds(cells), torch.zeros(N_PEAKS, dtype=torch.bool)
    bounds.best(linearise(cells, 2, cells.pooled), barred, 3)
    at = linearise(cells, 2, cells.pooled + 1e-4)
    computed = []
    project = cells.project
    monkeypatch.setattr(cells, "project", lambda g, peaks=None: computed.append(peaks) or project(g, peaks))
    bounds.best(at, barred, 3)
    (peaks,) = computed
    assert 3 <= len(peaks) < 10
