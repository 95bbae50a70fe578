"""The benchmark in tables: recovery, confusion of logics, calibration of p-values, and power."""

import pandas as pd
from scipy import stats

from benchmarks.truth.levels import FACTORS
from benchmarks.truth.result import CALLS, LOGICS
from benchmarks.truth.scores import SCORES

FALSE_DISCOVERY_RATE = 0.05
SUMMARY_COLUMNS = [*FACTORS, "logic", "method", "score", "mean", "median", "standard_error", "n_genes"]
CONFUSION_COLUMNS = [*FACTORS, "method", "logic", "logic_call", "n_genes", "share"]
CALIBRATION_COLUMNS = [
    *FACTORS, "method", "n_genes", "share_p_below_0.05", "share_q_below_0.05", "ks_statistic", "ks_p_value",
]  # fmt: skip
POWER_COLUMNS = [
    *FACTORS, "method", "logic", "n_genes", "share_passed", "share_members_found", "share_logic_right",
    "share_logic_undecided", "share_logic_wrong",
]  # fmt: skip
_LEVEL = list(FACTORS)


def summarise(genes: pd.DataFrame) -> pd.DataFrame:
    """Mean of every score by level, logic and method, with its standard error over genes.

    Parameters
    ----------
    genes : DataFrame
        :data:`benchmarks.truth.scores.SCORE_COLUMNS`, :data:`benchmarks.truth.levels.FACTORS` and `replicate`.

    Returns
    -------
    DataFrame, :data:`SUMMARY_COLUMNS`
        Only scores that the method has.
    """
    long = genes.melt([*_LEVEL, "logic", "method"], SCORES, "score", "value").dropna(subset="value")
    long["value"] = long["value"].astype(float)
    grouped = long.groupby([*_LEVEL, "logic", "method", "score"], sort=False)["value"]
    summary = grouped.agg(mean="mean", median="median", standard_error="sem", n_genes="size").reset_index()
    return summary[SUMMARY_COLUMNS]


def confusion(genes: pd.DataFrame) -> pd.DataFrame:
    """How often each logic was called each logic, by level and method.

    Parameters
    ----------
    genes : DataFrame
        As for :func:`summarise`.

    Returns
    -------
    DataFrame, :data:`CONFUSION_COLUMNS`
        Every pair of logics of a method that calls, also those that never occurred; `share` is of the genes of
        the planted logic.
    """
    called = genes.dropna(subset="logic_call")
    rows = []
    for key, part in called.groupby([*_LEVEL, "method"], sort=False):
        counts = pd.crosstab(part["logic"], part["logic_call"]).reindex(
            index=[logic for logic in LOGICS if logic in set(part["logic"])], columns=CALLS, fill_value=0
        )
        for logic, row in counts.iterrows():
            rows.extend((*key, logic, call, n, n / row.sum()) for call, n in row.items())
    return pd.DataFrame(rows, columns=CONFUSION_COLUMNS)


def calibration(genes: pd.DataFrame) -> pd.DataFrame:
    """p-values of the genes without local control: uniform, if they are what they say.

    Parameters
    ----------
    genes : DataFrame
        As for :func:`summarise`.

    Returns
    -------
    DataFrame, :data:`CALIBRATION_COLUMNS`
        By level and method: the share of these genes with p, and with q, below 0.05 (q by Benjamini and
        Hochberg over all genes of a data set), and the Kolmogorov-Smirnov test against the uniform
        distribution.
    """
    tested = with_q_values(genes)
    rows = []
    for key, part in tested[tested["logic"] == "none"].groupby([*_LEVEL, "method"], sort=False):
        test = stats.kstest(part["p_value"], "uniform")
        shares = [(part[name] < FALSE_DISCOVERY_RATE).mean() for name in ("p_value", "q_value")]
        rows.append((*key, len(part), *shares, test.statistic, test.pvalue))
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)


def power(genes: pd.DataFrame) -> pd.DataFrame:
    """What a user gets: which genes pass at q < .05 over all genes of a data set, and what is found of them.

    Parameters
    ----------
    genes : DataFrame
        As for :func:`summarise`.

    Returns
    -------
    DataFrame, :data:`POWER_COLUMNS`
        By level, method with p-values, and logic. All shares are of all genes of the logic: `share_passed` of
        genes, `share_members_found` of members (of genes that pass, with a stated inclusion of at least 0.5),
        `share_logic_*` of genes that pass and whose logic is called so; for genes without local control
        `share_passed` is that of false ones.
    """
    tested = with_q_values(genes)
    passed = (tested["q_value"] < FALSE_DISCOVERY_RATE).astype(float)
    right, undecided = tested["logic_right"].astype(float), tested["logic_undecided"].astype(float)
    shares = {
        "share_passed": passed,
        "share_members_found": passed * tested["members_found"].astype(float),
        "share_logic_right": passed * right,
        "share_logic_undecided": passed * undecided,
        "share_logic_wrong": passed * (1 - right - undecided),
    }
    grouped = tested.assign(**shares).groupby([*_LEVEL, "method", "logic"], sort=False)
    return grouped[list(shares)].mean().assign(n_genes=grouped.size()).reset_index()[POWER_COLUMNS]


def with_q_values(genes: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a p-value, with `q_value` over all genes of a data set and method."""
    tested = genes.dropna(subset="p_value")
    if tested.empty:
        return tested.assign(q_value=[])
    of_dataset = tested.groupby([*_LEVEL, "replicate", "method"], sort=False)["p_value"]
    return tested.assign(q_value=of_dataset.transform(stats.false_discovery_control))
