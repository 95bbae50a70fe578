"""Exact single-peak scan and exact greedy selection, against closed forms and dense evaluation."""

import numpy as np
import pytest
import torch
from dense import dense_set_effect
from models import N_PEAKS, open_peaks, random_surrogate
from questions import ask
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from benchmarks.explainers import knock_out as knock_out_module
from benchmarks.explainers.greedy import greedy
from benchmarks.explainers.knock_out import knock_out
from grids.io.errors import InputError
from grids.search.transitions import addition_gain

GENE, N_CELLS = 2, 25
SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}
encoders = pytest.mark.parametrize("encoder", ["paper", "normalised"])
values = pytest.mark.parametrize("value", [0, 1])


def dense_objective(surrogate, x, members, value, gene=GENE):
    """Mean change of the prediction in the sought direction, every peak of every cell in memory."""
    after, before = (dense_set_effect(surrogate, x, m, value, gene).mean().item() for m in (members, []))
    return (after - before) * (1 if value else -1)


def dense_greedy(surrogate, x, candidates, set_size, value):
    members = []
    for _ in range(set_size):
        rest = [peak for peak in candidates if peak not in members]
        members.append(max(rest, key=lambda p: dense_objective(surrogate, x, [*members, p], value)))
    return members


def order(scores, n):
    return scores.argsort(descending=True, stable=True)[:n].tolist()


@encoders
@values
def test_knock_out_is_the_dense_effect_of_each_candidate_alone(encoder, value, monkeypatch):
    monkeypatch.setattr(knock_out_module, "PREDICTIONS_PER_BLOCK", 4 * N_CELLS)  # several blocks
    opened, allowed = open_peaks(N_CELLS), [0, 3, 14, 15, 19, 20, 31, 38, 39]
    scores = knock_out(ask(SURROGATES[encoder], opened, value, GENE, allowed))
    x = opened.toarray()
    expected = np.full(N_PEAKS, -np.inf)
    expected[allowed] = [dense_objective(SURROGATES[encoder], x, [peak], value) for peak in allowed]
    np.testing.assert_allclose(scores, expected, atol=2e-6)


def test_closing_costs_the_open_candidates_only():
    opened = open_peaks(N_CELLS)
    problem = ask(LinearToy(np.ones(N_PEAKS)), opened, allowed=list(range(10)))
    knock_out(problem)
    # beside them, the unperturbed cells are predicted by the scan and by its only block
    assert problem.cells.evaluations.n_forward == opened[:, :10].nnz + 2 * N_CELLS


def test_knock_out_sees_no_redundancy():
    opened = sparse.csr_matrix(np.ones((4, 6), np.uint8))
    assert knock_out(ask(AnyOfToy(6, [1, 4]), opened)).tolist() == [0] * 6
    assert knock_out(ask(AllOfToy(6, [1, 4]), opened)).tolist() == [0, 1, 0, 0, 1, 0]


def test_more_cells_than_asked_for_are_sampled():
    opened = open_peaks(200, share=0.5)
    problem = ask(LinearToy(np.arange(N_PEAKS)), opened, seed=4)
    part = knock_out(problem, n_cells=20)
    cells = np.random.default_rng(4).choice(200, 20, replace=False)
    np.testing.assert_allclose(part, np.arange(N_PEAKS) * opened[cells].mean(0).A1, rtol=1e-4, atol=1e-5)
    assert problem.cells.evaluations.n_forward == opened[cells][:, :].nnz + 2 * 20


def test_opening_evaluates_the_most_promising_and_ranks_the_others_below_by_gain():
    surrogate, opened = SURROGATES["paper"], open_peaks(N_CELLS)
    allowed = np.random.default_rng(0).permutation(N_PEAKS)[:30]
    problem = ask(surrogate, opened, 1, GENE, allowed.tolist())
    scores, exact = knock_out(problem, n_exact=8), knock_out(problem)
    gain = addition_gain(problem.cells, GENE, problem.cells.pooled)[allowed]
    promising = gain.argsort(descending=True)
    first, others = allowed[promising[:8]], allowed[promising[8:]]
    torch.testing.assert_close(scores[first], exact[first])
    assert (scores[first].min() >= scores[others]).all()
    assert (scores[others].diff() <= 0).all() and len(scores[others].unique()) == 22
    assert scores.isneginf().sum() == N_PEAKS - 30


class SaturatingToy(LinearToy):
    """The sum of the open peaks' weights, but no more than 0.05: the first order overestimates."""

    def tail(self, pooled, genes=None):
        return super().tail(pooled, genes).clamp(max=0.05)


def test_an_overestimated_peak_does_not_overtake_an_evaluated_one():
    closed = sparse.csr_matrix((4, 6), dtype=np.uint8)
    scores = knock_out(ask(SaturatingToy(np.array([0.4, 0.9, 0.6, 0.8, 0.5, 0.7])), closed, 1), n_exact=2)
    np.testing.assert_allclose(scores, [-0.25, 0.05, -0.05, 0.05, -0.15, 0.05], atol=1e-6)


def test_closing_is_exact_however_many_candidates():
    problem = ask(SURROGATES["paper"], open_peaks(N_CELLS), 0, GENE)
    torch.testing.assert_close(knock_out(problem, n_exact=2), knock_out(problem))


@encoders
@values
def test_greedy_is_forward_selection_by_dense_evaluation(encoder, value, caplog):
    caplog.set_level("INFO", "grids")
    opened, allowed = open_peaks(N_CELLS), [0, 3, 8, 14, 15, 19, 20, 27, 31, 38, 39]
    scores = greedy(ask(SURROGATES[encoder], opened, value, GENE, allowed, set_size=4))
    assert order(scores, 4) == dense_greedy(SURROGATES[encoder], opened.toarray(), allowed, 4, value)
    assert scores[order(scores, 4)].tolist() == [4, 3, 2, 1]
    assert scores.isneginf().sum() == N_PEAKS - 4
    assert "11 of 11 candidates" in caplog.text


def test_greedy_falls_back_to_proposals_and_says_so(caplog):
    caplog.set_level("INFO", "grids")
    weights = np.random.default_rng(1).permutation(N_PEAKS)
    opened = sparse.csr_matrix(np.ones((10, N_PEAKS), np.uint8))
    problem = ask(LinearToy(weights), opened, set_size=5)
    at_most = N_PEAKS * 10
    scores = greedy(problem, n_evaluations_per_step=at_most - 1, n_proposals=2)
    assert "2 of 40 candidates" in caplog.text
    few = problem.cells.evaluations.n_forward
    assert order(scores, 5) == np.argsort(-weights)[:5].tolist()
    again = ask(LinearToy(weights), opened, set_size=5)
    torch.testing.assert_close(greedy(again, n_evaluations_per_step=at_most), scores)
    assert "40 of 40 candidates" in caplog.text
    assert again.cells.evaluations.n_forward > 5 * few


def test_greedy_completes_the_set_with_peaks_that_do_nothing():
    opened = sparse.csr_matrix(np.ones((4, 6), np.uint8))
    scores = greedy(ask(AllOfToy(6, [1, 4]), opened, set_size=6))
    assert sorted(scores.tolist()) == [1, 2, 3, 4, 5, 6]
    assert order(scores, 1)[0] in (1, 4)


def test_greedy_refuses_a_set_larger_than_the_candidates():
    with pytest.raises(InputError, match="there are 2 candidate peaks"):
        greedy(ask(LinearToy(np.ones(N_PEAKS)), open_peaks(5), allowed=[4, 5], set_size=3))
