"""Methods held against outside evidence: a panel per table of evidence and gene, a row per method."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.evidence.agreement import ALL_GENES
from benchmarks.evidence.methods import NAMES, OF_GRIDS, in_order
from grids.figures import style

_NO_SKILL = {"color": style.INK, "lw": 0.8, "ls": (0, (2, 1.5))}
N_COLUMNS = 4


@style.styled
def evidence_methods(table: pd.DataFrame, max_panels: int = 8) -> Figure:
    """AUPRC and its interval, with the share of positives as a line and the hits among the top pairs beside.

    Of the panels that have positive pairs, all genes together come first in each table of evidence; at most
    `max_panels` with the most positive pairs are drawn, and a note counts the rest.

    Parameters
    ----------
    table : DataFrame
        ``evidence_methods.tsv``.
    """
    table = table[table["n_positive"] > 0].astype({"evidence": str, "gene": str})
    if table.empty:
        return style.empty_figure("no gene of the tasks has a positive pair in the evidence")
    methods = in_order(table["method"])
    panels = _panels(table)
    shown = panels.head(max_panels).sort_index()
    columns = min(N_COLUMNS, len(shown))
    n_rows = -(-len(shown) // columns)
    figure = style.new_figure(1.5 + 1.42 * columns, (0.155 * len(methods) + 0.55) * n_rows + 0.5)
    axes = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.ravel()[len(shown) :]:
        ax.set_axis_off()
    for ax, panel in zip(axes.ravel(), shown.itertuples(), strict=False):
        rows = table[(table["evidence"] == panel.evidence) & (table["gene"] == panel.gene)]
        _draw(ax, rows.set_index("method"), methods)
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(methods)), [NAMES[name] for name in methods])
    axes[0, 0].set(xlim=(-0.03, 1.03), ylim=(len(methods) - 0.5, -0.7))
    axes[0, 0].set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    for column in range(columns):
        lowest = [ax for ax in axes[:, column] if ax.axison][-1]
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel("AUPRC")
    kinds = (("GRIDS", "o", style.VERMILLION, True), ("other methods", "s", style.BLUE, False))
    key = [Line2D([], [], **_NO_SKILL, label="share of positives")]
    for label, marker, colour, is_grids in kinds:
        if any((name in OF_GRIDS) == is_grids for name in methods):
            key.append(style.mark(label, marker, color=colour, ms=3.5))
    n_left = len(panels) - len(shown)
    if n_left:
        key.append(Line2D([], [], ls="", label=f"{n_left} panels with fewer positive pairs are not drawn"))
    style.legend_outside(figure, key)
    return figure


def _panels(table: pd.DataFrame) -> pd.DataFrame:
    """Tables of evidence and genes: numbered in the order they are drawn, sorted by how soon they are."""
    panels = table.drop_duplicates(["evidence", "gene"])
    order = {name: i for i, name in enumerate(panels["evidence"].unique())}
    is_all = panels["gene"] == ALL_GENES
    panels = panels.assign(rank=panels["evidence"].map(order), is_gene=~is_all)
    panels = panels.sort_values(["rank", "is_gene"], kind="stable").reset_index(drop=True)
    return panels.sort_values(["is_gene", "n_positive"], ascending=[True, False], kind="stable")


def _draw(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    first = rows.iloc[0]
    ax.axvline(first["n_positive"] / first["n_pairs"], **_NO_SKILL)
    n_grids = sum(name in OF_GRIDS for name in methods)
    if 0 < n_grids < len(methods):
        ax.axhline(n_grids - 0.5, color=style.PALE, lw=0.6)
    for y, name in enumerate(methods):
        if name not in rows.index:
            continue
        own, colour = rows.loc[name], _colour(name)
        if np.isfinite(own["auprc_low"]):
            ax.hlines(y, own["auprc_low"], own["auprc_high"], color=colour, lw=0.9)
        ax.plot(own["auprc"], y, "o" if name in OF_GRIDS else "s", ms=3.2, color=colour)
        style.beside(
            ax, y, f"{round(own['top_5_hits'], 1):g}/{own['top_5_pairs']:g}", color=colour, fontsize=5.5
        )
    title = f"{style.shorten(first['evidence'], 18)}\n{style.shorten(first['gene'], 18)}"
    style.panel_title(ax, f"{title}, {first['n_positive']:.0f} of {first['n_pairs']:.0f}", fontsize=6.5)
    style.beside(ax, -0.95, "top 5", color=style.GREY, fontsize=5.5)
    ax.tick_params(axis="y", length=0)


def _colour(method: str) -> str:
    return style.VERMILLION if method in OF_GRIDS else style.BLUE
