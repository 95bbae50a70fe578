"""What each method's sets reach against what finding them costs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.explainers.comparisons import GROUP, TASK
from benchmarks.explainers.figures.benchmark_methods import groups, looks, method_legend, shares_of_reference
from grids.figures import style

COSTS = {"seconds": "seconds for one task", "n_forward": "cells predicted for one task"}


@style.styled
def benchmark_cost(effects: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """One row per set size: effect in per cent of GRIDS' against seconds, and against cells predicted.

    Parameters
    ----------
    effects : DataFrame
        ``effects.tsv`` of the benchmark.
    costs : DataFrame
        ``costs.tsv``: ``surrogate method cell_type gene direction set_size seconds n_forward ...``.

    Returns
    -------
    Figure
        Points are medians over tasks, lines quartiles. Gradients are counted in ``costs.tsv``, not here.
    """
    keys = [*GROUP, "method", *TASK]
    joined = shares_of_reference(effects).merge(costs[[*keys, *COSTS]], on=keys)
    if joined.empty:
        return style.empty_figure("no effect with a known cost")
    parts = groups(joined)
    styles = looks(joined["method"])
    figure = style.new_figure(style.DOUBLE_COLUMN, 2.3 * len(parts) + 0.6)
    axes = figure.subplots(len(parts), 2, squeeze=False, sharex="col")
    for row, (title, part) in zip(axes, parts.items(), strict=True):
        for ax, cost in zip(row, COSTS, strict=True):
            _draw(ax, part, cost, styles)
        row[0].set_ylabel("effect, % of GRIDS'")
        style.panel_title(row[0], title, fontweight="bold")
    for ax, label in zip(axes[-1], COSTS.values(), strict=True):
        ax.set_xlabel(label)
    method_legend(figure, styles)
    return figure


def _draw(ax: Axes, part: pd.DataFrame, cost: str, styles: dict) -> None:
    ax.axhline(100, color=style.PALE, lw=0.8, zorder=0)
    for method, (colour, marker) in reversed(styles.items()):
        own = part[part["method"] == method]
        if own.empty:
            continue
        x, y = (np.quantile(own[column].dropna(), [0.25, 0.5, 0.75]) for column in (cost, "share"))
        ax.hlines(y[1], x[0], x[2], color=colour, lw=0.6)
        ax.vlines(x[1], y[0], y[2], color=colour, lw=0.6)
        ax.plot(x[1], y[1], marker, ms=4, color=colour, zorder=3, label=f"_{method}")
    spent = part[cost].dropna()
    if cost == "n_forward":
        _count_axis(ax, spent.max())
    else:
        style.log_axis(ax.xaxis, spent.min(), spent.max())


def _count_axis(ax: Axes, most: float) -> None:
    """A log axis that begins with zero: some methods predict nothing."""
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ticks = [0, *(10.0 ** np.arange(0, np.log10(max(most, 1)) + 1, 2))]
    ax.set_xticks(ticks, [style.thousands(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(left=-0.3)
