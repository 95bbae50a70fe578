"""How redundancy and joint effect of a set change along a cell state."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grids.figures import style
from grids.figures.scales import SIGNIFICANT, colours_for, fold, index_limits, index_words
from grids.figures.tasks import (
    ShownTasks,
    forced_key,
    full_sets,
    head_panel,
    mark_forced_panel,
    strongest_first,
)  # fmt: skip
from grids.io.tables import TASK_KEYS

COLUMNS = 5
MOST_LABELS = 12
MOST_LETTERS = 14  # of a level's name


@style.styled
def state_trajectory(
    levels: pd.DataFrame, max_tasks: int = 30, cell_types: Iterable[str] | None = None
) -> Figure:
    """Two small panels per task and state: the index, and the joint effect, against the state's level.

    Bands are intervals. The title gives the p and q of a change of the index over the levels, which stand in the
    order of ``state_redundancy.tsv``. Shown are the tasks and states with the strongest joint effect at any level.
    """
    if levels.empty:
        return style.empty_figure("no states: redundancy was not followed along a state")
    full, keys = full_sets(levels), [*TASK_KEYS, "state"]
    effects = full.assign(size=full["joint_log_effect"].abs())
    strongest = effects.groupby(keys, dropna=False)["size"].transform("max")
    full = full.assign(log_change=strongest.where(full["direction"] != "silence", -strongest))
    tasks = strongest_first(full.drop_duplicates(keys))
    shown = ShownTasks.of(full, tasks, max_tasks, keys, "tasks and states")
    colours = colours_for(levels, cell_types)

    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    longest = max(len(style.shorten(level, MOST_LETTERS)) for level in full["state_value"])
    height = 1.95 + 0.045 * max(longest - 6, 0)
    figure = style.new_figure(max(2.6, style.DOUBLE_COLUMN * columns / COLUMNS), height * rows + 0.6)
    grid = figure.add_gridspec(2 * rows, columns)
    for i, (task, part) in enumerate(shown):
        row, column = 2 * (i // columns), i % columns
        upper = figure.add_subplot(grid[row, column])
        lower = figure.add_subplot(grid[row + 1, column], sharex=upper)
        colour = colours[str(task["cell_type"])]
        _draw_index(upper, part, colour)
        _draw_measure(lower, part, "joint_log_effect", colour)
        _name_levels(lower, part["state_value"])
        head_panel(upper, task, _change(task))
        mark_forced_panel(lower, task["forced"])
        lower.set_xlabel(style.shorten(style.words(task["state"]), 24), fontsize=6)
        if column == 0:
            upper.set_ylabel("redundancy\nindex", fontsize=6)
            lower.set_ylabel("joint\neffect", fontsize=6)
        figure.align_ylabels([upper, lower])
    below, above = index_words(shown.tasks["direction"])
    text = style.lines(
        f"Redundancy index, log scale: above 0 members {above}, below 0 they {below}.",
        "Joint effect: change in mean log-expression (natural log).",
        shown.left_out,
    )
    figure.supxlabel(fold(text, figure.get_figwidth()), fontsize=6)
    style.legend_outside(figure, forced_key(shown.tasks["forced"]), side="upper")
    return figure


def _change(task: pd.Series) -> str:
    p, q = (float(task[f"{letter}_value_of_change"]) for letter in "pq")
    if not np.isfinite(p) and not np.isfinite(q):
        return "change not tested"
    return f"p {style.number(p)}, q {style.number(q)}" + "*" * bool(q < SIGNIFICANT)


def _draw_measure(ax: Axes, part: pd.DataFrame, column: str, colour) -> np.ndarray:
    """A measure over the levels with its interval; returns value, low and high."""
    x = np.arange(len(part))
    value, low, high = part[[column, f"{column}_low", f"{column}_high"]].to_numpy(dtype=float).T
    ax.axhline(0, color=style.INK, lw=0.4)
    ax.fill_between(x, low, high, color=colour, alpha=0.22, lw=0, label=f"_{column} interval")
    ax.vlines(x, low, high, color=colour, lw=0.6)
    ax.plot(x, value, "o-", ms=2.4, lw=1.0, color=colour, label=f"_{column}")
    style.reach(ax, "y")
    style.few_ticks(ax, y=3)
    return np.array([value, low, high])


def _draw_index(ax: Axes, part: pd.DataFrame, colour) -> None:
    """The index; an arrow at the edge for a level at which it lies beyond the axis."""
    drawn = _draw_measure(ax, part, "redundancy_index", colour)
    value, limits = drawn[0], index_limits(drawn)
    ax.set_ylim(limits)
    for at in np.flatnonzero((value < limits[0]) | (value > limits[1])):
        edge, marker = (limits[0], "v") if value[at] < limits[0] else (limits[1], "^")
        ax.plot(at, edge, marker, ms=3, mew=0, color=style.GREY, clip_on=False, label="_beyond")
    ax.tick_params(labelbottom=False)


def _name_levels(ax: Axes, levels: pd.Series) -> None:
    step = math.ceil(len(levels) / MOST_LABELS)
    names = [style.shorten(level, MOST_LETTERS) for level in levels]
    upright = max(map(len, names)) * len(names[::step]) <= 18
    ax.set_xticks(range(0, len(levels), step), names[::step], fontsize=5, rotation=0 if upright else 90)
    ax.set_xlim(-0.4, len(levels) - 0.6)
