"""How each method's effect grows with the size of its set."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from benchmarks.explainers.figures.benchmark_methods import looks, method_legend, shares_of_reference
from grids.figures import style


@style.styled
def benchmark_set_size(effects: pd.DataFrame) -> Figure:
    """Median effect over tasks against the set size, one line per method; beside it in per cent of GRIDS'.

    Parameters
    ----------
    effects : DataFrame
        ``effects.tsv`` of the benchmark; each set size is a search of its own.

    Returns
    -------
    Figure
        With a single size the lines are points. The right panel's shares are taken task by task.
    """
    if effects.empty:
        return style.empty_figure("no effects: no task was run")
    styles = looks(effects["method"])
    figure = style.new_figure(style.DOUBLE_COLUMN, 3.1)
    left, right = figure.subplots(1, 2)
    _draw(left, effects, "log_change", styles)
    left.axhline(0, color=style.INK, lw=0.5)
    left.set_ylabel(style.LOG_CHANGE.replace(" (", "\n(") + ", median over tasks")
    shares = shares_of_reference(effects)
    if len(shares):
        _draw(right, shares, "share", styles)
    right.set_ylabel("median share of GRIDS' effect (%)")
    style.panel_title(left, "Effect")
    style.panel_title(right, "Against GRIDS")
    method_legend(figure, styles, line_width=0.9)
    return figure


def _draw(ax: Axes, table: pd.DataFrame, value: str, styles: dict) -> None:
    medians = table.groupby(["method", "set_size"])[value].median()
    # The first method, GRIDS, is drawn last, on top of those that tie with it.
    for method, (colour, marker) in reversed(styles.items()):
        if method in medians.index:
            own = medians[method].sort_index()
            ax.plot(own.index, own, marker=marker, ms=3.5, lw=0.9, color=colour, label=f"_{method}", zorder=3)
    sizes = sorted(table["set_size"].unique())
    ax.set_xscale("log", base=2)
    ax.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("peaks in the set (L)")
    ax.margins(y=0.06)
