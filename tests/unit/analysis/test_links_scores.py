"""The score test of links and windows: permutations by brute force, closed forms and properties."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linked_cells import drawn
from numpy.testing import assert_allclose
from scipy import sparse, stats

from grids.analysis.links.linking import Windows, test_windows
from grids.analysis.links.score_test import (
    LEAST_EFFECTIVE_CELLS,
    LEAST_OWN_SHARE,
    TestedCells,
    combine,
    strata_of,
    two_sided,
    upper_tail,
    window_openness,
)

test_windows.__test__ = False


def windows_of(n_genes: int, n_peaks: int, chromosome: str = "chr1") -> Windows:
    """Windows of equal size, side by side; the first peak is not distal."""
    peaks = [np.arange(n_peaks) + n_peaks * g for g in range(n_genes)]
    return Windows(peaks, [np.arange(n_peaks) > 0] * n_genes, np.array([chromosome] * n_genes))


def permuted(score, strata, rng):
    """Residuals of a gene with the cells of each stratum in a random order."""
    new = np.empty_like(score)
    for rows in strata.toarray().astype(bool):
        new[rows] = rng.permutation(score[rows])
    return new


def test_with_equal_weights_the_variance_is_that_of_permutations():
    """A stratum, an intercept: the variance of a sum of residuals drawn without replacement."""
    data = drawn(80, n_covariates=1)
    cells, residuals = data.tested(), data.residuals()
    scores = cells.links([np.arange(12)] * 4, residuals)
    n, x = 80, data.opened.toarray().astype(float)
    for gene in range(4):
        own, r = slice(12 * gene, 12 * gene + 12), residuals.score[:, gene]
        assert_allclose(scores.score[own], x.T @ r, rtol=1e-6, atol=1e-6)
        exact = ((x - x.mean(0)) ** 2).sum(0) * (r**2).sum() / (n - 1)
        assert_allclose(scores.variance[own] * n / (n - 1), exact, rtol=1e-5)
        third = ((x - x.mean(0)) ** 3).sum(0) * (r**3).mean()
        assert_allclose(scores.skewness[own], third / exact**1.5, rtol=1e-4)


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_p_values_of_sparse_data_are_those_of_20000_permutations(share):
    """Peaks open in 2 or 5 % of 1,000 cells, counts in few: far from normal."""
    data = drawn(1000, n_peaks=40, n_genes=1, n_covariates=1, share=share, mean=0.15)
    flat = replace(data, depth=np.ones(1000))
    cells, residuals = flat.tested(), flat.residuals(flat.depth)
    scores = cells.links([np.arange(40)], residuals)
    rng, r = np.random.default_rng(1), residuals.score[:, 0]
    orders = np.stack([permuted(r, cells.strata, rng) for _ in range(20_000)], 1)
    of_chance = cells.by_peak @ orders
    assert_allclose(of_chance.mean(1) / np.sqrt(scores.variance), 0, atol=0.04)
    # Residuals vary more in some strata than in others, by chance: the variance is their common one.
    ratio = of_chance.var(1) / scores.variance
    assert_allclose(ratio, 1, atol=0.15)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    z = of_chance / np.sqrt(scores.variance)[:, None]
    p = two_sided(z, scores.skewness[:, None])
    # Scores of few cells take few values, so that shares are somewhat below.
    assert 0.0004 < (p < 1e-3).mean() < 0.002
    assert 0.04 < (p < 0.05).mean() < 0.06
    assert (2 * stats.norm.sf(np.abs(z)) < 1e-3).mean() > 0.002  # the normal approximation fails


def test_upper_tail_is_that_of_pearson_type_three():
    z, skewness = np.meshgrid([-3.0, -0.5, 0.0, 2.0, 6.0], [-2.0, -0.3, 1e-4, 0.3, 2.0])
    expected = stats.pearson3.sf(z, skewness)
    assert_allclose(upper_tail(z, skewness), expected, rtol=5e-3, atol=1e-12)
    assert_allclose(upper_tail(np.array([1.0]), np.array([0.0])), stats.norm.sf(1.0))


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.3], 0.3),
        ([0.02, 0.02, 0.02], 0.02),
        ([1e-20, 0.5, 0.5, 0.5], 4e-20),
        ([0.01, np.nan, np.nan], 0.01),
        ([np.nan], np.nan),
        ([1.0], 0.99),
        ([0.2, 0.7], 0.5 - np.arctan((np.tan(0.3 * np.pi) + np.tan(-0.2 * np.pi)) / 2) / np.pi),
    ],
)
def test_combined_p_values_in_closed_form(p, expected):
    both = combine(np.array([*p, 0.1]), np.array([0] * len(p) + [2]), 3)
    assert_allclose(both, [expected, np.nan, 0.1], rtol=1e-9)


def test_too_few_effective_cells_have_no_p_value():
    data = drawn(400, n_peaks=2, n_genes=2, mean=3.0)
    opened = np.zeros((400, 3))
    opened[:1, 0], opened[:200, 1] = 1, 1
    data = replace(data, opened=sparse.csr_matrix(opened))
    counts = data.counts.copy()
    counts[:, 1] = np.arange(400) == 3  # one cell carries the gene
    data = replace(data, counts=counts)
    scores = data.tested().links([np.arange(3)] * 2, data.residuals(data.depth))
    assert (scores.n_effective_cells < LEAST_EFFECTIVE_CELLS).tolist() == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    assert np.isfinite(scores.p_value).tolist() == [False, True, False, False, False, False]
    assert np.isnan(scores.effect[2]) and np.isnan(scores.z[2])  # never open


def test_equally_weighted_cells_count_as_so_many():
    """Half of the cells open and residuals of one size: kurtosis 1, three times as light as normal."""
    data = drawn(80, n_covariates=1)
    opened = (np.arange(80) % 2)[:, None]
    cells = TestedCells(sparse.csr_matrix(opened), data.covariates, data.depth)
    assert cells.n_effective[0] == pytest.approx(80)
    values = np.where(np.arange(80) < 40, 1.0, -1.0)[:, None]
    residuals = replace(data, counts=values).residuals()
    assert cells.links([np.arange(1)], residuals).n_effective_cells[0] == pytest.approx(240)


def test_the_score_of_a_window_is_the_sum_of_those_of_its_links():
    data = drawn(90, n_peaks=12, n_genes=3)
    cells, residuals = data.tested(), data.residuals()
    peaks = [np.arange(4 * g, 4 * g + 4) for g in range(3)]
    n_open = window_openness(cells.by_peak, peaks)
    assert_allclose(n_open, np.stack([data.opened.toarray()[:, rows].sum(1) for rows in peaks], 1))
    whole = cells.windows(n_open, residuals)
    assert_allclose(whole.score, cells.links(peaks, residuals).score.reshape(3, 4).sum(1), rtol=1e-4)


def test_own_share_is_what_covariates_do_not_tell():
    data = drawn(200, n_peaks=3, share=0.3)
    opened = data.opened.toarray()
    covariates = np.column_stack([data.covariates, opened[:, 0], opened[:, 1] + data.covariates[:, 1]])
    cells = TestedCells(data.opened, covariates, data.depth)
    x = opened - opened.mean(0)
    left = x - covariates @ np.linalg.lstsq(covariates, x, rcond=None)[0]
    assert cells.own_share[:2].tolist() == [LEAST_OWN_SHARE] * 2
    assert cells.own_share[2] == pytest.approx((left**2).sum(0)[2] / (x**2).sum(0)[2], rel=1e-4)


def test_numbers_of_open_cells_have_their_own_moments():
    """Metacells: sums of powers by brute force."""
    rng = np.random.default_rng(0)
    opened = rng.poisson(1.0, (150, 5))
    data = drawn(150)
    cells = TestedCells(sparse.csr_matrix(opened), data.covariates, data.depth)
    for stratum, rows in enumerate(cells.strata.toarray().astype(bool)):
        x = opened[rows] - opened[rows].mean(0)
        assert_allclose(cells.second[:, stratum], (x**2).sum(0), rtol=1e-5)
        assert_allclose(cells.third[:, stratum], (x**3).sum(0), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 700))
def test_strata_are_of_similar_depth_and_size(n):
    depth = np.random.default_rng(n).random(n)
    strata = strata_of(depth).toarray()
    assert (strata.sum(0) == 1).all() and np.ptp(strata.sum(1)) <= 1 and len(strata) == np.clip(n // 50, 1, 5)
    of_strata = [depth[rows.astype(bool)] for rows in strata]
    assert all(a.max() < b.min() for a, b in itertools.pairwise(of_strata))


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.booleans())
def test_the_order_of_cells_and_the_size_of_blocks_do_not_matter(seed, has_counts):
    data = drawn(160, n_peaks=12, n_genes=3, share=0.3, seed=seed)
    order = np.random.default_rng(seed).permutation(160)
    found = []
    for rows in (np.arange(160), order):
        cells = TestedCells(data.opened[rows], data.covariates[rows], data.depth[rows])
        values = sparse.csc_matrix(data.counts[rows].astype(float))
        exposure = data.depth[rows] if has_counts else None
        found.append(test_windows(cells, values, exposure, windows_of(3, 4)))
    for one, other in zip(*(vars(tested).values() for tested in found), strict=True):
        if isinstance(one, dict):
            for name in one:
                assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-4, err_msg=name)


@given(st.floats(0.01, 100))
def test_effects_scale_with_expression_and_p_values_do_not(factor):
    data = drawn(160, n_peaks=4, n_genes=1)
    cells, values = data.tested(), sparse.csc_matrix(np.log1p(data.counts))
    one, other = (test_windows(cells, x, None, windows_of(1, 4)).links for x in (values, values * factor))
    for name in ("effect", "standard_error"):
        assert_allclose(other[name], one[name] * factor, rtol=1e-5)
    assert_allclose(other["p_value"], one["p_value"], rtol=1e-5)


def test_the_effect_is_the_planted_change_of_log_expression():
    rng = np.random.default_rng(3)
    opened = rng.random(6000) < 0.4
    counts = rng.poisson(np.exp(0.1 + 0.2 * opened))[:, None]
    cells = TestedCells(sparse.csr_matrix(opened[:, None]), np.ones((6000, 1)), rng.random(6000))
    found = test_windows(
        cells, sparse.csc_matrix(counts.astype(float)), np.ones(6000), windows_of(1, 1)
    ).links
    assert found["effect"][0] == pytest.approx(0.2, abs=3 * found["standard_error"][0])
    assert found["standard_error"][0] == pytest.approx(1 / np.sqrt(6000 * 0.24 * counts.mean()), rel=0.05)
    assert found["p_value"][0] < 1e-9


def test_without_genes_there_are_empty_tables():
    data = drawn(60, n_genes=1)
    none = Windows([], [], np.empty(0, str))
    for on in (None, np.array(["chr1"] * 12)):
        tested = test_windows(data.tested(), sparse.csc_matrix((60, 0)), data.depth, none, on)
        for table in (tested.links, tested.windows, tested.distal):
            assert all(len(column) == 0 for column in table.values())


def test_a_window_has_the_p_value_of_itself_and_of_its_links_together():
    data = drawn(300, n_peaks=6, n_genes=2, share=0.4, mean=3.0)
    cells, residuals = data.tested(), data.residuals(data.depth)
    windows = windows_of(2, 3)
    tested = test_windows(cells, sparse.csc_matrix(data.counts.astype(float)), data.depth, windows)
    own = cells.windows(window_openness(cells.by_peak, windows.peaks), residuals).p_value
    of_links = tested.links["p_value"].reshape(2, 3)
    for gene in range(2):
        links = combine(of_links[gene], np.zeros(3, int), 1)[0]
        expected = combine(np.array([own[gene], links]), np.zeros(2, int), 1)[0]
        assert tested.windows["p_value"][gene] == pytest.approx(expected, rel=1e-6)


def test_what_covariates_tell_of_a_peak_leaves_the_shape_of_its_score():
    """The variance shrinks by the own share and the skewness stays: that of permuted residuals."""
    data = drawn(75, n_peaks=6, n_genes=2, share=0.1)
    covariates = np.column_stack([data.covariates, data.opened.toarray()[:, :3].sum(1)])
    data = replace(data, covariates=covariates)
    cells, residuals = data.tested(), data.residuals(data.depth)
    scores = cells.links([np.arange(6)] * 2, residuals)
    x, r = data.opened.toarray() - data.opened.toarray().mean(0), residuals.score
    assert cells.own_share[:3].max() < 0.9
    expected = (x**3).sum(0) * (r**3).mean(0)[:, None] / ((x**2).sum(0) * residuals.second.T) ** 1.5
    assert_allclose(scores.skewness, expected.ravel(), rtol=1e-4)
    weight = residuals.weight
    told = data.opened.T @ weight
    information = (told - told**2 / weight.sum(0)) * cells.own_share[:, None]
    assert_allclose(scores.information, information.T.ravel(), rtol=1e-5)
    assert_allclose(scores.variance, (information * residuals.excess).T.ravel(), rtol=1e-5)
