"""How far each method's sets move test cells: all cells, the tasks' means, and tests against GRIDS."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.explainers.comparisons import MEASURES, TASK, over_all_tasks
from benchmarks.explainers.figures.benchmark_methods import groups, looks, method_rows
from benchmarks.explainers.tables import decimals, probability
from grids.figures import style

DRAWN = {
    "relative_change": ("relative change of predicted\nexpression (%)", 100.0),
    "absolute_change": ("absolute change of predicted\nexpression (normalised counts)", 1.0),
}
BOX = ("whislo", "q1", "med", "q3", "whishi")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# The part of a symmetric log axis that is linear around zero, at most.
LINEAR_SHARE = 0.05
TEST_PLACES = (5, 46, 78)  # points right of the axes


@style.styled
def benchmark_changes(cells: pd.DataFrame, comparisons: pd.DataFrame) -> Figure:
    """One row per method, one block per set size: distribution over cells, tasks' means, paired tests.

    Parameters
    ----------
    cells : DataFrame
        ``cells.tsv.gz``: predicted log-expression of every test cell before and after.
    comparisons : DataFrame
        ``comparisons.tsv``, of :func:`benchmarks.explainers.comparisons.compare`.

    Returns
    -------
    Figure
        Boxes hold the quartiles of all cells of all tasks, whiskers 5 to 95 %; dots are means of tasks. At the
        right the reference's wins, ties and losses over tasks, p of the test over tasks and its effect size.
    """
    if cells.empty:
        return style.empty_figure("no test cells with predictions before and after")
    parts = groups(cells)
    tests = groups(comparisons)
    styles = looks(cells["method"])
    counts = [part["method"].nunique() for part in parts.values()]
    figure = style.new_figure(style.DOUBLE_COLUMN, 0.17 * sum(counts) + 0.75 * len(parts) + 0.5)
    axes = figure.subplots(len(parts), 2, squeeze=False, sharey="row", height_ratios=counts)
    for row, (title, part) in zip(axes, parts.items(), strict=True):
        methods = [method for method in styles if (part["method"] == method).any()]
        for ax, (measure, (label, factor)) in zip(row, DRAWN.items(), strict=True):
            values = factor * MEASURES[measure](part["before"], part["after"])
            _draw(ax, part.assign(value=values), methods, styles)
            ax.set_xlabel(label)
            method_rows(ax, methods)
        style.few_ticks(row[0], x=6)
        _symmetric_log(row[1])
        if title in tests:
            _write_tests(row[1], tests[title], methods)
        style.panel_title(row[0], title, fontweight="bold")
    key = [
        Patch(facecolor=style.PALE, edgecolor=style.INK, lw=0.6),
        Line2D([], [], ls="", marker="o", ms=2.5, color=style.GREY, mec="white", mew=0.3),
    ]
    names = ["cells of all tasks: quartiles, median, 5 to 95 %", "mean of one task"]
    style.legend_outside(figure, key, names)
    return figure


def _draw(ax: Axes, part: pd.DataFrame, methods: list[str], styles: dict) -> None:
    boxes = []
    for row, method in enumerate(methods):
        own = part[part["method"] == method]
        boxes.append(dict(zip(BOX, np.quantile(own["value"], QUANTILES), strict=True)))
        means = own.groupby(TASK, dropna=False)["value"].mean().to_numpy()
        heights = row + (np.linspace(-0.25, 0.25, len(means)) if len(means) > 1 else np.zeros(1))
        ax.plot(means, heights, "o", ms=2.3, color=styles[method][0], mec="white", mew=0.3, zorder=4,
                label=f"_tasks {method}")  # fmt: skip
    drawn = ax.bxp(boxes, positions=range(len(boxes)), widths=0.66, showfliers=False, patch_artist=True,
                   orientation="horizontal", manage_ticks=False)  # fmt: skip
    for method, box, middle in zip(methods, drawn["boxes"], drawn["medians"], strict=True):
        box.set(
            facecolor=to_rgba(styles[method][0], 0.3), edgecolor=style.INK, lw=0.5, label=f"_box {method}"
        )
        middle.set(color=style.INK, lw=1.2)
    for line in (*drawn["whiskers"], *drawn["caps"]):
        line.set(lw=0.5, color=style.INK)
    ax.axvline(0, color=style.INK, lw=0.5)


def _symmetric_log(ax: Axes) -> None:
    """A log axis on both sides of zero, for tasks whose genes differ by orders of magnitude."""
    far = max(np.abs(ax.get_xlim()))
    # A power of ten, so that ticks stand at the ends of the linear part.
    linear = 10.0 ** np.floor(np.log10(far * LINEAR_SHARE)) if far > 0 else 1.0
    ax.set_xscale("symlog", linthresh=linear, linscale=0.5)
    ticks = linear * 10.0 ** np.arange(8)
    ticks = ticks[ticks <= far]
    ticks = np.concatenate([-ticks[::-1], [0], ticks])
    low, high = ax.get_xlim()
    ax.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(low, high)


def _write_tests(ax: Axes, comparisons: pd.DataFrame, methods: list[str]) -> None:
    """Wins, ties, losses, p and effect size right of the axes; of a single task those of its cells."""
    pooled = over_all_tasks(comparisons) & (comparisons["measure"] == "log_change")
    of_method = comparisons[pooled].set_index("method")
    if of_method.empty:
        return
    unit = "task" if of_method["n_tasks"].max() > 1 else "cell"
    for place, header in zip(TEST_PLACES, ["win/tie/loss", f"p ({unit}s)", "effect"], strict=True):
        style.beside(ax, -0.55, header, (place, 2), va="bottom", color=style.GREY, fontsize=5.5)
    for row, method in enumerate(methods):
        if method not in of_method.index:
            continue
        test = of_method.loc[method]
        texts = [
            f"{test['wins']}/{test['ties']}/{test['losses']}",
            probability(test[f"{unit}_p_value"]),
            decimals(test[f"{unit}_rank_biserial"], 2),
        ]
        for place, text in zip(TEST_PLACES, texts, strict=True):
            style.beside(ax, row, text, (place, 0), fontsize=5.5)
