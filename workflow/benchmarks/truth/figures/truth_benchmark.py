"""The truth benchmark: recovery of planted members by level and method, and calls of the logic."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures.style import (
    BLUE,
    DOUBLE_COLUMN,
    GREY,
    INK,
    PALE,
    PALETTE,
    VERMILLION,
    empty_figure,
    legend_outside,
    new_figure,
    panel_title,
    shorten,
    styled,
    words,
)
from grids.io.tables import LOGICS

FACTORS = {"n_cells": "{:,.0f} cells", "coaccessibility": "co-access. {:g}", "detection": "detection {:g}"}
RECOVERED = ("redundant", "multiplicative", "synergistic", "single")
WIDE = "redundant"  # where methods differ most
# These know the members: they have nothing to recover.
TOLD = ("grids_window_told", "grids_window_told_logic")
# Colour and marker of the known methods, in the figure's order; filled circles are GRIDS.
METHODS = {
    "grids_window": (VERMILLION, "o"),
    "grids_window_search": (VERMILLION, "P"),
    "grids_cross_modality": (BLUE, "o"),
    "single_peak_scan": ("#009e73", "^"),
    "gradient_saliency": ("#cc79a7", "v"),
    "correlation": ("#e69f00", "s"),
    "ridge": ("#56b4e9", "s"),
    "poisson_ridge": ("#7a6a00", "s"),
    "distance": (GREY, "x"),
    "accessibility_over_distance": (GREY, "+"),
    "oracle_observed": (INK, "|"),
    "oracle_hidden": (INK, "D"),
}
NAMES = {
    "grids_window": "GRIDS, window",
    "grids_window_search": "GRIDS, its search",
    "grids_window_told": "GRIDS, told members",
    "grids_window_told_logic": "GRIDS, told logic",
    "grids_cross_modality": "GRIDS, cross-modality",
    "correlation": "|correlation|",
    "poisson_ridge": "Poisson ridge",
    "accessibility_over_distance": "accessibility / distance",
    "oracle_observed": "oracle, observed peaks",
    "oracle_hidden": "oracle, hidden openness",
}
SCORES = {"f1": "F1 of members", "auprc": "AUPRC of members", "exact_recovery": "share of sets found exactly"}


@styled
def truth_benchmark(summary: pd.DataFrame, confusion: pd.DataFrame, score: str = "f1") -> Figure:
    """Recovery by level, logic and method above; below, which logic was called for which, over all levels.

    Parameters
    ----------
    summary : DataFrame
        ``truth_summary.tsv``: ``n_cells coaccessibility detection logic method score mean standard_error
        n_genes``.
    confusion : DataFrame
        ``truth_confusion.tsv``: ``method logic logic_call n_genes`` by level.
    score : {"f1", "auprc", "exact_recovery"}

    Returns
    -------
    Figure
        Bars are one standard error over genes on either side.
    """
    scored = summary[(summary["score"] == score) & ~summary["method"].isin(TOLD)]
    if scored.empty:
        return empty_figure("no method was scored on planted members")
    levels = level_names(scored)
    styles = method_styles(scored["method"])
    logics = [logic for logic in RECOVERED if (scored["logic"] == logic).any()]
    callers = [*method_styles(confusion["method"])]
    row_height = 0.075 * (len(styles) + 2)
    n_rows = -(-len(callers) // 4)
    heights = [row_height * len(levels) + 0.4, *[1.75] * n_rows]
    figure = new_figure(DOUBLE_COLUMN, sum(heights) + 0.8)
    parts = figure.subfigures(
        2 if callers else 1, 1, height_ratios=[heights[0], sum(heights[1:])][: 1 + bool(callers)]
    )
    parts = np.atleast_1d(parts)
    ratios = [2.2 if logic == WIDE else 1 for logic in logics]
    axes = parts[0].subplots(1, len(logics), sharey=True, squeeze=False, width_ratios=ratios)[0]
    for ax, logic in zip(axes, logics, strict=True):
        _draw_recovery(ax, scored[scored["logic"] == logic], levels, styles, wide=logic == WIDE)
        panel_title(ax, words(logic))
        ax.set_xlabel(SCORES[score] if logic == logics[0] else SCORES[score].split(" ")[0])
    axes[0].set_yticks(range(len(levels)), list(levels.values()))
    if callers:
        grid = parts[1].subplots(n_rows, 4, squeeze=False)
        for ax in grid.ravel()[len(callers) :]:
            ax.set_axis_off()
        for ax, method in zip(grid.ravel(), callers, strict=False):
            _draw_confusion(ax, confusion[confusion["method"] == method], first=ax in grid[:, 0])
            panel_title(ax, f"logic called:\n{shorten(method_name(method), 26)}", fontsize=6)
    handles = [Line2D([], [], ls="", marker=marker, ms=4, color=colour) for colour, marker in styles.values()]
    legend_outside(figure, handles, [method_name(method) for method in styles], limit=6)
    return figure


def level_names(summary: pd.DataFrame) -> dict[tuple, str]:
    """Levels in the table's order; in a star, by what sets them apart from the middle, which comes first."""
    levels = list(dict.fromkeys(summary[list(FACTORS)].itertuples(index=False, name=None)))
    middle = levels[0]
    differing = [sum(a != b for a, b in zip(level, middle, strict=True)) for level in levels]
    texts = [
        [text.format(value) for text, value in zip(FACTORS.values(), level, strict=True)] for level in levels
    ]
    names = {}
    for level, n_differing, text in zip(levels, differing, texts, strict=True):
        apart = [t for t, a, b in zip(text, level, middle, strict=True) if a != b]
        names[level] = apart[0] if max(differing) == 1 and n_differing else "\n".join(text)
    return names


def method_styles(methods: pd.Series) -> dict[str, tuple[str, str]]:
    """Colour and marker of the methods of a table: known ones first, others in the order they come."""
    present = list(dict.fromkeys(methods))
    others = [method for method in present if method not in METHODS]
    more = {method: (PALETTE[-1 - i % len(PALETTE)], "p") for i, method in enumerate(others)}
    return {name: style for name, style in {**METHODS, **more}.items() if name in present}


def method_name(method: str) -> str:
    """A method's name as the figure writes it."""
    return NAMES.get(method, words(method))


def _draw_recovery(ax: Axes, table: pd.DataFrame, levels: dict, styles: dict, wide: bool) -> None:
    offsets = np.linspace(-0.4, 0.4, len(styles)) if len(styles) > 1 else [0.0]
    row_of = {level: row for row, level in enumerate(levels)}
    for row in range(0, len(levels), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=PALE, alpha=0.25, lw=0)
    for offset, (method, (colour, marker)) in zip(offsets, styles.items(), strict=True):
        part = table[table["method"] == method]
        rows = [row_of[level] for level in part[list(FACTORS)].itertuples(index=False, name=None)]
        ax.errorbar(
            part["mean"],
            np.array(rows, dtype=float) + offset,
            xerr=part["standard_error"].fillna(0),
            fmt=marker,
            ms=3,
            mew=0.8,
            elinewidth=0.7,
            color=colour,
            label=f"_{method}",
        )
    ax.set(xlim=(-0.03, 1.04), ylim=(len(levels) - 0.5, -0.5))
    ax.set_xticks(np.arange(0, 1.01, 0.2 if wide else 0.5))
    ax.grid(axis="x", color=PALE, lw=0.4)
    ax.tick_params(axis="y", length=0)


def _draw_confusion(ax: Axes, confusion: pd.DataFrame, first: bool) -> None:
    counts = confusion.pivot_table(index="logic", columns="logic_call", values="n_genes", aggfunc="sum")
    logics = [logic for logic in LOGICS if logic in counts.index]
    counts = counts.reindex(index=logics, columns=LOGICS).fillna(0)
    share = counts.div(counts.sum(axis=1), axis=0).to_numpy()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for row, column in np.ndindex(share.shape):
        if counts.iloc[row, column]:
            ax.text(
                column,
                row,
                f"{100 * share[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color=INK,
            )
    ax.set_xticks(range(len(LOGICS)), LOGICS, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(logics)), logics if first else [])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("called (% of genes)")
    if first:
        ax.set_ylabel("planted")
