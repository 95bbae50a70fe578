"""The synthetic benchmark: recovery of the known best sets by function, background and method."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.explainers.figures.benchmark_methods import looks, method_rows
from grids.figures import style

# Score, its marker's filling, and its name.
SCORES = {"f1": (True, "F1 of members"), "effect_share": (False, "effect, as a share of the best set's")}
APART = 0.2


@style.styled
def synthetic_recovery(summary: pd.DataFrame) -> Figure:
    """A panel per function and background; a row per method with F1 (filled) and share of the best effect (open).

    Parameters
    ----------
    summary : DataFrame
        ``synthetic/summary.tsv``: ``function background method score mean standard_error n_replicates``.

    Returns
    -------
    Figure
        Bars are one standard error over replicates on either side.
    """
    shown = summary[summary["score"].isin(SCORES)]
    if shown.empty:
        return style.empty_figure("no method was run on the synthetic functions")
    styles = looks(shown["method"])
    functions, backgrounds = shown["function"].unique(), sorted(shown["background"].unique())
    height = 0.17 * len(styles) + 0.45
    figure = style.new_figure(style.DOUBLE_COLUMN, height * len(backgrounds) + 0.6)
    axes = figure.subplots(len(backgrounds), len(functions), sharex=True, sharey=True, squeeze=False)
    for background, row in zip(backgrounds, axes, strict=True):
        for function, ax in zip(functions, row, strict=True):
            part = shown[(shown["function"] == function) & (shown["background"] == background)]
            _draw(ax, part, styles)
            style.panel_title(ax, style.words(function) if ax in axes[0] else "")
        row[0].set_ylabel("no background" if background == 0 else f"background {background:g}")
    for ax in axes[-1]:
        ax.set_xlabel("share")
    handles = [
        Line2D(
            [], [], ls="", marker="o", ms=4, color=style.INK, mfc=style.INK if filled else "white", label=name
        )
        for filled, name in SCORES.values()
    ]
    style.legend_outside(figure, handles, [handle.get_label() for handle in handles])
    return figure


def _draw(ax: Axes, part: pd.DataFrame, styles: dict[str, tuple[str, str]]) -> None:
    method_rows(ax, styles)
    for (score, (filled, _)), offset in zip(SCORES.items(), (-APART, APART), strict=True):
        rows = part[part["score"] == score].set_index("method")
        for place, (method, (colour, marker)) in enumerate(styles.items()):
            if method in rows.index:
                value = rows.loc[method]
                ax.errorbar(
                    value["mean"], place + offset, xerr=value["standard_error"], fmt=marker, ms=3, lw=0.7,
                    color=colour, mfc=colour if filled else "white", mew=0.7, label=f"_{score} {method}",
                )  # fmt: skip
    ax.axvline(1, color=style.GREY, lw=0.4, ls=":")
    ax.set_xlim(-0.06, 1.08)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
