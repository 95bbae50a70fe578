"""CXPlain: a network that predicts what masking each window of peaks does to a cell."""

import copy
import itertools
from math import isqrt

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from tqdm import tqdm, trange

from benchmarks.explainers.moves import changed_peaks, moves
from benchmarks.explainers.problem import Problem
from grids.io.errors import InputError
from grids.search.objective import PerturbedCells
from grids.search.transitions import addition_gain

# Each level of the U-Net is this many times shorter than the one above it.
POOLING = 4
# Share of the cells that training is stopped by, and epochs without progress that stop it.
VALIDATION_SHARE = 0.2
PATIENCE = 5


class WindowUNet(nn.Module):
    """Logit of each window's importance, from how many of its peaks perturbing changes in a cell.

    A one-dimensional U-Net (Ronneberger et al., MICCAI 2015) along the genome. A convolution alone cannot tell two
    windows of the same look apart, so each window has a bias of its own.
    """

    def __init__(self, n_windows: int, n_channels: int = 4, n_levels: int = 2):
        super().__init__()
        sizes = [n_channels * 2**level for level in range(n_levels + 1)]
        self.enter = nn.Conv1d(1, n_channels, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv1d(n_in, n_out, POOLING, stride=POOLING) for n_in, n_out in itertools.pairwise(sizes)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose1d(n_out, n_in, POOLING, stride=POOLING)
            for n_in, n_out in itertools.pairwise(sizes)
        )
        self.merge = nn.ModuleList(nn.Conv1d(2 * size, size, 3, padding=1) for size in sizes[:-1])
        self.leave = nn.Conv1d(n_channels, 1, 1)
        self.window_bias = nn.Parameter(torch.zeros(n_windows))

    def forward(self, n_changed: Tensor) -> Tensor:
        """Log of the importance of each window, in all 1; shape (n_cells, n_windows) as the input's."""
        n_windows = n_changed.shape[1]
        padding = -n_windows % POOLING ** len(self.down)
        h = self.enter(nn.functional.pad(n_changed, (0, padding))[:, None]).relu()
        skipped = []
        for down in self.down:
            skipped.append(h)
            h = down(h).relu()
        for up, merge, skip in zip(reversed(self.up), reversed(self.merge), reversed(skipped), strict=True):
            h = merge(torch.cat([up(h).relu(), skip], 1)).relu()
        logits = self.leave(h)[:, 0, :n_windows] + self.window_bias
        # Finite, so that the 0 of a window that masking does not change times its logarithm is 0.
        return logits.masked_fill(n_changed == 0, -1e9).log_softmax(1)


def cxplain(
    problem: Problem,
    window: int = 4,
    n_cells: int = 256,
    n_epochs: int = 50,
    batch_size: int = 32,
    learning_rate: float = 0.03,
    image_width: int | None = None,
) -> Tensor:
    """Mean importance of each peak's window, as CXPlain predicts it (Schwab and Karlen, NeurIPS 2019).

    The causal objective of a window in a cell is how far masking it (here: perturbing all its peaks) moves the
    prediction in the sought direction, 0 where it moves the other way, as a share of the cell's sum over windows.
    A U-Net learns to predict the shares from the cell by their Kullback-Leibler divergence. The GRIDS paper trains
    it for 2,000 epochs with a learning rate of 5e-4 in batches of 512; the defaults take fewer epochs at a higher
    rate and stop when cells that are kept aside are predicted no better.

    Parameters
    ----------
    problem : Problem
    window : int
        Consecutive candidates that are masked together, in the order of their indices within a group (along a
        chromosome); the last of a group may be shorter.
    n_cells : int
        Cells whose objective is computed, drawn at random where there are more. All are predicted.
    n_epochs : int
        At most.
    batch_size : int
    learning_rate : float
        Of Adam.
    image_width : int, optional
        Peaks are the pixels of an image this wide, row by row, and windows squares of `window` pixels.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Ranks, 1 and up, of candidates by their window's mean predicted importance and, within a window, by
        first-order gain. Where no masking moves any cell, by that gain alone. Other peaks score 0.

    Raises
    ------
    InputError
        When `window` is no square number although `image_width` is given.
    """
    cells, allowed, rng = problem.cells, problem.allowed.sort().values, problem.rng
    window_of_peak = torch.full((cells.n_peaks,), -1, device=cells.device)
    window_of_peak[allowed] = _windows(allowed, cells.group_of_peak[allowed], window, image_width)
    n_windows = int(window_of_peak.max()) + 1
    masked = np.arange(len(cells))
    if n_cells < len(cells):
        masked = np.sort(rng.choice(len(cells), n_cells, replace=False))
    objective = causal_objective(problem, window_of_peak, masked)
    importance = cells.shift.new_zeros(n_windows)
    if objective.sum() > 0:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            network = WindowUNet(n_windows).to(cells.device)
        _train(
            network, cells.subset(masked), window_of_peak, objective, n_epochs, batch_size, learning_rate, rng
        )
        importance = _mean_importance(network, cells, window_of_peak, batch_size)
    gain = addition_gain(cells, problem.gene, cells.pooled)[allowed]
    order = np.lexsort((gain.cpu().numpy(), importance[window_of_peak[allowed]].cpu().numpy()))
    scores, ranks = cells.shift.new_zeros(cells.n_peaks), torch.arange(1, len(allowed) + 1)
    scores[allowed[torch.from_numpy(order).to(cells.device)]] = ranks.to(scores)
    return scores


def _windows(allowed: Tensor, group: Tensor, window: int, image_width: int | None) -> Tensor:
    """Window 0, 1, ... of each candidate, shape (n_candidates,)."""
    if image_width is not None:
        side = isqrt(window)
        if side**2 != window:
            raise InputError(f"cxplain: window is {window}; of an image it must be a square number, as 4")
        row, column = allowed // image_width, allowed % image_width
        key = row // side * image_width + column // side
    else:
        order = torch.argsort(group, stable=True)
        n_in_group = group.bincount()
        first = n_in_group.cumsum(0) - n_in_group
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device) - first[group[order]]
        key = group * len(allowed) + rank // window
    return key.unique(return_inverse=True)[1]


def causal_objective(problem: Problem, window_of_peak: Tensor, explained: np.ndarray) -> sparse.csr_matrix:
    """Share of each window in what masking windows does to a cell (Schwab and Karlen, equations 2 and 3).

    Exact: every window is masked in every cell that this changes.

    Parameters
    ----------
    problem : Problem
    window_of_peak : LongTensor, shape (n_peaks,)
        -1 for peaks that are no candidates.
    explained : ndarray of int, shape (n,)
        Cells.

    Returns
    -------
    csr_matrix, shape (n, n_windows)
        Rows sum to 1, or to 0 where masking no window moves the prediction in the sought direction.
    """
    cells = problem.cells
    before = cells.predict(problem.gene)
    rows = []
    for cell in tqdm(explained, desc="CXPlain: masking", unit="cell"):
        peaks = changed_peaks(cells, cell, problem.allowed)
        windows, row = window_of_peak[peaks].unique(return_inverse=True)
        states = cells.pooled[cell] + moves(cells, peaks, row, len(windows))
        change = cells.sign * (cells.predict(problem.gene, states) - before[cell])
        gain = change.clamp(min=0)
        rows.append((windows, gain / gain.sum().clamp(min=1e-12)))
    indptr = np.cumsum([0, *(len(windows) for windows, _ in rows)])
    windows, shares = (torch.cat(parts).cpu().numpy() for parts in zip(*rows, strict=True))
    return sparse.csr_matrix((shares, windows, indptr), shape=(len(explained), int(window_of_peak.max()) + 1))


def _n_changed(cells: PerturbedCells, window_of_peak: Tensor) -> Tensor:
    """How many peaks of each window perturbing changes in each cell, shape (n_cells, n_windows)."""
    candidates = (window_of_peak >= 0).nonzero()[:, 0]
    candidate, cell = cells.changed(candidates).nonzero(as_tuple=True)
    n_changed = cells.shift.new_zeros(len(cells), int(window_of_peak.max()) + 1)
    pair = cell * n_changed.shape[1] + window_of_peak[candidates[candidate]]
    return n_changed.view(-1).index_add_(0, pair, n_changed.new_ones(len(pair))).view_as(n_changed)


def _train(
    network: WindowUNet,
    cells: PerturbedCells,
    window_of_peak: Tensor,
    objective: sparse.csr_matrix,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> None:
    """Fit the network to the causal objective of the cells that have one."""

    def divergence(batch: np.ndarray) -> Tensor:
        predicted = network(_n_changed(cells.subset(batch), window_of_peak))
        target = torch.from_numpy(objective[batch].toarray()).to(cells.device)
        return nn.functional.kl_div(predicted, target, reduction="batchmean")

    informative = rng.permutation(np.flatnonzero(objective.sum(1)))
    validation, training = np.split(informative, [int(VALIDATION_SHARE * len(informative))])
    if len(validation) == 0:
        validation = training
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    least, best, n_worse = float("inf"), network.state_dict(), 0
    for _ in trange(n_epochs, desc="CXPlain: training", unit="epoch"):
        for batch in np.array_split(rng.permutation(training), -(-len(training) // batch_size)):
            optimiser.zero_grad()
            divergence(batch).backward()
            optimiser.step()
        with torch.no_grad():
            held_out = float(divergence(validation))
        if held_out < least:
            least, best, n_worse = held_out, copy.deepcopy(network.state_dict()), 0
        else:
            n_worse += 1
            if n_worse == PATIENCE:
                break
    network.load_state_dict(best)


@torch.no_grad()
def _mean_importance(
    network: WindowUNet, cells: PerturbedCells, window_of_peak: Tensor, batch_size: int
) -> Tensor:
    """Mean over cells of the predicted importance of each window, shape (n_windows,)."""
    total = torch.zeros_like(network.window_bias)
    for batch in np.array_split(np.arange(len(cells)), -(-len(cells) // batch_size)):
        n_changed = _n_changed(cells.subset(batch), window_of_peak)
        total += (network(n_changed).exp() * (n_changed > 0)).sum(0)
    return total / len(cells)
