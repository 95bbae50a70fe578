"""Subsets of a set: which are evaluated, their effects in draws of cells and surrogates, and Shapley values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
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

    Bool, shape (1 + 3 * set_size + n_pairs, set_size).
    """
    one = np.eye(set_size, dtype=bool)
    first, second = np.triu_indices(set_size, 1)
    nested = np.tri(set_size, dtype=bool)
    return np.concatenate([np.zeros((1, set_size), bool), one, ~one, nested, one[first] | one[second]])


def changes(means: np.ndarray, set_size: int) -> Changes:
    """Changes against the unperturbed cells, from a mean over cells for each row of :func:`reported_subsets`."""
    return Changes(*np.split(means[..., 1:] - means[..., :1], set_size * np.arange(1, 4), axis=-1))


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


MAX_EXACT_MEMBERS = 12


def all_subsets(set_size: int) -> np.ndarray:
    """Every subset; bit `i` of the row's number is member `i`. Bool, shape (2 ** set_size, set_size)."""
    return (np.arange(2**set_size)[:, None] >> np.arange(set_size) & 1).astype(bool)


def exact_shapley(values: np.ndarray) -> np.ndarray:
    """Shapley values from the value of every subset (Shapley 1953).

    ``phi_i`` is the mean, over the sizes of subsets without `i`, of the mean change that adding `i` makes: they sum to
    the value of the whole set minus that of the empty one. `values`, shape (2 ** set_size,), are in the order of
    :func:`all_subsets`; returns shape (set_size,).
    """
    set_size = len(values).bit_length() - 1
    subsets = all_subsets(set_size)
    share = np.array([1 / (set_size * comb(set_size - 1, k)) for k in range(set_size)])
    n_members = subsets.sum(1)
    gained = values * share[n_members - 1]
    given_up = values * share[np.minimum(n_members, set_size - 1)]
    return gained @ subsets - given_up @ ~subsets


def sampled_shapley(
    value: Callable[[np.ndarray], np.ndarray], set_size: int, n_permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Shapley values from random orders in which members are added (Castro et al. 2009).

    Every second order is the reverse of the one before (Mitchell et al. 2022), which
    cancels much of the chance in early and late places; each such pair counts as one independent draw.

    Parameters
    ----------
    value : function
        From subsets, bool (n_subsets, set_size), to their values (n_subsets,).
    n_permutations : int
        Rounded up to an even number, at least 4.

    Returns
    -------
    shapley, error : ndarray, shape (set_size,)
        The estimates, which sum exactly as the exact values do, and their standard errors.
    """
    n_pairs = max((n_permutations + 1) // 2, 2)
    drawn = np.zeros((n_pairs, set_size))
    prefixes = np.tri(set_size + 1, set_size, -1, dtype=bool)
    for pair in drawn:
        order = rng.permutation(set_size)
        for ordered in (order, order[::-1]):
            subsets = np.empty_like(prefixes)
            subsets[:, ordered] = prefixes
            pair[ordered] += np.diff(value(subsets)) / 2
    return drawn.mean(0), drawn.std(0, ddof=1) / np.sqrt(n_pairs)


def shapley_values(
    value: Callable[[np.ndarray], np.ndarray], set_size: int, n_permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Shapley values and standard errors: exact, with errors of 0, up to :data:`MAX_EXACT_MEMBERS` members.

    Parameters and returns as in :func:`sampled_shapley`.
    """
    if set_size <= MAX_EXACT_MEMBERS:
        return exact_shapley(value(all_subsets(set_size))), np.zeros(set_size)
    return sampled_shapley(value, set_size, n_permutations, rng)
