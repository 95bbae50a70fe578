"""The redundancy index of every set, with its interval and class."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grids.figures.scales import INDEX_FORMULA, class_key, class_mark, index_limits, write_index_words
from grids.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    PALE,
    beside,
    effect_number,
    empty_figure,
    forced_key,
    legend_outside,
    mark_forced_rows,
    new_figure,
    number,
    panel_title,
    styled,
)
from grids.figures.tasks import KEY, full_sets, not_shown, strongest_first, task_labels
from grids.io.tables import is_forced

NUMBERS = {
    "joint_log_effect": ("joint", 16),
    "set_size": ("members", 46),
    "n_sufficient": ("90 %", 72),
    "n_alternative_sets": ("alternatives", 104),
}


@styled
def redundancy_index(redundancy: pd.DataFrame, max_tasks: int = 60) -> Figure:
    """One row per task, those of a gene together: index, interval, class, and what the set does.

    Parameters
    ----------
    redundancy : DataFrame
        ``redundancy.tsv``; each task's largest set is shown.
    max_tasks : int
        At most so many rows, shared equally by the directions, those with the strongest joint effect; a note
        counts the rest.

    Returns
    -------
    Figure
        One panel per direction. An index beyond the axis is an arrow at its edge with the value. Columns at the
        right: joint log effect, set size, size of the minimal sufficient set, number of alternative sets.
    """
    if redundancy.empty:
        return empty_figure("no redundancy: no set was analysed")
    full = full_sets(redundancy)
    directions = sorted(set(full["direction"]), key=lambda direction: (direction != "silence", direction))
    per_direction = max(1, max_tasks // len(directions))
    shown = {}
    for direction in directions:
        rows = full[full["direction"] == direction].assign(log_change=full["joint_log_effect"])
        shown[direction] = by_gene(strongest_first(rows).head(per_direction))

    heights = [0.17 * len(rows) + 0.85 for rows in shown.values()]
    figure = new_figure(DOUBLE_COLUMN, sum(heights) + 0.3)
    axes = figure.subplots(
        len(directions), 1, squeeze=False, height_ratios=[len(rows) + 0.2 for rows in shown.values()]
    )[:, 0]
    for ax, (direction, rows) in zip(axes, shown.items(), strict=True):
        _draw(ax, rows)
        panel_title(ax, f"{direction}: redundancy of each task's set", pad=14)
        note = not_shown(int((full["direction"] == direction).sum()), len(rows))
        ax.set_xlabel(INDEX_FORMULA + (f"\n{note}" if note else ""))
    handles, names = class_key(name for rows in shown.values() for name in rows["class"])
    marks, words = forced_key(any(is_forced(rows).any() for rows in shown.values()))
    legend_outside(figure, [*handles, *marks], [*names, *words])
    return figure


def by_gene(redundancy: pd.DataFrame) -> pd.DataFrame:
    """Rows of a gene together, highest index first; genes by their highest index, missing last."""
    best = redundancy.groupby("gene", sort=False)["redundancy_index"].transform("max")
    ordered = redundancy.assign(best=best).sort_values(
        ["best", "gene", "redundancy_index", *KEY], ascending=[False, True, False, *[True] * len(KEY)]
    )
    return ordered.drop(columns="best").reset_index(drop=True)


def _draw(ax: Axes, rows: pd.DataFrame) -> None:
    positions = np.arange(len(rows))
    index, low, high = (
        rows[column].to_numpy(dtype=float)
        for column in ("redundancy_index", "redundancy_index_low", "redundancy_index_high")
    )
    left, right = index_limits(np.concatenate([index, low, high]))
    ax.axvline(0, color=INK, lw=0.6, zorder=0)
    for name, kind in rows.groupby("class", dropna=False, sort=False):
        colour, marker = class_mark(name)
        at = kind.index.to_numpy()
        ax.hlines(at, low[at], high[at], color=colour, lw=1.0, label=f"_{name} interval")
        ax.plot(index[at], at, marker, ms=4, mew=0, color=colour, zorder=3, label=f"_{name}")
        for row in at[(index[at] < left) | (index[at] > right)]:
            _write_beyond(ax, row, index[row], left if index[row] < left else right, colour)
        for row in at[~np.isfinite(index[at])]:
            ax.text(0.03, row, "not defined", va="center", fontsize=5.5, color=GREY)
    for row in np.flatnonzero(rows["gene"].to_numpy()[1:] != rows["gene"].to_numpy()[:-1]):
        ax.axhline(row + 0.5, color=PALE, lw=0.4, zorder=0)
    ax.set(xlim=(left, right), ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(positions, list(task_labels(rows, omit=("direction",))))
    ax.tick_params(axis="y", length=0)
    mark_forced_rows(ax, is_forced(rows))
    write_index_words(ax, rows["direction"])
    for column, (name, x) in NUMBERS.items():
        beside(ax, -0.6, name, offset=(x, 2), ha="center", va="bottom", color=GREY)
        for row, value in zip(positions, rows[column].astype(float), strict=True):
            text = effect_number(value) if column == "joint_log_effect" else f"{value:.0f}"
            text = text if np.isfinite(value) else number(value)
            beside(ax, row, text, (x, 0), ha="center")


def _write_beyond(ax: Axes, row: int, value: float, edge: float, colour) -> None:
    """An arrow at the edge of the axis for an index beyond it, and the index."""
    below = value < edge
    ax.plot(edge, row, "<" if below else ">", ms=3.5, mew=0, color=colour, clip_on=False, label="_beyond")
    ax.annotate(
        number(value),
        (edge, row),
        (5 if below else -5, 0),
        textcoords="offset points",
        ha="left" if below else "right",
        va="center",
        fontsize=5.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
