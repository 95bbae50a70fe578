"""How redundant the genes of a whole run are: by cell type, by number of peaks, by class of gene."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.core.groupby import DataFrameGroupBy

from grids.analysis.atlas import N_BINS, counted_by_run
from grids.analysis.statistics import equal_count_bins
from grids.figures import style
from grids.figures.scales import (
    INDEX_FORMULA,
    LEVEL_WORDS,
    class_key,
    class_mark,
    class_outline,
    fold,
    index_limits,
    write_index_words,
)  # fmt: skip
from grids.figures.tasks import full_sets, levels_of, name_rows
from grids.io.levels import ACROSS_TYPES, LEVELS
from grids.io.tables import RUN_KEYS, is_forced

MOST_GROUPS = 30
ENOUGH_FOR_A_VIOLIN = 20
ENOUGH_FOR_QUARTILES = 5
CROWD = 300


@style.styled
def atlas(
    redundancy: pd.DataFrame, windows: pd.DataFrame, gene_classes: pd.DataFrame | None = None
) -> Figure:
    """Distributions of the redundancy index over genes, one row per group.

    Each dot is a task, violins from 20 tasks on, quartiles from 5 on. Tasks without a joint effect and sets of one
    peak have no meaningful index, and tasks that did not pass the quality gate are no findings: they are left out
    and counted. Where none passed, all are shown, and a note says so.

    Parameters
    ----------
    redundancy : DataFrame
        ``redundancy.tsv``; each task's largest set is shown.
    windows : DataFrame
        ``windows.tsv.gz``: ``peak gene ...``, one row per peak in a gene's window.
    gene_classes : DataFrame, optional
        ``gene gene_class``; a gene may be in several classes, one row each.
    """
    full = full_sets(redundancy)
    if full.empty:
        return style.empty_figure("no redundancy: no set was analysed")
    n_all, full = len(full), pd.concat([sets for _, sets in counted_by_run(full)], ignore_index=True)
    judged = full[with_an_index(full)]
    left_out = _left_out(len(full) - len(judged), n_all - len(full), bool(is_forced(full).any()))
    if judged.empty:
        return style.empty_figure(f"no set to show: {left_out}")
    panels = _panels(full, windows, gene_classes)

    heights = [0.19 * max(len(groups), 1) + 0.45 for groups in panels.values()]
    figure = style.new_figure(style.DOUBLE_COLUMN, sum(heights) + 0.7)
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    limits = index_limits(judged["redundancy_index"].to_numpy())
    for ax, (title, groups) in zip(axes, panels.items(), strict=True):
        _draw(ax, groups, limits)
        style.panel_title(ax, title, pad=14 if ax is axes[0] else 4)
        ax.tick_params(axis="x", labelbottom=True)
    write_index_words(axes[0], judged["direction"])
    figure.supxlabel(style.lines(INDEX_FORMULA, fold(left_out, figure.get_figwidth())), fontsize=7)
    median = style.mark("median, quartiles", "|", ms=7, mew=1.4, color=style.INK)
    style.legend_outside(figure, [*class_key(judged["class"]), median], side="upper")
    return figure


def with_an_index(redundancy: pd.DataFrame) -> pd.Series:
    """True where an index says something: two members or more, a joint effect, a known value."""
    several = redundancy["set_size"] > 1
    return several & (redundancy["class"].astype(str) != "none") & redundancy["redundancy_index"].notna()


def _left_out(n: int, n_not_passed: int, none_passed: bool) -> str:
    which = {
        "of one peak, without a joint effect or without an index": n,
        "of tasks that did not pass the quality gate": n_not_passed,
    }
    notes = [f"{n} set{'s' * (n != 1)} {words} left out." for words, n in which.items() if n > 0]
    return style.lines(
        *notes, "No task passed the quality gate: sets of forced tasks are shown." * none_passed
    )


def _panels(
    full: pd.DataFrame, windows: pd.DataFrame, gene_classes: pd.DataFrame | None
) -> dict[str, dict[str, pd.DataFrame]]:
    """Title -> name of each group -> its rows; surrogates, methods, directions and levels are never pooled."""
    several = [column for column in RUN_KEYS if full[column].nunique() > 1]
    panels = {}
    full = full.assign(level=pd.Categorical(levels_of(full), LEVELS))
    for (*_, level), sets in full.groupby([*RUN_KEYS, "level"], observed=True):
        n_peaks = windows.groupby("gene")["peak"].nunique().reindex(sets["gene"].unique(), fill_value=0)
        codes, labels = equal_count_bins(n_peaks.to_numpy(), N_BINS)
        bins = pd.Series(pd.Categorical.from_codes(codes, labels, ordered=True), n_peaks.index)
        judged = sets.assign(n_peaks=sets["gene"].map(bins))[with_an_index(sets)]
        for title, groups in _groupings(judged, level, gene_classes):
            panels[" · ".join([f"{LEVEL_WORDS[level].capitalize()}, {title}", *sets[several].iloc[0]])] = (
                groups
            )
    return panels


def _groupings(judged: pd.DataFrame, level: str, gene_classes: pd.DataFrame | None) -> Iterator:
    """Each grouping's title and its groups, those of ``atlas_summary.tsv``."""
    if level == ACROSS_TYPES:
        yield "all sets", {"all sets": judged} if len(judged) else {}
    else:
        yield "by cell type", _by_median(judged.groupby("cell_type"))
    sufficient = judged.dropna(subset="n_sufficient").astype({"n_sufficient": int})
    # Both come from the same effects: that they go together says nothing about the genes.
    yield (
        "by number of members that reach 90 % of the effect (not independent of the index: not tested)",
        _first(sufficient.groupby("n_sufficient")),
    )
    yield "by number of peaks in the window", _first(judged.groupby("n_peaks", observed=True))
    if gene_classes is not None and len(gene_classes):
        yield "by class of gene", _by_median(judged.merge(gene_classes, on="gene").groupby("gene_class"))


def _first(groups: DataFrameGroupBy) -> dict[str, pd.DataFrame]:
    return {str(name): rows for name, rows in islice(groups, MOST_GROUPS)}


def _by_median(groups: DataFrameGroupBy) -> dict[str, pd.DataFrame]:
    """Highest median index first; beyond the limit only the largest groups."""
    largest = sorted(groups, key=lambda item: -len(item[1]))[:MOST_GROUPS]
    ordered = sorted(largest, key=lambda item: -item[1]["redundancy_index"].median())
    return {str(name): rows for name, rows in ordered}


def _draw(ax: Axes, groups: dict[str, pd.DataFrame], limits: tuple[float, float]) -> None:
    ax.set_xlim(limits)
    if not groups:
        style.say(ax, "no task belongs to a group")
        return
    rng = np.random.default_rng(0)  # the same jitter in every run
    crowded = max(map(len, groups.values())) > CROWD
    ax.axvline(0, color=style.INK, lw=0.6, zorder=1.5)
    for row, (name, part) in enumerate(groups.items()):
        index = np.clip(part["redundancy_index"].to_numpy(dtype=float), *limits)
        if len(index) >= ENOUGH_FOR_A_VIOLIN:
            style.violins(ax, [index], [row], [style.PALE], width=0.85, vertical=False)
        height = row + rng.uniform(-0.22, 0.22, len(index)) * (len(index) > 1)
        kinds = part["class"].astype(str).to_numpy()
        for kind in np.unique(kinds):
            colour, marker = class_mark(kind)
            own = kinds == kind
            looks = {"s": 2 if crowded else 7, "alpha": 0.3 if crowded else 0.8, "rasterized": crowded}
            looks |= {"c": colour, "marker": marker, "clip_on": False, "label": f"_{name}"}
            outline = class_outline(kind)
            looks |= {"linewidths": outline["mew"] / 2, "edgecolors": outline.get("mec")}
            ax.scatter(index[own], height[own], **looks)
        low, median, high = np.percentile(part["redundancy_index"], [25, 50, 75])
        if len(index) >= ENOUGH_FOR_QUARTILES:
            looks = {"color": style.INK, "lw": 1.0, "solid_capstyle": "butt", "label": "_quartiles"}
            ax.plot([low, high], [row, row], **looks)
        if len(index) > 1:
            ax.plot(median, row, "|", ms=8, mew=1.4, color=style.INK, zorder=4, label=f"_median {name}")
        style.beside(ax, row, f"{median:z.2f}".replace("-", "−"), offset=(18, 0), ha="right")
        style.beside(ax, row, f"{len(part):,}", offset=(44, 0), ha="right")
    for text, x in (("median", 18), ("sets", 44)):
        style.beside(ax, -0.6, text, offset=(x, 2), ha="right", va="bottom", color=style.GREY)
    name_rows(ax, [style.shorten(name, 24) for name in groups])
