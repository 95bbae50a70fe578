"""The chance that an open peak is seen, from simulated fragments."""

import numpy as np
import pytest
from scipy import sparse

from grids.data.normalisation import HIGHEST, LOWEST, detection_chance


def fragments(rate: float, n_cells: int = 300, n_peaks: int = 800, share: float = 0.3, seed: int = 0):
    """Poisson fragments in open peaks, cells of different depth; and the chance of each cell."""
    rng = np.random.default_rng(seed)
    of_cell = rate * np.exp(rng.normal(0, 0.3, n_cells))
    counts = rng.poisson(of_cell[:, None] * (rng.random((n_cells, n_peaks)) < share))
    return sparse.csr_matrix(counts), 1 - np.exp(-of_cell)


def one_type(counts) -> np.ndarray:
    return np.full(counts.shape[0], "A")


@pytest.mark.parametrize("rate", [0.1, 0.4, 1.5])
def test_the_chance_is_recovered_from_how_often_peaks_are_seen_twice(rate):
    counts, truth = fragments(rate, n_cells=1000)
    chance = detection_chance(counts, one_type(counts))
    assert chance.mean() == pytest.approx(truth.mean(), rel=0.07)
    assert np.corrcoef(chance, truth)[0, 1] > 0.8


def test_a_few_cells_with_more_open_peaks_do_not_mislead():
    """Doublets, for one: they see more peaks than other cells have open."""
    rng = np.random.default_rng(5)
    rate, share = 0.8 * np.exp(rng.normal(0, 0.3, 500)), np.where(np.arange(500) < 10, 0.6, 0.25)
    counts = sparse.csr_matrix(rng.poisson(rate[:, None] * (rng.random((500, 1000)) < share[:, None])))
    assert np.diff(counts.indptr).max() > 1.4 * 250
    found = detection_chance(counts, one_type(counts)).mean()
    assert found == pytest.approx(1 - np.exp(-rate).mean(), rel=0.1)


def test_cut_sites_are_recognised_and_halved():
    counts, truth = fragments(0.5)
    sites = counts.copy()
    rng = np.random.default_rng(1)
    # two cut sites to a fragment; some fragments have one end in the peak
    sites.data = 2 * counts.data - (rng.random(counts.nnz) < 0.1)
    np.testing.assert_allclose(
        detection_chance(sites, one_type(sites)), detection_chance(counts, one_type(counts))
    )
    assert detection_chance(sites, one_type(sites)).mean() == pytest.approx(truth.mean(), rel=0.07)


def test_without_double_counts_the_most_seen_peaks_are_taken_to_be_open():
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.2, 0.4, 400)
    is_open = rng.random((400, 1000)) < 0.1
    is_open[:, :30] = True
    seen = sparse.csr_matrix((is_open & (rng.random(is_open.shape) < chance[:, None])).astype(np.uint8))
    found = detection_chance(seen, one_type(seen))
    assert found.mean() == pytest.approx(0.3, rel=0.15)
    assert found.mean() >= np.asarray(seen.mean(0)).max() * 0.9


def test_types_are_judged_on_their_own_and_a_cell_by_what_it_shows():
    (low, of_low), (high, of_high) = fragments(0.15, seed=3), fragments(1.0, seed=4)
    order = np.random.default_rng(0).permutation(600)
    counts, cell_type = sparse.vstack([low, high]).tocsr()[order], np.repeat(["A", "B"], 300)[order]
    chance = detection_chance(counts, cell_type)
    for name, truth, alone in (("A", of_low, low), ("B", of_high, high)):
        mine = chance[cell_type == name]
        assert mine.mean() == pytest.approx(truth.mean(), rel=0.1)
        assert np.sort(mine) == pytest.approx(np.sort(detection_chance(alone, one_type(alone))))
        n_seen = np.diff(counts.indptr)[cell_type == name]
        assert np.ptp(mine / n_seen) < 1e-9  # proportional


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (np.zeros((3, 4), int), LOWEST),
        (np.full((3, 4), 40), HIGHEST),
        (np.ones((3, 4), int), HIGHEST),
        (np.zeros((1, 1), int), LOWEST),
    ],
)
def test_data_that_hardly_tell_are_bounded(counts, expected):
    chance = detection_chance(sparse.csr_matrix(counts), np.full(len(counts), "A"))
    np.testing.assert_allclose(chance, expected)


def test_a_cell_without_open_peaks_has_a_chance():
    counts, _ = fragments(0.3)
    counts = sparse.vstack([counts, sparse.csr_matrix((1, 800), dtype=counts.dtype)]).tocsr()
    chance = detection_chance(counts, one_type(counts))
    assert 0 < chance[-1] < chance[:-1].min()
