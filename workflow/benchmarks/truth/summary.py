"""The benchmark in three tables: recovery, confusion of logics, and calibration of p-values."""

import pandas as pd
from scipy import stats

from benchmarks.truth.levels import FACTORS
from benchmarks.truth.result import LOGICS
from benchmarks.truth.scores import SCORES

FALSE_DISCOVERY_RATE = 0.05
SUMMARY_COLUMNS = [*FACTORS, "logic", "method", "score", "mean", "standard_error", "n_genes"]
CONFUSION_COLUMNS = [*FACTORS, "method", "logic", "logic_call", "n_genes", "share"]
CALIBRATION_COLUMNS = [
    *FACTORS, "method", "n_genes", "share_p_below_0.05", "share_q_below_0.05", "ks_statistic", "ks_p_value",
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
    summary = grouped.agg(mean="mean", standard_error="sem", n_genes="size").reset_index()
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
            index=[logic for logic in LOGICS if logic in set(part["logic"])], columns=LOGICS, fill_value=0
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
    tested = genes.dropna(subset="p_value").copy()
    rows = []
    if len(tested):
        of_dataset = tested.groupby([*_LEVEL, "replicate", "method"], sort=False)["p_value"]
        tested["q_value"] = of_dataset.transform(stats.false_discovery_control)
    for key, part in tested[tested["logic"] == "none"].groupby([*_LEVEL, "method"], sort=False):
        test = stats.kstest(part["p_value"], "uniform")
        shares = [(part[name] < FALSE_DISCOVERY_RATE).mean() for name in ("p_value", "q_value")]
        rows.append((*key, len(part), *shares, test.statistic, test.pvalue))
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)
