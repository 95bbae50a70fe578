"""One replicate of the synthetic benchmark: cells, the function as a surrogate, and its best set."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy import sparse
from scipy.special import ndtri
from torch import Tensor

from benchmarks.synthetic.functions import FUNCTIONS, Function
from grids.search.objective import PerturbedCells
from grids.surrogates.pooling import PooledSurrogate

CLOSED = 0
OPEN_SHARE = (0.3, 0.7)


class SyntheticSurrogate(PooledSurrogate):
    """A function of some features plus the weighted sum of all others; exact, nothing is trained.

    Parameters
    ----------
    function : Function
    inputs : ndarray of int, shape (n_inputs,)
        Which features the function's inputs are.
    weights : ndarray, shape (n_features,)
        What each other feature adds when it is open; 0 at `inputs`.
    """

    name = "synthetic"
    n_groups = 1

    def __init__(self, function: Function, inputs: np.ndarray, weights: np.ndarray):
        super().__init__()
        self.peaks = [f"feature_{i}" for i in range(len(weights))]
        self.genes = ["value"]
        self.function = function
        shift = np.zeros((len(weights), function.n_inputs + 1), dtype=np.float32)
        shift[inputs, np.arange(function.n_inputs)] = 1
        shift[:, -1] = weights
        self.register_buffer("shift", torch.from_numpy(shift))
        self.register_buffer("group_of_peak", torch.zeros(len(weights), dtype=torch.long))

    def tail(self, pooled: Tensor, genes: Tensor | None = None) -> Tensor:
        """Value from pooled states; see :meth:`PooledSurrogate.tail`."""
        inputs, background = pooled[:, 0, :-1], pooled[:, 0, -1]
        value = (self.function.value(inputs) + background)[:, None]
        return value if genes is None else value[:, genes]


@dataclass(frozen=True)
class Replicate:
    """Cells and the function that explainers see, and what they are to find.

    Attributes
    ----------
    cells : PerturbedCells
    members : LongTensor, shape (n_members,)
        The planted set.
    best_effect : float
        The largest decrease of the mean value by any set of this size.
    """

    cells: PerturbedCells
    members: Tensor
    best_effect: float


def simulate(
    name: str, rng: np.random.Generator, n_features: int, n_cells: int, correlation: float, background: float
) -> Replicate:
    """Draw cells and hide a function's inputs among their features.

    Features are open in 30 to 70 % of the cells. Every input has a companion, another feature that opens with it.
    All features but the inputs add something of their own to the value, uniform between 0 and a largest weight.

    Parameters
    ----------
    name : str
        One of :data:`~benchmarks.synthetic.functions.FUNCTIONS`.
    rng : Generator
    n_features, n_cells : int
    correlation : float
        Of an input's latent Gaussian with its companion's.
    background : float
        What the best set of the other features does when it is closed, as a share of what the members do, of which
        there are as many.
    """
    function = FUNCTIONS[name]
    inputs, companions, _ = np.split(rng.permutation(n_features), [function.n_inputs, 2 * function.n_inputs])
    latent = rng.standard_normal((n_cells, n_features))
    latent[:, companions] *= np.sqrt(1 - correlation**2)
    latent[:, companions] += correlation * latent[:, inputs]
    opened = sparse.csr_matrix((latent < ndtri(rng.uniform(*OPEN_SHARE, n_features))).astype(np.uint8))
    share = np.asarray(opened.mean(0)).ravel()
    weights = rng.uniform(size=n_features)
    weights[inputs] = 0
    alone = PerturbedCells(SyntheticSurrogate(function, inputs, 0 * weights), opened, CLOSED)
    members = torch.from_numpy(inputs[: function.n_members])
    effect = float(alone.predict(0).mean() - alone.mean_of_sets(members[None], 0)[0])
    weights *= background * effect / np.sort(weights * share)[-function.n_members :].sum()
    return Replicate(
        PerturbedCells(SyntheticSurrogate(function, inputs, weights), opened, CLOSED),
        members,
        best_effect(alone, torch.from_numpy(inputs), weights * share, function.n_members),
    )


def best_effect(alone: PerturbedCells, inputs: Tensor, effects: np.ndarray, set_size: int) -> float:
    """The largest decrease of the mean value by any set of a size: exact, by trying all subsets of the inputs.

    The other features add up, so a set of some inputs is best filled with those of them that do most.

    Parameters
    ----------
    alone : PerturbedCells
        With the function alone.
    inputs : LongTensor, shape (n_inputs,)
    effects : ndarray, shape (n_features,)
        Decrease of the mean value when each other feature is closed; 0 for inputs.
    set_size : int
    """
    masks = torch.tensor(list(product([False, True], repeat=len(inputs))))
    masks = masks[masks.sum(1) <= set_size]
    of_inputs = alone.predict(0).mean() - alone.predict_subsets(inputs, masks, 0).mean(1)
    others = np.concatenate([[0.0], np.sort(effects)[::-1].cumsum()])
    return float((of_inputs.numpy() + others[set_size - masks.sum(1).numpy()]).max())
