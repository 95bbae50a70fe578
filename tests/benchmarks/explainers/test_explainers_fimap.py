"""FIMAP on toys whose minimal perturbations are known."""

import numpy as np
import pytest
import torch
from models import N_PEAKS, open_peaks, random_surrogate
from questions import all_alike, ask
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from benchmarks.explainers.fimap import PerturbationNetwork, _n_changed_by_best, _shift_to, fimap


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("toy", [AnyOfToy, AllOfToy])
def test_members_of_a_gate_are_perturbed_and_nothing_else(toy, value):
    # Also where no member does anything alone: any of three closed, all of three opened.
    scores = fimap(ask(toy(N_PEAKS, [3, 17, 29]), all_alike(20, 1 - value), value), n_steps=300)
    best = scores.topk(3).indices
    needed = 1 if (toy is AllOfToy) != bool(value) else 3
    assert set(best[:needed].tolist()) <= {3, 17, 29}
    assert (scores[best[:needed]] > 0.9).all()
    assert abs(float(scores.sum()) - 3) < 0.5


@pytest.mark.parametrize("value", [0, 1])
def test_the_largest_effects_of_an_additive_model_are_perturbed_where_they_change(value):
    weights = np.random.default_rng(0).uniform(-1, 1, N_PEAKS)
    strong = [2, 11, 36]
    weights[strong] = [3.0, 4.0, 3.5]
    opened = open_peaks(60)
    changes = (opened.toarray() != value).mean(0)
    scores = fimap(ask(LinearToy(weights), opened, value)).numpy()
    np.testing.assert_allclose(scores[strong], changes[strong], atol=0.05)
    others = np.delete(scores, strong)
    assert others.max() < 0.1


def test_only_candidates_are_perturbed():
    allowed = torch.tensor([1, 4, 6, 20])
    weights = np.ones(N_PEAKS)
    weights[4] = 2.0
    scores = fimap(ask(LinearToy(weights), all_alike(8, 1), allowed=allowed, set_size=1), n_steps=300)
    assert set(scores.nonzero()[:, 0].tolist()) <= set(allowed.tolist())
    assert scores[4] > 0.9


def test_the_network_tells_cells_apart():
    # Peak 0 alone decides whether peak 1 or peak 2 counts: one of them is closed in each cell, never both.
    class SwitchToy(LinearToy):
        def tail(self, pooled, genes=None):
            return 0.5 * pooled[:, :, 1] * pooled[:, :, 0] + 0.5 * pooled[:, :, 2] * (1 - pooled[:, :, 0])

    toy = SwitchToy(np.zeros(N_PEAKS))
    toy.shift = torch.zeros(N_PEAKS, 3)
    toy.shift[torch.arange(3), torch.arange(3)] = 1.0
    dense = np.ones((40, N_PEAKS), dtype=np.uint8)
    dense[::2, 0] = 0
    scores = fimap(
        ask(toy, sparse.csr_matrix(dense), allowed=torch.arange(1, N_PEAKS), set_size=1), n_steps=400
    )
    np.testing.assert_allclose(scores[1:3].numpy(), [0.5, 0.5], atol=0.1)


def test_a_shift_keeps_the_wanted_number_and_its_gradient():
    logit = torch.linspace(-2, 3, 50, requires_grad=True)
    shift = torch.zeros(())
    for _ in range(10):
        shifted, shift = _shift_to(logit, 7.0, shift)
    chance = shifted.sigmoid()
    assert chance.sum().item() == pytest.approx(7.0, abs=1e-3)
    (gradient,) = torch.autograd.grad(chance.sum(), logit)
    np.testing.assert_allclose(gradient.numpy(), 0.0, atol=1e-5)


def test_number_that_the_best_peaks_change():
    peaks = torch.tensor([4, 4, 4, 9, 9, 2])
    logit = torch.tensor([-3.0, -3.0, -3.0, 2.0, 1.0, 0.0])
    assert [_n_changed_by_best(logit, peaks, n) for n in (1, 2, 3, 10)] == [2, 3, 6, 6]


def test_logits_of_pairs_are_those_of_the_dense_product():
    torch.manual_seed(0)
    pooled = torch.randn(5, 3, 4)
    network = PerturbationNetwork(pooled, n_peaks=9, n_hidden=6, n_factors=2)
    with torch.no_grad():
        network.answer.normal_()
        network.bias.normal_()
        standardised = (pooled.flatten(1) - pooled.flatten(1).mean(0)) / pooled.flatten(1).std(
            0, correction=0
        )
        dense = network.state(standardised) @ network.answer.T + network.bias[:, 0]
        peaks, cell = torch.tensor([8, 0, 3]), torch.tensor([0, 4, 4])
        torch.testing.assert_close(network(pooled, peaks, cell), dense[cell, peaks])


def test_same_seed_same_scores_counted_and_without_a_trace_in_the_surrogate():
    surrogate = random_surrogate("paper")
    state = torch.random.get_rng_state()
    asked = ask(surrogate, open_peaks(12), seed=1)
    first = fimap(asked, n_steps=5, batch_size=4)
    assert (asked.cells.evaluations.n_forward, asked.cells.evaluations.n_backward) == (20, 20)
    assert torch.equal(first, fimap(ask(surrogate, open_peaks(12), seed=1), n_steps=5, batch_size=4))
    assert not torch.equal(first, fimap(ask(surrogate, open_peaks(12), seed=2), n_steps=5, batch_size=4))
    assert all(parameter.grad is None for parameter in surrogate.parameters())
    assert torch.equal(state, torch.random.get_rng_state())


def test_nothing_that_can_change_scores_nothing():
    assert not fimap(ask(LinearToy(np.ones(5)), all_alike(3, 0, n_peaks=5))).any()
