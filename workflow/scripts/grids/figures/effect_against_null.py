"""Each task's effect on held-out cells against its matched null sets."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    LOG_CHANGE,
    PALE,
    beside,
    colour_legend,
    colours_for,
    empty_figure,
    few_ticks,
    forced_key,
    legend_outside,
    mark_forced_rows,
    new_figure,
    number,
    panel_title,
    reach,
    styled,
    violins,
)
from grids.figures.tasks import KEY, full_sets, not_shown, strongest_first, task_labels
from grids.io.tables import is_forced

SIGNIFICANT = 0.05


@styled
def effect_against_null(
    effects: pd.DataFrame, null: pd.DataFrame, max_tasks: int = 60, cell_types: Iterable[str] | None = None
) -> Figure:
    """One row per task: the effect of its full set, the matched null sets, p and q.

    Parameters
    ----------
    effects : DataFrame
        ``effects.tsv``; each task's largest set is shown.
    null : DataFrame
        ``surrogate method cell_type gene direction set_size draw log_change``.
    max_tasks : int
        At most so many rows, shared equally by the directions; a note counts the rest.
    cell_types : iterable of str, optional
        All cell types of the run, so that colours agree between figures.

    Returns
    -------
    Figure
        One panel per direction, strongest effect on top. Violin: null sets, bar: their central 95 %. Filled
        dot: q (or p where q is missing) below 0.05.
    """
    if effects.empty:
        return empty_figure("no effects: no task was run")
    full = full_sets(effects)
    directions = [d for d in ("silence", "activate") if (full["direction"] == d).any()]
    directions += sorted(set(full["direction"]) - set(directions))
    per_direction = max(1, max_tasks // len(directions))
    shown = {d: strongest_first(full[full["direction"] == d]).head(per_direction) for d in directions}
    colours = colours_for(effects, cell_types)

    heights = [0.17 * len(rows) + 0.75 for rows in shown.values()]
    figure = new_figure(DOUBLE_COLUMN, sum(heights) + 0.45)
    axes = figure.subplots(len(directions), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (direction, rows) in zip(axes, shown.items(), strict=True):
        _draw(ax, rows, null, colours)
        panel_title(ax, f"{direction}: predicted effect of each task's set on test cells")
        note = not_shown(int((full["direction"] == direction).sum()), len(rows))
        ax.set_xlabel(LOG_CHANGE + (f"\n{note}" if note else ""))
    present = sorted({c for rows in shown.values() for c in rows["cell_type"]})
    legend = colour_legend({str(name): colours[str(name)] for name in present})
    key = [
        Line2D([], [], ls="", marker="o", ms=4, color=GREY),
        Line2D([], [], ls="", marker="o", ms=4, mfc="white", mec=GREY),
        Line2D([], [], color=PALE, lw=5),
    ]
    measure = "q" if all(rows["q_value"].notna().all() for rows in shown.values()) else "q, else p"
    handles, words = forced_key(any(is_forced(rows).any() for rows in shown.values()))
    judged = [f"{measure} < {SIGNIFICANT:g}", f"{measure} ≥ {SIGNIFICANT:g}"]
    legend_outside(
        figure, [*key, *handles, *legend["handles"]], [*judged, "null sets", *words, *legend["labels"]]
    )
    return figure


def _draw(ax: Axes, rows: pd.DataFrame, null: pd.DataFrame, colours: dict) -> None:
    keys = [*KEY, "set_size"]
    samples = {key: part["log_change"].to_numpy(dtype=float) for key, part in null.groupby(keys, sort=False)}
    drawn = [samples.get(tuple(key), np.array([])) for key in rows[keys].itertuples(index=False, name=None)]
    positions = np.arange(len(rows))
    violins(ax, drawn, positions, [PALE] * len(rows), width=0.85, vertical=False)
    for position, sample in zip(positions, drawn, strict=True):
        sample = sample[np.isfinite(sample)]
        if sample.size:
            low, median, high = np.percentile(sample, [2.5, 50, 97.5])
            ax.plot([low, high], [position] * 2, color=GREY, lw=0.8, solid_capstyle="butt")
            ax.plot(median, position, "|", ms=4, mew=0.8, color=GREY)
    p = rows["p_value"].to_numpy(dtype=float)
    q = rows["q_value"].to_numpy(dtype=float)
    decided = np.where(np.isfinite(q), q, p)
    own = [colours[str(name)] for name in rows["cell_type"]]
    fill = [c if d < SIGNIFICANT else (1.0, 1.0, 1.0) for c, d in zip(own, decided, strict=True)]
    ax.scatter(
        rows["log_change"],
        positions,
        s=18,
        c=fill,
        edgecolors=own,
        linewidths=0.9,
        zorder=3,
        label="_observed",
    )
    ax.axvline(0, color=INK, lw=0.5, zorder=0)
    ax.set_yticks(positions, list(task_labels(rows, omit=("direction",))))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    mark_forced_rows(ax, is_forced(rows))
    reach(ax, "x")
    few_ticks(ax, x=7)
    for x, name, values in (
        (14, "p", p),
        (42, "q", q),
        (68, "peaks", rows["set_size"].to_numpy(dtype=float)),
    ):
        beside(ax, -0.6, name, offset=(x, 2), ha="center", va="bottom", color=GREY)
        for position, value in zip(positions, values, strict=True):
            beside(ax, position, f"{value:.0f}" if name == "peaks" else number(value), (x, 0), ha="center")
