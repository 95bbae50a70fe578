"""How the time of every stage grows with each size of the data and of the question."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures.style import (
    PALETTE,
    beside,
    empty_figure,
    legend_outside,
    log_axis,
    panel_title,
    small_multiples,
    styled,
    words,
)

NAMES = {
    "n_cells": "cells",
    "n_peaks": "peaks",
    "n_open": "open peaks per cell",
    "n_genes": "genes",
    "set_size": "set size",
    "candidates": "candidates",
}
MARKERS = "osD^vX"


@styled
def scale_cost(costs: pd.DataFrame, exponents: pd.DataFrame) -> Figure:
    """A panel per stage: seconds against each size relative to the middle point, with the fitted exponents.

    Parameters
    ----------
    costs : DataFrame
        ``scale/costs.tsv``.
    exponents : DataFrame
        ``scale/exponents.tsv``.

    Returns
    -------
    Figure
        Points are fastest repeats, lines the fitted power laws.
    """
    fits = exponents[exponents["quantity"] == "seconds"]
    if fits.empty:
        return empty_figure("no size has three values")
    looks = {size: (PALETTE[i], MARKERS[i]) for i, size in enumerate(NAMES)}
    stages = pd.unique(fits["stage"])
    figure, axes = small_multiples(len(stages), 3, 1.75, 0.5)
    for ax, stage in zip(axes, stages, strict=True):
        panel_title(ax, words(stage))
        _draw(ax, costs[costs["stage"] == stage], fits[fits["stage"] == stage], looks)
    for ax in axes[-3:]:
        ax.set_xlabel("size, relative to the middle point")
    for ax in axes[::3]:
        ax.set_ylabel("seconds")
    shown = [size for size in NAMES if size in set(fits["size"])]
    handles = [Line2D([], [], color=looks[size][0], marker=looks[size][1], ms=3.5) for size in shown]
    legend_outside(figure, handles, [NAMES[size] for size in shown])
    return figure


def _draw(ax: Axes, costs: pd.DataFrame, fits: pd.DataFrame, looks: dict) -> None:
    middle = costs[costs["point"] == "middle"].iloc[0]
    drawn = []
    for fit in fits.itertuples():
        colour, marker = looks[fit.size]
        part = costs[(costs["varied"] == fit.size) & ~costs["point"].str.startswith("paper")]
        part = pd.concat([part, middle.to_frame().T]).sort_values(fit.size)
        x = part[fit.size].to_numpy(float) / middle[fit.size]
        y = part["seconds"].to_numpy(float)
        ax.plot(x, y, marker, ms=3, color=colour, label=f"_{fit.size}")
        level = np.exp(np.log(y).mean() - fit.exponent * np.log(x).mean())
        ax.plot(x, level * x**fit.exponent, lw=0.8, color=colour, label=f"_{fit.size} fit")
        drawn.append(
            (level * x[-1] ** fit.exponent, f"{fit.exponent:.2f} ± {fit.standard_error:.2f}", colour)
        )
    low, high = costs["seconds"].min(), costs["seconds"].max()
    log_axis(ax.xaxis, 0.1, 9)
    log_axis(ax.yaxis, low / 2, high * 2)
    ax.set_ylim(low / 2, high * 2)
    for place, (_, text, colour) in enumerate(sorted(drawn)):
        height = np.exp(np.interp(place, [-0.5, len(drawn) - 0.5], np.log([low / 2, high * 2])))
        beside(ax, height, text.replace("-", "−"), color=colour, fontsize=5.5)
