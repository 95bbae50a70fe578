"""What each member of a set does alone, and what it does among the others."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grids.figures import style
from grids.figures.scales import flags
from grids.figures.tasks import ShownTasks, forced_key, full_sets, head_panel, strongest_first
from grids.io.tables import TASK_KEYS

BACKUP = "#fbe3c0"
# Above and below the row's middle, so that both intervals can be read.
MARKS = {"alone": (-0.17, style.BLUE, "white"), "in_context": (0.17, style.VERMILLION, style.VERMILLION)}


@style.styled
def member_effects(members: pd.DataFrame, max_tasks: int = 30, max_members: int = 12) -> Figure:
    """One small panel per task, one row per member: effect alone, effect in context, Shapley value.

    Lines through the dots are intervals, shaded rows backups. The Shapley values of a set add up to its joint
    effect. Of the tasks of ``members.tsv`` those with the strongest joint effect are shown, and of their members, by
    rank, `max_members` with the largest Shapley values; the panel says so.
    """
    if members.empty:
        return style.empty_figure("no members: no set was analysed")
    full = full_sets(members)
    joint = full.groupby(TASK_KEYS, dropna=False, sort=False)["shapley_value"].sum(min_count=1)
    shown = ShownTasks.of(full, strongest_first(joint.rename("log_change").reset_index()), max_tasks)

    n_rows = min(max_members, max(map(len, shown.parts)))
    figure, axes = style.small_multiples(len(shown), 0.105 * max(n_rows, 3) + 0.62, 0.9)
    for ax, (task, part) in zip(axes, shown, strict=True):
        strongest = part["shapley_value"].abs().sort_values(ascending=False, kind="stable").index
        _draw(ax, part.loc[strongest[:max_members]].sort_values("rank"))
        head_panel(ax, task, _summary(part, max_members))
    figure.supylabel("member (rank)", fontsize=7)
    figure.supxlabel(style.lines(style.LOG_CHANGE, shown.left_out), fontsize=7)
    key = [
        Line2D([], [], marker="o", ms=3.5, color=style.BLUE, mfc="white", lw=0.8, label="alone"),
        Line2D([], [], marker="o", ms=3.5, color=style.VERMILLION, lw=0.8, label="in context (added last)"),
        style.mark("Shapley value", "d", ms=4, color=style.INK),
        Patch(color=BACKUP, label="backup"),
        *forced_key(shown.tasks["forced"]),
    ]
    style.legend_outside(figure, key, side="upper")
    return figure


def _summary(part: pd.DataFrame, max_members: int) -> str:
    n, n_backups = len(part), int(flags(part["is_backup"]).sum())
    first = f"{max_members} of {n}" if n > max_members else f"{n} member{'s' * (n != 1)}"
    return f"{first}, {n_backups} backup{'s' * (n_backups != 1)}"


def _draw(ax: Axes, part: pd.DataFrame) -> None:
    rows = np.arange(len(part))
    ax.axvline(0, color=style.INK, lw=0.4)
    for row in rows[flags(part["is_backup"])]:
        ax.axhspan(row - 0.46, row + 0.46, color=BACKUP, lw=0, zorder=0, label="_backup")
    both = [part[f"log_effect_{name}"].to_numpy(dtype=float) for name in MARKS]
    ax.plot(both, [rows + offset for offset, *_ in MARKS.values()], color=style.GREY, lw=0.5, zorder=1)
    for name, (offset, colour, fill) in MARKS.items():
        low, high = (part[f"log_effect_{name}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
        ax.hlines(rows + offset, low, high, color=colour, lw=0.8, label=f"_{name} interval")
        values = part[f"log_effect_{name}"]
        ax.plot(values, rows + offset, "o", ms=3, mew=0.7, mec=colour, mfc=fill, zorder=3, label=f"_{name}")
    shapley = part["shapley_value"].to_numpy(dtype=float)
    error = np.nan_to_num(part["shapley_error"].to_numpy(dtype=float))
    ax.hlines(rows, shapley - error, shapley + error, color=style.INK, lw=0.6, label="_shapley error")
    ax.plot(shapley, rows, "d", ms=3, mew=0, color=style.INK, zorder=4, label="_shapley")
    ax.set_yticks(rows, [f"{rank:.0f}" for rank in part["rank"]], fontsize=5)
    ax.tick_params(axis="y", length=0, pad=1)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    style.reach(ax, "x")
    style.few_ticks(ax, x=3)
