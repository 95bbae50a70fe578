"""Each task's effect on held-out cells against its matched null sets."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style
from grids.figures.scales import LEVEL_WORDS, SIGNIFICANT, cell_type_key, colours_for
from grids.figures.tasks import forced_key, full_sets, name_rows, strongest_by_direction, task_labels
from grids.io.tables import TASK_KEYS, is_forced


@style.styled
def effect_against_null(
    effects: pd.DataFrame, null: pd.DataFrame, max_tasks: int = 60, cell_types: Iterable[str] | None = None
) -> Figure:
    """One row per task: the effect of its full set, the matched null sets, p and q.

    One panel per direction and level of evidence, strongest effect on top. Violin: null sets, bar: their central 95
    %. Filled dot: q (or p where q is missing) below 0.05.

    Parameters
    ----------
    effects : DataFrame
        ``effects.tsv``; each task's largest set is shown.
    null : DataFrame
        ``surrogate method cell_type gene direction set_size draw log_change``.
    max_tasks : int
        At most so many rows, shared equally by the panels; a note counts the rest.
    """
    if effects.empty:
        return style.empty_figure("no effects: no task was run")
    shown = strongest_by_direction(full_sets(effects), max_tasks)
    colours = colours_for(effects, cell_types)

    heights = [0.17 * len(rows) + 0.75 for rows, _ in shown.values()]
    figure = style.new_figure(style.DOUBLE_COLUMN, sum(heights) + 0.45)
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, ((direction, level), (rows, left_out)) in zip(axes, shown.items(), strict=True):
        _draw(ax, rows, null, colours)
        style.panel_title(
            ax, f"{direction}, {LEVEL_WORDS[level]}: predicted effect of each task's set on test cells"
        )
        ax.set_xlabel(style.lines(style.LOG_CHANGE, left_out))
    drawn = pd.concat([rows for rows, _ in shown.values()])
    measure = "q" if drawn["q_value"].notna().all() else "q, else p"
    key = [
        style.mark(f"{measure} < {SIGNIFICANT:g}", ms=4, color=style.GREY),
        style.mark(f"{measure} ≥ {SIGNIFICANT:g}", ms=4, mfc="white", mec=style.GREY),
        Line2D([], [], color=style.PALE, lw=5, label="null sets"),
        *forced_key(is_forced(drawn)),
        *cell_type_key(colours, drawn["cell_type"]),
    ]
    style.legend_outside(figure, key)
    return figure


def _draw(ax: Axes, rows: pd.DataFrame, null: pd.DataFrame, colours: dict) -> None:
    keys = [*TASK_KEYS, "set_size"]
    samples = {key: part["log_change"].to_numpy(dtype=float) for key, part in null.groupby(keys, sort=False)}
    drawn = [samples.get(tuple(key), np.array([])) for key in rows[keys].itertuples(index=False, name=None)]
    positions = np.arange(len(rows))
    style.violins(ax, drawn, positions, [style.PALE] * len(rows), width=0.85, vertical=False)
    for position, sample in zip(positions, drawn, strict=True):
        sample = sample[np.isfinite(sample)]
        if sample.size:
            low, median, high = np.percentile(sample, [2.5, 50, 97.5])
            ax.plot([low, high], [position] * 2, color=style.GREY, lw=0.8, solid_capstyle="butt")
            ax.plot(median, position, "|", ms=4, mew=0.8, color=style.GREY)
    p, q = rows[["p_value", "q_value"]].to_numpy(dtype=float).T
    decided = np.where(np.isfinite(q), q, p)
    own = [colours[str(name)] for name in rows["cell_type"]]
    fill = [c if d < SIGNIFICANT else (1.0, 1.0, 1.0) for c, d in zip(own, decided, strict=True)]
    looks = {"s": 18, "c": fill, "edgecolors": own, "linewidths": 0.9, "zorder": 3, "label": "_observed"}
    ax.scatter(rows["log_change"], positions, **looks)
    ax.axvline(0, color=style.INK, lw=0.5, zorder=0)
    name_rows(ax, list(task_labels(rows, omit=("direction",))), is_forced(rows))
    style.reach(ax, "x")
    style.few_ticks(ax, x=7)
    columns = {
        "p": (14, map(style.number, p)),
        "q": (42, map(style.number, q)),
        "peaks": (68, rows["set_size"].map("{:.0f}".format)),
    }
    for name, (x, values) in columns.items():
        style.beside(ax, -0.6, name, offset=(x, 2), ha="center", va="bottom", color=style.GREY)
        for position, value in zip(positions, values, strict=True):
            style.beside(ax, position, value, (x, 0), ha="center")
