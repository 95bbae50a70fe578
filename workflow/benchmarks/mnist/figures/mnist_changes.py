"""The image benchmark: how far each method's pixels move the log odds of the test digits."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.explainers.comparisons import over_all_tasks
from benchmarks.explainers.methods import REFERENCE, in_order, method_name
from grids.figures import style

PALE_BLUE, PALE_VERMILLION = "#9cc7e3", "#f2b48c"


@style.styled
def mnist_changes(cells: pd.DataFrame, comparisons: pd.DataFrame) -> Figure:
    """Distribution over test digits of the log odds lost, a row per method, the largest mean on top.

    Parameters
    ----------
    cells : DataFrame
        ``mnist/cells.tsv.gz``: ``method cell gene before after``, log odds of each test digit.
    comparisons : DataFrame
        ``mnist/comparisons.tsv``: ``method cell_type gene cell_p_value``, paired tests of GRIDS against each rival.

    Returns
    -------
    Figure
        Dots are means, white lines medians.
    """
    if cells.empty:
        return style.empty_figure("no method was run on the digits")
    lost = (cells["before"] - cells["after"]).groupby(cells["method"], sort=False)
    means = lost.mean().loc[in_order(cells["method"])].sort_values(ascending=False, kind="stable")
    p_values = comparisons[over_all_tasks(comparisons)].set_index("method")["cell_p_value"]
    figure = style.new_figure(1.35 * style.SINGLE_COLUMN, 0.24 * len(means) + 0.85)
    ax = figure.subplots()
    for row, (method, mean) in enumerate(means.items()):
        own = method == REFERENCE
        values = lost.get_group(method).to_numpy()
        style.violins(
            ax, [values], [row], [PALE_VERMILLION if own else PALE_BLUE], width=0.85, vertical=False
        )
        ax.plot([np.median(values)] * 2, [row - 0.22, row + 0.22], color="white", lw=1.2)
        ax.plot(mean, row, "o", ms=3, color=style.VERMILLION if own else style.BLUE, label=f"_{method}")
        told = "" if own else f"   {style.number(p_values[method])}" if method in p_values else "   –"
        style.beside(ax, row, f"{mean:.2f}".replace("-", "−") + told, color=style.INK)
    style.beside(ax, -0.95, "mean   p against GRIDS", color=style.GREY)
    ax.axvline(0, color=style.GREY, lw=0.5, ls=":")
    ax.set_yticks(range(len(means)), [method_name(method) for method in means.index])
    ax.set_ylim(len(means) - 0.4, -0.6)
    n_digits = cells["cell"].nunique()
    ax.set_xlabel(f"log odds of {cells['gene'].iloc[0]} lost (natural log), {n_digits:,} test digits")
    style.few_ticks(ax, x=6)
    return figure
