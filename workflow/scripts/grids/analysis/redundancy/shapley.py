"""Shapley values of the members of a set: exact over all subsets, or sampled with a stated error."""

from collections.abc import Callable
from math import comb

import numpy as np

MAX_EXACT_MEMBERS = 12


def all_subsets(set_size: int) -> np.ndarray:
    """Every subset; bit `i` of the row's number is member `i`. Bool, shape (2 ** set_size, set_size)."""
    return (np.arange(2**set_size)[:, None] >> np.arange(set_size) & 1).astype(bool)


def exact(values: np.ndarray) -> np.ndarray:
    """Shapley values from the value of every subset (Shapley 1953).

    ``phi_i`` is the mean, over the sizes of subsets without `i`, of the mean change that adding `i` makes.

    Parameters
    ----------
    values : ndarray, shape (2 ** set_size,)
        In the order of :func:`all_subsets`.

    Returns
    -------
    ndarray, shape (set_size,)
        They sum to the value of the whole set minus the value of the empty one.
    """
    set_size = len(values).bit_length() - 1
    subsets = all_subsets(set_size)
    share = np.array([1 / (set_size * comb(set_size - 1, k)) for k in range(set_size)])
    n_members = subsets.sum(1)
    gained = values * share[n_members - 1]
    given_up = values * share[np.minimum(n_members, set_size - 1)]
    return gained @ subsets - given_up @ ~subsets


def sampled(
    value: Callable[[np.ndarray], np.ndarray], set_size: int, n_permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Shapley values from random orders in which members are added (Castro et al. 2009).

    Every second order is the reverse of the one before (Mitchell et al. 2022), which
    cancels much of the chance in early and late places; each such pair counts as one independent draw.

    Parameters
    ----------
    value : function
        From subsets, bool (n_subsets, set_size), to their values (n_subsets,).
    set_size : int
    n_permutations : int
        Rounded up to an even number, at least 4.
    rng : Generator

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

    Parameters and returns as in :func:`sampled`.
    """
    if set_size <= MAX_EXACT_MEMBERS:
        return exact(value(all_subsets(set_size))), np.zeros(set_size)
    return sampled(value, set_size, n_permutations, rng)
