"""How the figures of the benchmark tell methods and set sizes apart."""

from collections.abc import Iterable
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.explainers.comparisons import GROUP, TASK
from benchmarks.explainers.methods import REFERENCE, in_order, method_name
from grids.figures import style

PURPLE, OLIVE, SKY = "#882255", "#7a6a00", "#56b4e9"
# One colour for a family of methods, and a marker for each of its members.
LOOKS = {
    "grids": (style.VERMILLION, "o"),
    "greedy": (style.GREEN, "^"),
    "subset_sampler": (style.GREEN, "v"),
    "knock_out": (OLIVE, "s"),
    "saliency": (style.BLUE, "o"),
    "smoothgrad": (style.BLUE, "^"),
    "integrated_gradients": (style.BLUE, "s"),
    "lime": (style.ORANGE, "D"),
    "fimap": (style.ORANGE, "^"),
    "cxplain": (PURPLE, "o"),
    "cxplain_4": (PURPLE, "o"),
    "cxplain_16": (PURPLE, "^"),
    "cxplain_32": (PURPLE, "s"),
    "cxplain_64": (PURPLE, "D"),
    "sage": (SKY, "P"),
    "correlation": (style.GREY, "s"),
    "distance": (style.GREY, "X"),
    "random": (style.INK, "X"),
    "random_matched": (style.INK, "P"),
}


def looks(methods: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each method, in the order of the figures; an unknown method gets its own."""
    more = zip(cycle(reversed(style.PALETTE)), cycle("phd<>"), strict=False)
    return {method: LOOKS.get(method) or next(more) for method in in_order(methods)}


def groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Parts of a table that are drawn apart, by title: set sizes, and directions and surrogates where they differ."""
    several = [column for column in ("direction", "surrogate") if table[column].nunique() > 1]
    parts = {}
    for group, rows in table.groupby(GROUP, dropna=False):
        labels = dict(zip(GROUP, group, strict=True))
        parts[" · ".join([f"L = {labels['set_size']}", *(str(labels[name]) for name in several)])] = rows
    return parts


def method_rows(ax: Axes, methods: Iterable[str]) -> None:
    """Methods on the y axis, the first on top, every second one on a pale band."""
    methods = list(methods)
    ax.set_yticks(range(len(methods)), [style.shorten(method_name(method), 24) for method in methods])
    ax.set_ylim(len(methods) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    for row in range(0, len(methods), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=style.PALE, alpha=0.3, lw=0, zorder=0)
    for label in ax.get_yticklabels():
        if label.get_text() == method_name(REFERENCE):
            label.set_fontweight("bold")


def method_legend(figure: Figure, styles: dict[str, tuple[str, str]], line_width: float = 0.0) -> None:
    """Colour and marker of each method below the axes."""
    handles = [
        Line2D([], [], lw=line_width, ls="-" if line_width else "", marker=marker, ms=4, color=colour)
        for colour, marker in styles.values()
    ]
    style.legend_outside(
        figure, handles, [style.shorten(method_name(method), 24) for method in styles], limit=6
    )


def shares_of_reference(effects: pd.DataFrame, measure: str = "log_change") -> pd.DataFrame:
    """Each set's effect in per cent of the reference's effect on the same task and set size.

    Parameters
    ----------
    effects : DataFrame
        ``effects.tsv`` of the benchmark.
    measure : str

    Returns
    -------
    DataFrame
        The rows of tasks that the reference moved in the direction asked, with a column ``share``.
    """
    keys = [*GROUP, *TASK]
    own = effects[effects["method"] == REFERENCE].set_index(keys)[measure].rename("of_reference")
    joined = effects.join(own, on=keys)
    sign = joined["direction"].map({"silence": -1.0}).fillna(1.0)
    moved = joined[sign * joined["of_reference"] > 0]
    return moved.assign(share=100 * moved[measure] / moved["of_reference"]).drop(columns="of_reference")
