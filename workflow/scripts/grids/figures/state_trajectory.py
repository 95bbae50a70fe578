"""How redundancy and joint effect of a set change along a cell state."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grids.figures.scales import SIGNIFICANT, fold, index_limits, index_words
from grids.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    colours_for,
    empty_figure,
    few_ticks,
    forced_key,
    legend_outside,
    mark_forced_panel,
    new_figure,
    number,
    panel_title,
    reach,
    shorten,
    styled,
    words,
)
from grids.figures.tasks import KEY, full_sets, not_shown, strongest_first, task_labels
from grids.io.tables import is_forced

COLUMNS = 5
MOST_LABELS = 12
MOST_LETTERS = 14  # of a level's name


@styled
def state_trajectory(
    levels: pd.DataFrame, max_tasks: int = 30, cell_types: Iterable[str] | None = None
) -> Figure:
    """Two small panels per task and state: the index, and the joint effect, against the state's level.

    Parameters
    ----------
    levels : DataFrame
        ``state_redundancy.tsv``; each task's largest set is shown. Levels stand in the
        table's order.
    max_tasks : int
        At most so many pairs of panels, those with the strongest joint effect at any level; a note counts the
        rest.
    cell_types : iterable of str, optional
        All cell types of the run, so that colours agree between figures.

    Returns
    -------
    Figure
        Bands are intervals. The title gives the p and q of a change of the index over the levels.
    """
    if levels.empty:
        return empty_figure("no states: redundancy was not followed along a state")
    full = full_sets(levels)
    keys = [*KEY, "state"]
    strongest = full["joint_log_effect"].abs().groupby([full[c] for c in keys], dropna=False).transform("max")
    full = full.assign(log_change=strongest.where(full["direction"] != "silence", -strongest))
    tasks = strongest_first(full.drop_duplicates(keys))
    labels = task_labels(tasks, limit=44)
    shown = tasks.head(max_tasks)
    colours = colours_for(levels, cell_types)
    parts = dict(iter(full.groupby(keys, dropna=False, sort=False)))

    forced = is_forced(shown)
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    longest = max(len(shorten(level, MOST_LETTERS)) for level in full["level"])
    height = 1.95 + 0.045 * max(longest - 6, 0)
    figure = new_figure(max(2.6, DOUBLE_COLUMN * columns / COLUMNS), height * rows + 0.6)
    grid = figure.add_gridspec(2 * rows, columns)
    for i, (index, task) in enumerate(shown.iterrows()):
        row, column = 2 * (i // columns), i % columns
        upper = figure.add_subplot(grid[row, column])
        lower = figure.add_subplot(grid[row + 1, column], sharex=upper)
        part = parts[tuple(task[c] for c in keys)]
        _draw(upper, lower, part, colours[str(task["cell_type"])])
        for ax in (upper, lower):
            mark_forced_panel(ax, forced[index])
        gene, rest = labels[index].split(" · ", 1)
        panel_title(upper, f"{gene}\n{rest}\n{_change(task)}", fontsize=6)
        lower.set_xlabel(shorten(words(task["state"]), 24), fontsize=6)
        if column == 0:
            upper.set_ylabel("redundancy\nindex", fontsize=6)
            lower.set_ylabel("joint\neffect", fontsize=6)
        figure.align_ylabels([upper, lower])
    below, above = index_words(shown["direction"])
    note = not_shown(len(tasks), len(shown), "tasks and states")
    text = (
        f"Redundancy index, log scale: above 0 members {above}, below 0 they {below}.\n"
        f"Joint effect: change in mean log-expression (natural log).\n{note}"
    )
    figure.supxlabel(fold(text, figure.get_figwidth()), fontsize=6)
    if forced.any():
        legend_outside(figure, *forced_key(True), side="upper")
    return figure


def _change(task: pd.Series) -> str:
    p, q = (float(task[f"{letter}_value_of_change"]) for letter in "pq")
    if not np.isfinite(p) and not np.isfinite(q):
        return "change not tested"
    return f"p {number(p)}, q {number(q)}" + "*" * bool(q < SIGNIFICANT)


def _draw(upper: Axes, lower: Axes, part: pd.DataFrame, colour) -> None:
    x = np.arange(len(part))
    for ax, column in ((upper, "redundancy_index"), (lower, "joint_log_effect")):
        value, low, high = (part[f"{column}{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high"))
        ax.axhline(0, color=INK, lw=0.4)
        ax.fill_between(x, low, high, color=colour, alpha=0.22, lw=0, label=f"_{column} interval")
        ax.vlines(x, low, high, color=colour, lw=0.6)
        ax.plot(x, value, "o-", ms=2.4, lw=1.0, color=colour, label=f"_{column}")
        reach(ax, "y")
        few_ticks(ax, y=3)
        if column == "redundancy_index":
            bottom, top = index_limits(np.concatenate([value, low, high]))
            ax.set_ylim(bottom, top)
            for at in np.flatnonzero((value < bottom) | (value > top)):
                below = value[at] < bottom
                edge, marker = (bottom, "v") if below else (top, "^")
                ax.plot(at, edge, marker, ms=3, mew=0, color=GREY, clip_on=False, label="_beyond")
    upper.tick_params(labelbottom=False)
    step = math.ceil(len(x) / MOST_LABELS)
    names = [shorten(level, MOST_LETTERS) for level in part["level"]]
    upright = max(map(len, names)) * len(names[::step]) <= 18
    lower.set_xticks(x[::step], names[::step], fontsize=5, rotation=0 if upright else 90)
    lower.set_xlim(-0.4, len(x) - 0.6)
