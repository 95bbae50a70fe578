"""How the effect grows with the nested set, against null sets of the same size."""

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

ENOUGH = 0.9


@style.styled
def effect_by_set_size(
    effects: pd.DataFrame, max_tasks: int = 25, cell_types: Iterable[str] | None = None
) -> Figure:
    """One small panel per task: effect of the first k members against k, null mean and two deviations.

    The ringed point is the smallest set with 90 % of the full set's effect. Of the tasks of ``effects.tsv``, with one
    row per nested set size, those with the strongest effect are shown.
    """
    if effects.empty:
        return style.empty_figure("no effects: no task was run")
    shown = ShownTasks.of(effects, strongest_first(full_sets(effects)), max_tasks)
    colours = colours_for(effects, cell_types)

    figure, axes = style.small_multiples(len(shown), 1.55, 0.6)
    for ax, (task, part) in zip(axes, shown, strict=True):
        _draw(ax, part.sort_values("set_size"), colours[str(task["cell_type"])])
        enough = sufficient_size(part)
        head_panel(ax, task, f"{ENOUGH:.0%} at {enough} of {task['set_size']}" if enough else "no effect")
    figure.supylabel("change in mean\nlog-expression (natural log)", fontsize=7)
    figure.supxlabel(style.lines("members in the set (nested, by rank)", shown.left_out), fontsize=7)
    key = [
        Line2D([], [], marker="o", ms=2.5, color=style.GREY, label="effect on test cells"),
        style.mark(f"smallest set with {ENOUGH:.0%} of the full effect", ms=6, mfc="none", mec=style.INK),
        Patch(color=style.PALE, label="null mean ± 2 sd"),
        *forced_key(shown.tasks["forced"]),
    ]
    style.legend_outside(figure, key, side="upper")
    return figure


def sufficient_size(effects: pd.DataFrame, share: float = ENOUGH) -> int | None:
    """The smallest nested size whose effect reaches a share of the full set's, of one task's rows.

    None when the full set did not move the gene in the wanted direction.
    """
    ordered = effects.sort_values("set_size")
    moved = ordered["log_change"].to_numpy(dtype=float)
    if str(ordered["direction"].iloc[0]) == "silence":
        moved = -moved
    if not moved[-1] > 0:
        return None
    return int(ordered["set_size"].to_numpy()[np.argmax(moved >= share * moved[-1])])


def _draw(ax: Axes, part: pd.DataFrame, colour) -> None:
    columns = ["set_size", "log_change", "null_mean", "null_sd"]
    sizes, change, mean, sd = part[columns].to_numpy(dtype=float).T
    ax.axhline(0, color=style.INK, lw=0.4)
    if len(sizes) > 1:
        ax.fill_between(sizes, mean - 2 * sd, mean + 2 * sd, color=style.PALE, lw=0, label="_null")
        ax.plot(sizes, mean, color=style.GREY, lw=0.7)
    else:
        looks = {"color": style.PALE, "ecolor": style.PALE, "elinewidth": 6, "mec": style.GREY}
        ax.errorbar(sizes, mean, 2 * sd, marker="_", **looks)
    ax.plot(sizes, change, "o-", ms=2 if len(sizes) <= 32 else 1, lw=0.9, color=colour, label="_effect")
    enough = sufficient_size(part)
    if enough is not None:
        at = float(change[sizes == enough][0])
        ax.plot(enough, at, "o", ms=6, mfc="none", mec=style.INK, mew=0.7, label="_sufficient")
    ax.margins(y=0.12)
    style.reach(ax, "y")
    style.few_ticks(ax, x=5, y=4)
    if sizes[-1] > 32:
        ax.set_xscale("log", base=2)
        ticks = [t for t in (1, 4, 16, 64, 256, 1024) if sizes[0] <= t <= sizes[-1]]
        ax.set_xticks(ticks, map(str, ticks))
        ax.set_xticks([], minor=True)
    elif len(sizes) == 1:
        ax.set_xticks(sizes, [f"{sizes[0]:.0f}"])
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
