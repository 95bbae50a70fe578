"""How the time of every stage grows with each size of the data and of the question."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style

NAMES = {
    "n_cells": "cells",
    "n_peaks": "peaks",
    "n_open": "open peaks per cell",
    "n_genes": "genes",
    "set_size": "set size",
    "candidates": "candidates",
}
MARKERS = "osD^vX"


@style.styled
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
        return style.empty_figure("no size has three values")
    looks = {size: (style.PALETTE[i], MARKERS[i]) for i, size in enumerate(NAMES)}
    stages = pd.unique(fits["stage"])
    figure, axes = style.small_multiples(len(stages), 1.75, 0.5, n_columns=3)
    for ax, stage in zip(axes, stages, strict=True):
        style.panel_title(ax, style.words(stage))
        _draw(ax, costs[costs["stage"] == stage], fits[fits["stage"] == stage], looks)
    for ax in axes[-3:]:
        ax.set_xlabel("size, relative to the middle point")
    for ax in axes[::3]:
        ax.set_ylabel("seconds")
    shown = [size for size in NAMES if size in set(fits["size"])]
    handles = [Line2D([], [], color=looks[size][0], marker=looks[size][1], ms=3.5) for size in shown]
    style.legend_outside(figure, handles, [NAMES[size] for size in shown])
    return figure


def _draw(ax: Axes, costs: pd.DataFrame, fits: pd.DataFrame, looks: dict) -> None:
    middle = costs[costs["point"] == "middle"].iloc[0]
    in_star, ends, widths, heights = costs[~costs["point"].str.startswith("paper")], [], [], []
    for fit in fits.itertuples():
        colour, marker = looks[fit.size]
        part = in_star[(in_star["varied"] == fit.size) | (in_star["point"] == "middle")].sort_values(fit.size)
        x = part[fit.size].to_numpy(float) / middle[fit.size]
        y = part["seconds"].to_numpy(float)
        ax.plot(x, y, marker, ms=3, color=colour, label=f"_{fit.size}")
        fitted = np.exp(np.log(y).mean() + fit.exponent * (np.log(x) - np.log(x).mean()))
        ax.plot(x, fitted, lw=0.8, color=colour, label=f"_{fit.size} fit")
        ends.append((fitted[-1], f"{fit.exponent:.2f} ± {fit.standard_error:.2f}".replace("-", "−"), colour))
        widths += [*x]
        heights += [*y, *fitted]
    low, high = min(heights) / 1.5, max(heights) * 1.5
    style.log_axis(ax.yaxis, low, high)
    ax.set_ylim(low, high)
    ax.set_xscale("log", base=2)
    powers = 2.0 ** np.arange(np.floor(np.log2(min(widths))), np.ceil(np.log2(max(widths))) + 1)
    ax.set_xticks(powers, [f"{power:g}" for power in powers])
    places = np.exp(np.interp(np.arange(len(ends)), [-0.5, len(ends) - 0.5], np.log([low, high])))
    for place, (_, text, colour) in zip(places, sorted(ends), strict=True):
        style.beside(ax, place, text, color=colour, fontsize=5.5)
