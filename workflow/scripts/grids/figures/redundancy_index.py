"""The redundancy index of every set, with its interval and class."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grids.figures import style
from grids.figures.scales import (
    INDEX_FORMULA,
    LEVEL_WORDS,
    class_key,
    class_mark,
    class_outline,
    index_limits,
    write_index_words,
)  # fmt: skip
from grids.figures.tasks import forced_key, full_sets, name_rows, strongest_by_direction, task_labels
from grids.io.tables import TASK_KEYS, is_forced

NUMBERS = {
    "joint_log_effect": ("joint", 16),
    "set_size": ("members", 46),
    "n_sufficient": ("90 %", 72),
    "n_alternative_sets": ("alternatives", 104),
}


@style.styled
def redundancy_index(redundancy: pd.DataFrame, max_tasks: int = 60) -> Figure:
    """One row per task, those of a gene together: index, interval, class, and what the set does.

    One panel per direction and level of evidence. An index beyond the axis is an arrow at its edge with the value.
    Columns at the right: joint log effect, set size, size of the minimal sufficient set, number of alternative sets.
    Of the tasks of ``redundancy.tsv`` those with the strongest joint effect are shown, as many in each panel.
    """
    if redundancy.empty:
        return style.empty_figure("no redundancy: no set was analysed")
    full = full_sets(redundancy)
    shown = strongest_by_direction(full.assign(log_change=full["joint_log_effect"]), max_tasks)

    heights = [0.17 * len(rows) + 0.85 for rows, _ in shown.values()]
    figure = style.new_figure(style.DOUBLE_COLUMN, sum(heights) + 0.3)
    ratios = [len(rows) + 0.2 for rows, _ in shown.values()]
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for ax, ((direction, level), (rows, left_out)) in zip(axes, shown.items(), strict=True):
        _draw(ax, by_gene(rows))
        style.panel_title(ax, f"{direction}, {LEVEL_WORDS[level]}: redundancy of each task's set", pad=14)
        ax.set_xlabel(style.lines(INDEX_FORMULA, left_out))
    drawn = pd.concat([rows for rows, _ in shown.values()])
    style.legend_outside(figure, [*class_key(drawn["class"]), *forced_key(is_forced(drawn))])
    return figure


def by_gene(redundancy: pd.DataFrame) -> pd.DataFrame:
    """Rows of a gene together, highest index first; genes by their highest index, missing last."""
    best = redundancy.groupby("gene", sort=False)["redundancy_index"].transform("max")
    keys, ascending = ["best", "gene", "redundancy_index"], [False, True, False, *[True] * len(TASK_KEYS)]
    ordered = redundancy.assign(best=best).sort_values([*keys, *TASK_KEYS], ascending=ascending)
    return ordered.drop(columns="best").reset_index(drop=True)


def _draw(ax: Axes, rows: pd.DataFrame) -> None:
    columns = ["redundancy_index", "redundancy_index_low", "redundancy_index_high"]
    index, low, high = rows[columns].to_numpy(dtype=float).T
    left, right = index_limits(np.concatenate([index, low, high]))
    ax.axvline(0, color=style.INK, lw=0.6, zorder=0)
    for name, kind in rows.groupby("class", dropna=False, sort=False):
        colour, marker = class_mark(name)
        at = kind.index.to_numpy()
        ax.hlines(at, low[at], high[at], color=colour, lw=1.0, label=f"_{name} interval")
        looks = {"ms": 4, "color": colour, "zorder": 3, "label": f"_{name}"} | class_outline(name)
        ax.plot(index[at], at, marker, **looks)
        for row in at[(index[at] < left) | (index[at] > right)]:
            _write_beyond(ax, row, index[row], left if index[row] < left else right, colour)
        for row in at[~np.isfinite(index[at])]:
            ax.text(0.03, row, "not defined", va="center", fontsize=5.5, color=style.GREY)
    for row in np.flatnonzero(rows["gene"].to_numpy()[1:] != rows["gene"].to_numpy()[:-1]):
        ax.axhline(row + 0.5, color=style.PALE, lw=0.4, zorder=0)
    ax.set_xlim(left, right)
    name_rows(ax, list(task_labels(rows, omit=("direction",))), is_forced(rows))
    write_index_words(ax, rows["direction"])
    for column, (name, x) in NUMBERS.items():
        style.beside(ax, -0.6, name, offset=(x, 2), ha="center", va="bottom", color=style.GREY)
        for row, value in enumerate(rows[column].astype(float)):
            text = style.effect_number(value) if column == "joint_log_effect" else f"{value:.0f}"
            text = text if np.isfinite(value) else style.number(value)
            style.beside(ax, row, text, (x, 0), ha="center")


def _write_beyond(ax: Axes, row: int, value: float, edge: float, colour) -> None:
    """An arrow at the edge of the axis for an index beyond it, and the index."""
    below = value < edge
    ax.plot(edge, row, "<" if below else ">", ms=3.5, mew=0, color=colour, clip_on=False, label="_beyond")
    looks = {"va": "center", "fontsize": 5.5, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.5}}
    offset, side = (5, "left") if below else (-5, "right")
    ax.annotate(style.number(value), (edge, row), (offset, 0), textcoords="offset points", ha=side, **looks)
