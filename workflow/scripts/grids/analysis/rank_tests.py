"""Do groups of values differ? Rank tests for values of which several belong to one unit, and groups that overlap."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2, norm, rankdata

# Groups with fewer units than this inside or outside are not tested.
MIN_UNITS = 3
# Eigenvalues of the correlation of rank sums below this are zero: one group tells what others tell.
RANK_TOLERANCE = 1e-9


def rank_tests(values: np.ndarray, unit: Sequence, inside: np.ndarray) -> tuple[np.ndarray, float]:
    """Is each group higher or lower than the rest, and do the groups differ at all?

    What is exchangeable without a difference is permuted: whole units among those with as many values, and the
    values within each unit. Mean and covariance of the groups' rank sums over these permutations are known in closed
    form, so p-values are those of a normal (of one group, two-sided, with the correction for continuity) and of a
    chi-squared variable (of all groups). With one value per unit these are the tests of Mann & Whitney and, for
    groups without overlap that hold all values, of Kruskal & Wallis. A group that stands there twice adds nothing.

    Parameters
    ----------
    values : ndarray, shape (n,)
    unit : sequence of hashable, length n
        What each value belongs to; values of different units are independent.
    inside : ndarray of bool, shape (n, n_groups)
        Groups may overlap.

    Returns
    -------
    p_values : ndarray, shape (n_groups,)
        Missing for groups with fewer than :data:`MIN_UNITS` units inside or outside, or where nothing could differ.
    p_value : float
        Of all groups that have one.
    """
    p_values = np.full(inside.shape[1], np.nan)
    code = np.unique(np.asarray(unit, dtype=str), return_inverse=True)[1]
    tested = np.array([_enough(code, group) for group in inside.T], dtype=bool)
    excess, covariance = _rank_sums(rankdata(values), code, inside[:, tested].astype(float))
    sd = np.sqrt(np.diagonal(covariance))
    varies = sd > RANK_TOLERANCE * len(code)
    excess, sd, covariance = excess[varies], sd[varies], covariance[np.ix_(varies, varies)]
    p_values[np.flatnonzero(tested)[varies]] = 2 * norm.sf(np.maximum(np.abs(excess) - 0.5, 0) / sd)
    if not len(sd):
        return p_values, np.nan
    correlation, z = covariance / np.outer(sd, sd), excess / sd
    rank = np.linalg.matrix_rank(correlation, RANK_TOLERANCE * len(sd), hermitian=True)
    statistic = z @ np.linalg.pinv(correlation, RANK_TOLERANCE, hermitian=True) @ z
    return p_values, float(chi2.sf(statistic, rank))


def _enough(code: np.ndarray, group: np.ndarray) -> bool:
    return min(len(np.unique(code[group])), len(np.unique(code[~group]))) >= MIN_UNITS


def _rank_sums(ranks: np.ndarray, code: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank sum of each group over its mean under permutation, (n_groups,), and their covariance."""
    n_groups = inside.shape[1]
    excess, covariance = np.zeros(n_groups), np.zeros((n_groups, n_groups))
    n_values = np.bincount(code)[code]
    for size in np.unique(n_values):
        here = np.flatnonzero(n_values == size)
        here = here[np.argsort(code[here], kind="stable")].reshape(-1, size)
        rank, member = ranks[here], inside[here]
        excess += np.tensordot(rank - rank.mean(), member, 2)
        # Units change places: what varies are their mean ranks and their numbers of values in each group.
        n_units, mean_rank = len(rank), rank.mean(1)
        n_inside = member.sum(1) - member.sum(1).mean(0)
        covariance += (
            n_inside.T @ n_inside * ((mean_rank - mean_rank.mean()) ** 2).sum() / max(n_units - 1, 1)
        )
        # Values change places within a unit.
        within = (member - member.mean(1, keepdims=True)).reshape(here.size, n_groups)
        spread = ((rank - mean_rank[:, None]) ** 2).sum(1).mean()
        covariance += within.T @ within * spread / max(size - 1, 1)
    return excess, covariance
