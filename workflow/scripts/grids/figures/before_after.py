"""Predicted expression of the test cells before and after the perturbation, beside the observed one."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from grids.figures import style
from grids.figures.scales import colours_for
from grids.figures.tasks import ShownTasks, forced_key, full_sets, head_panel
from grids.io.tables import TASK_KEYS

MAX_LINES = 40
# Where each violin stands, and its side: half violins leave the room between them to the cells' lines.
PLACES = {"observed": (0.0, "both"), "before": (1.2, "low"), "after": (1.9, "high")}


@style.styled
def before_after(cells: pd.DataFrame, max_tasks: int = 25, cell_types: Iterable[str] | None = None) -> Figure:
    """One small panel per task: observed, predicted before, predicted after; lines join the same cell.

    Bars are means. Of large populations 40 cells, evenly spread over the predictions, get a line.

    Parameters
    ----------
    cells : DataFrame
        ``surrogate method cell_type gene direction set_size cell before after observed``, log-expression of
        test cells; each task's largest set is shown. On which scale is up to the surrogate: the log of expected
        normalised counts, or of 1 + normalised counts as the observed ones are.
    max_tasks : int
        At most so many panels, those with the largest mean change; a note counts the rest.
    """
    if cells.empty:
        return style.empty_figure("no test cells with predictions before and after")
    full = full_sets(cells)
    changes = full.assign(change=full["after"] - full["before"]).groupby(TASK_KEYS, dropna=False, sort=True)
    tasks = changes["change"].agg(["mean", "size"]).reset_index()
    tasks = tasks.iloc[np.argsort(-tasks["mean"].abs().to_numpy(), kind="stable")]
    shown = ShownTasks.of(full, tasks, max_tasks)
    colours = colours_for(cells, cell_types)

    figure, axes = style.small_multiples(len(shown), 1.6, 0.35)
    for ax, (task, part) in zip(axes, shown, strict=True):
        _draw(ax, part, colours[str(task["cell_type"])])
        change = ("+" if task["mean"] >= style.LEAST_WRITTEN else "") + style.effect_number(task["mean"])
        head_panel(ax, task, f"mean {change}, {task['size']:,} cells")
    figure.supylabel("log-expression (natural log)", fontsize=7)
    if shown.left_out:
        figure.supxlabel(shown.left_out, fontsize=6)
    style.legend_outside(figure, forced_key(shown.tasks["forced"]))
    return figure


def _draw(ax: Axes, cells: pd.DataFrame, colour) -> None:
    values = [cells[column].to_numpy(dtype=float) for column in PLACES]
    tint = tuple(0.55 + 0.45 * c for c in colour)
    for sample, (column, (position, side)) in zip(values, PLACES.items(), strict=True):
        colour_here = style.PALE if column == "observed" else tint
        style.violins(ax, [sample], [position], [colour_here], width=0.8, side=side)
        if np.isfinite(sample).any():
            ends = [position - 0.25 * (side != "high"), position + 0.25 * (side != "low")]
            ax.plot(ends, [float(np.nanmean(sample))] * 2, color=style.INK, lw=1.1, label=f"_mean {column}")
    order = np.argsort(values[1], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(MAX_LINES, len(order))).round().astype(int))]
    left, right = PLACES["before"][0], PLACES["after"][0]
    lines = [[(left, values[1][i]), (right, values[2][i])] for i in chosen]
    ax.add_collection(LineCollection(lines, colors=[colour], linewidths=0.35, alpha=0.6, label="_cells"))
    ax.axvline(0.6, color=style.GREY, lw=0.4, ls=":")
    ax.set_xticks([0, left - 0.1, right + 0.1], list(PLACES))
    ax.tick_params(axis="x", length=0, labelsize=5.5)
    ax.set_xlim(-0.5, right + 0.5)
    style.few_ticks(ax, y=4)
