"""Rivals of the truth benchmark: right scores, and no look at test cells."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.linear_model import Ridge
from toys import LinearToy

from benchmarks.truth import rivals
from benchmarks.truth.dataset import Candidates
from benchmarks.truth.surrogate_rivals import gradient_saliency, single_peak_scan
from grids.search.task_cells import TaskCells

N_CELLS, N_CANDIDATES = 1200, 6
MEMBER = [2, 5]  # of each gene


def candidates(seed=0):
    rng = np.random.default_rng(seed)
    opened = (rng.random((2, N_CELLS, N_CANDIDATES)) < 0.5).astype(np.uint8)
    depth = rng.uniform(0.5, 2, N_CELLS)
    own = np.stack([opened[gene][:, member] for gene, member in enumerate(MEMBER)], axis=1)
    counts = rng.poisson(depth[:, None] * np.exp(1.5 * own)).astype(float)
    return Candidates(
        genes=["A", "B"],
        peaks=np.array([[f"{gene}{i}" for i in range(N_CANDIDATES)] for gene in "AB"]),
        distance_to_tss_bp=rng.uniform(0, 200_000, (2, N_CANDIDATES)),
        opened=opened,
        counts=counts,
        expression=np.log1p(counts / depth[:, None]),
        depth=depth,
        atac_depth=np.ones(N_CELLS),
        split=rng.choice(["train", "validation", "test"], N_CELLS, p=[0.7, 0.1, 0.2]),
    )


@pytest.mark.parametrize("name", ["correlation", "ridge", "poisson_ridge"])
def test_rivals_that_learn_find_the_one_member(name):
    scores = rivals.RIVALS[name](candidates())
    assert scores.shape == (2, N_CANDIDATES)
    assert scores.argmax(1).tolist() == MEMBER


@pytest.mark.parametrize("name", rivals.RIVALS)
def test_no_rival_looks_at_test_cells(name):
    cells = candidates()
    before = rivals.RIVALS[name](cells)
    test = cells.split == "test"
    cells.opened[:, test] = 1 - cells.opened[:, test]
    cells.counts[test], cells.expression[test] = 50, 9
    assert_allclose(rivals.RIVALS[name](cells), before)


def test_correlation_is_pearsons():
    cells = candidates().of_splits("train", "validation")
    scores = rivals.correlation(cells)
    expected = np.corrcoef(cells.opened[1][:, 3], cells.expression[:, 1])[0, 1]
    assert scores[1, 3] == pytest.approx(abs(expected))


def test_near_peaks_score_high_and_contact_is_constant_below_5_kb():
    cells = candidates()
    nearest = cells.distance_to_tss_bp.argmin(1)
    assert_allclose(rivals.distance(cells).argmax(1), nearest)
    cells.opened[:] = 1
    cells.distance_to_tss_bp[0] = [100, 5_000, 10_000, 20_000, 40_000, 80_000]
    scores = rivals.accessibility_over_distance(cells)[0]
    assert scores[0] == scores[1]
    assert_allclose(scores[1:-1] / scores[2:], 2**0.87)


def test_ridge_from_moments_equals_scikit_learn():
    cells = candidates().of_splits("train")
    coefficients, center, scale, mean = rivals._ridge(cells, penalty=30.0)
    for gene in range(2):
        standardised = (cells.opened[gene] - center[gene]) / scale[gene]
        fit = Ridge(alpha=30.0).fit(standardised, cells.expression[:, gene])
        assert_allclose(coefficients[gene], fit.coef_, rtol=1e-4, atol=1e-6)
        assert mean[gene] == pytest.approx(fit.intercept_, rel=1e-4)


def test_scan_and_saliency_of_a_linear_surrogate_are_its_weights():
    cells = candidates()
    weights = np.random.default_rng(1).normal(size=(2 * N_CANDIDATES, 2))
    surrogate = LinearToy(weights, genes=["A", "B"])
    surrogate.peaks = list(cells.peaks[::-1].ravel())  # another order than the candidates'
    opened = np.hstack([cells.opened[1], cells.opened[0]])
    task_cells = TaskCells(surrogate, sparse.csr_matrix(opened), value=0, seed=0, split="test")
    own = np.stack([weights[N_CANDIDATES:, 0], weights[:N_CANDIDATES, 1]])
    assert_allclose(gradient_saliency(task_cells, cells), np.abs(own), rtol=1e-5)
    expected = np.abs(own) * cells.opened.mean(1)
    assert_allclose(single_peak_scan(task_cells, cells), expected, rtol=1e-4)


def test_candidates_that_a_surrogate_does_not_see_score_zero():
    cells = candidates()
    surrogate = LinearToy(np.ones((3, 2)), genes=["A", "B"])
    surrogate.peaks = ["A0", "A3", "B1"]
    opened = sparse.csr_matrix(np.ones((4, 3)))
    scores = single_peak_scan(TaskCells(surrogate, opened, value=0, seed=0, split="test"), cells)
    assert_allclose(scores, [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0]], atol=1e-6)
