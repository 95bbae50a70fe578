"""Decoys: tails by hand, exchangeable decoys give uniform p-values, and too few give none."""

import numpy as np
import pytest
from linked_cells import drawn
from numpy.testing import assert_allclose
from scipy import sparse, stats

from grids.analysis.links.decoys import (
    LEAST_DECOYS,
    LEAST_OPEN,
    MOST_DECOYS,
    Decoys,
    PeakDecoys,
    WindowDecoys,
    tail_share,
)
from grids.analysis.links.linking import LEAST_EXPRESSING, Windows, test_windows
from grids.analysis.links.score_test import TestedCells

test_windows.__test__ = False


class OfSize(Decoys):
    """Decoys that are never scored themselves."""

    def scores(self, residuals):
        raise NotImplementedError


def test_the_tail_is_counted_where_ten_decoys_are_as_large():
    decoys = np.arange(200.0)
    values = np.array([100.0, 190.0, 189.5, -1.0, np.nan])
    assert_allclose(tail_share(values, decoys), [101 / 201, 11 / 201, 11 / 201, 1.0, np.nan])


def test_beyond_the_decoys_the_tail_is_an_exponential_one():
    decoys = stats.expon.ppf((np.arange(2000) + 0.5) / 2000)
    far = np.array([8.0, 12.0, 16.0])
    assert_allclose(np.log(tail_share(far, decoys)), -far, rtol=0.05)


def test_a_heavy_tail_falls_more_slowly_and_no_tail_is_heavier_than_the_heaviest():
    rng = np.random.default_rng(0)
    heavy, heaviest = rng.pareto(4, 2000), rng.pareto(1, 2000)
    far = np.array([20 * np.quantile(heavy, 0.9)])
    light = tail_share(far, rng.exponential(heavy.mean(), 2000))
    assert tail_share(far, heavy)[0] > 100 * light[0]
    start, mean = np.sort(heaviest)[-201], None
    mean = (np.sort(heaviest)[-200:] - start).mean()
    value = 1e4 * mean
    expected = 0.1 * (1 + 0.4 * (value - start) / (mean * 0.6)) ** -2.5
    assert_allclose(tail_share(np.array([value]), heaviest), expected)


def test_exchangeable_decoys_give_uniform_p_values():
    """Scores whose mean and spread grow with size, own ones as those of decoys."""
    rng = np.random.default_rng(0)
    size = rng.integers(LEAST_OPEN, 2000, 3000).astype(float)
    decoys = OfSize(size, np.where(np.arange(3000) % 2, "chr1", "chr2"))
    p = []
    for _ in range(40):
        own = rng.integers(LEAST_OPEN, 2000, 20).astype(float)
        of_decoys, z = (np.log(x) + np.sqrt(x) / 20 * rng.standard_t(5, len(x)) for x in (decoys.size, own))
        p.append(decoys.judge(z, own, of_decoys, ["chr1"])[1])
    assert stats.kstest(np.concatenate(p), "uniform").pvalue > 0.01
    assert np.mean(np.concatenate(p) < 0.01) < 0.02


def test_a_score_is_standardised_by_decoys_of_its_size_elsewhere():
    size = np.repeat([30.0, 500.0], 200)
    chromosome = np.tile(["chr1", "chr2"], 200)
    decoys = OfSize(size, chromosome)
    # decoys of the gene's own chromosome, here far off, are not looked at
    wave = np.tile([-1.0, -1.0, 1.0, 1.0], 100)
    scores = np.where(decoys.chromosome == "chr1", 1e6, np.where(decoys.size == 30, 0, 10) + wave)
    # 200 neighbours at most: all of the 200 decoys of chr2
    z, _ = decoys.judge(np.array([5.0, 10.0]), np.array([30.0, 500.0]), scores, ["chr1"])
    elsewhere = scores[decoys.chromosome == "chr2"]
    assert_allclose(z, (np.array([5.0, 10.0]) - elsewhere.mean()) / elsewhere.std())


def test_too_few_decoys_or_openings_give_no_p_value():
    for n, expected in ((2 * LEAST_DECOYS - 1, False), (2 * LEAST_DECOYS, True)):
        chromosome = np.where(np.arange(n) < LEAST_DECOYS, "chr1", "chr2")
        decoys = OfSize(np.full(n, 100.0), chromosome)
        scores = np.random.default_rng(0).normal(size=n)
        z, p = decoys.judge(np.array([1.0, 1.0]), np.array([100.0, LEAST_OPEN - 1]), scores, ["chr1"])
        assert np.isfinite(p).tolist() == np.isfinite(z).tolist() == [expected, False]


def test_decoys_are_seen_often_enough_and_spread_over_sizes():
    size = np.arange(5000)
    decoys = OfSize(size, np.array(["chr1"] * 5000))
    assert (
        len(decoys.position) == MOST_DECOYS and decoys.size.min() == LEAST_OPEN and decoys.size.max() == 4999
    )
    assert (np.diff(decoys.size) <= 3).all() and (size[decoys.position] == decoys.size).all()


def test_scores_of_decoys_are_their_sums_of_residuals_over_the_permuted_variance():
    data = drawn(90, n_peaks=30, n_genes=3, n_covariates=1, share=0.5)
    cells, residuals = data.tested(), data.residuals()
    x, r = data.opened.toarray().astype(float), residuals.score

    def expected(y):
        y = y - y.mean(0)
        return (y.T @ r) / np.sqrt((y**2).sum(0)[:, None] * (r**2).sum(0) / 89)

    peaks = PeakDecoys(cells, np.array(["chr1"] * 30))
    assert_allclose(peaks.scores(residuals), expected(x[:, peaks.position]), rtol=1e-3, atol=1e-4)
    of_windows = [np.arange(3 * i, 3 * i + 3) for i in range(10)]
    windows = WindowDecoys(cells, of_windows, np.array(["chr1"] * 10))
    sums = np.stack([x[:, of_windows[i]].sum(1) for i in windows.position], 1)
    assert_allclose(windows.scores(residuals), expected(sums), rtol=1e-4)


@pytest.fixture(scope="module")
def across():
    """Two types that differ in every peak and gene, on twenty chromosomes; gene 0 follows a peak beyond its type."""
    rng = np.random.default_rng(0)
    n_cells, n_genes, n_peaks = 1200, 240, 5
    kind = np.arange(n_cells) % 2
    share = rng.uniform(0.1, 0.4, (2, n_genes * n_peaks))
    opened = rng.random((n_cells, n_genes * n_peaks)) < share[kind]
    mean = np.exp(rng.normal(0, 0.5, (2, n_genes)))[kind] * np.exp(
        2.0 * opened[:, [2]] * (np.arange(n_genes) == 0)
    )
    counts = rng.poisson(mean)
    counts[LEAST_EXPRESSING - 1 :, 1] = 0
    cells = TestedCells(
        sparse.csr_matrix(opened.astype(np.uint8)), np.ones((n_cells, 1)), rng.random(n_cells)
    )
    peaks = [np.arange(n_peaks * g, n_peaks * g + n_peaks) for g in range(n_genes)]
    chromosome = np.array([f"chr{g % 20}" for g in range(n_genes)])
    windows = Windows(peaks, [np.arange(n_peaks) > 0] * n_genes, chromosome)
    values = sparse.csc_matrix(counts.astype(float))
    return test_windows(cells, values, np.ones(n_cells), windows, np.repeat(chromosome, n_peaks))


def test_across_types_windows_that_follow_types_as_others_do_tell_nothing(across):
    p = across.links["p_value"].reshape(240, 5)
    assert p[0].argmin() == 2 and p[0, 2] < 1e-4 and across.distal["p_value"][0] < 1e-3
    others = p[2:].ravel()
    assert 0.02 < (others < 0.05).mean() < 0.08
    assert (across.windows["p_value"][2:] < 0.05).mean() < 0.1
    assert np.isnan(p[1]).all() and np.isnan(across.windows["p_value"][1])  # too few cells express it
