"""LIME against captum, closed forms and the true effects of additive models."""

import numpy as np
import pytest
import torch
from models import open_peaks, random_surrogate
from questions import all_alike, ask
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from benchmarks.explainers.lime import coefficients, lime, neighbour_states
from grids.search.objective import PerturbedCells

N_PEAKS = 12


@pytest.mark.parametrize("value", [0, 1])
def test_same_neighbours_have_the_coefficients_of_captum(value):
    captum = pytest.importorskip("captum.attr")
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    surrogate, opened, cell = random_surrogate("paper"), open_peaks(3), 2
    cells = PerturbedCells(surrogate, opened, value)
    dense = torch.from_numpy(opened[[cell]].toarray()).float()
    peaks = (dense[0] != value).nonzero()[:, 0]
    kept = torch.rand(200, len(peaks), generator=torch.Generator().manual_seed(1)) < 0.5

    def perturbed(sample, original, **_):
        given_up = peaks[sample[0] == 0]
        changed = original.clone()
        changed[:, given_up] = value
        return changed

    def predict(x):
        return surrogate.predict(sparse.csr_matrix(x.numpy()))[:, 0]

    kernel = get_exp_kernel_similarity_function("cosine", kernel_width=0.25)
    samples = iter(kept.float().split(1))
    theirs = captum.LimeBase(
        predict,
        SkLearnRidge(alpha=1.0),
        # Captum's kernel, between the vectors of what is kept in the cell and in its neighbour.
        lambda original, changed, sample: kernel(torch.ones_like(sample), sample, None),
        lambda original: next(samples),
        perturb_interpretable_space=True,
        from_interp_rep_transform=perturbed,
        to_interp_rep_transform=None,
    ).attribute(dense, n_samples=200)[0]
    states = neighbour_states(cells, cell, peaks, kept)
    ours = coefficients(kept, cells.predict(0, states), kernel_width=0.25, alpha=1.0)
    assert theirs.abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_more_features_than_neighbours_have_the_coefficients_of_the_weighted_ridge_equations():
    rng = np.random.default_rng(0)
    kept, predicted = rng.random((30, 80)) < 0.5, rng.normal(size=30)
    weight = np.exp(-((1 - np.sqrt(kept.mean(1))) ** 2) / (2 * 0.25**2))
    design = np.column_stack([np.ones(30), kept])
    penalty = np.diag([0.0] + [2.0] * 80)
    expected = np.linalg.solve(design.T * weight @ design + penalty, design.T @ (weight * predicted))[1:]
    ours = coefficients(torch.from_numpy(kept), torch.from_numpy(predicted), kernel_width=0.25, alpha=2.0)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("value", [0, 1])
def test_scores_of_an_additive_model_converge_to_the_true_effects(value):
    weights = np.random.default_rng(2).normal(size=40)
    opened = open_peaks(10)
    share = opened.toarray().mean(0)
    true = weights * (1 - share) if value else weights * share
    error = [
        np.abs(lime(ask(LinearToy(weights), opened, value), n_neighbours=n).numpy() - true).max()
        for n in (30, 300, 30_000)
    ]
    assert error[0] > 5 * error[1] > 25 * error[2]
    assert error[2] < 1e-3


@pytest.mark.parametrize(("toy", "value"), [(AnyOfToy, 0), (AllOfToy, 0), (AnyOfToy, 1), (AllOfToy, 1)])
def test_a_gate_of_three_gives_each_member_a_quarter_of_its_height(toy, value):
    # Uniformly drawn neighbours: a member decides when the other two leave it to, in one of four cases.
    cells = all_alike(2, 1 - value, N_PEAKS)
    scores = lime(
        ask(toy(N_PEAKS, [3, 7, 9], height=2.0), cells, value), n_neighbours=20_000, kernel_width=100.0
    )
    expected = np.where(np.isin(np.arange(N_PEAKS), [3, 7, 9]), 2.0 / 4, 0.0)
    np.testing.assert_allclose(scores.numpy(), expected, atol=0.03)


def test_only_candidates_are_perturbed():
    weights = np.arange(1.0, 13.0)
    scores = lime(ask(LinearToy(weights), all_alike(2, 1, N_PEAKS), allowed=torch.tensor([1, 4, 6])))
    assert scores.nonzero()[:, 0].tolist() == [1, 4, 6]
    np.testing.assert_allclose(scores[[1, 4, 6]].numpy(), weights[[1, 4, 6]], rtol=0.05)


def test_features_are_bounded_to_the_largest_first_order_gains():
    weights = np.random.default_rng(3).normal(size=N_PEAKS)
    scores = lime(ask(LinearToy(weights), all_alike(2, 0, N_PEAKS), value=1), max_features=4)
    assert set(scores.nonzero()[:, 0].tolist()) == set(np.argsort(-weights)[:4].tolist())


def test_cells_are_drawn_with_the_given_generator_and_counted():
    weights, opened = np.random.default_rng(4).normal(size=40), open_peaks(30)
    asked = ask(LinearToy(weights), opened, seed=5)
    scores = lime(asked, n_cells=4, n_neighbours=50)
    assert asked.cells.evaluations.n_forward == 4 * 50
    again = lime(ask(LinearToy(weights), opened, seed=5), n_cells=4, n_neighbours=50)
    other = lime(ask(LinearToy(weights), opened, seed=6), n_cells=4, n_neighbours=50)
    assert torch.equal(scores, again)
    assert not torch.equal(scores, other)
