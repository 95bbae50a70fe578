"""Peaks of the largest gain by bounds against the gains of all peaks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import N_PEAKS, open_peaks, random_surrogate

from grids.perturbation import gain_bounds
from grids.perturbation.gain_bounds import GainBounds
from grids.perturbation.objective import PerturbedCells
from grids.perturbation.transition import linearise

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
)
@settings(max_examples=60)
def test_the_best_peaks_are_those_of_all_gains(key, sets, gene, n_best):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gain_bounds, "MOST_LEFT", N_PEAKS - 1)
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
def test_no_gain_moves_farther_than_its_bound(key, members, gene):
    cells = CELLS[key]
    bounds = GainBounds(cells)
    bounds._known = linearise(cells, gene, cells.pooled)
    at = linearise(cells, gene, cells.perturbed(torch.tensor(members).long()))
    assert ((at.gain - bounds._known.gain).abs() <= bounds._bound(at)).all()


def test_few_gains_are_computed_where_gradients_hardly_move(monkeypatch):
    monkeypatch.setattr(gain_bounds, "MOST_LEFT", N_PEAKS - 1)
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
