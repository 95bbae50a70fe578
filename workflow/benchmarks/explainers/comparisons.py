"""Paired comparison of one explainer's sets with those of every other, on the same held-out cells.

Two kinds of unit are kept apart. Cells say how sure one set is to act more than another *on this surrogate and
task*; cells of one task share its sets and are no independent tasks. Tasks say whether a method is better in general.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, false_discovery_control, rankdata, wilcoxon

from benchmarks.explainers.methods import REFERENCE, in_order
from grids.analysis.statistics import bootstrap_weights, interval
from grids.io.errors import InputError
from grids.io.seeds import generator

MEASURES = {
    "log_change": lambda before, after: after - before,
    "relative_change": lambda before, after: np.expm1(after - before),
    "absolute_change": lambda before, after: np.exp(after) - np.exp(before),
}
GROUP = ["surrogate", "direction", "set_size"]
TASK = ["cell_type", "gene"]
COMPARISON_COLUMNS = [
    *GROUP, "measure", "method", *TASK, "n_tasks", "n_cells", "mean_of_reference", "mean_of_method",
    "mean_advantage", "mean_advantage_low", "mean_advantage_high", "median_advantage_of_cells",
    "share_of_cells_larger", "cell_rank_biserial", "cell_cohens_d", "cell_p_value", "cell_q_value",
    "median_advantage_of_tasks", "task_rank_biserial", "task_cohens_d", "task_p_value", "task_sign_p_value",
    "task_q_value", "wins", "ties", "losses",
]  # fmt: skip
TIE_SHARE = 0.01
# Up to so many differences the signed-rank test looks at every choice of signs.
MOST_ENUMERATED = 13
# Tables hold six significant digits: predictions within this are equal.
ROUNDING = 1e-5


def compare(
    cells: pd.DataFrame,
    reference: str = REFERENCE,
    measures: tuple[str, ...] = tuple(MEASURES),
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the reference's sets with those of every other method, cell by cell.

    The *advantage* in a cell is how much further the reference moves it in the direction asked than the other
    method does: positive where the reference is better, whichever the direction.

    Parameters
    ----------
    cells : DataFrame
        ``surrogate method cell_type gene direction set_size cell before after``: predicted log-expression
        (natural log) of each test cell. Log odds of any classifier do as well, with ``measures=("log_change",)``.
    reference : str
    measures : tuple of str
        Of :data:`MEASURES`, with `b` before and `a` after: ``a - b``, ``exp(a - b) - 1``, ``exp(a) - exp(b)``.
    n_bootstrap : int
        Draws for the 95 % interval of `mean_advantage`, at least one.
    seed : int

    Returns
    -------
    DataFrame, columns :data:`COMPARISON_COLUMNS`
        For every surrogate, direction, set size, measure and other method one row over all tasks that both have
        (without ``cell_type`` and ``gene``, see :func:`over_all_tasks`), then one per task.

        - `mean_advantage`: over a task's cells; over all tasks the mean of the tasks' means. The bootstrap interval
          resamples cells of a task, and tasks where there are several.
        - `cell_*`: each cell is a unit. Two-sided Wilcoxon signed-rank test with Pratt's ranks of zeros, matched-pairs
          rank-biserial correlation (Kerby 2014; positive: the reference is better) with the same ranks, and Cohen's d
          of paired differences (mean / standard deviation).
        - `task_*`: the same with the tasks' mean advantages as units, and a sign test of wins against losses;
          missing for single tasks.
        - `wins`, `ties`, `losses` of the reference over tasks. A tie is a mean advantage within 1 % of the largest
          mean effect that any method reaches in the task.
        - `cell_q_value`, `task_q_value`: Benjamini-Hochberg within surrogate, direction, set size and measure, over
          methods for the rows over all tasks, and over methods and tasks for the others.

    Raises
    ------
    InputError
        A cell is there twice; the reference is missing; methods of one task were measured on different cells.
    """
    keys = [*GROUP, "method", *TASK, "cell"]
    if cells.duplicated(keys).any():
        raise InputError(
            "cells: a method has the same cell of a task twice; expected one row per set and cell"
        )
    rows = []
    for group, of_group in cells.groupby(GROUP, dropna=False):
        labels = dict(zip(GROUP, group, strict=True))
        if reference not in set(of_group["method"]):
            raise InputError(
                f"cells: method '{reference}' is missing for set size {labels['set_size']}; expected it, "
                "since every other method is compared with it"
            )
        rows += _compare_group(of_group, labels, reference, measures, n_bootstrap, seed)
    return _with_q_values(pd.DataFrame(rows, columns=COMPARISON_COLUMNS))


def over_all_tasks(comparisons: pd.DataFrame) -> pd.Series:
    """Which rows are over all tasks: they name none."""
    return comparisons["cell_type"].isna()


def _compare_group(
    cells: pd.DataFrame, labels: dict, reference: str, measures: tuple[str, ...], n_bootstrap: int, seed: int
) -> list[dict]:
    """Rows of one surrogate, direction and set size."""
    sign = -1.0 if labels["direction"] == "silence" else 1.0
    tasks: dict[tuple, dict] = {}
    for task, rows in cells.groupby(TASK, dropna=False):
        if reference not in set(rows["method"]):
            continue
        changes = _changes(rows, reference, measures, sign)
        weights = bootstrap_weights(
            rows["cell"].nunique(), n_bootstrap, generator(seed, "comparisons", *task)
        )
        for measure, by_method in changes.items():
            for method in by_method:
                if method != reference:
                    row = _of_task(by_method, reference, method, sign, weights)
                    advantage = by_method[reference] - by_method[method]
                    tasks.setdefault((measure, method), {})[task] = row, advantage
    compared = []
    for measure in measures:
        for method in in_order(cells["method"]):
            if (measure, method) in tasks:
                rows, advantages = zip(*tasks[measure, method].values(), strict=True)
                pooled = _of_all(rows, advantages, n_bootstrap, generator(seed, "comparisons"))
                names = [(None, None), *tasks[measure, method]]
                same = {**labels, "measure": measure, "method": method}
                compared += [
                    {**same, **dict(zip(TASK, task, strict=True)), **row}
                    for task, row in zip(names, [pooled, *rows], strict=True)
                ]
    return compared


def _changes(
    rows: pd.DataFrame, reference: str, measures: tuple[str, ...], sign: float
) -> dict[str, dict[str, np.ndarray]]:
    """For each measure and method the change of each of a task's cells in the direction asked, (n_cells,)."""
    wide = rows.pivot(index="cell", columns="method", values=["before", "after"])
    if wide.isna().to_numpy().any():
        task = ", ".join(map(str, rows[TASK].iloc[0]))
        raise InputError(f"cells: methods were measured on different cells of {task}; expected the same ones")
    before, after = wide["before"], wide["after"]
    # A set that two methods have found in another order is the same set.
    same = after.sub(after[reference], axis=0).abs() <= ROUNDING
    after = after.mask(same, after[reference], axis=0)
    changed = {measure: sign * MEASURES[measure](before, after) for measure in measures}
    return {
        measure: {method: values[method].to_numpy(dtype=float) for method in values}
        for measure, values in changed.items()
    }


def _of_task(
    changes: dict[str, np.ndarray], reference: str, method: str, sign: float, weights: np.ndarray
) -> dict:
    advantage = changes[reference] - changes[method]
    mean = advantage.mean()
    largest = max(values.mean() for values in changes.values())
    tolerance = max(TIE_SHARE * largest, ROUNDING)
    low, high = interval(weights @ advantage)
    return {
        "n_tasks": 1,
        "mean_of_reference": sign * changes[reference].mean(),
        "mean_of_method": sign * changes[method].mean(),
        "mean_advantage": mean,
        "mean_advantage_low": low,
        "mean_advantage_high": high,
        **_of_cells(advantage),
        "wins": int(mean > tolerance),
        "ties": int(abs(mean) <= tolerance),
        "losses": int(mean < -tolerance),
    }


def _of_cells(advantage: np.ndarray) -> dict:
    p_value, rank_biserial = signed_rank(advantage)
    return {
        "n_cells": len(advantage),
        "median_advantage_of_cells": np.median(advantage),
        "share_of_cells_larger": (advantage > 0).mean(),
        "cell_rank_biserial": rank_biserial,
        "cell_cohens_d": paired_cohens_d(advantage),
        "cell_p_value": p_value,
    }


def _of_all(
    tasks: Sequence[dict], advantages: Sequence[np.ndarray], n_bootstrap: int, rng: np.random.Generator
) -> dict:
    table = pd.DataFrame(tasks)
    row = {
        **_of_cells(np.concatenate(advantages)),
        "n_tasks": len(tasks),
        **table[["mean_of_reference", "mean_of_method", "mean_advantage"]].mean().to_dict(),
        **table[["wins", "ties", "losses"]].sum().to_dict(),
    }
    if len(tasks) == 1:
        return {**row, **{name: tasks[0][name] for name in ("mean_advantage_low", "mean_advantage_high")}}
    means = table["mean_advantage"].to_numpy()
    p_value, rank_biserial = signed_rank(means)
    decided = row["wins"] + row["losses"]
    low, high = interval(bootstrap_weights(len(means), n_bootstrap, rng) @ means)
    return {
        **row,
        "mean_advantage_low": low,
        "mean_advantage_high": high,
        "median_advantage_of_tasks": np.median(means),
        "task_rank_biserial": rank_biserial,
        "task_cohens_d": paired_cohens_d(means),
        "task_p_value": p_value,
        "task_sign_p_value": binomtest(row["wins"], decided).pvalue if decided else 1.0,
    }


def signed_rank(differences: np.ndarray) -> tuple[float, float]:
    """Two-sided Wilcoxon signed-rank p-value, and the matched-pairs rank-biserial correlation.

    Zeros take part in the ranking and then count for neither side (Pratt 1959), in both. The correlation is
    ``(R+ - R-) / (n (n + 1) / 2)`` with the sums of ranks of positive and negative differences (Kerby 2014): 1 when all
    are positive, 0 when none is different from zero.

    Parameters
    ----------
    differences : ndarray, shape (n,)

    Returns
    -------
    float, float
    """
    n = len(differences)
    ranks = rankdata(np.abs(differences))
    observed = (np.sign(differences) * ranks).sum()
    correlation = float(observed / (n * (n + 1) / 2))
    if not np.any(differences):
        return 1.0, correlation
    if n > MOST_ENUMERATED:
        return float(wilcoxon(differences, zero_method="pratt").pvalue), correlation
    # Every choice of signs at once: with equal or zero differences scipy takes a second for it.
    moved = ranks[differences != 0]
    signs = 1 - 2 * (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1)
    return float((np.abs(signs @ moved) >= abs(observed) - 1e-9).mean()), correlation


def paired_cohens_d(differences: np.ndarray) -> float:
    """Mean over standard deviation of paired differences; missing for fewer than two or without spread."""
    spread = differences.std(ddof=1) if len(differences) > 1 else 0.0
    return float(differences.mean() / spread) if spread > 0 else np.nan


def _with_q_values(table: pd.DataFrame) -> pd.DataFrame:
    for unit in ("cell", "task"):
        table[f"{unit}_q_value"] = np.nan
        tested = table[table[f"{unit}_p_value"].notna()]
        family = [*(tested[name] for name in (*GROUP, "measure")), over_all_tasks(tested)]
        for _, rows in tested.groupby(family, dropna=False):
            p_values = rows[f"{unit}_p_value"].to_numpy(dtype=float)
            table.loc[rows.index, f"{unit}_q_value"] = false_discovery_control(p_values, method="bh")
    return table
