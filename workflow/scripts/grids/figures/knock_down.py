"""How the gene changes as the members of a set are closed one after the other, against each alone."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grids.figures import style
from grids.figures.scales import colours_for
from grids.figures.tasks import ShownTasks, forced_key, full_sets, head_panel, strongest_first
from grids.io.tables import TASK_KEYS


@style.styled
def knock_down(changes: pd.DataFrame, max_tasks: int = 30, cell_types: Iterable[str] | None = None) -> Figure:
    """One small panel per task: joint change along the nested set, single knock-outs, and their sum.

    Dashed: what closing the first k together would do if their effects multiplied (added up in log-expression). A
    curve beyond the line: the members back each other up. Of the tasks of ``knock_down.tsv`` those with the strongest
    joint effect are shown.
    """
    if changes.empty:
        return style.empty_figure("no knock-down curves: no set was analysed")
    full = full_sets(changes).sort_values("n_closed", kind="stable")
    whole = full.groupby(TASK_KEYS, dropna=False, sort=False).tail(1)
    shown = ShownTasks.of(full, strongest_first(whole), max_tasks)
    colours = colours_for(changes, cell_types)

    figure, axes = style.small_multiples(len(shown), 1.5, 0.6)
    for ax, (task, part) in zip(axes, shown, strict=True):
        singles = sum_of_singles(part)
        _draw(ax, part, singles, colours[str(task["cell_type"])])
        joint, total = (style.number(round(change, 3) + 0.0) for change in (task["log_change"], singles[-1]))
        head_panel(ax, task, f"joint {joint}, Σ {total}")
    figure.supylabel("change in mean\nlog-expression (natural log)", fontsize=7)
    figure.supxlabel(style.lines("members perturbed (nested, by rank)", shown.left_out), fontsize=7)
    key = [
        Line2D([], [], color=style.GREY, label="first k together"),
        Patch(color=style.PALE, label="interval"),
        style.mark("the k-th alone", ms=4, mfc="white", mec=style.INK),
        Line2D([], [], color=style.INK, ls="--", lw=0.8, label="Σ singles: if they multiplied"),
        *forced_key(shown.tasks["forced"]),
    ]
    style.legend_outside(figure, key, side="upper")
    return figure


def sum_of_singles(part: pd.DataFrame) -> np.ndarray:
    """The change expected of the first k members if effects multiplied on the scale of expression.

    The running sum of the single log effects in one task's rows of ``knock_down.tsv``, in the order of ``n_closed``;
    missing from the first missing one on.
    """
    single = part["single_log_effect"].to_numpy(dtype=float)
    return np.cumsum(np.where(part["n_closed"].to_numpy() == 0, 0.0, single))


def _draw(ax: Axes, part: pd.DataFrame, singles: np.ndarray, colour) -> None:
    columns = ["n_closed", "log_change", "log_change_low", "log_change_high", "single_log_effect"]
    n_closed, change, low, high, single = part[columns].to_numpy(dtype=float).T
    ax.axhline(0, color=style.INK, lw=0.4)
    ax.fill_between(n_closed, low, high, color=colour, alpha=0.25, lw=0, label="_interval")
    ax.plot(n_closed, singles, "--", color=style.INK, lw=0.8, zorder=3, label="_sum of singles")
    many = {"ms": 1.3, "mew": 0, "color": style.INK}
    few = {"ms": 2.6, "mew": 0.6, "mfc": "white", "mec": style.INK}
    ax.plot(n_closed, single, "o", label="_single", **(few if len(part) <= 33 else many))
    ax.plot(n_closed, change, color=colour, lw=1.2, label="_joint")
    ax.margins(x=0.04, y=0.1)
    style.reach(ax, "y")
    style.few_ticks(ax, x=5, y=4)
    ax.xaxis.get_major_locator().set_params(integer=True)
