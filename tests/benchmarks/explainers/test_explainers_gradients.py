"""Gradient explainers in pooled form against captum on dense inputs, and against closed forms."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
from models import N_PEAKS, open_peaks, random_surrogate
from scipy import sparse
from toys import LinearToy

from benchmarks.explainers import gradients
from benchmarks.explainers.gradients import integrated_gradients, saliency, smoothgrad
from benchmarks.explainers.problem import Problem
from grids.search.objective import PerturbedCells
from grids.surrogates.pooling import PooledSurrogate

GENE, N_CELLS = 3, 30
SURROGATES = {encoder: random_surrogate(encoder) for encoder in ("paper", "normalised")}
encoders = pytest.mark.parametrize("encoder", ["paper", "normalised"])
values = pytest.mark.parametrize("value", [0, 1])


class PolynomialToy(PooledSurrogate):
    """``a^3 + b^2 c``: `a` pools the first group's peaks, `b` and `c` those of the second."""

    def __init__(self):
        super().__init__()
        self.peaks, self.genes, self.n_groups = [f"p{i}" for i in range(7)], ["G"], 2
        self.register_buffer("shift", torch.from_numpy(np.random.default_rng(5).normal(size=(7, 2))).float())
        self.register_buffer("group_of_peak", torch.tensor([0, 1, 0, 1, 1, 0, 1]))

    def tail(self, pooled, genes=None):
        a, b, c = pooled[:, 0, 0], pooled[:, 1, 0], pooled[:, 1, 1]
        return (a**3 + b**2 * c)[:, None]


def ask(surrogate, opened, value=0, gene=GENE, allowed=None, seed=0):
    allowed = torch.arange(opened.shape[1]) if allowed is None else torch.tensor(allowed)
    return Problem(PerturbedCells(surrogate, opened, value), gene, allowed, 3, np.random.default_rng(seed))


def dense_function(surrogate, opened):
    """The prediction as a function of dense peaks (n, n_peaks), at the cells' own depths; and the cells' peaks."""
    x = torch.from_numpy(opened.toarray()).float()
    context = surrogate.atac_encoder.context(x.sum(1))
    one_hot = torch.nn.functional.one_hot(surrogate.group_of_peak, surrogate.n_groups).float()

    def predict(peaks):
        state = torch.einsum("cp,pg,pw->cgw", peaks, one_hot, surrogate.shift.detach())
        at = context.repeat(len(peaks) // len(x), 1, 1) if context.ndim == 3 else context
        return surrogate.tail(state + at, torch.tensor([GENE]))[:, 0]

    return predict, x


@encoders
@values
def test_saliency_is_that_of_captum_on_dense_peaks(encoder, value):
    opened = open_peaks(N_CELLS)
    predict, x = dense_function(SURROGATES[encoder], opened)
    expected = Saliency(predict).attribute(x.requires_grad_()).mean(0)
    actual = saliency(ask(SURROGATES[encoder], opened, value))
    torch.testing.assert_close(actual, expected, atol=1e-7, rtol=1e-4)


@encoders
@values
def test_integrated_gradients_are_those_of_captum_on_dense_peaks(encoder, value):
    surrogate, opened, allowed = SURROGATES[encoder], open_peaks(N_CELLS), [0, 4, 17, 18, 20, 33, 39]
    predict, x = dense_function(surrogate, opened)
    baseline = x.clone()
    baseline[:, allowed] = value
    # captum attributes the way from the baseline to the cell; perturbing goes the other way
    expected = -IntegratedGradients(predict).attribute(x, baseline, n_steps=20).mean(0)
    actual = integrated_gradients(ask(surrogate, opened, value, allowed=allowed), n_steps=20)
    sought = 1 if value else -1
    torch.testing.assert_close(actual, sought * expected.float(), atol=1e-7, rtol=1e-4)


@values
def test_smoothgrad_is_that_of_captum_on_dense_peaks(value):
    surrogate, opened = SURROGATES["paper"], open_peaks(4, share=0.6)
    predict, x = dense_function(surrogate, opened)
    torch.manual_seed(1)
    noisy = NoiseTunnel(Saliency(predict)).attribute(x, nt_samples=8000, stdevs=0.2, abs=False)
    expected = noisy.abs().mean(0)
    problem = ask(surrogate, opened, value)
    actual = smoothgrad(problem, n_samples=8000, noise_sd=0.2)
    spread = expected.std()
    torch.testing.assert_close(actual, expected, atol=0.1 * spread.item(), rtol=0)  # both drew
    assert (saliency(problem) - expected).abs().max() > spread  # smoothing matters here


def test_smoothgrad_of_a_polynomial_is_its_expectation():
    # E 3 (a + e)^2 = 3 a^2 + 3 var(e);  E 2 b c = 2 b c + 2 cov;  E b^2 = b^2 + var
    toy, opened, sd = PolynomialToy(), sparse.csr_matrix(np.eye(3, 7, k=2, dtype=np.uint8)), 0.4
    problem = ask(toy, opened, gene=0)
    states = problem.cells.pooled
    covariance = [
        sd**2 * shift.T @ shift for shift in (toy.shift[toy.group_of_peak == group] for group in (0, 1))
    ]
    (a, _), (b, c) = states[:, 0].T, states[:, 1].T
    gradient = torch.zeros(3, 2, 2)
    gradient[:, 0, 0] = 3 * (a**2 + covariance[0][0, 0])
    gradient[:, 1, 0] = 2 * (b * c + covariance[1][0, 1])
    gradient[:, 1, 1] = b**2 + covariance[1][0, 0]
    expected = torch.stack(
        [(gradient[:, g] @ toy.shift[j]).abs().mean() for j, g in enumerate(toy.group_of_peak)]
    )
    actual = smoothgrad(problem, n_samples=40_000, noise_sd=sd)
    torch.testing.assert_close(actual, expected, atol=0.03, rtol=0.02)


def test_smoothgrad_without_noise_is_saliency():
    problem = ask(SURROGATES["paper"], open_peaks(N_CELLS))
    torch.testing.assert_close(smoothgrad(problem, n_samples=3, noise_sd=0.0), saliency(problem))


def test_smoothgrad_follows_its_generator_and_leaves_that_of_torch_alone():
    torch.manual_seed(3)
    untouched = torch.rand(4)
    torch.manual_seed(3)
    once, again, other = (smoothgrad(ask(SURROGATES["paper"], open_peaks(9), seed=s), 5) for s in (1, 1, 2))
    torch.testing.assert_close(torch.rand(4), untouched, rtol=0, atol=0)
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert not torch.equal(once, other)


@encoders
@values
def test_integrated_gradients_sum_to_the_change_by_all_candidates(encoder, value):
    problem = ask(SURROGATES[encoder], open_peaks(N_CELLS), value, allowed=[1, 2, 16, 25, 30, 38])
    after = problem.cells.predict_sets(problem.allowed[None], GENE).mean()
    change = after - problem.cells.predict(GENE).mean()
    attributed = integrated_gradients(problem, n_steps=200).sum()
    torch.testing.assert_close(attributed, change if value else -change, atol=1e-4, rtol=1e-2)


@values
def test_integrated_gradients_of_additive_peaks_are_their_effects(value):
    weights, opened = np.linspace(-1, 1, N_PEAKS), open_peaks(20)
    moved = np.abs(opened.toarray() - float(value)).mean(0)  # share of cells that perturbing changes
    actual = integrated_gradients(ask(LinearToy(weights), opened, value, gene=0))
    # closing lowers by the weight, opening raises by it: either way the sought direction is its sign
    np.testing.assert_allclose(actual, weights * moved, atol=1e-6)


@pytest.mark.parametrize("explainer", [saliency, smoothgrad, integrated_gradients])
def test_other_peaks_than_candidates_score_nothing_and_do_not_change_the_candidates_saliency(explainer):
    allowed = [2, 9, 16, 37]
    scores = explainer(ask(SURROGATES["paper"], open_peaks(N_CELLS), allowed=allowed))
    assert scores.nonzero()[:, 0].tolist() == allowed
    if explainer is not integrated_gradients:  # whose baseline depends on the candidates
        everywhere = explainer(ask(SURROGATES["paper"], open_peaks(N_CELLS)))
        torch.testing.assert_close(scores[allowed], everywhere[allowed])


@pytest.mark.parametrize(
    "explainer, n_per_cell", [(saliency, 1), (smoothgrad, 50), (integrated_gradients, 50)]
)
def test_blocks_do_not_matter_and_every_gradient_is_counted(explainer, n_per_cell, monkeypatch):
    problem = ask(SURROGATES["paper"], open_peaks(N_CELLS))
    whole = explainer(problem)
    evaluations = problem.cells.evaluations
    assert (evaluations.n_forward, evaluations.n_backward) == (N_CELLS * n_per_cell, N_CELLS * n_per_cell)
    if explainer is not smoothgrad:  # whose draws go to other cells
        monkeypatch.setattr(gradients, "ROWS_PER_BLOCK", 7)
    monkeypatch.setattr(gradients, "ENTRIES_PER_BLOCK", 4 * N_CELLS)
    torch.testing.assert_close(explainer(ask(SURROGATES["paper"], open_peaks(N_CELLS))), whole)
