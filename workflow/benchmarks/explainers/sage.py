"""SAGE: Shapley values of peaks for how well a prediction is kept when the others are perturbed."""

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.explainers.moves import changed_peaks, moves
from benchmarks.explainers.problem import Problem


def sage(problem: Problem, n_permutations: int = 1024, n_blocks: int = 8192, signed: bool = True) -> Tensor:
    """SAGE values by permutation sampling (Covert et al., NeurIPS 2020), in pooled form.

    The value of a set of peaks is minus the mean squared error of the prediction when all other candidates are
    perturbed in every cell (their predictive power, with the perturbed value in place of what is missing). The
    error is against the surrogate's own prediction of the unperturbed cell: that needs no cells with both
    modalities measured, and asks what the surrogate relies on, as every other explainer here is asked. The
    library `sage` does the same with ``DefaultImputer``, loss ``"mse"`` and ``Y=None``.

    A cell's candidates start out all perturbed and are restored one after another in random order. Peaks that
    perturbing does not change in the cell gain exactly nothing, so only the others take steps: 5,000 of
    127,000 where peaks are closed. Each order is also walked backwards with the same cell (Mitchell et al.,
    JMLR 2022), which cancels all chance where the value is quadratic: where effects are additive.

    Parameters
    ----------
    problem : Problem
    n_permutations : int
        Orders that are walked, each in one cell, two by two; cells take turns.
    n_blocks : int
        The most steps of one walk. Where more peaks change they are restored in this many blocks, and a block's
        gain is shared equally by its members. That is not the Shapley value: in expectation a member of a block
        of `b` gets one `b`-th of what it would get alone and the rest from its chance companions, which keeps
        the order of peaks in additive models but shrinks their differences `b`-fold. The values add up alike.
    signed : bool
        SAGE has no direction: where perturbing everything moves a cell away from the sought direction, the peaks
        that do so are the important ones. Such a cell's values then count negatively. False: as the library.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Squared log-expression.
    """
    cells, rng = problem.cells, problem.rng
    n_pairs = -(-n_permutations // 2)
    n_rounds = -(-n_pairs // len(cells))
    turns = np.concatenate([rng.permutation(len(cells)) for _ in range(n_rounds)])[:n_pairs]
    target = cells.predict(problem.gene)
    total = cells.shift.new_zeros(cells.n_peaks)
    for cell in tqdm(turns, desc="SAGE", unit="pair of orders"):
        peaks = changed_peaks(cells, cell, problem.allowed)
        order = peaks[torch.from_numpy(rng.permutation(len(peaks))).to(cells.device)]
        for walked in (order, order.flip(0)):
            total[walked] += _gains(problem, cell, walked, target[cell], n_blocks, signed)
    return total / (2 * n_pairs)


def _gains(problem: Problem, cell: int, order: Tensor, target: Tensor, n_blocks: int, signed: bool) -> Tensor:
    """What restoring each peak takes off a cell's squared error, shape (n_changed,)."""
    if len(order) == 0:
        return target.new_zeros(0)
    cells = problem.cells
    n_blocks = min(n_blocks, len(order))
    block = torch.arange(len(order), device=cells.device) * n_blocks // len(order)
    perturbing = moves(cells, order, block, n_blocks)
    # Before step k the blocks from k on are perturbed; at the end none is.
    left = torch.cat([perturbing.flip(0).cumsum(0).flip(0), torch.zeros_like(perturbing[:1])])
    moved = cells.predict(problem.gene, cells.pooled[cell] + left) - target
    gains = (moved[:-1] ** 2 - moved[1:] ** 2) / block.bincount()
    if signed and cells.sign * moved[0] < 0:
        gains = -gains
    return gains[block]
