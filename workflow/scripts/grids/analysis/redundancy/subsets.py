"""Which subsets of a set are evaluated, and the effect of each one in draws of cells and surrogates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from grids.search.objective import PerturbedCells


class Changes(NamedTuple):
    """Changes of one quantity by the reported subsets of a set; any leading dimensions.

    Attributes
    ----------
    alone : ndarray, shape (..., set_size)
        By each member.
    without : ndarray, shape (..., set_size)
        By all members but this one.
    nested : ndarray, shape (..., set_size)
        By the first 1, 2, ... members in nested order; the last is the joint change.
    pairs : ndarray, shape (..., n_pairs)
        By each pair of members, in the order of ``np.triu_indices(set_size, 1)``.
    """

    alone: np.ndarray
    without: np.ndarray
    nested: np.ndarray
    pairs: np.ndarray

    @property
    def joint(self) -> np.ndarray:
        """By the whole set, shape (...)."""
        return self.nested[..., -1]

    @property
    def in_context(self) -> np.ndarray:
        """By adding each member to the rest of the set, shape (..., set_size)."""
        return self.joint[..., None] - self.without

    @property
    def interactions(self) -> np.ndarray:
        """By each pair beyond the sum of its two members, shape (..., n_pairs)."""
        first, second = np.triu_indices(self.alone.shape[-1], 1)
        return self.pairs - self.alone[..., first] - self.alone[..., second]


def reported_subsets(set_size: int) -> np.ndarray:
    """The subsets behind :class:`Changes`: none, each alone, all but each, nested, pairs.

    Returns
    -------
    ndarray of bool, shape (1 + 3 * set_size + n_pairs, set_size)
    """
    one = np.eye(set_size, dtype=bool)
    first, second = np.triu_indices(set_size, 1)
    nested = np.tri(set_size, dtype=bool)
    return np.concatenate([np.zeros((1, set_size), bool), one, ~one, nested, one[first] | one[second]])


def changes(means: np.ndarray, set_size: int) -> Changes:
    """Changes against the unperturbed cells.

    Parameters
    ----------
    means : ndarray, shape (..., n_subsets)
        A mean over cells for each row of :func:`reported_subsets`.
    set_size : int
    """
    parts = np.split(means[..., 1:] - means[..., :1], set_size * np.arange(1, 4), axis=-1)
    return Changes(*parts)


@dataclass(frozen=True)
class Measured:
    """Changes by the reported subsets: the estimate, and its bootstrap draws.

    Attributes
    ----------
    log, expression : Changes
        Of mean predicted log-expression, and of the mean of its exponential (the scale of expression).
    log_draws, expression_draws : Changes
        The same with a leading dimension ``n_bootstrap``.
    """

    log: Changes
    log_draws: Changes
    expression: Changes
    expression_draws: Changes


def measure_subsets(
    predict: Callable[[np.ndarray], np.ndarray],
    refits: Sequence[Callable[[np.ndarray], np.ndarray]],
    set_size: int,
    weights: np.ndarray,
) -> Measured:
    """Changes by the reported subsets of a set, in all cells and in bootstrap draws of them.

    Every surrogate predicts every subset once; a draw is a product with these predictions. Draw `b` uses
    refit ``b % len(refits)``; without refits all draws use the surrogate itself.

    Parameters
    ----------
    predict : function
        From subsets, bool (n_subsets, set_size), to predicted log-expression (n_subsets, n_cells).
    refits : sequence of such functions
        Of surrogates that were fitted again to resampled training cells.
    set_size : int
    weights : ndarray, shape (n_bootstrap, n_cells)
        Of :func:`grids.analysis.statistics.bootstrap_weights`.
    """
    subsets = reported_subsets(set_size)
    predicted = predict(subsets)
    draws = np.empty((2, len(weights), len(subsets)))
    n_surrogates = max(len(refits), 1)
    for b in range(n_surrogates):
        of_surrogate = refits[b](subsets) if refits else predicted
        draws[0, b::n_surrogates] = weights[b::n_surrogates] @ of_surrogate.T
        draws[1, b::n_surrogates] = weights[b::n_surrogates] @ np.exp(of_surrogate).T
    return Measured(
        log=changes(predicted.mean(1), set_size),
        log_draws=changes(draws[0], set_size),
        expression=changes(np.exp(predicted).mean(1), set_size),
        expression_draws=changes(draws[1], set_size),
    )


def predictor(cells: PerturbedCells, gene: int, members: torch.Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """Exact prediction of subsets of one set: bool (n_subsets, set_size) to (n_subsets, n_cells)."""

    def predict(subsets: np.ndarray) -> np.ndarray:
        predicted = cells.predict_subsets(members, torch.from_numpy(subsets).to(cells.device), gene)
        return predicted.cpu().numpy().astype(np.float64)

    return predict
