"""Contacts of set members with the TSS, and their TADs, against peaks at the same distance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style
from grids.figures.scales import SIGNIFICANT
from grids.figures.tasks import forced_key, how_many, mark_forced_rows, share_of_levels, task_labels
from grids.io.tables import is_forced

ONE_PANEL = 4.6  # inches
# Of each measure: title, x label, its columns of matched peaks, of their 95 % range, and of the q-value.
PANELS = {
    "observed_over_expected": (
        "Contact with the TSS",
        "observed / expected contact",
        "matched_observed_over_expected",
        ("matched_low", "matched_high"),
        "q_value",
    ),
    "share_in_tad": ("In the gene's TAD", "share of members", "matched_share_in_tad", None, "tad_q_value"),
}


@style.styled
def contacts(table: pd.DataFrame, summary: pd.DataFrame, max_tasks: int = 40) -> Figure:
    """One row per task: the mean of its members beside that of peaks at the same distance; all sets at the bottom.

    A panel for the contact map and one for the TADs, each where it was given. Dots are filled where q is below
    0.05. Of the tasks of ``contacts.tsv`` that have a measured member, those with the most enriched contacts (or else
    shares) are shown; ``contacts_summary.tsv`` has all sets.
    """
    measures = [measure for measure in PANELS if table[measure].notna().any()]
    if not measures:
        return style.empty_figure("no member of a set could be held against contacts or TADs")
    rows = table[table[measures].notna().any(axis=1)]
    excess = rows[measures[0]] - rows[PANELS[measures[0]][2]]
    rows = rows.iloc[np.argsort(-excess.to_numpy(), kind="stable")]
    shown = share_of_levels(rows, max_tasks).reset_index(drop=True)
    pooled = _pooled_rows(summary, measures)
    height = 0.17 * (len(shown) + len(pooled)) + 1.15
    figure = style.new_figure(style.DOUBLE_COLUMN if len(measures) > 1 else ONE_PANEL, height)
    axes = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for ax, measure in zip(axes, measures, strict=True):
        _draw_panel(ax, shown, pooled[pooled["measure"] == measure], measure)
    labels = [*task_labels(shown), *pooled.drop_duplicates("label")["label"]]
    places = [row + 0.4 * (row >= len(shown)) for row in range(len(labels))]
    axes[0].set_yticks(places, labels)
    axes[0].set_ylim(len(labels) + 0.2, -0.7)
    axes[0].set_xlabel(style.lines(PANELS[measures[0]][1], how_many(len(rows), len(shown))))
    key = [
        style.mark(f"members, q < {SIGNIFICANT:g}", ms=4, color=style.VERMILLION),
        style.mark("members", ms=4, mfc="white", color=style.VERMILLION),
        style.mark("peaks at the same distance", "|", ms=6, color=style.INK),
    ]
    if any(PANELS[measure][3] for measure in measures):
        key.append(Line2D([], [], lw=4, color=style.PALE, label="95 % of permutations"))
    style.legend_outside(figure, [*key, *forced_key(is_forced(shown))], limit=4)
    return figure


def _pooled_rows(summary: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    """Rows of the summary, labelled by what tells them apart."""
    rows = summary[summary["measure"].isin(measures)].copy()
    kinds = [column for column in ("direction", "method", "surrogate") if rows[column].nunique() > 1]
    rows["label"] = [" · ".join(["all sets", *map(str, kind)]) for kind in rows[kinds].to_numpy()]
    rows["label"] += np.where(rows["n_not_passed"] > 0, ", none passed the gate", "")
    return rows


def _draw_panel(ax: Axes, shown: pd.DataFrame, pooled: pd.DataFrame, measure: str) -> None:
    title, label, matched, limits, q_value = PANELS[measure]
    y = np.arange(len(shown))
    if limits:
        ax.hlines(y, shown[limits[0]], shown[limits[1]], color=style.PALE, lw=4, label="_range")
    ax.plot(shown[matched], y, "|", ms=6, color=style.INK, label="_matched")
    significant = (shown[q_value] < SIGNIFICANT).to_numpy()
    for which, face in ((significant, style.VERMILLION), (~significant, "white")):
        looks = {"ms": 4, "mfc": face, "color": style.VERMILLION, "label": "_members", "zorder": 3}
        ax.plot(shown[measure][which], y[which], "o", **looks)
    for row, q in zip(y, shown[q_value], strict=True):
        if np.isfinite(shown[measure].iloc[row]):
            style.beside(ax, row, f"q {style.number(q)}", fontsize=5.5, color=style.GREY)
    for row, (_, of_all) in enumerate(pooled.iterrows()):
        at = len(shown) + 0.4 + row
        ax.plot(of_all["mean_of_matched"], at, "|", ms=6, color=style.INK)
        ax.plot(of_all["mean_of_members"], at, "D", ms=4.5, color=style.VERMILLION, label="_all sets")
        middle, low, high = (style.number(of_all[f"enrichment{end}"]) for end in ("", "_low", "_high"))
        interval = f" ({low} to {high})" * bool(np.isfinite(of_all["enrichment_low"]))
        style.beside(ax, at, f"× {middle}{interval}", fontsize=5.5, color=style.INK)
    mark_forced_rows(ax, is_forced(shown))
    ax.axhline(len(shown) - 0.3, color=style.GREY, lw=0.5)
    ax.set_xlim(left=0)
    if measure == "share_in_tad":
        ax.set_xlim(-0.04, 1.04)
        ax.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    else:
        ax.axvline(1, color=style.GREY, lw=0.6, ls=":", zorder=0)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
    style.panel_title(ax, title)
