"""FIMAP: a network that learns, over all cells, the fewest peaks whose perturbing moves the gene."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

from benchmarks.explainers.moves import moves
from benchmarks.explainers.problem import Problem
from grids.search.objective import PerturbedCells

# Pairs of a cell and a peak, and flags of a peak in a cell, that are in memory at a time.
MAX_PAIRS = 2**19
MAX_FLAGS = 2**22
# Share of the candidates that is perturbed, in expectation, at the start.
FIRST_SHARE = 0.1


class PerturbationNetwork(nn.Module):
    """For every cell, the logit of perturbing each peak: a bias of the peak and its answer to the cell's state.

    Parameters
    ----------
    pooled : Tensor, shape (n_cells, n_groups, width)
        Cells whose mean and standard deviation standardise the input.
    n_peaks, n_hidden, n_factors : int
        A peak answers to `n_factors` numbers that a layer of `n_hidden` makes of the state.
    """

    def __init__(self, pooled: Tensor, n_peaks: int, n_hidden: int, n_factors: int):
        super().__init__()
        flat = pooled.flatten(1)
        self.mean, self.sd = flat.mean(0), flat.std(0, correction=0).clamp(min=1e-6)
        self.state = nn.Sequential(
            nn.Linear(flat.shape[1], n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_factors)
        )
        self.bias = nn.Parameter(torch.zeros(n_peaks, 1))
        self.answer = nn.Parameter(torch.zeros(n_peaks, n_factors))

    def forward(self, pooled: Tensor, peaks: Tensor, cell: Tensor) -> Tensor:
        """Logits of chosen pairs of a peak and a cell only, shape (n_pairs,)."""
        look_up = nn.functional.embedding
        state = self.state((pooled.flatten(1) - self.mean) / self.sd)
        return (look_up(cell, state) * look_up(peaks, self.answer)).sum(1) + look_up(peaks, self.bias)[:, 0]


def fimap(
    problem: Problem,
    n_steps: int = 500,
    batch_size: int = 64,
    learning_rate: float = 0.02,
    temperature: float = 0.5,
    n_hidden: int = 64,
    n_factors: int = 8,
) -> Tensor:
    """Mean minimal perturbation of each peak (FIMAP; Chapman-Rounds et al., AAAI 2021).

    A network sees a cell's pooled state and says with which chance each candidate is to be perturbed. It is
    trained over the cells so that few perturbed peaks move the prediction far in the sought direction:

        minimise  -(signed mean prediction) + penalty * (mean number of perturbed peaks of a cell)

    Gates are relaxed Bernoulli variables (the paper's Gumbel layer, of two categories). The penalty is not a
    setting: it is the Lagrange multiplier of a wanted mean number, which a shift of all logits alike keeps. The
    wanted number goes down geometrically, in the first two thirds of the training, from a tenth of the candidates
    to as many as perturbing the `set_size` peaks with the largest chance would change in a cell. The many that
    are perturbed at first let members be found that do nothing alone.

    Parameters
    ----------
    problem : Problem
    n_steps : int
    batch_size : int
        Cells of each step; fewer where their candidates are too many for one step (opening).
    learning_rate : float
        Of Adam.
    temperature : float
        Of the relaxed gates.
    n_hidden, n_factors : int
        As in :class:`PerturbationNetwork`.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Mean over cells of the chance that the peak is perturbed; 0 in cells that perturbing it does not change.
    """
    cells, rng = problem.cells, problem.rng
    sign = cells.sign
    n_changed = sum(len(peaks) for _, peaks, _ in _blocks(cells, problem.allowed)) / len(cells)
    if n_changed == 0:
        return cells.shift.new_zeros(cells.n_peaks)
    batch_size = min(batch_size, len(cells), max(int(MAX_PAIRS / n_changed), 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        network = PerturbationNetwork(cells.pooled, cells.n_peaks, n_hidden, n_factors).to(cells.device)
        parameters = list(network.parameters())
        optimiser = torch.optim.Adam(parameters, lr=learning_rate)
        shift = cells.shift.new_zeros(())
        for step in trange(n_steps, desc="FIMAP", unit="step"):
            batch = cells.subset(np.sort(rng.choice(len(cells), batch_size, replace=False)))
            peaks, cell = _pairs(batch, problem.allowed)
            if len(peaks) == 0:
                continue
            logit = network(batch.pooled, peaks, cell)
            progress = min(1.5 * step / n_steps, 1.0)
            first, last = FIRST_SHARE * len(peaks), _n_changed_by_best(logit, peaks, problem.set_size)
            logit, shift = _shift_to(logit, first ** (1 - progress) * last**progress, shift)
            noise = torch.logit(torch.rand(len(logit)), eps=1e-6).to(cells.device)
            gate = ((logit + noise) / temperature).sigmoid()
            states = batch.pooled + moves(cells, peaks, cell, batch_size, gate)
            loss = -sign * cells.tail(problem.gene, states).mean()
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = gradient
            cells.evaluations.n_backward += batch_size
            optimiser.step()
    return _mean_chance(network, shift, cells, problem.allowed)


def _n_changed_by_best(logit: Tensor, peaks: Tensor, set_size: int) -> int:
    """How many of the pairs belong to the peaks with the largest summed chance."""
    found, position, n_pairs = peaks.unique(return_inverse=True, return_counts=True)
    chance = logit.new_zeros(len(found)).index_add_(0, position, logit.detach().sigmoid())
    return int(n_pairs[chance.topk(min(set_size, len(found))).indices].sum())


def _shift_to(logit: Tensor, n_wanted: float, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Logits shifted alike so that their chances add up to a wanted number, and the shift, by Newton's method.

    Gradients of the shifted logits are those under the constraint.
    """
    for _ in range(5):
        chance = (logit.detach() + shift).sigmoid()
        slope = (chance * (1 - chance)).sum().clamp(min=1e-6)
        shift = shift + ((n_wanted - chance.sum()) / slope).clamp(-1, 1)
    chance = (logit + shift).sigmoid()
    slope = (chance * (1 - chance)).sum().detach().clamp(min=1e-6)
    return logit + shift - (chance.sum() - chance.sum().detach()) / slope, shift


@torch.no_grad()
def _mean_chance(
    network: PerturbationNetwork, shift: Tensor, cells: PerturbedCells, allowed: Tensor
) -> Tensor:
    """Mean over cells of the chance that each peak is perturbed, shape (n_peaks,)."""
    total = cells.shift.new_zeros(cells.n_peaks)
    for part, peaks, cell in _blocks(cells, allowed):
        total.index_add_(0, peaks, (network(part.pooled, peaks, cell) + shift).sigmoid())
    return total / len(cells)


def _blocks(cells: PerturbedCells, allowed: Tensor) -> Iterator[tuple[PerturbedCells, Tensor, Tensor]]:
    """Blocks of cells, each with its :func:`_pairs`."""
    for block in np.array_split(np.arange(len(cells)), -(-len(cells) * len(allowed) // MAX_FLAGS)):
        part = cells.subset(block)
        yield part, *_pairs(part, allowed)


def _pairs(cells: PerturbedCells, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Peak and cell wherever perturbing a candidate changes a cell, each of shape (n_pairs,)."""
    candidate, cell = cells.changed(allowed).nonzero(as_tuple=True)
    return allowed[candidate], cell
