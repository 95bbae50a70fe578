"""What quality control kept and dropped, and the distributions its thresholds cut."""

import textwrap
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grids.figures import style
from grids.figures.scales import flags
from grids.figures.tasks import name_rows

# metric column: (axis label, threshold of the config, logarithmic axis, modality where cells have both)
METRICS = {
    "n_fragments": ("fragments per cell", "min_fragments", True, "atac"),
    "n_genes": ("genes per cell", "min_genes", True, "rna"),
    "n_counts": ("counts per cell", None, True, "rna"),
    "tss_enrichment": ("TSS enrichment (fold)", "min_tss_enrichment", False, "atac"),
}
KEPT, DROPPED = style.BLUE, style.VERMILLION
STEP_HEIGHT = 0.24  # inches: two lines of text
LINE = 72  # letters of a step's outcome on each of them
NOT_APPLIED = "not applied"  # what the reason of a step begins with that had nothing to go by


@style.styled
def quality_control(
    steps: pd.DataFrame, metrics: pd.DataFrame, thresholds: Mapping[str, float] | None = None
) -> Figure:
    """Every step's losses with its reason, above the cells' distributions with the thresholds.

    Bars are shares of what there was before the first step of their kind; the bar of a step that was not applied is
    hollow.

    Parameters
    ----------
    steps : DataFrame
        ``what modality step n_before n_dropped n_after reason``, in the order in which the steps ran; `what`
        is cells, genes or peaks.
    metrics : DataFrame
        Per cell: ``cell modality cell_type n_fragments n_genes n_counts tss_enrichment kept reason``.
    thresholds : mapping of str to float, optional
        The config's ``quality_control`` section: ``min_fragments``, ``min_genes``, ``min_tss_enrichment``.
    """
    if steps.empty and metrics.empty:
        return style.empty_figure("no quality control was done")
    panels = _panels(metrics)
    n_columns = 4 if len(panels) == 4 else 3
    n_rows = -(-len(panels) // n_columns)
    steps_height = STEP_HEIGHT * max(len(steps), 3) + 0.5
    figure = style.new_figure(style.DOUBLE_COLUMN, steps_height + 1.6 * max(n_rows, 1) + 0.3)
    top, bottom = figure.add_gridspec(2, 1, height_ratios=[steps_height, 1.6 * max(n_rows, 1)])
    _draw_steps(figure.add_subplot(top), steps)
    if not panels:
        style.say(figure.add_subplot(bottom), "no metrics per cell")
    grid = bottom.subgridspec(max(n_rows, 1), n_columns)
    for i, (modality, metric) in enumerate(panels):
        ax = figure.add_subplot(grid[i // n_columns, i % n_columns])
        _draw_metric(ax, metrics[metrics["modality"] == modality], modality, metric, dict(thresholds or {}))
        if i % n_columns == 0:
            ax.set_ylabel("cells")
    key = [Patch(color=KEPT, label="kept"), Patch(color=DROPPED, label="dropped")]
    if _not_applied(steps).any():
        key.append(Patch(facecolor="white", edgecolor=style.GREY, label="step not applied"))
    style.legend_outside(figure, key)
    return figure


def _panels(metrics: pd.DataFrame) -> list[tuple[str, str]]:
    """The modality and metric of each histogram: those with values, ATAC counts only without fragments."""
    panels = []
    for modality in dict.fromkeys(metrics["modality"]):
        cells = metrics[metrics["modality"] == modality]
        present = [m for m in METRICS if m in cells and cells[m].notna().any()]
        if "n_fragments" in present and "n_genes" not in present:
            present = [m for m in present if m != "n_counts"]
        panels += [(modality, metric) for metric in present]
    return panels


def _draw_steps(ax: Axes, steps: pd.DataFrame) -> None:
    """One bar per step: what it kept and dropped as a share of what there was before the first step."""
    if steps.empty:
        style.say(ax, "no filtering steps")
        return
    start = steps.groupby(["modality", "what"], sort=False, dropna=False)["n_before"].transform("first")
    start = np.maximum(start.to_numpy(dtype=float), 1)
    kept, dropped = 100 * steps[["n_after", "n_dropped"]].to_numpy(dtype=float).T / start
    rows = np.arange(len(steps))
    applied = ~_not_applied(steps)
    ax.barh(rows[applied], kept[applied], 0.7, color=KEPT, label="_kept")
    ax.barh(rows[applied], dropped[applied], 0.7, left=kept[applied], color=DROPPED, label="_dropped")
    hollow = {"color": "white", "edgecolor": style.GREY, "label": "_not applied"}
    ax.barh(rows[~applied], kept[~applied], 0.7, **hollow)
    for row, text in zip(rows, _outcomes(steps), strict=True):
        style.beside(ax, row, text, linespacing=1.05)
    short = steps["step"].map(lambda step: style.shorten(style.words(step), 24))
    name_rows(ax, list(steps["modality"].map(style.words) + " " + steps["what"] + ", " + short))
    ax.set(xlim=(0, 100), xlabel="% of the input")
    kinds = list(steps[["modality", "what"]].itertuples(index=False, name=None))
    for row, (before, kind) in enumerate(pairwise(kinds), start=1):
        if before != kind:
            ax.axhline(row - 0.5, color=style.GREY, lw=0.4)
    style.panel_title(ax, "What each step kept and dropped")


def _not_applied(steps: pd.DataFrame) -> np.ndarray:
    return steps["reason"].astype(str).str.startswith(NOT_APPLIED).to_numpy(dtype=bool)


def _outcomes(steps: pd.DataFrame) -> list[str]:
    """What each step did and why, on at most two lines; only what does not fit on them is cut."""
    outcomes = []
    for step in steps.itertuples(index=False):
        reason = step.reason if isinstance(step.reason, str) else ""
        text = f"{step.n_after:,} of {step.n_before:,} kept, {step.n_dropped:,} dropped"
        text = reason if reason.startswith(NOT_APPLIED) else f"{text}: {reason}" if reason else text
        outcomes.append(textwrap.fill(text, LINE, max_lines=2, placeholder=" …"))
    return outcomes


def _draw_metric(ax: Axes, cells: pd.DataFrame, modality: str, metric: str, thresholds: Mapping) -> None:
    label, key, logarithmic, usual = METRICS[metric]
    values = cells[metric].to_numpy(dtype=float)
    kept = flags(cells["kept"]).to_numpy()
    shown = np.isfinite(values)
    n_zero = int((values[shown] <= 0).sum()) if logarithmic else 0
    if logarithmic:
        shown &= values > 0
    values, kept = values[shown], kept[shown]
    threshold = thresholds.get(key)
    measured = modality if modality in style.MODALITY_COLOURS else usual
    style.panel_title(ax, f"{style.words(measured)}: {label}")
    if values.size == 0:
        style.say(ax, f"{label}: all zero")
        return
    span = [*values] + ([threshold] if threshold and (threshold > 0 or not logarithmic) else [])
    low, high = min(span), max(span)
    if high <= low:
        low, high = (low / 1.5, high * 1.5) if logarithmic else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, 41) if logarithmic else np.linspace(low, high, 41)
    edges[[0, -1]] = low, high  # rounding must not push the extremes out
    looks = {"color": [KEPT, DROPPED], "label": ["_kept", "_dropped"]}
    ax.hist([values[kept], values[~kept]], bins=edges, stacked=True, **looks)
    if threshold:
        ax.axvline(threshold, color=style.INK, lw=0.8, ls="--", label="_threshold")
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.4}
        place = {"transform": ax.get_xaxis_transform(), "ha": "left", "va": "top"}
        ax.text(threshold, 1.0, f" {threshold:,g}", fontsize=6, bbox=box, **place)
    if logarithmic:
        style.log_axis(ax.xaxis, low, high)
    style.few_ticks(ax, y=4)
    ax.set_xlabel(label + (f" ({n_zero:,} cells with 0 not shown)" if n_zero else ""))
