"""The benchmark's tables of results: numbers, and the same as Markdown and LaTeX for a paper."""

import re

import numpy as np
import pandas as pd

from benchmarks.explainers.comparisons import GROUP, MEASURES, TASK, over_all_tasks
from benchmarks.explainers.methods import REFERENCE, in_order, method_name

TESTS = [
    "wins", "ties", "losses", "task_p_value", "task_q_value", "task_rank_biserial", "cell_p_value",
    "cell_rank_biserial",
]  # fmt: skip
COSTS = {
    "seconds": "seconds_per_task",
    "n_forward": "n_forward_per_task",
    "n_backward": "n_backward_per_task",
}
RESULT_COLUMNS = [
    *GROUP, "method", "n_tasks",
    *(f"{of_tasks}_{measure}" for measure in MEASURES for of_tasks in ("median", "lower_quartile", "upper_quartile")),
    *TESTS, *COSTS.values(),
]  # fmt: skip

# What pandas leaves as it is and LaTeX's standard encoding would print as something else.
LATEX = {"−": "$-$", "–": "--", "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}"}


def summarise(effects: pd.DataFrame, comparisons: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """One row per method and set size, over tasks.

    Parameters
    ----------
    effects : DataFrame
        Of sets on test cells, :data:`grids.io.tables.EFFECT_COLUMNS`.
    comparisons : DataFrame
        Of :func:`benchmarks.explainers.comparisons.compare`.
    costs : DataFrame
        ``surrogate method cell_type gene direction set_size seconds n_forward n_backward``.

    Returns
    -------
    DataFrame, columns :data:`RESULT_COLUMNS`
        Median and quartiles over tasks of each mean change, medians of the costs; tests of the change of
        log-expression against the reference, whose wins, ties and losses they count. Missing for itself.
    """
    keys = [*GROUP, "method"]
    if effects.empty:
        return pd.DataFrame(columns=RESULT_COLUMNS)
    changes = effects.groupby(keys, dropna=False)[list(MEASURES)].quantile([0.5, 0.25, 0.75]).unstack()
    names = {0.5: "median", 0.25: "lower_quartile", 0.75: "upper_quartile"}
    changes.columns = [f"{names[quantile]}_{measure}" for measure, quantile in changes.columns]
    n_tasks = effects.groupby(keys, dropna=False).size().rename("n_tasks")
    pooled = over_all_tasks(comparisons) & (comparisons["measure"] == "log_change")
    tests = comparisons[pooled].set_index(keys)[TESTS]
    spent = costs.groupby(keys, dropna=False)[list(COSTS)].median().rename(columns=COSTS)
    table = changes.join([n_tasks, tests, spent]).reset_index()
    return _ordered(table.astype(dict.fromkeys(["wins", "ties", "losses"], "Int64")), keys)[RESULT_COLUMNS]


def by_task(effects: pd.DataFrame, measure: str = "relative_change") -> pd.DataFrame:
    """One row per task and set size, one column per method: the mean change over test cells.

    Parameters
    ----------
    effects : DataFrame
        Of sets on test cells, :data:`grids.io.tables.EFFECT_COLUMNS`.
    measure : str
        Of :data:`benchmarks.explainers.comparisons.MEASURES`.
    """
    wide = effects.pivot(index=[*GROUP, *TASK], columns="method", values=measure)
    return wide[in_order(wide.columns)].reset_index().rename_axis(columns=None)


def printed_summaries(summary: pd.DataFrame) -> list[tuple[str, pd.DataFrame, np.ndarray]]:
    """The table of :func:`summarise` as text, one part for each surrogate, direction and set size.

    Returns
    -------
    list of (str, DataFrame, ndarray)
        Caption; text with a column for each thing said; where it is to be bold (the best change), same shape.
    """
    parts = []
    for group, rows in _groups(summary):
        text = pd.DataFrame(
            {
                "method": rows["method"].map(method_name),
                "relative change (%)": _with_quartiles(rows, "relative_change", 100),
                "absolute change": _with_quartiles(rows, "absolute_change", 1),
                "wins / ties / losses": [
                    "–" if pd.isna(won) else f"{won} / {tied} / {lost}"
                    for won, tied, lost in zip(rows["wins"], rows["ties"], rows["losses"], strict=True)
                ],
                "p": rows["task_p_value"].map(probability),
                "q": rows["task_q_value"].map(probability),
                "effect size": rows["task_rank_biserial"].map(lambda value: significant(value, 2)),
                "seconds": rows["seconds_per_task"].map(lambda value: significant(value, 2)),
                "cells predicted": rows["n_forward_per_task"].map(lambda value: significant(value, 2)),
            }
        ).reset_index(drop=True)
        bold = np.zeros(text.shape, dtype=bool)
        for column, measure in ((1, "relative_change"), (2, "absolute_change")):
            bold[:, column] = best(rows[f"median_{measure}"].to_numpy(dtype=float), group["direction"])
        caption = (
            f"{_words(group)}, {rows['n_tasks'].max()} tasks. Change of predicted expression in test cells (absolute: "
            "in normalised counts), median over tasks [quartiles]; wins, ties and losses of "
            f"{method_name(REFERENCE)} (ties within 1 %), Wilcoxon signed-rank test over tasks with its "
            "Benjamini-Hochberg q and rank-biserial correlation; median time and "
            "cells predicted for one task. Best change in bold."
        )
        parts.append((caption, text, bold))
    return parts


def printed_tasks(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame, np.ndarray]]:
    """The table of :func:`by_task` as text in per cent, as :func:`printed_summaries` gives it; a row per task."""
    parts = []
    for group, rows in _groups(table):
        methods = [name for name in rows.columns if name not in (*GROUP, *TASK) and rows[name].notna().any()]
        values = rows[methods].to_numpy(dtype=float)
        numbers = [[decimals(100 * value, 1) for value in row] for row in values]
        names = rows[TASK].rename(columns={"cell_type": "cell type"}).astype(str).reset_index(drop=True)
        text = pd.concat([names, pd.DataFrame(numbers, columns=list(map(method_name, methods)))], axis=1)
        bold = np.zeros(text.shape, dtype=bool)
        bold[:, len(TASK) :] = [best(row, group["direction"]) for row in values]
        caption = (
            f"{_words(group)}. Mean relative change (%) of predicted expression in test cells. "
            "Best of each task in bold."
        )
        parts.append((caption, text, bold))
    return parts


def to_markdown(parts: list[tuple[str, pd.DataFrame, np.ndarray]]) -> str:
    """Tables as Markdown, each below its caption."""
    texts = []
    for caption, text, bold in parts:
        escaped = text.map(_escape_markdown)
        escaped = escaped.where(~bold, "**" + escaped + "**")
        header = [_escape_markdown(name) for name in text.columns]
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *escaped.to_numpy().tolist()]
        texts.append(f"{caption}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(texts)


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<])", r"\\\1", text)


def to_latex(parts: list[tuple[str, pd.DataFrame, np.ndarray]], n_labels: int = 1) -> str:
    r"""Tables as LaTeX, with the rules of booktabs.

    Parameters
    ----------
    parts : list of (caption, text, bold)
    n_labels : int
        Columns in front that name the row. With many columns the other headers are turned by ``\rotatebox``
        (package graphicx).
    """
    packages = "% \\usepackage{booktabs,graphicx}\n"
    return packages + "\n".join(_latex(*part, n_labels) for part in parts)


def _latex(caption: str, text: pd.DataFrame, bold: np.ndarray, n_labels: int) -> str:
    many = len(text.columns) > 12
    styler = text.style.hide(axis="index").format(escape="latex")
    styler = styler.apply(lambda _: np.where(bold, "textbf:--rwrap", ""), axis=None)
    if many:
        kept = set(text.columns[:n_labels])
        styler = styler.format_index(
            lambda name: name if name in kept else rf"\rotatebox{{90}}{{{name}}}", axis=1, escape="latex"
        )
    else:
        styler = styler.format_index(escape="latex", axis=1)
    table = styler.to_latex(
        hrules=True,
        column_format="l" * n_labels + "r" * (len(text.columns) - n_labels),
        caption=caption.replace("%", "\\%"),
        position_float="centering",
    )
    size = "scriptsize" if many else "small"
    table = table.replace(
        "\\begin{tabular}", f"\\{size}\\setlength{{\\tabcolsep}}{{3pt}}\n\\begin{{tabular}}"
    )
    for character, command in LATEX.items():
        table = table.replace(character, command)
    return table


def best(values: np.ndarray, direction: str) -> np.ndarray:
    """True where a change goes furthest in the direction asked, to three digits; missing values never do."""
    gains = -values if direction == "silence" else values
    if np.isnan(gains).all():
        return np.zeros(len(gains), dtype=bool)
    largest = np.nanmax(gains)
    return gains >= largest - 5e-4 * abs(largest)


def decimals(value: float, digits: int) -> str:
    """A number with so many decimals, a true minus sign, and a dash where it is missing."""
    # Plus zero, because minus zero would be written with its sign.
    return "–" if pd.isna(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def significant(value: float, digits: int) -> str:
    """A number with so many significant digits; of large ones thousands are set apart."""
    if pd.isna(value):
        return "–"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    text = f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:#.{digits}g}"
    return text.replace("-", "−")


def probability(value: float) -> str:
    """A p-value: two digits, as a power of ten below 0.001."""
    return "–" if pd.isna(value) else f"{value:.2g}".replace("e-0", "e-").replace("-", "−")


def _with_quartiles(rows: pd.DataFrame, measure: str, factor: float) -> list[str]:
    texts = []
    for of_tasks in ("median", "lower_quartile", "upper_quartile"):
        values = factor * rows[f"{of_tasks}_{measure}"]
        texts.append([decimals(value, 1) if factor > 1 else significant(value, 3) for value in values])
    return [f"{middle} [{low}, {high}]" for middle, low, high in zip(*texts, strict=True)]


def _groups(table: pd.DataFrame):
    for group, rows in table.groupby(GROUP, dropna=False, sort=False):
        yield dict(zip(GROUP, group, strict=True)), rows


def _words(group: dict) -> str:
    verb = {"silence": "closed", "activate": "opened"}.get(group["direction"], group["direction"])
    return f"{group['set_size']} peaks {verb} ({str(group['surrogate']).replace('_', ' ')} surrogate)"


def _ordered(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    place = {method: i for i, method in enumerate(in_order(table["method"]))}
    return table.sort_values(
        keys, key=lambda column: column.map(place) if column.name == "method" else column, kind="stable"
    ).reset_index(drop=True)
