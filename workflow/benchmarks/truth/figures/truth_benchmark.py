"""The truth benchmark: recovery of planted members by what is varied, what is stated of them, and the logic called."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.truth.result import CALLS
from grids.figures.style import (
    BLUE,
    DOUBLE_COLUMN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PALETTE,
    VERMILLION,
    empty_figure,
    legend_outside,
    new_figure,
    panel_title,
    shorten,
    styled,
    thousands,
    words,
)
from grids.io.tables import LOGICS

FACTORS = {
    "loss": "joint loss",
    "n_cells": "cells",
    "open_peaks": "open peaks\nper cell",
    "detection": "detection",
    "coaccessibility": "co-access.",
    "strength": "members",
    "direction": "closing\nmembers",
}
RECOVERED = ("single", "multiplicative", "redundant", "synergistic")
# These are told the members, or are so near to another method that their line would hide it; tables hold them all.
LEFT_OUT = {
    "grids_window_told", "grids_window_told_logic", "grids_window_search", "single_peak_scan", "oracle_observed",
    "correlation_state", "best_subset", "forward", "forward_state", "distance", "accessibility_over_distance",
}  # fmt: skip
# Colour, line and marker of the known methods, in the figure's order.
METHODS = {
    "grids_window": (VERMILLION, "-", "o"),
    "grids_cross_modality": (VERMILLION, ":", "o"),
    "susie_state": (BLUE, "-", "s"),
    "susie": (BLUE, ":", "s"),
    "best_subset_state": (GREEN, "-", "^"),
    "gradient_saliency": ("#cc79a7", "-", "v"),
    "correlation": (ORANGE, ":", "D"),
    "ridge": ("#56b4e9", ":", "P"),
    "poisson_ridge": ("#7a6a00", ":", "X"),
    "oracle_hidden": (INK, "--", ""),
}
NAMES = {
    "grids_window": "GRIDS, window",
    "grids_window_told": "GRIDS, told members",
    "grids_window_told_logic": "GRIDS, told logic",
    "grids_cross_modality": "GRIDS, cross-modality",
    "susie": "SuSiE",
    "susie_state": "SuSiE, state out",
    "best_subset_state": "best subset, state out",
    "correlation": "|correlation|",
    "poisson_ridge": "Poisson ridge",
    "oracle_observed": "oracle, observed peaks",
    "oracle_hidden": "oracle, hidden openness",
}
SCORES = {"f1": "F1 of members", "auprc": "AUPRC of members", "exact_recovery": "share of sets found exactly"}
LOGIC_COLOURS = dict(zip(RECOVERED, (INK, ORANGE, VERMILLION, BLUE), strict=True))
CALLERS = ("grids_window", "grids_window_told", "oracle_hidden", "grids_cross_modality")
INTERVALS_OF = "grids_window"
COVERED = 0.95


@styled
def truth_benchmark(
    summary: pd.DataFrame, confusion: pd.DataFrame, inclusion: pd.DataFrame, score: str = "f1"
) -> Figure:
    """Recovery by logic and factor above; below, stated inclusion, intervals, and which logic was called for which.

    Parameters
    ----------
    summary : DataFrame
        ``truth_summary.tsv``: the level, ``logic method score mean standard_error``.
    confusion : DataFrame
        ``truth_confusion.tsv``: ``method logic logic_call n_genes`` by level.
    inclusion : DataFrame
        ``truth_inclusion.tsv``: ``method inclusion_low mean_stated share_members n_peaks`` by level.
    score : {"f1", "auprc", "exact_recovery"}

    Returns
    -------
    Figure
        Above, one factor is varied at a time around the middle level, the table's first. Bars are one standard error
        over genes on either side.
    """
    scored = summary[(summary["score"] == score) & ~summary["method"].isin(LEFT_OUT)]
    if scored.empty:
        return empty_figure("no method was scored on planted members")
    middle, styles = scored.iloc[0], method_styles(scored["method"])
    logics = [logic for logic in RECOVERED if (scored["logic"] == logic).any()]
    values_of = varied(scored)
    drawn_factors = {name: values for name, values in values_of.items() if len(values) > 1}
    drawn_factors = drawn_factors or {"loss": values_of["loss"]}
    callers = [method for method in CALLERS if (confusion["method"] == method).any()]
    n_rows = -(-(2 + len(callers)) // 4)
    heights = [1.15 * len(logics) + 0.5, 1.75 * n_rows]
    figure = new_figure(DOUBLE_COLUMN, sum(heights) + 0.6)
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    widths = [1 + len(values) for values in drawn_factors.values()]
    axes = above.subplots(
        len(logics), len(widths), sharey=True, sharex="col", squeeze=False, width_ratios=widths
    )
    for row, logic in zip(axes, logics, strict=True):
        for ax, (factor, values) in zip(row, drawn_factors.items(), strict=True):
            _draw_recovery(
                ax, along(scored[scored["logic"] == logic], factor, middle), factor, values, styles
            )
            if logic == logics[-1]:
                ax.set_xlabel(FACTORS[factor])
        panel_title(row[0], words(logic))
        row[0].set_ylabel(SCORES[score] if logic == logics[0] else SCORES[score].split(" ")[0])
    grid = below.subplots(n_rows, 4, squeeze=False).ravel()
    _draw_inclusion(grid[0], inclusion, styles)
    _draw_intervals(grid[1], along(summary[summary["method"] == INTERVALS_OF], "loss", middle))
    for ax, method in zip(grid[2:], callers, strict=False):
        _draw_confusion(ax, confusion[confusion["method"] == method])
        panel_title(ax, f"logic called:\n{shorten(method_name(method), 26)}", fontsize=6)
    for ax in grid[2 + len(callers) :]:
        ax.set_axis_off()
    handles = [Line2D([], [], ls=ls, marker=marker, ms=4, color=c) for c, ls, marker in styles.values()]
    legend_outside(figure, handles, [method_name(method) for method in styles], limit=6)
    return figure


def varied(summary: pd.DataFrame) -> dict[str, list]:
    """The values of each factor in the order in which an axis shows them: numbers ascend, words stay as they come."""
    values = {name: list(dict.fromkeys(summary[name])) for name in FACTORS}
    return {
        name: of_name if any(isinstance(value, str) for value in of_name) else sorted(of_name)
        for name, of_name in values.items()
    }


def along(summary: pd.DataFrame, factor: str, middle: Mapping) -> pd.DataFrame:
    """The rows that have the middle value of every other factor."""
    others = [name for name in FACTORS if name != factor]
    return summary[(summary[others] == [middle[name] for name in others]).all(axis=1)]


def method_styles(methods: pd.Series) -> dict[str, tuple[str, str, str]]:
    """Colour, line and marker of the methods of a table: known ones first, others in the order they come."""
    present = list(dict.fromkeys(methods))
    others = [method for method in present if method not in METHODS]
    more = {method: (PALETTE[-1 - i % len(PALETTE)], "-", "p") for i, method in enumerate(others)}
    return {name: style for name, style in {**METHODS, **more}.items() if name in present}


def method_name(method: str) -> str:
    """A method's name as the figure writes it."""
    return NAMES.get(method, words(method))


def _draw_recovery(ax: Axes, table: pd.DataFrame, factor: str, values: list, styles: dict) -> None:
    offsets = np.linspace(-0.12, 0.12, len(styles)) if len(styles) > 1 else [0.0]
    place = {value: x for x, value in enumerate(values)}
    for below, (offset, (method, (colour, line, marker))) in enumerate(
        zip(offsets, styles.items(), strict=True)
    ):
        part = table[table["method"] == method].sort_values(factor, key=lambda column: column.map(place))
        ax.errorbar(
            part[factor].map(place) + offset, part["mean"], yerr=part["standard_error"].fillna(0), fmt=marker, ls=line,
            ms=2.5, lw=0.8, elinewidth=0.5, color=colour, label=f"_{method}", zorder=4 - below / len(styles),
        )  # fmt: skip
    ax.set(xlim=(-0.5, len(values) - 0.5), ylim=(-0.03, 1.05))
    ax.set_xticks(range(len(values)), [_written(factor, value) for value in values], fontsize=5.5)
    ax.grid(axis="y", color=PALE, lw=0.4)


def _written(factor: str, value) -> str:
    if isinstance(value, str):
        return value
    return f"{100 * value:.0f} %" if factor == "loss" else thousands(value) if value >= 1 else f"{value:g}"


def _draw_inclusion(ax: Axes, inclusion: pd.DataFrame, styles: dict) -> None:
    """Stated inclusion against the share that are members, by bin, over all levels."""
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.6, ls="--")
    for method, part in inclusion.groupby("method", sort=False):
        colour, line, marker = styles.get(method, (GREY, "-", "p"))
        weighted = part.assign(
            stated=part["mean_stated"] * part["n_peaks"], n_members=part["share_members"] * part["n_peaks"]
        )
        bins = weighted.groupby("inclusion_low")[["stated", "n_members", "n_peaks"]].sum()
        share = bins["n_members"] / bins["n_peaks"]
        error = np.sqrt(share * (1 - share) / bins["n_peaks"])
        ax.errorbar(
            bins["stated"] / bins["n_peaks"], share, yerr=error, fmt=marker, ls=line, ms=3, lw=0.8, elinewidth=0.6,
            color=colour, label=f"_{method}",
        )  # fmt: skip
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="stated inclusion", ylabel="share that are members")
    ax.set_xticks([0, 0.5, 1])
    ax.set_yticks([0, 0.5, 1])
    panel_title(ax, "inclusion,\nall levels", fontsize=6)


def _draw_intervals(ax: Axes, summary: pd.DataFrame) -> None:
    """Share of the genes called whose 95 % interval holds the planted joint effect, by loss and logic."""
    covered = summary[summary["score"] == "called_effect_covered"]
    ax.axhline(COVERED, color=GREY, lw=0.6, ls="--")
    for logic, colour in LOGIC_COLOURS.items():
        part = covered[covered["logic"] == logic].sort_values("loss")
        ax.errorbar(
            100 * part["loss"], part["mean"], yerr=part["standard_error"].fillna(0), fmt="o-", ms=3, lw=0.8,
            elinewidth=0.6, color=colour, label=words(logic),
        )  # fmt: skip
    ax.set(xlim=(0, 100), ylim=(-0.03, 1.03), xlabel="joint loss (%)", ylabel="intervals that hold it")
    ax.set_yticks([0, 0.5, 1])
    ax.legend(fontsize=5, loc="best")
    panel_title(ax, "95 % interval of genes called,\nGRIDS, window", fontsize=6)


def _draw_confusion(ax: Axes, confusion: pd.DataFrame) -> None:
    counts = confusion.pivot_table(index="logic", columns="logic_call", values="n_genes", aggfunc="sum")
    logics = [logic for logic in LOGICS if logic in counts.index]
    counts = counts.reindex(index=logics, columns=CALLS).fillna(0)
    share = counts.div(counts.sum(axis=1), axis=0).to_numpy()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for row, column in np.ndindex(share.shape):
        if counts.iloc[row, column]:
            text = f"{100 * share[row, column]:.0f}"
            ax.text(column, row, text, ha="center", va="center", fontsize=6, color=INK)
    ax.set_xticks(range(len(CALLS)), CALLS, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(logics)), logics)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("called (% of genes)")
