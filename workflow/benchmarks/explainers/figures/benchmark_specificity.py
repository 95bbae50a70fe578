"""What each method's sets do in the cell type in which they were found, and in the others."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.explainers.figures.benchmark_methods import groups, looks, method_rows
from grids.figures import style

SET = ["surrogate", "method", "gene", "direction", "found_in", "set_size"]


@style.styled
def benchmark_specificity(applied: pd.DataFrame) -> Figure:
    """One row per method, one panel per set size: change in the own cell type and in the other ones.

    Parameters
    ----------
    applied : DataFrame
        ``specificity.tsv``: :data:`grids.io.tables.SPECIFICITY_COLUMNS`.

    Returns
    -------
    Figure
        Medians and quartiles over sets; in the other types a set counts with its mean over them. At the right the
        median share of a set's own effect that the other types see.
    """
    sets = own_and_other_types(applied)
    if sets.empty:
        return style.empty_figure("no set was applied to another cell type")
    parts = groups(sets)
    styles = looks(sets["method"])
    methods = list(styles)
    height = 0.17 * len(methods) + 0.6
    n_across = min(2, len(parts))
    n_down = -(-len(parts) // n_across)
    figure = style.new_figure(style.DOUBLE_COLUMN * (0.55 if n_across == 1 else 1), height * n_down + 0.45)
    axes = figure.subplots(n_down, n_across, squeeze=False, sharey=True, sharex=True).ravel()
    for ax, (title, part) in zip(axes, parts.items(), strict=False):
        for at, method in enumerate(methods):
            own = part[part["method"] == method]
            if len(own):
                _draw(ax, own, at, styles[method][0])
        method_rows(ax, methods)
        ax.axvline(0, color=style.INK, lw=0.5)
        style.few_ticks(ax, x=5)
        style.beside(ax, -0.55, "kept in\nothers", (3, 1), va="bottom", color=style.GREY, fontsize=5.5)
        style.panel_title(ax, title, fontweight="bold")
        ax.set_xlabel(style.LOG_CHANGE)
    for ax in axes[len(parts) :]:
        ax.set_axis_off()
    key = [
        Line2D([], [], marker="o", ms=4, lw=1, color=style.GREY),
        Line2D([], [], marker="o", ms=4, lw=1, color=style.GREY, mfc="white"),
    ]
    style.legend_outside(figure, key, ["own cell type: median and quartiles", "other cell types"])
    return figure


def own_and_other_types(applied: pd.DataFrame) -> pd.DataFrame:
    """The change that each set makes in its own cell type, and on average in the other ones.

    Parameters
    ----------
    applied : DataFrame
        ``specificity.tsv``.

    Returns
    -------
    DataFrame, one row per set that was applied to its own and to another type
        Its keys, ``own``, ``others`` (mean log change over the other types) and ``kept`` (``others / own``; missing
        where the set does not move its own type).
    """
    is_own = applied["found_in"].astype(str) == applied["applied_to"].astype(str)
    own = applied[is_own].groupby(SET, dropna=False)["log_change"].mean().rename("own")
    others = applied[~is_own].groupby(SET, dropna=False)["log_change"].mean().rename("others")
    sets = pd.concat([own, others], axis=1).dropna().reset_index()
    return sets.assign(kept=sets["others"] / sets["own"].where(sets["own"] != 0))


def _draw(ax: Axes, own: pd.DataFrame, at: int, colour: str) -> None:
    for column, shift, face in (("own", -0.17, colour), ("others", 0.17, "white")):
        low, middle, high = np.quantile(own[column], [0.25, 0.5, 0.75])
        ax.hlines(at + shift, low, high, color=colour, lw=1)
        ax.plot(middle, at + shift, "o", ms=3.5, color=colour, mfc=face, zorder=3, label=f"_{column}")
    kept = own["kept"].median()
    style.beside(
        ax, at, "–" if np.isnan(kept) else f"{100 * kept:.0f} %".replace("-", "−"), (5, 0), fontsize=5.5
    )
