"""One set's part of each table, from its measured changes."""

import numpy as np
import pandas as pd

from grids.analysis.redundancy.subsets import Measured
from grids.analysis.redundancy.verdict import SUFFICIENT_SHARE, Verdict, backups, p_values
from grids.analysis.statistics import interval


def redundancy_table(labels: dict, measured: Measured, verdict: Verdict, n_cells: int, n_alternatives: int):
    """The set's row of ``redundancy.tsv``."""
    row = {
        **labels,
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
    labels: dict,
    peaks: list[str],
    measured: Measured,
    verdict: Verdict,
    sign: float,
    shapley: tuple[np.ndarray, np.ndarray],
    selection_frequency: np.ndarray,
) -> pd.DataFrame:
    """The set's rows of ``members.tsv``."""
    change, draws = measured.log, measured.log_draws
    alone_low, alone_high = interval(draws.alone)
    context_low, context_high = interval(draws.in_context)
    difference_low, _ = interval(sign * (draws.in_context - draws.alone))
    rank = np.arange(1, len(peaks) + 1)
    return pd.DataFrame(
        {
            **labels,
            "rank": rank,
            "peak": peaks,
            "log_effect_alone": change.alone,
            "log_effect_alone_low": alone_low,
            "log_effect_alone_high": alone_high,
            "log_effect_in_context": change.in_context,
            "log_effect_in_context_low": context_low,
            "log_effect_in_context_high": context_high,
            "shapley_value": shapley[0],
            "shapley_error": shapley[1],
            "in_minimal_sufficient_set": rank <= verdict.n_sufficient,
            "is_backup": backups(sign * change.alone, sign * change.in_context, difference_low),
            "selection_frequency": selection_frequency,
        }
    )


def interaction_table(
    labels: dict, peaks: list[str], measured: Measured, sign: float, n_independent: int
) -> pd.DataFrame:
    """The set's rows of ``interactions.tsv``; q-values are missing until all sets are collected."""
    first, second = np.triu_indices(len(peaks), 1)
    multiplicative, draws = sign * measured.log.interactions, sign * measured.log_draws.interactions
    additive, additive_draws = (
        sign * measured.expression.interactions,
        sign * measured.expression_draws.interactions,
    )
    low, high = interval(draws)
    return pd.DataFrame(
        {
            **labels,
            "peak_1": np.asarray(peaks, dtype=object)[first],
            "peak_2": np.asarray(peaks, dtype=object)[second],
            "interaction_log": multiplicative,
            "interaction_log_low": low,
            "interaction_log_high": high,
            "p_value": p_values(multiplicative, draws, n_independent),
            "q_value": np.nan,
            "additive_interaction": additive,
            "additive_p_value": p_values(additive, additive_draws, n_independent),
            "additive_q_value": np.nan,
        }
    )


def knock_down_table(labels: dict, peaks: list[str], measured: Measured) -> pd.DataFrame:
    """The set's rows of ``knock_down.tsv``: from no member perturbed to all, in nested order."""
    low, high = interval(measured.log_draws.nested)
    return pd.DataFrame(
        {
            **labels,
            "n_closed": np.arange(len(peaks) + 1),
            "peak": [None, *peaks],
            "log_change": np.r_[0.0, measured.log.nested],
            "log_change_low": np.r_[0.0, low],
            "log_change_high": np.r_[0.0, high],
            "single_log_effect": np.r_[np.nan, measured.log.alone],
        }
    )


def alternative_table(
    labels: dict, sets: list[list[str]], log_changes: list[float], verdict: Verdict
) -> pd.DataFrame:
    """The set's rows of ``alternative_sets.tsv``; the first of `sets` is the found one."""
    parts = []
    for alternative, (peaks, log_change) in enumerate(zip(sets, log_changes, strict=True)):
        share = log_change / log_changes[0] if verdict.has_effect else np.nan
        parts.append(
            pd.DataFrame(
                {
                    **{name: value for name, value in labels.items() if name != "set_size"},
                    "alternative": alternative,
                    "rank": np.arange(1, len(peaks) + 1),
                    "peak": peaks,
                    "log_change": log_change,
                    "share_of_first": share,
                    "reaches_90_percent": share >= SUFFICIENT_SHARE,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
