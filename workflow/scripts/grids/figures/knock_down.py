"""How the gene goes down as the members of a set are closed one after the other, against each alone."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grids.figures.style import (
    GREY,
    INK,
    PALE,
    colours_for,
    empty_figure,
    few_ticks,
    forced_key,
    legend_outside,
    mark_forced_panel,
    number,
    panel_title,
    reach,
    small_multiples,
    styled,
)
from grids.figures.tasks import KEY, full_sets, not_shown, strongest_first, task_labels
from grids.io.tables import is_forced

COLUMNS = 5


@styled
def knock_down(changes: pd.DataFrame, max_tasks: int = 30, cell_types: Iterable[str] | None = None) -> Figure:
    """One small panel per task: joint change along the nested set, single knock-outs, and their sum.

    Parameters
    ----------
    changes : DataFrame
        ``knock_down.tsv``; each task's largest set is shown.
    max_tasks : int
        At most so many panels, those with the strongest joint effect; a note counts the rest.
    cell_types : iterable of str, optional
        All cell types of the run, so that colours agree between figures.

    Returns
    -------
    Figure
        Dashed: what closing the first k together would do if their effects multiplied (added up in
        log-expression). A curve below the line: the members back each other up.
    """
    if changes.empty:
        return empty_figure("no knock-down curves: no set was analysed")
    full = full_sets(changes).sort_values("n_closed", kind="stable")
    tasks = strongest_first(full.groupby(KEY, dropna=False, sort=False).tail(1))
    labels = task_labels(tasks, limit=44)
    shown = tasks.head(max_tasks)
    colours = colours_for(changes, cell_types)
    parts = dict(iter(full.groupby(KEY, dropna=False, sort=False)))

    forced = is_forced(shown)
    figure, axes = small_multiples(len(shown), COLUMNS, 1.5, 0.6)
    for ax, (index, task) in zip(axes, shown.iterrows(), strict=True):
        part = parts[tuple(task[column] for column in KEY)]
        singles = sum_of_singles(part)
        _draw(ax, part, singles, colours[str(task["cell_type"])])
        mark_forced_panel(ax, forced[index])
        gene, rest = labels[index].split(" · ", 1)
        both = f"joint {_short(task['log_change'])}, Σ {_short(singles[-1])}"
        panel_title(ax, f"{gene}\n{rest}\n{both}", fontsize=6)
    figure.supylabel("change in mean\nlog-expression (natural log)", fontsize=7)
    note = not_shown(len(tasks), len(shown))
    figure.supxlabel("members perturbed (nested, by rank)" + (f"\n{note}" if note else ""), fontsize=7)
    key = [
        Line2D([], [], color=GREY),
        Patch(color=PALE),
        Line2D([], [], ls="", marker="o", ms=4, mfc="white", mec=INK),
        Line2D([], [], color=INK, ls="--", lw=0.8),
    ]
    names = ["first k together", "interval", "the k-th alone", "Σ singles: if they multiplied"]
    handles, words = forced_key(forced.any())
    legend_outside(figure, [*key, *handles], [*names, *words], side="upper")
    return figure


def sum_of_singles(part: pd.DataFrame) -> np.ndarray:
    """The change expected of the first k members if effects multiplied on the scale of expression.

    Parameters
    ----------
    part : DataFrame
        One task's rows of ``knock_down.tsv`` in the order of ``n_closed``.

    Returns
    -------
    array, shape (len(part),)
        Running sum of the single log effects; missing from the first missing one on.
    """
    single = part["single_log_effect"].to_numpy(dtype=float)
    return np.cumsum(np.where(part["n_closed"].to_numpy() == 0, 0.0, single))


def _short(change: float) -> str:
    """A change to a thousandth, for a title."""
    return number(round(change, 3) + 0.0)


def _draw(ax: Axes, part: pd.DataFrame, singles: np.ndarray, colour) -> None:
    n_closed = part["n_closed"].to_numpy(dtype=float)
    change, low, high, single = (
        part[column].to_numpy(dtype=float)
        for column in ("log_change", "log_change_low", "log_change_high", "single_log_effect")
    )
    ax.axhline(0, color=INK, lw=0.4)
    ax.fill_between(n_closed, low, high, color=colour, alpha=0.25, lw=0, label="_interval")
    ax.plot(n_closed, singles, "--", color=INK, lw=0.8, zorder=3, label="_sum of singles")
    many = {"ms": 1.3, "mew": 0, "color": INK}
    few = {"ms": 2.6, "mew": 0.6, "mfc": "white", "mec": INK}
    ax.plot(n_closed, single, "o", label="_single", **(few if len(part) <= 33 else many))
    ax.plot(n_closed, change, color=colour, lw=1.2, label="_joint")
    ax.margins(x=0.04, y=0.1)
    reach(ax, "y")
    few_ticks(ax, x=5, y=4)
    ax.xaxis.get_major_locator().set_params(integer=True)
