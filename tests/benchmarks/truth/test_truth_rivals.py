"""Rivals of the truth benchmark: right scores, and no look at test cells."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.linear_model import Ridge
from toys import LinearToy

from benchmarks.truth.dataset import LEARNED, Candidates
from benchmarks.truth.rivals import selection, simple
from benchmarks.truth.rivals.state import intercept
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


@pytest.mark.parametrize("name", ["ridge", "poisson_ridge"])
def test_rivals_that_learn_find_the_one_member(name):
    scores = simple.RIVALS[name](candidates())
    assert scores.shape == (2, N_CANDIDATES)
    assert scores.argmax(1).tolist() == MEMBER


@pytest.mark.parametrize("name", simple.RIVALS)
def test_no_rival_looks_at_test_cells(name):
    cells = candidates()
    before = simple.RIVALS[name](cells)
    test = cells.split == "test"
    cells.opened[:, test] = 1 - cells.opened[:, test]
    cells.counts[test], cells.expression[test] = 50, 9
    assert_allclose(simple.RIVALS[name](cells), before)


def pairs(cells):
    return list(selection.residuals(cells, intercept(len(cells.depth))))


@pytest.mark.parametrize("name", selection.SELECTIONS)
def test_selections_find_the_one_member_and_no_other(name):
    for (x, y), member in zip(pairs(candidates()), MEMBER, strict=True):
        found = selection.SELECTIONS[name](x, y)
        assert found.scores.shape == (N_CANDIDATES,)
        assert found.scores.argmax() == member
        assert found.n_found in (1, None)
        if found.sets:
            assert np.flatnonzero(found.sets[1]).tolist() == [member]
            assert {size: chosen.sum() for size, chosen in found.sets.items()} == {1: 1, 2: 2, 3: 3}


def test_correlation_is_pearsons():
    cells = candidates().of_splits(*LEARNED)
    scores = [selection.correlation(x, y).scores for x, y in pairs(cells)]
    expected = np.corrcoef(cells.opened[1][:, 3], cells.expression[:, 1])[0, 1]
    assert scores[1][3] == pytest.approx(abs(expected))


def test_susie_states_inclusion_and_a_credible_set_that_holds_the_member():
    for (x, y), member in zip(pairs(candidates()), MEMBER, strict=True):
        found = selection.susie(x, y)
        assert found.credible[member] == 1 and found.inclusion[member] > 0.95
        assert (found.credible > 0).sum() == 1
        rng = np.random.default_rng(0)
        nothing = selection.susie(x, rng.permutation(y))
        assert nothing.n_found == 0 and not nothing.credible.any()
        # A twin that is open in the same cells cannot be told apart: both are in the set.
        twin = selection.susie(np.column_stack([x, x[:, member]]), y)
        assert np.flatnonzero(twin.credible).tolist() == [member, N_CANDIDATES]


def test_forward_selection_is_best_subset_where_peaks_are_independent():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2000, 8))
    y = x[:, 2] - 0.7 * x[:, 6] + 0.4 * x[:, 1] + rng.normal(size=2000)
    x, y = x - x.mean(0), y - y.mean()
    forward, subset = selection.forward(x, y), selection.best_subset(x, y)
    assert np.argsort(-forward.scores)[:3].tolist() == np.argsort(-subset.scores)[:3].tolist() == [2, 6, 1]
    assert forward.n_found == subset.n_found == 3
    assert np.flatnonzero(subset.sets[3]).tolist() == [1, 2, 6]


def test_bic_takes_a_term_only_if_it_pays():
    n_cells = 1000
    pays, does_not = np.exp(-1.1 * np.log(n_cells) / n_cells), np.exp(-0.9 * np.log(n_cells) / n_cells)
    assert selection.lowest_bic([1.0, pays, pays * does_not], n_cells) == 1


def test_what_is_regressed_out_leaves_nothing_behind():
    """A gene and its peaks follow a state: with the state out, no peak tells the gene."""
    rng = np.random.default_rng(5)
    state = rng.normal(size=N_CELLS)
    cells = candidates()
    cells.opened[:] = rng.random((2, N_CELLS, N_CANDIDATES)) < 1 / (1 + np.exp(-2 * state))[:, None]
    cells.expression[:] = (state + 0.3 * rng.normal(size=N_CELLS))[:, None]
    basis = np.linalg.qr(np.column_stack([np.ones(N_CELLS), state]))[0]
    with_state = [selection.susie(x, y) for x, y in pairs(cells)]
    without = [selection.susie(x, y) for x, y in selection.residuals(cells, basis)]
    assert min(found.n_found for found in with_state) > 0
    assert max(found.n_found for found in without) == 0
    for x, y in selection.residuals(cells, basis):
        assert_allclose(basis.T @ x, 0, atol=1e-9)
        assert_allclose(basis.T @ y, 0, atol=1e-9)


def test_near_peaks_score_high_and_contact_is_constant_below_5_kb():
    cells = candidates()
    nearest = cells.distance_to_tss_bp.argmin(1)
    assert_allclose(simple.distance(cells).argmax(1), nearest)
    cells.opened[:] = 1
    cells.distance_to_tss_bp[0] = [100, 5_000, 10_000, 20_000, 40_000, 80_000]
    scores = simple.accessibility_over_distance(cells)[0]
    assert scores[0] == scores[1]
    assert_allclose(scores[1:-1] / scores[2:], 2**0.87)


def test_ridge_from_moments_equals_scikit_learn():
    cells = candidates().of_splits("train")
    coefficients, center, scale, mean = simple._ridge(cells, penalty=30.0)
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
