"""How near a method came to the planted regulation, gene by gene."""

import numpy as np
import pandas as pd

from benchmarks.truth.result import GENE_COLUMNS, SET_COLUMNS, UNDECIDED
from grids.io.errors import InputError

SCORES = [
    "auprc", "f1", "exact_recovery", "called", "members_found", "logic_right", "logic_undecided", "joint_effect_ratio",
    "joint_effect_error", "joint_effect_covered", "called_effect_ratio", "called_effect_covered",
]  # fmt: skip
FOUND_FROM = 0.5  # inclusion
SCORE_COLUMNS = [
    "method", "gene", "logic", *SCORES, *(name for name in GENE_COLUMNS if name not in SCORES),
    "planted_joint_log_effect",
]  # fmt: skip


def score_genes(results: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Score every method on every planted gene of one data set.

    Parameters
    ----------
    results : DataFrame
        :data:`benchmarks.truth.result.RESULT_COLUMNS`, of any number of methods.
    truth : DataFrame
        As from :func:`grids.data.simulation.simulate_multiome`.

    Returns
    -------
    DataFrame, one row per method and gene, :data:`SCORE_COLUMNS`
        `auprc`; `f1` and `exact_recovery` (0 or 1) of the set of the true size: the one the method named, else
        its top scores; `called` (0 or 1); `members_found`, the share of members with a stated inclusion of at
        least :data:`FOUND_FROM`; `logic_right` and `logic_undecided` (0 or 1; wrong are those with neither);
        `joint_effect_ratio`, estimated over planted, its distance from 1, `joint_effect_error`, and
        `joint_effect_covered` (0 or 1), whether the interval holds the planted effect; `called_effect_ratio` and
        `called_effect_covered`, the same of the genes called alone. Missing where the method says nothing;
        recovery and effect also for genes without members.

    Raises
    ------
    InputError
        When a method did not score every candidate.
    """
    planted = truth.rename(columns={"joint_log_effect": "planted_joint_log_effect"})
    planted = planted[["gene", "peak", "logic", "is_member", "planted_joint_log_effect"]]
    parts = []
    for method, table in results.groupby("method", sort=False):
        both = planted.merge(table, on=["gene", "peak"], how="left", validate="one_to_one")
        if both["score"].isna().any():
            missing = both.loc[both["score"].isna()].iloc[0]
            raise InputError(
                f"truth: method '{method}' has no score for peak {missing['peak']} of gene {missing['gene']}; "
                "every candidate needs one"
            )
        parts.append(_score_method(both).assign(method=method))
    return pd.concat(parts, ignore_index=True)[SCORE_COLUMNS]


def _score_method(both: pd.DataFrame) -> pd.DataFrame:
    both = both.sort_values("gene", kind="stable")
    genes = both.drop_duplicates("gene").reset_index(drop=True)
    shape = (len(genes), -1)
    member = both["is_member"].to_numpy(bool).reshape(shape)
    scores = both["score"].to_numpy(float).reshape(shape)
    size = member.sum(1)
    with_members = size > 0
    chosen = top(scores, size)
    for column in SET_COLUMNS:
        if both[column].notna().any():
            of_size = size == int(column.removeprefix("in_set_of_"))
            chosen[of_size] = both[column].astype(float).to_numpy().reshape(shape)[of_size] == 1
    share = (member & chosen).sum(1) / np.maximum(size, 1)  # precision and recall alike: sizes are equal
    genes["auprc"] = np.where(with_members, auprc(scores, member), np.nan)
    genes["f1"] = np.where(with_members, share, np.nan)
    genes["exact_recovery"] = np.where(with_members, share == 1, np.nan)
    genes["called"] = genes["called"].astype(float)
    found = both["inclusion"].to_numpy(float).reshape(shape) >= FOUND_FROM
    says = with_members & (both["inclusion"].notna().any())
    genes["members_found"] = np.where(says, (member & found).sum(1) / np.maximum(size, 1), np.nan)
    for name, call in (("right", genes["logic"]), ("undecided", UNDECIDED)):
        genes[f"logic_{name}"] = (
            (genes["logic_call"] == call).astype(float).where(genes["logic_call"].notna())
        )
    planted = genes["planted_joint_log_effect"].where(with_members)
    low, high = genes["joint_log_effect_low"], genes["joint_log_effect_high"]
    genes["joint_effect_ratio"] = genes["joint_log_effect"] / planted
    genes["joint_effect_error"] = (genes["joint_effect_ratio"] - 1).abs()
    covered = ((low <= planted) & (planted <= high)).astype(float)
    genes["joint_effect_covered"] = covered.where(low.notna() & high.notna() & planted.notna())
    for name in ("ratio", "covered"):
        genes[f"called_effect_{name}"] = genes[f"joint_effect_{name}"].where(genes["called"] == 1)
    return genes


def top(scores: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Mark the `size` largest scores of each row; the first of equal ones.

    Parameters
    ----------
    scores : ndarray, shape (n_genes, n_candidates)
    size : ndarray of int, shape (n_genes,)
    """
    place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return place < size[:, None]


def auprc(scores: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Average precision of each row: the mean, over members, of the precision at the member's own score.

    Candidates with equal scores pass the threshold together, as in scikit-learn.

    Parameters
    ----------
    scores, member : ndarray, shape (n_genes, n_candidates)

    Returns
    -------
    ndarray, shape (n_genes,)
        Missing for a row without members.
    """
    passes = scores[:, None, :] >= scores[:, :, None]
    precision = (passes & member[:, None, :]).sum(2) / passes.sum(2)
    n_members = member.sum(1)
    return np.where(n_members > 0, (precision * member).sum(1) / np.maximum(n_members, 1), np.nan)
