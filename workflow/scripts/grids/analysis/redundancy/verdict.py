"""What the changes by a set and by its subsets say, as a verdict and as the set's part of each table.

Changes are of mean log-expression unless said otherwise. A *drop* is a change counted in the direction
of the set: expression lost when peaks are closed (silence), or gained when they are closed (derepress) or opened
(activate).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtr

from grids.analysis.redundancy.subsets import Measured
from grids.analysis.statistics import MEAN_ROUNDING, interval, with_interval

SUFFICIENT_SHARE = 0.9
# A member with less than this share of the joint effect alone is no rival of one that carries the set.
MINOR_SHARE = 0.5
# Enough cells show any smooth surrogate to be a little bent: an interaction of this share is no finding.
NEGLIGIBLE_SHARE = 0.05
# Effects multiply where the index is this near to zero, and draws agree on a class when so many of them have it.
NEAR_ZERO = 0.3
DECISIVE_SHARE = 0.8


def redundancy_index(alone: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """``1 - sum_i drop({i}) / drop(r)`` on the log scale.

    Positive: members back each other up. Zero: they multiply on the scale of expression. Negative:
    diminishing returns, each alone takes what the others would. `alone`, shape (..., set_size), are the changes by each
    member, `joint`, shape (...), that by the whole set.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - alone.sum(-1) / joint


def p_values(estimate: np.ndarray, draws: np.ndarray, n_independent: int) -> np.ndarray:
    """Two-sided p-values of "this is zero", from the spread of bootstrap draws.

    ``estimate / sd(draws)`` against Student's t. It says no more than the draws do: with refitted surrogates
    they hold the doubt about the surrogate and about the cells; without refits only the cells vary, the
    surrogate is taken at its word, and a tiny interaction that it has in every cell gets a tiny p-value.

    `estimate`, shape (n,); `draws`, shape (n_bootstrap, n); `n_independent`: number of refits, or of cells when there
    are none, one more than the degrees of freedom.
    """
    degrees_of_freedom = max(n_independent - 1, 1)
    # Resampling n values spreads by sqrt((n - 1) / n) too little.
    spread = draws.std(0) * np.sqrt(n_independent / degrees_of_freedom)
    return 2 * stdtr(degrees_of_freedom, -np.abs(estimate) / np.hypot(spread, MEAN_ROUNDING))


def n_sufficient(nested_drops: np.ndarray) -> int:
    """Size of the minimal sufficient set: the shortest nested prefix with 90 % of the joint drop.

    `nested_drops`, shape (set_size,): by the first 1, 2, ... members; the last, the joint one, is positive.
    """
    return int(np.argmax(nested_drops >= SUFFICIENT_SHARE * nested_drops[-1])) + 1


def backups(alone: np.ndarray, in_context: np.ndarray, difference_low: np.ndarray) -> np.ndarray:
    """Members that matter more once the others are gone, shape (set_size,), bool.

    Their effect in context (drop by adding them to the rest of the set) is above their effect alone, beyond the
    interval of the difference, which begins at `difference_low`, and by more than 5 % of itself. All of shape
    (set_size,).
    """
    more = in_context - np.abs(alone)
    return (more > NEGLIGIBLE_SHARE * in_context) & (difference_low > MEAN_ROUNDING)


def class_of_set(
    drops_alone: np.ndarray, joint_drop: float, alone_draws: np.ndarray, joint_draws: np.ndarray
) -> str:
    """How the members of a set with an effect work together: single, redundant, synergistic, multiplicative, undecided.

    Single: the first member alone has 90 % of the joint effect, and no other one half of it (where each of several
    members takes everything, all of them are needed). Redundant, synergistic: the index is above 0.05 with its interval
    above zero or 80 % of the draws above 0.3; or all of this with the sign changed. Multiplicative: otherwise, where
    80 % of the draws are within 0.3 of zero. Undecided: where this does not hold, or single by the estimate but in less
    than 80 % of the draws; the data cannot tell.

    Parameters
    ----------
    drops_alone, joint_drop : ndarray, shape (set_size,), and float
        Members in nested order; `joint_drop` is positive.
    alone_draws, joint_draws : ndarray, shape (n_draws, set_size) and (n_draws,)
        Draws of both.
    """
    if _is_single(drops_alone, joint_drop):
        return "single" if _is_single(alone_draws, joint_draws).mean() >= DECISIVE_SHARE else "undecided"
    index, indices = redundancy_index(drops_alone, joint_drop), redundancy_index(alone_draws, joint_draws)
    low, high = interval(indices)
    if index > NEGLIGIBLE_SHARE and (low > 0 or (indices > NEAR_ZERO).mean() >= DECISIVE_SHARE):
        return "redundant"
    if index < -NEGLIGIBLE_SHARE and (high < 0 or (indices < -NEAR_ZERO).mean() >= DECISIVE_SHARE):
        return "synergistic"
    return "multiplicative" if (np.abs(indices) <= NEAR_ZERO).mean() >= DECISIVE_SHARE else "undecided"


def _is_single(drops_alone: np.ndarray, joint_drop: np.ndarray | float) -> np.ndarray:
    """Whether the first member carries the set, shape of `joint_drop`."""
    needed = np.asarray(joint_drop)[..., None]
    carries, minor = (
        drops_alone[..., :1] >= SUFFICIENT_SHARE * needed,
        drops_alone[..., 1:] < MINOR_SHARE * needed,
    )
    return carries[..., 0] & minor.all(-1)


@dataclass(frozen=True)
class Verdict:
    """What a set's changes amount to.

    Attributes
    ----------
    joint_low, joint_high : float
        Interval of the joint log effect.
    index, index_low, index_high : float
        Redundancy index with its interval; missing without an effect.
    n_sufficient : int
        Size of the minimal sufficient set; 0 without an effect.
    set_class : str
        As of :func:`class_of_set`; where the interval of the joint drop reaches zero, undecided if most draws drop,
        else none.
    """

    joint_low: float
    joint_high: float
    index: float
    index_low: float
    index_high: float
    n_sufficient: int
    set_class: str

    @property
    def has_effect(self) -> bool:
        """Whether the joint drop is above zero by its interval."""
        return self.n_sufficient > 0


def verdict_of(measured: Measured, sign: float) -> Verdict:
    """Index, sufficient set and class of a set; `sign` of its :class:`~grids.search.directions.Direction`."""
    change, draws = measured.log, measured.log_draws
    joint_low, joint_high = interval(draws.joint)
    if (joint_low if sign > 0 else -joint_high) <= MEAN_ROUNDING:
        drops = (sign * draws.joint > MEAN_ROUNDING).mean() > 0.5
        return Verdict(joint_low, joint_high, np.nan, np.nan, np.nan, 0, "undecided" if drops else "none")
    low, high = interval(redundancy_index(draws.alone, draws.joint))
    return Verdict(
        joint_low,
        joint_high,
        redundancy_index(change.alone, change.joint),
        low,
        high,
        n_sufficient(sign * change.nested),
        class_of_set(sign * change.alone, sign * change.joint, sign * draws.alone, sign * draws.joint),
    )


def redundancy_table(measured: Measured, verdict: Verdict, n_cells: int, n_alternatives: int) -> pd.DataFrame:
    """The set's row of ``redundancy.tsv``; like the tables below without the columns that name the set."""
    row = {
        "n_cells": n_cells,
        "joint_log_effect": float(measured.log.joint),
        "joint_log_effect_low": verdict.joint_low,
        "joint_log_effect_high": verdict.joint_high,
        "sum_of_single_log_effects": measured.log.alone.sum(),
        "redundancy_index": verdict.index,
        "redundancy_index_low": verdict.index_low,
        "redundancy_index_high": verdict.index_high,
        "class": verdict.set_class,
        "n_sufficient": verdict.n_sufficient if verdict.has_effect else pd.NA,
        "n_alternative_sets": n_alternatives,
    }
    return pd.DataFrame([row]).astype({"n_sufficient": "Int64"})


def member_table(
    peaks: list[str],
    measured: Measured,
    verdict: Verdict,
    sign: float,
    shapley: tuple[np.ndarray, np.ndarray],
    selection_frequency: np.ndarray,
) -> pd.DataFrame:
    """The set's rows of ``members.tsv``."""
    change, draws = measured.log, measured.log_draws
    difference_low, _ = interval(sign * (draws.in_context - draws.alone))
    rank = np.arange(1, len(peaks) + 1)
    return pd.DataFrame(
        {
            "rank": rank,
            "peak": peaks,
            **with_interval("log_effect_alone", change.alone, draws.alone),
            **with_interval("log_effect_in_context", change.in_context, draws.in_context),
            "shapley_value": shapley[0],
            "shapley_error": shapley[1],
            "in_minimal_sufficient_set": rank <= verdict.n_sufficient,
            "is_backup": backups(sign * change.alone, sign * change.in_context, difference_low),
            "selection_frequency": selection_frequency,
        }
    )


def interaction_table(peaks: list[str], measured: Measured, sign: float, n_independent: int) -> pd.DataFrame:
    """The set's rows of ``interactions.tsv``, without q-values."""
    first, second = np.triu_indices(len(peaks), 1)
    multiplicative, draws, additive, additive_draws = (
        sign * changes.interactions
        for changes in (measured.log, measured.log_draws, measured.expression, measured.expression_draws)
    )
    return pd.DataFrame(
        {
            "peak_1": np.asarray(peaks, dtype=object)[first],
            "peak_2": np.asarray(peaks, dtype=object)[second],
            **with_interval("interaction_log", multiplicative, draws),
            "p_value": p_values(multiplicative, draws, n_independent),
            "additive_interaction": additive,
            "additive_p_value": p_values(additive, additive_draws, n_independent),
        }
    )


def knock_down_table(peaks: list[str], measured: Measured) -> pd.DataFrame:
    """The set's rows of ``knock_down.tsv``: from no member perturbed to all, in nested order."""
    nested = with_interval("log_change", measured.log.nested, measured.log_draws.nested)
    return pd.DataFrame(
        {
            "n_closed": np.arange(len(peaks) + 1),
            "peak": [None, *peaks],
            **{name: np.r_[0.0, values] for name, values in nested.items()},
            "single_log_effect": np.r_[np.nan, measured.log.alone],
        }
    )


def alternative_table(sets: list[list[str]], log_changes: list[float], verdict: Verdict) -> pd.DataFrame:
    """The set's rows of ``alternative_sets.tsv``; the first of `sets` is the found one."""
    rows = [
        [alternative, rank, peak, log_changes[alternative]]
        for alternative, peaks in enumerate(sets)
        for rank, peak in enumerate(peaks, start=1)
    ]
    table = pd.DataFrame(rows, columns=["alternative", "rank", "peak", "log_change"])
    share = table["log_change"] / log_changes[0] if verdict.has_effect else np.nan
    return table.assign(share_of_first=share, reaches_90_percent=share >= SUFFICIENT_SHARE)
