"""The curve of the window surrogate: expression as a function of the open members of a small set.

With ``n`` the number of open peaks of a set of k peaks, expression relative to no member open is

    activity = 1 + size * rise,    rise = f(n) = (exp(bend * n) - 1) / (exp(bend * k) - 1),    size = ratio - 1

so it goes from 1 to `ratio` with all members open, by a way that the bend tells. The same curve as a function of the
index ``weights . z``, with the peaks' openness z and a weight of `bend` for each member, has

    rise = exp(index) - 1,    size = (ratio - 1) / (exp(bend * k) - 1)

The first form is fitted (:mod:`grids.surrogates.window.set_models`), the second is what a surrogate pools
(:class:`~grids.surrogates.window.model.GeneWindow`). What is observed is not which peaks are open but the chance that
each is, independent given the state: both forms average over it exactly, by products over members.
"""

import math

import torch
from torch import Tensor

MIN_ACTIVITY = 1e-3
MAX_INDEX = 30.0


def activity(size: Tensor, rise: Tensor) -> Tensor:
    """Expression relative to no member open, ``1 + size * rise``, kept above :data:`MIN_ACTIVITY`; they broadcast."""
    return (1 + size * rise).clamp(min=MIN_ACTIVITY)


def log_activity(index: Tensor, size: Tensor) -> Tensor:
    """Log of :func:`activity` by the index, ``weights . z`` with the peaks' openness z; they broadcast."""
    return torch.log(activity(size, torch.expm1(index.clamp(max=MAX_INDEX))))


def expected_index(openness: Tensor, weights: Tensor) -> Tensor:
    """``log E exp(weights . z)`` over openings independent with chance `openness`, shape (n_cells,).

    `openness` has shape (n_cells, n_peaks).
    """
    used = weights != 0
    return torch.log1p(torch.expm1(weights[used]) * openness[:, used]).sum(1)


def line_of_power(bend: float) -> tuple[float, float]:
    """``E exp(bend * z)`` of a peak as intercept and slope over its openness.

    Both are divided by ``exp(bend)`` for positive bends, so that products over members stay finite.
    """
    if bend > 0:
        return math.exp(-bend), -math.expm1(-bend)
    return 1.0, math.expm1(bend)


def ends_of_power(bend: float, size: int) -> tuple[float, float]:
    """Product of :func:`line_of_power` over the members with none open, and how much all of them open add."""
    if bend > 0:
        return math.exp(-bend * size), -math.expm1(-bend * size)
    return 1.0, math.expm1(bend * size)


def expected_rise(openness: Tensor, members: Tensor, bend: float) -> Tensor:
    """``E f(n)``, shape (..., n_cells): 0 with no member open, 1 with all.

    `openness` has shape (n_cells, n_peaks), `members` are flags of the peaks.
    """
    size = int(members.sum())
    if size == 0:
        return openness.new_zeros(len(openness))
    intercept, slope = line_of_power(bend)
    none, step = ends_of_power(bend, size)
    return ((intercept + slope * openness[:, members]).prod(1) - none) / step


def symmetric_polynomials(openness: Tensor, sets: Tensor, size: int) -> Tensor:
    """Elementary symmetric polynomials of the members' openness, (n_genes, n_sets, 1 + size, n_cells), from order 0.

    `openness` has shape (n_genes, n_cells, n_peaks); `sets`, (n_genes, n_sets, n_peaks), flag `size` members each.
    """
    n_genes, n_cells, _ = openness.shape
    polynomials = openness.new_zeros(n_genes, sets.shape[1], size + 1, n_cells)
    polynomials[:, :, 0] = 1
    if size:
        by_peak, gene = openness.transpose(1, 2), torch.arange(n_genes)[:, None]
        members = sets.byte().topk(size, 2).indices
        for j in range(size):
            polynomials[:, :, 1:] += polynomials[:, :, :-1] * by_peak[gene, members[:, :, j]][:, :, None]
    return polynomials
