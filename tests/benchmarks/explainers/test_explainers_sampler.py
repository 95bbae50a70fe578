"""The relaxed subset sampler: its relaxation, the partial perturbation below it, and what it finds."""

from itertools import combinations

import numpy as np
import pytest
import torch
from dense import dense_predict
from hypothesis import given, settings
from hypothesis import strategies as st
from models import N_PEAKS, open_peaks, random_surrogate
from scipy import sparse
from toys import AnyOfToy

from benchmarks.explainers.problem import Problem
from benchmarks.explainers.subset_sampler import relaxed_top, subset_sampler
from grids.search.objective import PerturbedCells
from grids.surrogates.pooling import PooledSurrogate

SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}
OR_GROUP, AND_GROUP, N_TOY_PEAKS = [2, 5, 9], [3, 6, 7], 12


class OrAndToy(PooledSurrogate):
    """1 while any of the OR group is open, plus 0.6 while all of the AND group are; every peak adds a little."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale
        self.peaks, self.genes, self.n_groups = [f"p{i}" for i in range(N_TOY_PEAKS)], ["G"], 2
        peak = np.arange(N_TOY_PEAKS)
        shift = np.stack([np.isin(peak, OR_GROUP) * 1.0 + np.isin(peak, AND_GROUP), 0.01 * (1 + peak % 5)], 1)
        self.register_buffer("shift", torch.from_numpy(shift).float())
        self.register_buffer("group_of_peak", torch.from_numpy(np.isin(peak, AND_GROUP).astype(np.int64)))

    def tail(self, pooled, genes=None):
        any_of, all_of = pooled[:, 0, 0], pooled[:, 1, 0] - (len(AND_GROUP) - 1)
        predicted = any_of.clamp(max=1) + 0.6 * all_of.clamp(min=0) + pooled[:, :, 1].sum(1)
        return self.scale * predicted[:, None]


def toy_problem(value, set_size, allowed=None, seed=0, scale=1.0):
    share = (
        np.where(np.isin(np.arange(N_TOY_PEAKS), OR_GROUP), 0.5, 0.7)
        if value == 0
        else np.full(N_TOY_PEAKS, 0.3)
    )
    opened = sparse.csr_matrix((np.random.default_rng(1).random((300, N_TOY_PEAKS)) < share).astype(np.uint8))
    allowed = torch.arange(N_TOY_PEAKS) if allowed is None else torch.tensor(allowed)
    cells = PerturbedCells(OrAndToy(scale), opened, value)
    return Problem(cells, 0, allowed, set_size, np.random.default_rng(seed))


@pytest.mark.parametrize("set_size", [1, 3, 4, 6])
@pytest.mark.parametrize("value", [0, 1])
def test_finds_the_best_of_all_sets_of_or_and_and_groups(value, set_size):
    problem = toy_problem(value, set_size)
    sets = torch.tensor(list(combinations(range(N_TOY_PEAKS), set_size)))
    objective = problem.cells.mean_of_sets(sets, 0) * (1 if value else -1)
    found = sorted(subset_sampler(problem).topk(set_size).indices.tolist())
    assert found == sets[objective.argmax()].tolist()


def test_the_best_closed_set_takes_the_or_group_together():
    # so that the brute force above asks for joint closing: of three, none does as much alone as in the set
    found = set(subset_sampler(toy_problem(0, 4)).topk(4).indices.tolist())
    assert found > set(OR_GROUP) and len(found & set(AND_GROUP)) == 1


def test_draws_find_a_pair_that_no_gradient_shows():
    # closing less than one of the two changes nothing: without noise all logits stay where they began
    cells = PerturbedCells(AnyOfToy(6, [3, 5]), sparse.csr_matrix(np.ones((4, 6), np.uint8)), 0)
    problem = Problem(cells, 0, torch.arange(6), 2, np.random.default_rng(0))
    scores = subset_sampler(problem)
    assert scores[[3, 5]].min() > scores[[0, 1, 2, 4]].max() + 1


def test_small_effects_are_learned_like_large_ones():
    scores = subset_sampler(toy_problem(0, 4)), subset_sampler(toy_problem(0, 4, scale=1e-9))
    torch.testing.assert_close(*scores, atol=0.05, rtol=0.01)


def test_only_candidates_get_a_score_and_draws_follow_the_generator():
    once, again, other = (
        subset_sampler(toy_problem(0, 2, [1, 3, 5, 8], seed), n_steps=30) for seed in (1, 1, 2)
    )
    assert once.isfinite().nonzero()[:, 0].tolist() == [1, 3, 5, 8]
    assert once.isneginf().sum() == N_TOY_PEAKS - 4
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert not torch.equal(once, other)


def test_every_candidate_can_be_a_member():
    scores = subset_sampler(toy_problem(0, 4, [1, 3, 5, 8]), n_steps=3)
    assert scores.isfinite().nonzero()[:, 0].tolist() == [1, 3, 5, 8]


def test_counts_what_it_evaluates():
    problem = toy_problem(1, 2)
    subset_sampler(problem, n_steps=7, batch_size=50)
    evaluations = problem.cells.evaluations
    assert (evaluations.n_forward, evaluations.n_backward) == (350, 350)


@given(
    scores=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=30),
    share=st.floats(0, 1),
)
def test_relaxed_top_sums_to_k_and_keeps_the_order(scores, share):
    scores = torch.tensor(scores, dtype=torch.float64)
    k = 1 + int(share * (len(scores) - 2))
    inclusion = relaxed_top(scores, k)
    assert inclusion.sum().item() == pytest.approx(k, abs=1e-6)
    assert (inclusion >= 0).all() and (inclusion <= 1).all()
    assert (inclusion[scores.argsort()].diff() >= -1e-15).all()


def test_relaxed_top_becomes_the_top_as_scores_grow_apart():
    scores = torch.tensor([0.3, 2.0, -1.0, 1.2, 0.9])
    assert relaxed_top(scores / 0.01, 2).round(decimals=4).tolist() == [0, 1, 0, 1, 0]
    assert relaxed_top(scores, 5).tolist() == relaxed_top(scores, 7).tolist() == [1] * 5


@pytest.mark.parametrize("k", [1, 3, 6])
def test_relaxed_top_differentiates_the_threshold_too(k):
    scores = torch.from_numpy(np.random.default_rng(k).normal(size=7)).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: relaxed_top(s, k), scores, atol=1e-5)


def test_relaxed_top_of_scores_too_far_apart_for_a_gradient_has_none():
    scores = torch.tensor([1e4, 0.0, -1e4], requires_grad=True)
    (gradient,) = torch.autograd.grad(relaxed_top(scores, 1)[0], scores)
    assert gradient.tolist() == [0, 0, 0]


@given(
    members=st.lists(st.integers(0, N_PEAKS - 1), max_size=8, unique=True),
    value=st.sampled_from([0, 1]),
    encoder=st.sampled_from(["paper", "normalised"]),
)
@settings(max_examples=40)
def test_shares_of_one_perturb_a_set(members, value, encoder):
    cells = PerturbedCells(SURROGATES[encoder], open_peaks(12), value)
    shares = torch.zeros(N_PEAKS).index_fill_(0, torch.tensor(members, dtype=torch.long), 1.0)
    expected = cells.perturbed(torch.tensor(members, dtype=torch.long))
    torch.testing.assert_close(cells.partly_perturbed(shares), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
@pytest.mark.parametrize("value", [0, 1])
def test_partial_perturbation_is_that_of_dense_peaks_and_its_derivative_the_projection(value, encoder):
    opened = open_peaks(15)
    cells = PerturbedCells(SURROGATES[encoder], opened, value)
    shares = torch.rand(N_PEAKS, generator=torch.Generator().manual_seed(0)).requires_grad_()
    states = cells.partly_perturbed(shares)
    x = opened.toarray().astype(np.float32)
    moved = x + shares.detach().numpy() * (value - x)
    dense = dense_predict(SURROGATES[encoder], moved, x.sum(1), 3)
    torch.testing.assert_close(cells.predict(3, states.detach()), dense, atol=1e-5, rtol=1e-5)
    gradient = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    (by_share,) = torch.autograd.grad(states, shares, gradient)
    torch.testing.assert_close(by_share, cells.project(gradient) * len(cells), atol=1e-4, rtol=1e-4)
