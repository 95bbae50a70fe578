"""The quality gate, a column for each level of evidence: all tested genes, and how near the tasks are."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from grids.figures import style
from grids.figures.scales import (
    LEVEL_WORDS,
    class_mark,
    class_outline,
    colours_for,
    flags,
    in_order_of_types,
    population_name,
)  # fmt: skip
from grids.figures.tasks import levels_of, name_rows
from grids.io.levels import LEVELS, WITHIN_TYPE

MOST_TYPES, MOST_TASKS = 40, 60
# Of -log10 of a p- or q-value; what lies beyond is an arrow at the edge.
FARTHEST = 12.0
# The test that decides and the one beside it, by `gate.peaks`: ending of the columns, and what it is called.
ALL_PEAKS, DISTAL = ("", "all peaks"), ("_distal", "distal peaks")
COUNTS = {
    "n_low": ("q ≤ {:g}", 22),
    "n_low_distal": ("distal", 50),
    "n_tested": ("tested", 76),
    "n_untold": ("not told", 106),
}
NO_WINDOW = "no peak in its window"
UNDECIDED = "undecided"


@style.styled
def gate(
    genes: pd.DataFrame,
    tasks: pd.DataFrame,
    threshold: float,
    peaks: str = "all",
    cell_types: Iterable[str] | None = None,
) -> Figure:
    """A column per level of evidence: p-values of all tested genes, how many are told, and the tasks' q-values.

    Top: p-values against what genes without control would have (diagonal), of all peaks of a window and of distal ones
    alone. Middle: genes that can be told, and those with a small q-value. Bottom: the tasks, nearest first; filled
    where the task passes, a triangle where the posterior contradicts the test (undecided), words where nothing can be
    told. Of more than 40 cell types those with most small q-values are shown, of more than 60 tasks of a level the
    nearest; notes count the rest.

    Parameters
    ----------
    genes : DataFrame
        ``gate.tsv``, one row per gene and cell type; unpaired cells are not judged, and `passed_gate` is missing.
        Without a p-value a gene cannot be told.
    tasks : DataFrame
        Columns ``cell_type, gene``.
    threshold : float
        The highest q-value that passes.
    peaks : {"all", "distal"}
        The peaks whose q-value decides.
    """
    genes = genes[genes["passed_gate"].notna()].astype({"cell_type": str})
    if genes.empty:
        return style.empty_figure("no gene was judged by the quality gate")
    colours = colours_for(pd.concat([genes[["cell_type"]], tasks[["cell_type"]]]), cell_types)
    parts = [_Level.of(level, genes, tasks, threshold, peaks) for level in LEVELS]
    parts = [part for part in parts if len(part.genes)]

    n_types, n_tasks = (max(len(getattr(part, name)) for part in parts) for name in ("counts", "nearest"))
    heights = [1.35, 0.125 * n_types + 0.55, 0.125 * max(n_tasks, 2) + 0.5]
    width = style.DOUBLE_COLUMN if len(parts) > 1 else 4.6
    figure = style.new_figure(width, sum(heights) + 0.95)
    columns = figure.add_gridspec(1, len(parts), wspace=0.06)
    for column, part in zip(columns, parts, strict=True):
        rows = column.subgridspec(3, 1, height_ratios=heights)
        _draw_p_values(figure, rows[0].subgridspec(1, 2), part, colours)
        # Each in a grid of its own: the names of one do not narrow the other.
        counts, nearest = (figure.add_subplot(row.subgridspec(1, 1)[0]) for row in (rows[1], rows[2]))
        _draw_counts(counts, part, colours)
        _draw_tasks(nearest, part, colours)
        counts.set_ylim(n_types - 0.4, -0.6)  # rows of both levels are of one height
        nearest.set_ylim(max(n_tasks, 2) - 0.4, -0.6)
    style.legend_outside(figure, _key(parts), limit=5)
    return figure


@dataclass(frozen=True)
class _Level:
    """What is drawn of a level: its genes, a row of counts per population, and its nearest tasks."""

    level: str
    genes: pd.DataFrame
    counts: pd.DataFrame
    nearest: pd.DataFrame
    n_types: int
    n_tasks: int
    threshold: float
    tests: tuple

    @classmethod
    def of(
        cls, level: str, genes: pd.DataFrame, tasks: pd.DataFrame, threshold: float, peaks: str
    ) -> "_Level":
        own, asked = genes[levels_of(genes) == level], tasks[levels_of(tasks) == level]
        tests = (DISTAL, ALL_PEAKS) if peaks == "distal" else (ALL_PEAKS, DISTAL)
        is_told = own[f"p_value{tests[0][0]}"].notna()
        counts = {
            "n_low": own["q_value"] <= threshold,
            "n_low_distal": own["q_value_distal"] <= threshold,
            "n_tested": is_told,
            "n_untold": ~is_told,
        }
        by_type = pd.DataFrame(counts).groupby(own["cell_type"]).sum()
        most = by_type.sort_values([*counts], ascending=False, kind="stable").head(MOST_TYPES)
        joined = asked[["cell_type", "gene"]].merge(own, on=["cell_type", "gene"], how="left")
        nearest = joined.sort_values(f"q_value{tests[0][0]}", kind="stable").head(MOST_TASKS)
        return cls(
            level,
            own,
            most.loc[in_order_of_types(most.index)],
            nearest,
            len(by_type),
            len(asked),
            threshold,
            tests,
        )


def minus_log10(values: Iterable[float]) -> np.ndarray:
    """-log10 of p- or q-values; those beyond :data:`FARTHEST` are there, missing ones stay so."""
    values = np.asarray(values, dtype=float)
    return np.minimum(-np.log10(np.maximum(values, 10.0 ** -(FARTHEST + 1))), FARTHEST)


def _draw_p_values(figure: Figure, grid, part: _Level, colours: dict) -> None:
    """Of each test a panel: sorted p-values of each population against evenly spread ones."""
    axes = [figure.add_subplot(place) for place in grid]
    title = f"{LEVEL_WORDS[part.level].capitalize()}: p-values of all genes"
    style.panel_title(axes[0], title, fontweight="bold")
    for ax, (end, words) in zip(axes, (ALL_PEAKS, DISTAL), strict=True):
        p_values = part.genes.dropna(subset=f"p_value{end}").groupby("cell_type")[f"p_value{end}"]
        if not len(p_values):
            style.say(ax, f"{words}: no gene\ncan be tested")
            continue
        farthest, of_type = 1.0, dict(iter(p_values))
        for cell_type in in_order_of_types(of_type):
            observed = minus_log10(np.sort(of_type[cell_type]))
            expected = -np.log10((np.arange(len(observed)) + 0.5) / len(observed))
            looks = {"ms": 1.6, "mew": 0, "lw": 0.5, "color": colours[cell_type], "clip_on": False}
            looks |= {"rasterized": len(observed) > 2000, "label": f"_p{end} {cell_type}"}
            ax.plot(expected, observed, "o-", **looks)
            farthest = max(farthest, observed.max())
        right = ax.get_xlim()[1]
        ax.plot([0, right], [0, right], color=style.GREY, lw=0.6, ls="--", zorder=0, label="_uniform")
        ax.set(xlim=(0, right), ylim=(0, 1.05 * farthest), xlabel="expected −log10 p")
        style.few_ticks(ax, x=4, y=4)
        looks = {"va": "top", "fontsize": 6, "color": style.GREY}
        ax.text(0.05, 0.98, words, transform=ax.transAxes, **looks)
    axes[0].set_ylabel("−log10 p")


def _draw_counts(ax: Axes, part: _Level, colours: dict) -> None:
    """Genes of each population: those that can be told pale, those that cannot outlined, small q-values dark."""
    counts, rows = part.counts, np.arange(len(part.counts))
    n_low = counts["n_low_distal" if part.tests[0] == DISTAL else "n_low"]
    ax.barh(
        rows,
        counts["n_tested"] + counts["n_untold"],
        0.7,
        facecolor="none",
        edgecolor=style.PALE,
        label="_all",
    )
    ax.barh(rows, counts["n_tested"], 0.7, color=style.PALE, label="_tested")
    ax.barh(rows, n_low, 0.7, color=[colours[name] for name in counts.index], label="_low")
    for column, (words, x) in COUNTS.items():
        looks = {"ha": "right", "va": "bottom", "fontsize": 5.5, "color": style.GREY}
        style.beside(ax, -0.6, words.format(part.threshold), (x, 1), **looks)
        for row, value in zip(rows, counts[column], strict=True):
            style.beside(ax, row, f"{value:,}", (x, 0), ha="right", fontsize=5.5)
    name_rows(ax, [style.shorten(population_name(name), 16) for name in counts.index], fontsize=5.5)
    hidden = part.n_types - len(counts)
    note = f"{hidden} more cell types are in gate.tsv." * (hidden > 0)
    ax.set_xlabel(style.lines("genes: small q (dark), tested (pale),\ncannot be told (outlined)", note))
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))


def _draw_tasks(ax: Axes, part: _Level, colours: dict) -> None:
    """The tasks' q-values; beside them the posterior chance of no member."""
    style.panel_title(ax, f"{LEVEL_WORDS[part.level].capitalize()}: the tasks", fontweight="bold")
    tasks, (end, words), (other, other_words) = part.nearest, *part.tests
    if tasks.empty:
        style.say(ax, "no task was asked at this level")
        return
    ax.axvline(-np.log10(part.threshold), color=style.INK, lw=0.6, ls="--", zorder=0, label="_threshold")
    known = pd.concat([tasks[f"q_value{end}"], tasks[f"q_value{other}"]]).dropna()
    right = max(1.15 * minus_log10(known).max(initial=0), 2.0)
    ax.set_xlim(0, right)
    for row, task in enumerate(tasks.to_dict("records")):
        ax.axhline(row, color="#efefef", lw=0.4, zorder=0)
        colour = colours[str(task["cell_type"])]
        if np.isfinite(task[f"q_value{other}"]):
            ax.plot(
                minus_log10(task[f"q_value{other}"]),
                row,
                "|",
                ms=4,
                mew=0.8,
                color=style.GREY,
                label="_other",
            )
        if np.isfinite(task[f"q_value{end}"]):
            _draw_task(ax, row, task, task[f"q_value{end}"], colour)
        else:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}
            looks = {"va": "center", "fontsize": 5, "color": style.GREY, "style": "italic", "bbox": box}
            ax.text(0.03 * right, row, _why_untold(task), **looks)
    labels = tasks["gene"].map(lambda gene: style.shorten(gene, 12))
    if part.level == WITHIN_TYPE:
        labels += " · " + tasks["cell_type"].map(lambda name: style.shorten(str(name), 14))
    name_rows(ax, list(labels), fontsize=5.5)
    _write_chances(ax, tasks)
    hidden = part.n_tasks - len(tasks)
    note = f"{hidden} more tasks with larger q-values are in gate.tsv." * (hidden > 0)
    ax.set_xlabel(style.lines(f"−log10 q of {words} (tick: {other_words})", note))
    style.few_ticks(ax, x=6)


def _draw_task(ax: Axes, row: int, task: dict, q_value: float, colour) -> None:
    at = float(minus_log10(q_value))
    if str(task["reason"]).startswith(UNDECIDED):
        fill, marker = class_mark(UNDECIDED)
        looks = {"marker": marker, "mfc": fill, **class_outline(UNDECIDED)}
    else:
        passes = flags(pd.Series([task["passed_gate"]])).iloc[0]
        looks = {
            "marker": ">" if at == FARTHEST else "o",
            "mec": colour,
            "mfc": colour if passes else "white",
            "mew": 0.8,
        }
    ax.plot(at, row, ms=3.6, ls="", clip_on=False, zorder=3, label="_task", **looks)


def _why_untold(task: dict) -> str:
    """In few words why a task has no q-value."""
    if pd.isna(task["passed_gate"]):
        return f"cannot be told: {NO_WINDOW}"
    few, _, _ = str(task["reason"]).replace(" on other chromosomes", "").partition(" (")
    return style.shorten(few.partition(", at least")[0], 56)


def _write_chances(ax: Axes, tasks: pd.DataFrame) -> None:
    """The posterior chance that no peak is a member, where a surrogate was asked."""
    if not tasks["chance_of_no_member"].notna().any():
        return
    looks = {"ha": "right", "fontsize": 5.5}
    style.beside(ax, -0.6, "chance\nof none", (26, 1), va="bottom", color=style.GREY, **looks)
    for row, chance in enumerate(tasks["chance_of_no_member"]):
        if np.isfinite(chance):
            style.beside(ax, row, f"{chance:.2f}", (26, 0), **looks)


def _key(parts: list[_Level]) -> list[Line2D]:
    grey = style.GREY
    undecided = any(part.nearest["reason"].astype(str).str.startswith(UNDECIDED).any() for part in parts)
    fill, marker = class_mark(UNDECIDED)
    key = [
        style.mark("task passes", ms=4, color=grey),
        style.mark("does not pass", ms=4, mfc="white", mec=grey),
        *[
            style.mark(
                "undecided: the posterior disagrees", marker, ms=4, color=fill, **class_outline(UNDECIDED)
            )
        ]
        * undecided,
        Line2D([], [], color=style.INK, lw=0.6, ls="--", label=f"q = {parts[0].threshold:g}"),
    ]
    q = pd.concat([part.nearest[f"q_value{part.tests[0][0]}"] for part in parts])
    far = style.mark(f"beyond {FARTHEST:g}", ">", ms=4, color=grey)
    return [*key, far] if (minus_log10(q) == FARTHEST).any() else key
