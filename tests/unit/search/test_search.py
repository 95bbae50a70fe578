"""The search against closed forms, brute force, dense evaluation and the reference's results."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from dense import dense_predict, dense_set_effect
from hypothesis import given, settings
from hypothesis import strategies as st
from models import N_PEAKS, open_peaks, random_surrogate
from refitted_toys import WindowToy
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from grids.io.errors import InputError
from grids.io.tables import SKIPPED_COLUMNS
from grids.search import objective
from grids.search.objective import PerturbedCells
from grids.search.search import LEAST_EFFECT, LEAST_SHARE, Search
from grids.search.sets import FOUND_COLUMNS, SEARCH_COLUMNS, Question, find_sets
from grids.search.transitions import transition_gain


def found_sets(surrogate, opened, tasks, windows, seed, given=None, **question):
    return find_sets(surrogate, opened, tasks, windows, seed, Question(**question), given)


SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}
EXACT_FORWARD_GREEDY = [1.9914, 2.1975, 0.9911, 1.6028, 2.3206]
sets_of_peaks = st.lists(st.integers(0, N_PEAKS - 1), min_size=0, max_size=8, unique=True)


@given(
    members=sets_of_peaks,
    value=st.sampled_from([0, 1]),
    gene=st.integers(0, 5),
    encoder=st.sampled_from(["paper", "normalised"]),
)
@settings(max_examples=60)
def test_pooled_evaluation_equals_dense_evaluation(members, value, gene, encoder):
    surrogate, opened = SURROGATES[encoder], open_peaks(30, seed=len(members))
    cells = PerturbedCells(surrogate, opened, value)
    pooled = cells.predict_sets(torch.tensor([members], dtype=torch.long).view(1, -1), gene)[0]
    dense = dense_set_effect(surrogate, opened.toarray(), members, value, gene)
    torch.testing.assert_close(pooled, dense, atol=1e-5, rtol=1e-5)


def test_many_sets_at_once_equal_one_by_one():
    cells = PerturbedCells(SURROGATES["paper"], open_peaks(900), 0)  # several blocks
    sets = torch.from_numpy(
        np.random.default_rng(0).permuted(np.tile(np.arange(N_PEAKS), (13, 1)), axis=1)[:, :4]
    )
    together = cells.mean_of_sets(sets, 2)
    torch.testing.assert_close(together, torch.cat([cells.mean_of_sets(s[None], 2) for s in sets]))


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
@pytest.mark.parametrize("value", [0, 1])
def test_transition_gain_is_the_derivative_of_the_dense_objective(encoder, value):
    surrogate, opened = SURROGATES[encoder], open_peaks(25)
    x = torch.from_numpy(opened.toarray()).double()
    members = torch.tensor([4, 17, 30])
    double = random_surrogate(encoder).double()
    perturbed = x.clone()
    perturbed[:, members] = value
    perturbed.requires_grad_()
    shift = double.shift.detach()
    state = torch.stack(
        [
            perturbed[:, double.group_of_peak == g] @ shift[double.group_of_peak == g]
            for g in range(double.n_groups)
        ],
        1,
    )
    state = state + double.atac_encoder.context(x.sum(1))
    (gradient,) = torch.autograd.grad(double.tail(state, torch.tensor([3])).mean(), perturbed)
    sign = 1 if value else -1
    gain = sign * ((value - x) * gradient).sum(0)
    expected = gain[None] - gain[members][:, None]
    expected[:, members] = -torch.inf
    actual = transition_gain(PerturbedCells(surrogate, opened, value), members, 3)
    torch.testing.assert_close(actual, expected.float(), atol=1e-6, rtol=1e-3)


def test_a_subset_of_cells_sees_the_same_cells():
    cells = PerturbedCells(SURROGATES["paper"], open_peaks(40), 0)
    some = np.array([3, 5, 31])
    part, members = cells.subset(some), torch.tensor([[1, 20, 33]])
    torch.testing.assert_close(part.predict_sets(members, 1), cells.predict_sets(members, 1)[:, some])
    fresh = PerturbedCells(SURROGATES["paper"], open_peaks(40)[some], 0)
    torch.testing.assert_close(transition_gain(part, members[0], 1), transition_gain(fresh, members[0], 1))


def test_a_subset_of_a_subset_counts_its_own_cells():
    opened = open_peaks(40)
    cells, members = PerturbedCells(SURROGATES["paper"], opened, 0), torch.tensor([[1, 20, 33]])
    outer, inner = np.array([30, 5, 31, 8]), np.array([3, 1, 1])
    part = cells.subset(outer).subset(inner)
    expected = cells.predict_sets(members, 1)[:, outer[inner]]
    torch.testing.assert_close(part.predict_sets(members, 1), expected)
    dense = dense_set_effect(SURROGATES["paper"], opened.toarray()[[8, 5, 5]], [1, 20, 33], 0, 1)
    torch.testing.assert_close(part.predict_sets(members, 1)[0], dense, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("encoder", ["paper", "normalised"])
def test_only_cells_that_a_set_changes_are_predicted_again(value, encoder, monkeypatch):
    monkeypatch.setattr(objective, "FLAGS_PER_BLOCK", 700)
    monkeypatch.setattr(objective, "ROWS_PER_BLOCK", 37)
    surrogate, opened = SURROGATES[encoder], open_peaks(50, share=0.1, seed=4)
    rng = np.random.default_rng(0)
    sets = np.stack([rng.choice(N_PEAKS, 3, replace=False) for _ in range(11)])
    cells = PerturbedCells(surrogate, opened, value)
    others = torch.tensor([7, 25])
    states = cells.perturbed(others)
    predicted, tail = [], cells.surrogate.tail
    monkeypatch.setattr(cells.surrogate, "tail", lambda s, g: predicted.append(len(s)) or tail(s, g))
    after = cells.predict_sets(torch.from_numpy(sets), 2)
    x = opened.toarray()
    changed = (x[:, sets] != value).any(2).sum()  # (n_cells, n_sets, 3)
    assert sum(predicted) == 50 + changed and max(predicted) <= 37
    for members, row in zip(sets.tolist(), after, strict=True):
        dense = dense_set_effect(surrogate, x, members, value, 2)
        torch.testing.assert_close(row, dense, atol=1e-5, rtol=1e-5)
    beyond = torch.from_numpy(sets[~np.isin(sets, others).any(1)])
    for members, row in zip(beyond.tolist(), cells.predict_sets(beyond, 2, states), strict=True):
        dense = dense_set_effect(surrogate, x, [*members, *others.tolist()], value, 2)
        torch.testing.assert_close(row, dense, atol=1e-5, rtol=1e-5)


def test_linear_toy_finds_the_closed_form_best_set():
    # closing peak j lowers the mean by (share of cells in which it is open) x weight
    weights = np.array([0.1, 2.0, -1.0, 0.5, 1.0, 0.0])
    opened = sparse.csr_matrix(np.array([[1, 1, 1, 1, 0, 1], [1, 0, 1, 1, 1, 1]], dtype=np.uint8))
    search = Search(PerturbedCells(LinearToy(weights), opened, 0), 0, n_candidates=2)
    result = search.improve(torch.tensor([0, 5, 2]), np.random.default_rng(0))
    assert result.members.tolist()[0] == 1  # 2.0 x 1/2 = 1.0 is the largest
    assert sorted(result.members.tolist()) == [1, 3, 4]
    assert result.objective_before == pytest.approx((2.1 - 1 + 0.5 + 0.1 - 1 + 0.5 + 1.0) / 2, abs=1e-6)
    assert result.objective_before - result.objective_after == pytest.approx(1.0 + 0.5 + 0.5, abs=1e-6)
    assert result.converged


def test_opening_peaks_activates():
    weights = np.array([3.0, -2.0, 1.0, 2.0])
    opened = sparse.csr_matrix(np.array([[1, 0, 0, 0], [1, 1, 0, 1]], dtype=np.uint8))
    search = Search(PerturbedCells(LinearToy(weights), opened, 1), 0)
    result = search.improve(torch.tensor([0, 1]), np.random.default_rng(0))
    assert result.members.tolist() in ([2, 3], [3, 2])  # peak 0 is open already
    assert result.objective_after - result.objective_before == pytest.approx(1.0 + 1.0)


def test_or_gate_is_closed_as_a_whole():
    # no single member matters while another one is open: only a joint set silences the gene
    opened = sparse.csr_matrix(np.ones((10, 12), dtype=np.uint8))
    search = Search(PerturbedCells(AnyOfToy(12, [3, 7, 9]), opened, 0), 0)
    result = search.improve(torch.tensor([3, 7, 1]), np.random.default_rng(0))
    assert sorted(result.members.tolist()) == [3, 7, 9]
    assert result.objective_after == 0.0


def test_the_path_to_everything_closed_shows_a_group_of_which_no_pair_matters():
    opened = sparse.csr_matrix(np.ones((10, 12), dtype=np.uint8))
    search = Search(PerturbedCells(AnyOfToy(12, [3, 7, 9]), opened, 0), 0)
    assert sorted(search.along_path(3).tolist()) == [3, 7, 9]


def test_the_path_shows_the_group_where_each_of_many_cells_is_looked_at_in_a_part_of_its_steps():
    cells = PerturbedCells(AnyOfToy(12, [3, 7, 9]), open_peaks(3000, 12, share=0.7), 0)
    assert sorted(Search(cells, 0).along_path(3).tolist()) == [3, 7, 9]
    assert cells.evaluations.n_backward < 5 * len(cells)


def test_a_set_is_evaluated_in_all_cells_once(monkeypatch):
    search = Search(PerturbedCells(LinearToy(np.arange(20.0)), open_peaks(30, 20), 0), 0)
    first = search.improve(search.greedy(3), np.random.default_rng(0))
    whole, objective = [], search.objective
    monkeypatch.setattr(
        search, "objective", lambda sets, *a: whole.append(sets.shape[1]) or objective(sets, *a)
    )
    again = search.improve(first.members, np.random.default_rng(0))
    assert again.objective_after == first.objective_after and 3 not in whole


def test_a_minibatch_does_not_inherit_what_becomes_of_all_cells():
    cells = PerturbedCells(LinearToy(np.arange(20.0)), open_peaks(30, 20), 0)
    assert cells.all_perturbed.shape == cells.pooled.shape
    part = cells.subset(np.array([3, 5]))
    torch.testing.assert_close(part.all_perturbed, cells.all_perturbed[[3, 5]])


@pytest.mark.parametrize("value", [0, 1])
def test_the_path_ranks_candidates_of_an_additive_model_by_their_effect(value):
    weights, opened = np.random.default_rng(1).normal(size=20), open_peaks(30, 20)
    search = Search(PerturbedCells(LinearToy(weights), opened, value), 0, allowed=torch.arange(4, 16))
    share = np.asarray(opened.mean(0)).ravel()
    effect = weights * ((1 - share) if value else share)
    assert search.along_path(5).tolist() == (4 + np.argsort(-effect[4:16])[:5]).tolist()


@pytest.mark.parametrize("n_candidates", [1, 4, 40])
@pytest.mark.parametrize("batch_size", [None, 5])
def test_a_pair_of_which_either_member_does_everything_is_found_as_a_pair(n_candidates, batch_size):
    # closing 17 or 31 takes all there is, and leaves no gradient that would tell the other from peak 0
    opened = sparse.csr_matrix(np.ones((10, 40), dtype=np.uint8))
    search = Search(PerturbedCells(AllOfToy(40, [17, 31]), opened, 0), 0, None, n_candidates, batch_size)
    if n_candidates > 1:
        assert sorted(search.greedy(2).tolist()) == [17, 31]
        result = search.improve(torch.tensor([17, 3]), np.random.default_rng(0))
        assert sorted(result.members.tolist()) == [17, 31]
    result = search.improve(search.greedy(3), np.random.default_rng(0))
    assert (result.objective_before, result.objective_after, result.converged) == (1.0, 0.0, True)
    assert result.members[0] in (17, 31)
    assert search.nested_order(torch.tensor([5, 31, 9, 17])).tolist()[0] in (17, 31)


def test_ties_never_cost_anything():
    # 0 and 1 are an AND pair, 2 and 3 add a little each: after one of the pair the little counts first
    toy, weights = LinearToy(np.eye(5)), torch.tensor([0, 0, 0.1, 0.2, 0])
    toy.tail = lambda pooled, genes: (pooled[:, 0, :2].prod(1) + pooled[:, 0] @ weights)[:, None]
    search = Search(PerturbedCells(toy, sparse.csr_matrix(np.ones((4, 5), dtype=np.uint8)), 0), 0)
    found = {size: search.improve(search.greedy(size), np.random.default_rng(0)) for size in (1, 2, 3, 4)}
    after = [found[size].objective_after for size in found]
    np.testing.assert_allclose(after, [0.3, 0.1, 0, 0], atol=1e-6)
    assert search.nested_order(found[3].members).tolist() in ([0, 3, 2], [1, 3, 2])
    assert sorted(found[4].members.tolist()) == [0, 1, 2, 3]  # not peak 4, which does nothing


@pytest.mark.parametrize("toy", [AllOfToy, AnyOfToy])
def test_members_that_only_fill_the_set_do_not_contribute(toy):
    # no member of an AND pair adds to the other, none of an OR pair does anything alone: all four contribute
    opened = sparse.csr_matrix(np.ones((10, 12), dtype=np.uint8))
    search = Search(PerturbedCells(toy(12, [3, 7]), opened, 0), 0)
    assert search.contributing(torch.tensor([7, 1, 3, 5])).tolist() == [7, 3]
    assert search.contributing(torch.tensor([5])).tolist() == []


@pytest.mark.parametrize("value", [0, 1])
def test_members_that_work_against_the_set_do_not_contribute(value):
    opened = sparse.csr_matrix(np.full((4, 3), 1 - value, dtype=np.uint8))
    search = Search(PerturbedCells(LinearToy([1.0, -1.0, 0.0]), opened, value), 0)
    assert search.contributing(torch.tensor([0, 1, 2])).tolist() == [0]


def test_share_of_restarts_of_find_sets_counts_members_that_do_something():
    weights = np.zeros((20, 2))
    weights[[4, 11], 0] = 2.0, 1.0
    weights[7, 1] = 1.0
    tasks, windows, peaks = task_tables()
    opened = sparse.csr_matrix(np.ones((5, 20), dtype=np.uint8))
    options = {"set_size": 4, "restarts": 3, "fill": True}
    sets, *_ = found_sets(named(LinearToy(weights)), opened, tasks, windows, 1, **options)
    assert sets["share_of_restarts"].tolist() == [1, 1, 0, 0, 1, 0, 0, 0]
    assert sets["peak"].tolist()[:2] == [peaks[4], peaks[11]] and sets["peak"][4] == peaks[7]


def test_peaks_that_do_nothing_are_no_members():
    weights = np.zeros((20, 3))
    weights[[4, 11], 0] = 2.0, 1.0
    weights[7, 1] = 1.0
    weights[:, 2] = -1.0, *[LEAST_EFFECT / 2] * 19
    tasks, windows, peaks = task_tables()
    tasks = pd.concat([tasks, tasks[:1].assign(gene="G2")])
    opened = sparse.csr_matrix(np.ones((5, 20), dtype=np.uint8))
    options = {"set_size": 4, "restarts": 3}
    sets, searches, skipped = found_sets(named(LinearToy(weights)), opened, tasks, windows, 1, **options)
    assert sets["peak"].tolist() == [peaks[4], peaks[11], peaks[7]]
    assert sets["set_size"].tolist() == [2, 2, 1] and sets["rank"].tolist() == [1, 2, 1]
    assert (sets["share_of_restarts"] == 1).all()
    assert searches["set_size"].tolist() == [2] * 3 + [1] * 3 + [0] * 3
    reason = (
        "nothing found: closing no peak of the genome lowers predicted log-expression by more than 0.0001"
    )
    assert skipped.to_numpy().tolist() == [["T", "G2", reason]]
    up, *_ = found_sets(
        named(LinearToy(weights)), opened * 0, tasks[2:], windows, 1, direction="activate", **options
    )
    assert up.empty  # opening raises by as little


def test_a_gene_of_which_no_set_model_has_a_member_is_skipped_with_that_chance():
    surrogate = named(WindowToy([0.0, 0.0], {"G0": [0, 1]}))
    surrogate.chance_of_no_member = {"G0": 0.966}.get
    tasks, opened = pd.DataFrame({"cell_type": ["T"], "gene": ["G0"]}), sparse.csr_matrix(np.ones((5, 2)))
    windows = pd.DataFrame({"peak": surrogate.peaks, "gene": "G0"})
    sets, _, skipped = found_sets(surrogate, opened.astype(np.uint8), tasks, windows, 1, scope="window")
    assert sets.empty and list(sets.columns) == FOUND_COLUMNS
    assert skipped["reason"].item() == (
        "nothing found: closing no peak of the window lowers predicted log-expression by more than 0.0001 "
        "(posterior chance that no peak is a member: 0.97)"
    )


def gates(groups, weights, ends, n_peaks=8):
    """Log-expression is a sum of gates, each of which is there while any (or all) of a group of peaks is open."""
    toy = LinearToy(np.eye(n_peaks))

    def tail(pooled, genes=None):
        opened = pooled[:, 0]
        parts = [
            weight * (opened[:, group].amin(1) if any_closes else opened[:, group].amax(1))
            for group, weight, any_closes in zip(groups, weights, ends, strict=True)
        ]
        return torch.stack(parts).sum(0)[:, None]

    toy.tail = tail
    return toy


@given(
    groups=st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True), min_size=1, max_size=4),
    weights=st.lists(st.sampled_from([-0.5, 0.0, 5e-5, 4e-3, 0.3, 1.0]), min_size=4, max_size=4),
    ends=st.lists(st.booleans(), min_size=4, max_size=4),
    size=st.integers(1, 8),
)
@settings(max_examples=80, deadline=None)
def test_every_member_of_an_unfilled_set_does_something_and_nothing_is_lost(groups, weights, ends, size):
    toy = gates(groups, weights[: len(groups)], ends[: len(groups)])
    cells = PerturbedCells(toy, sparse.csr_matrix(np.ones((3, 8), dtype=np.uint8)), 0)
    search = Search(cells, 0)
    filled = search.improve(search.greedy(size), np.random.default_rng(0)).members
    members = search.nested_order(search.unfilled(filled))
    assert set(members.tolist()) <= set(filled.tolist()) and len(set(members.tolist())) == len(members)

    def lost(peaks):
        return -cells.mean_of_sets(torch.tensor([peaks], dtype=torch.long).view(1, -1), 0).item()

    unfilled = members.tolist()
    n_idle = size - len(unfilled)
    whole = lost(filled.tolist())
    assert lost(unfilled) >= whole - n_idle * max(LEAST_EFFECT, LEAST_SHARE * (whole - lost([]))) - 1e-6
    least = max(LEAST_EFFECT, LEAST_SHARE * (lost(unfilled) - lost([])))
    for member in unfilled:
        rest = [other for other in unfilled if other != member]
        assert max(lost([member]) - lost([]), lost(unfilled) - lost(rest)) > least / 2
    assert search.unfilled(members).tolist() == sorted(unfilled)


def test_of_two_members_that_stand_in_for_each_other_one_stays():
    # the gene falls when 1 and 3 or 1 and 5 are closed: neither 3 nor 5 is missed while the other is in the set
    toy = LinearToy(np.eye(8))
    toy.tail = lambda pooled, genes=None: torch.maximum(
        pooled[:, 0, 1], torch.minimum(pooled[:, 0, 3], pooled[:, 0, 5])
    )[:, None]
    search = Search(PerturbedCells(toy, sparse.csr_matrix(np.ones((3, 8), dtype=np.uint8)), 0), 0)
    assert search.contributing(torch.tensor([1, 3, 5])).tolist() == [1]
    assert search.unfilled(torch.tensor([5, 1, 3, 0])).tolist() == [1, 3]


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
@pytest.mark.parametrize(("value", "set_size"), [(0, 2), (0, 4), (1, 3)])
def test_brute_force_over_a_window_of_15_peaks_is_matched(encoder, value, set_size):
    cells = PerturbedCells(SURROGATES[encoder], open_peaks(50, seed=5), value)
    window = torch.arange(10, 25)
    every_set = torch.tensor(list(combinations(window.tolist(), set_size)))
    means = cells.mean_of_sets(every_set, 0)
    best = means.max() if value else means.min()
    search = Search(cells, 0, allowed=window, n_candidates=15)
    starts = [search.greedy(set_size), *(search.random(set_size, np.random.default_rng(i)) for i in range(4))]
    results = [search.improve(start, np.random.default_rng(0)) for start in starts]
    found = [r.objective_after for r in results]
    assert (max(found) if value else min(found)) == pytest.approx(best.item(), rel=1e-5)
    assert all(set(r.members.tolist()) <= set(window.tolist()) for r in results)


@given(
    start=st.lists(st.integers(0, N_PEAKS - 1), min_size=1, max_size=6, unique=True),
    value=st.sampled_from([0, 1]),
    batch=st.sampled_from([None, 8]),
    k=st.integers(1, 6),
)
@settings(max_examples=40)
def test_a_search_never_repeats_a_member_and_never_ends_worse(start, value, batch, k):
    cells = PerturbedCells(SURROGATES["normalised"], open_peaks(25, seed=3), value)
    search = Search(cells, 4, n_candidates=k, batch_size=batch)
    members = torch.tensor(start)
    began = cells.mean_of_sets(members[None], 4).item()
    result = search.improve(members, np.random.default_rng(0), max_rounds=4)
    assert len(set(result.members.tolist())) == len(start)
    ended = cells.mean_of_sets(result.members[None], 4).item()
    assert ended == pytest.approx(result.objective_after, abs=1e-5)
    assert (ended >= began - 1e-5) if value else (ended <= began + 1e-5)
    steps = np.diff(result.trajectory)
    assert (steps >= -1e-6).all() if value else (steps <= 1e-6).all()


def test_convergence_means_that_no_single_replacement_helps():
    cells = PerturbedCells(SURROGATES["paper"], open_peaks(40, seed=2), 0)
    search = Search(cells, 1, n_candidates=N_PEAKS)
    result = search.improve(torch.tensor([0, 1, 2]), np.random.default_rng(0))
    assert result.converged
    members = result.members.tolist()
    for i in range(3):
        for peak in set(range(N_PEAKS)) - set(members):
            other = [*members[:i], peak, *members[i + 1 :]]
            value = cells.mean_of_sets(torch.tensor([other]), 1).item()
            assert value >= result.objective_after - 1e-5


def test_a_search_cut_short_says_so():
    cells = PerturbedCells(SURROGATES["paper"], open_peaks(40, seed=2), 0)
    result = Search(cells, 1).improve(torch.tensor([0, 1, 2]), np.random.default_rng(0), max_rounds=1)
    assert (result.converged, result.n_rounds, result.n_steps) == (False, 1, 3)


def test_a_search_ends_once_every_member_was_tried_since_the_last_change():
    opened = sparse.csr_matrix(np.ones((4, 9), dtype=np.uint8))
    search = Search(PerturbedCells(LinearToy(np.arange(1.0, 10.0)), opened, 0), 0)
    result = search.improve(torch.tensor([2, 8, 7, 6]), np.random.default_rng(0))
    assert sorted(result.members.tolist()) == [5, 6, 7, 8]
    assert (result.converged, result.n_steps, result.n_rounds) == (True, 5, 2)


def test_a_search_that_comes_to_the_end_of_an_earlier_one_ends_there():
    opened = sparse.csr_matrix(np.ones((4, 9), dtype=np.uint8))
    search = Search(PerturbedCells(LinearToy(np.arange(1.0, 10.0)), opened, 0), 0)
    first, second = (
        search.improve(torch.tensor(s), np.random.default_rng(0)) for s in ([0, 1, 2], [2, 3, 4])
    )
    assert (first.converged, first.n_steps) == (True, 6)
    assert (second.converged, second.n_steps) == (True, 3)
    assert set(first.members.tolist()) == set(second.members.tolist()) == {6, 7, 8}


def test_nested_order_takes_the_best_member_at_every_size():
    cells = PerturbedCells(SURROGATES["normalised"], open_peaks(40, seed=2), 0)
    ordered = Search(cells, 1).nested_order(torch.tensor([5, 8, 21, 30])).tolist()
    assert sorted(ordered) == [5, 8, 21, 30]
    for size in range(1, 5):
        values = {
            p: cells.mean_of_sets(torch.tensor([[*ordered[: size - 1], p]]), 1).item()
            for p in ordered[size - 1 :]
        }
        assert values[ordered[size - 1]] <= min(values.values()) + 1e-6


@pytest.mark.parametrize("case", range(5))
def test_first_transition_gain_equals_the_reference(model, reference, case):
    entry = {k.split("/")[1]: reference[k] for k in reference.files if k.startswith(f"case{case}/")}
    value = 0 if entry["direction"] == "down" else 1
    batch = sparse.csr_matrix(reference["x"][entry["batches"][0]])
    members = torch.from_numpy(entry["trajectory"][0])
    gain = transition_gain(PerturbedCells(model, batch, value), members, int(entry["gene"]))
    outside = np.setdiff1d(np.arange(800), members)
    # the reference averages twice over the batch of 64
    np.testing.assert_allclose(
        gain[:, outside] / 64, entry["first_transition_gain"][:, outside], atol=2e-9, rtol=0
    )
    assert torch.isneginf(gain[:, members]).all()


@pytest.mark.parametrize("case", range(5))
def test_search_beats_the_reference_and_exact_forward_greedy(model, reference, case):
    entry = {k.split("/")[1]: reference[k] for k in reference.files if k.startswith(f"case{case}/")}
    value = 0 if entry["direction"] == "down" else 1
    gene, set_size = int(entry["gene"]), int(entry["set_size"])
    of_type = reference["cell_type"] == entry["target_cell_type"]
    cells = PerturbedCells(model, sparse.csr_matrix(reference["x"][of_type]), value)
    np.testing.assert_allclose(cells.predict(gene).numpy(), entry["before"], atol=2e-5)
    search = Search(cells, gene, n_candidates=int(entry["candidates"]))
    result = search.improve(search.greedy(set_size), np.random.default_rng(0))
    sign = 1 if value else -1
    dense = (
        dense_set_effect(model, reference["x"][of_type], result.members.tolist(), value, gene).mean().item()
    )
    assert dense == pytest.approx(result.objective_after, abs=1e-4)
    assert sign * dense >= sign * entry["after"].mean() - 1e-5
    assert sign * dense >= sign * EXACT_FORWARD_GREEDY[case] - 0.005 * EXACT_FORWARD_GREEDY[case]
    assert result.converged
    random = search.improve(search.random(set_size, np.random.default_rng(1)), np.random.default_rng(1))
    assert sign * random.objective_after >= sign * entry["after"].mean() - 1e-5


def task_tables():
    tasks = pd.DataFrame({"cell_type": "T", "gene": ["G0", "G1"]})
    peaks = LinearToy(np.ones((20, 2))).peaks
    windows = pd.DataFrame({"peak": peaks[:6] + peaks[:2], "gene": ["G0"] * 6 + ["G1"] * 2})
    return tasks, windows, peaks


def linear_two_genes():
    weights = np.zeros((20, 2))
    weights[:, 0] = np.linspace(0.1, 2.0, 20)
    weights[:, 1] = np.linspace(2.0, 0.1, 20)
    return LinearToy(weights)


def named(toy):
    toy.name = "toy"
    return toy


def test_find_sets_of_several_genes_in_both_scopes():
    tasks, windows, peaks = task_tables()
    opened = sparse.csr_matrix(np.ones((5, 20), dtype=np.uint8))
    sets, searches, skipped = found_sets(
        named(linear_two_genes()), opened, tasks, windows, 1, set_size=3, restarts=2
    )
    assert sets.query("gene == 'G0'")["peak"].tolist() == [peaks[19], peaks[18], peaks[17]]
    assert sets.query("gene == 'G1'")["peak"].tolist() == [peaks[0], peaks[1], peaks[2]]
    assert sets["rank"].tolist() == [1, 2, 3] * 2
    assert (sets["share_of_restarts"] == 1.0).all()
    assert skipped.empty
    assert searches["start"].tolist() == ["greedy", "path"] * 2
    assert searches["converged"].all()
    sets, _, skipped = found_sets(
        named(linear_two_genes()), opened, tasks, windows, 1, set_size=3, scope="window", restarts=2
    )
    assert sets["peak"].tolist() == [peaks[5], peaks[4], peaks[3], peaks[0], peaks[1]]
    assert skipped.empty
    sets, _, skipped = found_sets(
        named(linear_two_genes()), opened, tasks, windows, 1, set_size=3, scope="window", fill=True
    )
    assert sets["peak"].tolist() == [peaks[5], peaks[4], peaks[3]]
    assert skipped.values.tolist() == [["T", "G1", "2 candidate peaks (window), search.set_size is 3"]]
    *_, skipped = found_sets(
        named(linear_two_genes()), opened, tasks, windows[:6], 1, set_size=3, scope="window"
    )
    assert skipped.values.tolist() == [["T", "G1", "0 candidate peaks (window)"]]


def test_find_sets_of_genes_with_a_window_each():
    weights = [0.5, 3.0, 0.2, 0.8, 1.0, 9.0]
    surrogate = named(WindowToy(weights, {"G0": [4, 0, 3], "G1": [2, 3, 1], "G2": [5]}))
    peaks = surrogate.peaks
    windows = pd.DataFrame({"peak": [peaks[i] for i in (0, 3, 5, 1, 2)], "gene": ["G0"] * 3 + ["G1"] * 2})
    tasks = pd.DataFrame({"cell_type": "T", "gene": ["G0", "G1", "G2", "G3"]})
    opened = sparse.csr_matrix(np.ones((5, 6), dtype=np.uint8))
    sets, searches, skipped = found_sets(surrogate, opened, tasks, windows, 1, set_size=2, restarts=2)
    assert sets["gene"].tolist() == ["G0", "G0", "G1", "G1", "G2"]
    assert sets["peak"].tolist() == [peaks[i] for i in (4, 3, 1, 3, 5)]
    before, after = searches[["objective_before", "objective_after"]].to_numpy().T
    np.testing.assert_allclose(before - after, [1.8, 1.8, 3.8, 3.8, 9, 9], rtol=1e-5)
    assert skipped.values.tolist() == [["T", "G3", "not among the 3 genes of the toy surrogate"]]
    assert surrogate.n_prepared == 1
    assert sets["set_size"].tolist() == [2, 2, 2, 2, 1]
    sets, *_ = found_sets(surrogate, opened, tasks[:2], windows, 1, set_size=2, scope="window", restarts=1)
    assert sets["peak"].tolist() == [peaks[i] for i in (3, 0, 1, 2)]  # of those in sight, those in `windows`
    given = pd.DataFrame({"cell_type": "T", "gene": "G1", "peak": [peaks[1], peaks[0]]})
    with pytest.raises(InputError, match=r"search\.given: peak 'chr1:0-500' is not among the 3 peaks"):
        found_sets(surrogate, opened, tasks[1:2], windows, 1, set_size=2, start="given", given=given)


def test_no_tasks_give_empty_tables():
    tasks, windows, _ = task_tables()
    for n_cells in (5, 0):
        opened = sparse.csr_matrix(np.ones((n_cells, 20), dtype=np.uint8))
        tables = found_sets(named(linear_two_genes()), opened, tasks[:0], windows, 1)
        columns = (FOUND_COLUMNS, SEARCH_COLUMNS, SKIPPED_COLUMNS)
        for table, names in zip(tables, columns, strict=True):
            assert table.empty and list(table.columns) == names


def test_find_sets_is_deterministic():
    tasks, windows, _ = task_tables()
    opened = open_peaks(30, 20)
    runs = [
        found_sets(
            named(linear_two_genes()), opened, tasks, windows, 7, set_size=4, start="random", batch_size=8
        )
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(runs[0][0], runs[1][0])
    pd.testing.assert_frame_equal(runs[0][1].drop(columns="seconds"), runs[1][1].drop(columns="seconds"))


def test_find_sets_starts_from_given_sets():
    tasks, windows, peaks = task_tables()
    opened = sparse.csr_matrix(np.ones((5, 20), dtype=np.uint8))
    given_sets = pd.DataFrame({"cell_type": "T", "gene": "G0", "peak": peaks[:2]})
    options = {"set_size": 2, "start": "given", "restarts": 1}
    sets, searches, _ = found_sets(
        named(linear_two_genes()), opened, tasks[:1], windows, 1, given=given_sets, **options
    )
    assert sets["peak"].tolist() == [peaks[19], peaks[18]]
    assert searches["start"].tolist() == ["given"]
    smaller, *_ = found_sets(
        named(linear_two_genes()), opened, tasks[:1], windows, 1, given=given_sets[:1], **options
    )
    assert smaller["peak"].tolist() == [peaks[19]]
    with pytest.raises(InputError, match="expected 1 to 2 peaks for T, G1"):
        found_sets(named(linear_two_genes()), opened, tasks[1:], windows, 1, given=given_sets, **options)
    with pytest.raises(InputError, match=r"expected 2 peaks for T, G0 in search\.given, found 1"):
        options["fill"] = True
        found_sets(named(linear_two_genes()), opened, tasks[:1], windows, 1, given=given_sets[:1], **options)
    with pytest.raises(InputError, match=r"search\.given: peak 'chr9:1-2' is not among the 20 peaks"):
        wrong = given_sets.assign(peak=["chr9:1-2", peaks[0]])
        found_sets(named(linear_two_genes()), opened, tasks[:1], windows, 1, given=wrong, **options)


def test_bad_starts_are_refused():
    search = Search(
        PerturbedCells(LinearToy(np.ones(6)), open_peaks(4, 6), 0), 0, allowed=torch.tensor([0, 1, 2])
    )
    for members, message in [
        ([0, 0], "twice"),
        ([0, 5], "not candidate"),
        ([0, 1, 2, 3], "3 candidate peaks"),
    ]:
        with pytest.raises(InputError, match=message):
            search.improve(torch.tensor(members), np.random.default_rng(0))


def test_dense_helper_is_the_models_own_prediction():
    # the helper that all of the above lean on, against the surrogate's public predict
    for surrogate in SURROGATES.values():
        opened = open_peaks(12)
        dense = dense_predict(surrogate, opened.toarray(), np.diff(opened.indptr), 2)
        torch.testing.assert_close(dense, surrogate.predict(opened)[:, 2], atol=1e-5, rtol=1e-5)
