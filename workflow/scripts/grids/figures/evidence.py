"""How predictors of enhancer-gene pairs agree with outside evidence."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style
from grids.figures.scales import population_name
from grids.figures.tasks import forced_key, how_many, levels_of, mark_forced_rows, name_rows
from grids.io.levels import ACROSS_TYPES

# Colour and marker of each predictor, so that print without colour tells them apart too.
_LOOK = {
    "grids": ("GRIDS", style.VERMILLION, "o"),
    "distance": ("distance", style.GREY, "s"),
    "correlation": ("|correlation|", style.BLUE, "D"),
    "accessibility_over_distance": ("open share / distance⁰·⁸⁷", style.GREEN, "^"),
}
_NO_SKILL = {"color": style.INK, "lw": 0.8, "ls": (0, (2, 1.5))}


@style.styled
def evidence(table: pd.DataFrame, max_rows: int = 16) -> Figure:
    """One row per table of evidence and cell type, one point with its 95 % interval per predictor.

    Left the area under the precision-recall curve, with the share of positive pairs as a line: what a predictor
    that knows nothing reaches. Right the enrichment of the top pairs over pairs at the same distance, with a line
    at 1. Hatched: none of the genes passed the quality gate. Of the rows of ``evidence.tsv``, `max_rows` with the most
    positive pairs are drawn, none without; a note counts the rest.
    """
    table = table[table["n_positive"] > 0].astype({"evidence": str, "cell_type": str})
    if table.empty:
        return style.empty_figure("no explained gene has a positive pair in the evidence")
    rows = table.drop_duplicates(["evidence", "cell_type"])
    shown = rows.sort_values("n_positive", ascending=False, kind="stable").head(max_rows).sort_index()
    shown = shown.iloc[np.argsort(levels_of(shown) == ACROSS_TYPES, kind="stable")]
    predictors = [*dict.fromkeys(table["predictor"])]
    figure = style.new_figure(style.SINGLE_COLUMN, 0.46 * len(shown) + 1.2)
    left, right = figure.subplots(1, 2, sharey=True)
    for row, group in enumerate(shown.itertuples()):
        of_row = table[(table["evidence"] == group.evidence) & (table["cell_type"] == group.cell_type)]
        left.vlines(group.n_positive / group.n_pairs, row - 0.4, row + 0.4, **_NO_SKILL, label="_base rate")
        _draw_row(left, right, row, of_row.set_index("predictor"), predictors)
    right.axvline(1, **_NO_SKILL)
    labels = [
        f"{style.shorten(row.evidence, 16)}\n{style.shorten(population_name(row.cell_type), 16)}\n"
        f"{row.n_positive} of {row.n_pairs} pairs"
        for row in shown.itertuples()
    ]
    forced = shown["n_not_passed"] > 0
    name_rows(left, labels, margin=0, fontsize=5.5)
    right.tick_params(axis="y", length=0)
    for ax in (left, right):
        mark_forced_rows(ax, forced)
        for edge in range(1, len(shown)):
            ax.axhline(edge - 0.5, color=style.PALE, lw=0.5)
    left.set(xlim=(-0.03, 1.03), xlabel=style.lines("AUPRC", how_many(len(rows), len(shown), "rows")))
    left.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    right.set_xlim(left=-0.04 * right.get_xlim()[1])
    right.set_xlabel("enrichment over pairs\nat the same distance")
    style.panel_title(left, "All judged pairs")
    style.panel_title(right, "Top pairs of each gene")
    looks = map(_look, predictors)
    key = [Line2D([], [], color=c, marker=m, ms=3.2, lw=0.8, label=name) for name, c, m in looks]
    key = [*key, Line2D([], [], **_NO_SKILL, label="no skill"), *forced_key(forced)]
    style.legend_outside(figure, key, limit=2)
    return figure


def _draw_row(left: Axes, right: Axes, row: int, of_row: pd.DataFrame, predictors: list[str]) -> None:
    """The points of the predictors with their intervals, one below the other; nothing where a value is missing."""
    for place, predictor in enumerate(predictors):
        if predictor not in of_row.index:
            continue
        y, own = row + 0.7 * ((place + 0.5) / len(predictors) - 0.5), of_row.loc[predictor]
        _, colour, marker = _look(predictor)
        for ax, value in ((left, "auprc"), (right, "enrichment")):
            if np.isfinite(own[value]):
                interval = own[f"{value}_low"], own[f"{value}_high"]
                ax.hlines(y, *interval, color=colour, lw=0.8, label=f"_{value} interval")
                ax.plot(own[value], y, marker, ms=3.2, color=colour, label=f"_{value} {predictor}")


def _look(predictor: str) -> tuple:
    return _LOOK.get(predictor, (style.shorten(style.words(predictor), 28), style.ORANGE, "v"))
