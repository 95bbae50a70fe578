"""Functions of binary features, each the smooth extension of a logic to features between closed and open.

Analogues, for features that are open or closed, of the synthetic data of L2X (Chen et al., ICML 2018, section 4.1),
whose features are Gaussian; and redundant copies. Each is at its lowest, in every cell, when its members, the first of
its inputs, are all closed, and not with any of them left open.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Function:
    """A function of some inputs.

    Attributes
    ----------
    value : callable
        From inputs, Tensor of shape (n_cells, n_inputs), to values of shape (n_cells,).
    n_inputs, n_members : int
        The first `n_members` inputs are the set that lowers the function most, closed together.
    """

    value: Callable[[Tensor], Tensor]
    n_inputs: int
    n_members: int


def additive(inputs: Tensor) -> Tensor:
    """Nonlinear additive: log of 1 plus the inputs' weighted sum; the last weight is three times the first."""
    return torch.log1p(inputs @ torch.linspace(0.5, 1.5, inputs.shape[1]))


def xor(inputs: Tensor) -> Tensor:
    """Sum over pairs of inputs of ``a + b - 2 a b``: 1 while exactly one of the two is open."""
    first, second = inputs[:, ::2], inputs[:, 1::2]
    return (first + second - 2 * first * second).sum(1)


def orange_skin(inputs: Tensor) -> Tensor:
    """A shell in the number of open inputs: 1 when half of them are open, a Gaussian of width 1 around it."""
    return torch.exp(-((inputs.sum(1) - inputs.shape[1] / 2) ** 2) / 2)


def switch(inputs: Tensor) -> Tensor:
    """The sum of five inputs while the first, the switch, is closed, and of five others while it is open."""
    is_open, if_closed, if_open = inputs[:, 0], inputs[:, 1:6], inputs[:, 6:]
    return (1 - is_open) * if_closed.sum(1) + is_open * if_open.sum(1)


def redundant(inputs: Tensor) -> Tensor:
    """Sum over threes of copies of ``1 - (1 - a) (1 - b) (1 - c)``: 1 while any of the three is open."""
    return (1 - (1 - inputs).unflatten(1, (-1, 3)).prod(2)).sum(1)


FUNCTIONS = {
    "additive": Function(additive, 6, 6),
    "xor": Function(xor, 6, 6),
    "orange_skin": Function(orange_skin, 6, 6),
    "switch": Function(switch, 11, 6),
    "redundant": Function(redundant, 6, 6),
}
