"""Where each method's members lie relative to their gene, against chance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import binomtest

from benchmarks.explainers.figures.benchmark_methods import groups, looks, method_rows
from grids.figures import style
from grids.figures.scales import flags

HITS = {
    "hit": "sets with a member\nin the gene (%)",
    "soft_hit": "sets with a member\nwithin 10 Mb (%)",
}
SAME_CHROMOSOME = "members on the\ngene's chromosome (%)"
CLOSEST = "closest member\nto the TSS (bp)"
CHANCE = {"marker": "|", "ms": 8, "mew": 1.4, "color": style.INK, "ls": ""}


@style.styled
def benchmark_locations(locations: pd.DataFrame) -> Figure:
    """One row per method, one block per set size: hits, soft hits, same chromosome, closest member.

    Parameters
    ----------
    locations : DataFrame
        ``locations.tsv``: :data:`grids.analysis.effects.LOCATION_COLUMNS`.

    Returns
    -------
    Figure
        Shares of sets with their 95 % Wilson interval; means of shares, and distances, with one small dot per task
        and the median of distances. Upright bars: what as many random peaks would give.
    """
    if locations.empty:
        return style.empty_figure("no sets: no task was run")
    parts = groups(locations)
    styles = looks(locations["method"])
    counts = [part["method"].nunique() for part in parts.values()]
    figure = style.new_figure(style.DOUBLE_COLUMN, 0.145 * sum(counts) + 0.75 * len(parts) + 0.4)
    axes = figure.subplots(len(parts), 4, squeeze=False, sharey="row", sharex="col", height_ratios=counts)
    for row, (title, part) in zip(axes, parts.items(), strict=True):
        methods = [method for method in styles if (part["method"] == method).any()]
        for at, method in enumerate(methods):
            own = part[part["method"] == method]
            colour = styles[method][0]
            for ax, column in zip(row, HITS, strict=False):
                _draw_hits(ax, own, column, at, colour)
            _draw_shares(row[2], own, at, colour)
            _draw_closest(row[3], own, at, colour)
        for ax in row:
            method_rows(ax, methods)
        style.panel_title(row[0], title, fontweight="bold")
    closest = locations["closest_bp"].astype(float).clip(lower=1).dropna()
    if len(closest):
        style.log_axis(axes[0, 3].xaxis, closest.min(), closest.max())
    for ax, label in zip(axes[-1], [*HITS.values(), SAME_CHROMOSOME, CLOSEST], strict=True):
        ax.set_xlabel(label)
    for ax in axes[0, :2]:
        ax.set_xlim(-4, 104)
    axes[0, 2].set_xlim(left=-2)
    key = [
        Line2D([], [], ls="", marker="o", ms=4, color=style.GREY),
        Line2D([], [], ls="", marker="o", ms=2, color=style.GREY, alpha=0.5),
        Line2D([], [], **CHANCE),
    ]
    style.legend_outside(figure, key, ["all tasks (closest: median)", "one task", "chance"])
    return figure


def _draw_hits(ax: Axes, own: pd.DataFrame, column: str, at: int, colour: str) -> None:
    hits = flags(own[column])
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    ax.hlines(at, 100 * interval.low, 100 * interval.high, color=colour, lw=0.8, label="_interval")
    ax.plot(100 * hits.mean(), at, "o", ms=4, color=colour, zorder=3, label=f"_{column}")
    ax.plot(100 * own[f"expected_{column}"].mean(), at, **CHANCE, label=f"_chance {column}")


def _draw_shares(ax: Axes, own: pd.DataFrame, at: int, colour: str) -> None:
    shares = 100 * own["share_same_chromosome"].to_numpy(dtype=float)
    ax.plot(shares, np.full(len(shares), at), "o", ms=2, color=colour, alpha=0.5, mew=0)
    ax.plot(shares.mean(), at, "o", ms=4, color=colour, zorder=3, label="_same chromosome")
    chance = 100 * own["expected_share_same_chromosome"].mean()
    ax.plot(chance, at, **CHANCE, label="_chance same chromosome")


def _draw_closest(ax: Axes, own: pd.DataFrame, at: int, colour: str) -> None:
    closest = own["closest_bp"].astype(float).clip(lower=1)
    ax.plot(closest, np.full(len(closest), at), "o", ms=2, color=colour, alpha=0.5, mew=0)
    # A set without a member on the chromosome is further away than any.
    middle = np.median(closest.fillna(np.inf))
    if np.isfinite(middle):
        ax.plot(middle, at, "o", ms=4, color=colour, zorder=3, label="_closest")
