"""Explainers that read the surrogate's gradient.

captum differentiates the prediction by the pooled states, cell by cell; the chain rule brings the result to the peaks:
the derivative by peak ``j`` in cell ``i`` is the gradient by the state of the peak's group times ``shift_j``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.explainers.problem import Problem
from grids.search.objective import ROWS_PER_BLOCK, PerturbedCells

# Derivatives of cells by peaks that are in memory at a time.
ENTRIES_PER_BLOCK = 2**22


def saliency(problem: Problem) -> Tensor:
    """Mean over the cells of the absolute derivative of the prediction by each peak.

    Simonyan, Vedaldi and Zisserman, arXiv:1312.6034, section 3. Neither the direction of the derivative nor
    whether the peak is open enters: a peak that is closed anyway, or whose closing raises the gene, may rank high.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Tensor, shape (n_peaks,)
        Log-expression per peak; 0 for peaks that are no candidates.
    """
    from captum.attr import Saliency

    attribution = Saliency(_prediction(problem))
    states = problem.cells.pooled.clone().requires_grad_()
    gradient = [attribution.attribute(block, abs=False) for block in states.split(ROWS_PER_BLOCK)]
    return _mean_absolute(problem, torch.cat(gradient))


def smoothgrad(problem: Problem, n_samples: int = 50, noise_sd: float = 0.15) -> Tensor:
    """Saliency with the derivative averaged over noisy copies of each cell before its absolute value is taken.

    Smilkov et al., arXiv:1706.03825. Independent noise on every peak, candidate or not, is Gaussian
    noise on the pooled state: a group's covariance is ``noise_sd ** 2`` times the sum of ``shift_j shift_j^T`` over
    its peaks. It is drawn in that form.

    Parameters
    ----------
    problem : Problem
    n_samples : int
        Noisy copies of each cell.
    noise_sd : float
        Standard deviation of the noise on a peak's openness, which ranges from 0 to 1.

    Returns
    -------
    Tensor, shape (n_peaks,)
        As :func:`saliency`.
    """
    from captum.attr import NoiseTunnel, Saliency

    cells, predict = problem.cells, _prediction(problem)
    root = _root_of_noise_covariance(cells)

    def predict_noisy(states: Tensor, white: Tensor) -> Tensor:
        return predict(states + torch.einsum("cgv,gvw->cgw", white, root))

    tunnel = NoiseTunnel(Saliency(predict_noisy))
    gradient = []
    with torch.random.fork_rng(devices=[]):  # captum draws from torch's global generator
        torch.manual_seed(int(problem.rng.integers(2**31)))
        for block in cells.pooled.split(max(ROWS_PER_BLOCK // n_samples, 1)):
            by_state, _ = tunnel.attribute(
                (block, torch.zeros_like(block)), nt_samples=n_samples, stdevs=(0.0, noise_sd), abs=False
            )
            gradient.append(by_state)
    return _mean_absolute(problem, torch.cat(gradient))


def integrated_gradients(problem: Problem, n_steps: int = 50) -> Tensor:
    """Each peak's share of the change when all candidates are perturbed, along the straight path from there.

    Sundararajan, Taly and Yan, ICML 2017, equation 1. The baseline is the cell with every candidate perturbed, so
    that a candidate's attribution in a cell is ``(x - value)`` times its mean derivative on the path, and the
    attributions of a cell sum to the change of its prediction (completeness).

    Parameters
    ----------
    problem : Problem
    n_steps : int
        Points of the Gauss-Legendre quadrature on the path.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Mean over the cells, in log-expression; larger moves further in the sought direction. 0 for peaks that
        are no candidates.
    """
    from captum.attr import IntegratedGradients

    cells = problem.cells
    candidates = cells.shift.new_zeros(cells.n_peaks).index_fill_(0, problem.allowed, 1.0)
    attribution = IntegratedGradients(_prediction(problem), multiply_by_inputs=False)
    size = max(ROWS_PER_BLOCK // n_steps, 1)
    blocks = zip(cells.pooled.split(size), cells.partly_perturbed(candidates).split(size), strict=True)
    gradient = [
        attribution.attribute(states, baselines=baselines, n_steps=n_steps) for states, baselines in blocks
    ]
    return cells.sign * cells.project(torch.cat(gradient)) * candidates


def _prediction(problem: Problem) -> Callable[[Tensor], Tensor]:
    """The gene's prediction from pooled states, for captum, which differentiates every one that it makes."""

    def predict(states: Tensor) -> Tensor:
        problem.cells.evaluations.n_backward += len(states)
        return problem.cells.tail(problem.gene, states)

    return predict


def _mean_absolute(problem: Problem, gradient: Tensor) -> Tensor:
    """Mean over the cells of ``|gradient . shift|`` for every candidate, in blocks of peaks; shape (n_peaks,).

    Parameters
    ----------
    problem : Problem
    gradient : Tensor, shape (n_cells, n_groups, width)
    """
    cells = problem.cells
    scores = cells.shift.new_zeros(cells.n_peaks)
    for group in range(cells.surrogate.n_groups):
        peaks = problem.allowed[cells.group_of_peak[problem.allowed] == group]
        for block in peaks.split(max(ENTRIES_PER_BLOCK // len(cells), 1)):
            scores[block] = (gradient[:, group] @ cells.shift[block].T).abs().mean(0)
    return scores


def _root_of_noise_covariance(cells: PerturbedCells) -> Tensor:
    """Symmetric square root of each group's sum of ``shift_j shift_j^T``, shape (n_groups, width, width)."""
    groups = range(cells.surrogate.n_groups)
    shifts = (cells.shift[cells.group_of_peak == group].double() for group in groups)
    variance, axes = torch.linalg.eigh(torch.stack([shift.T @ shift for shift in shifts]))
    root = axes * variance.clamp(min=0).sqrt()[:, None] @ axes.mT
    return root.to(cells.shift)
