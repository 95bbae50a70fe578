"""What each method reaches on each task, in per cent of what GRIDS reaches."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from benchmarks.explainers.comparisons import TASK, TIE_SHARE
from benchmarks.explainers.figures.benchmark_methods import groups, shares_of_reference
from benchmarks.explainers.methods import REFERENCE, in_order, method_name
from benchmarks.explainers.tables import decimals
from grids.figures import style
from grids.figures.scales import heat_bar, ink_on
from grids.figures.tasks import not_shown

COLOURS = LinearSegmentedColormap.from_list("share", ["#ffffff", "#9ecae1", style.BLUE, "#00304d"])
LABELS, MOST_CELL_WIDTH, ROW_HEIGHT, HEADER = 1.45, 0.3, 0.15, 1.0  # inches
MOST_COLUMNS_BESIDE = 20


@style.styled
def benchmark_tasks(effects: pd.DataFrame, max_tasks: int = 40) -> Figure:
    """A heat map per set size: rows are tasks, columns methods.

    Parameters
    ----------
    effects : DataFrame
        ``effects.tsv`` of the benchmark.
    max_tasks : int
        At most so many rows, those that GRIDS moves most; a note counts the rest.

    Returns
    -------
    Figure
        Colour and number: change of mean log-expression in per cent of GRIDS' one on the task. The first column
        holds GRIDS' change itself. Outlined: the method goes further than GRIDS by more than a tie.
    """
    shares = shares_of_reference(effects)
    if shares.empty:
        return style.empty_figure("GRIDS moved no gene in the direction asked")
    parts = groups(shares)
    strength = shares[shares["method"] == REFERENCE].groupby(TASK, dropna=False)["log_change"]
    strongest = strength.apply(lambda values: values.abs().max()).sort_values(ascending=False, kind="stable")
    tasks = sorted(strongest.index[:max_tasks])
    methods = in_order(shares["method"])
    n_across = 2 if len(methods) <= MOST_COLUMNS_BESIDE and len(parts) > 1 else 1
    n_down = -(-len(parts) // n_across)
    width = LABELS + n_across * len(methods) * MOST_CELL_WIDTH
    width = min(max(width, style.SINGLE_COLUMN), style.DOUBLE_COLUMN)
    figure = style.new_figure(width, n_down * (ROW_HEIGHT * len(tasks) + HEADER) + 0.75)
    axes = figure.subplots(n_down, n_across, squeeze=False, sharey=True).ravel()
    norm = Normalize(0, 100)
    for ax, (title, part) in zip(axes, parts.items(), strict=False):
        _draw(ax, part, tasks, methods, norm)
        style.panel_title(ax, title, fontweight="bold")
    for ax in axes[len(parts) :]:
        ax.set_axis_off()
    labels = [f"{style.shorten(gene, 16)} · {style.shorten(cell_type, 14)}" for cell_type, gene in tasks]
    for ax in axes[::n_across]:
        ax.set_yticks(np.arange(len(tasks)) + 0.5, labels, fontsize=5.5)
    bar = heat_bar(figure, axes, norm, COLOURS, "both")
    note = not_shown(len(strongest), len(tasks))
    bar.set_label("change of log-expression, % of GRIDS'" + (f"\n{note}" if note else ""))
    key = [
        Patch(facecolor="none", edgecolor=style.VERMILLION, lw=1),
        Patch(color=style.PALE),
        Patch(facecolor="none", lw=0),
    ]
    names = [
        "further than GRIDS (by more than 1 %)",
        "missing",
        "first column: change by GRIDS (natural log)",
    ]
    style.legend_outside(figure, key, names)
    return figure


def _draw(ax: Axes, part: pd.DataFrame, tasks: list[tuple], methods: list[str], norm: Normalize) -> None:
    rows, columns = pd.MultiIndex.from_tuples(tasks, names=TASK), pd.Index(methods)
    share = part.pivot(index=TASK, columns="method", values="share").reindex(index=rows, columns=columns)
    change = part.pivot(index=TASK, columns="method", values="log_change").reindex(
        index=rows, columns=columns
    )
    values = share.to_numpy(dtype=float)
    ax.set_facecolor(style.PALE)
    ax.pcolormesh(np.ma.masked_invalid(values), cmap=COLOURS, norm=norm, ec="white", lw=0.3, label="_share")
    further = values - 100 > 100 * TIE_SHARE
    for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True):
        own = methods[j] == REFERENCE
        text = decimals(change.iloc[i, j], 1) if own else decimals(values[i, j], 0)
        ax.text(j + 0.5, i + 0.53, text, ha="center", va="center", fontsize=4.2,
                color=str(ink_on(COLOURS(norm(values[i, j])))))  # fmt: skip
        if further[i, j]:
            ax.add_patch(
                Rectangle((j, i), 1, 1, fill=False, ec=style.VERMILLION, lw=1, zorder=3, label="_further")
            )
    names = [style.shorten(method_name(method), 24) for method in methods]
    ax.set_xticks(np.arange(len(methods)) + 0.5, names, rotation=90, fontsize=5.5)
    ax.tick_params(length=0, pad=1, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.set(xlim=(0, len(methods)), ylim=(len(tasks), 0))
    ax.spines[["left", "bottom"]].set_visible(False)
