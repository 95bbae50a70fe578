"""How many genes the surrogate can explain, by cell type and by number of peaks, and how near the tasks are."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grids.analysis.statistics import equal_count_bins
from grids.figures import style
from grids.figures.scales import colours_for, flags
from grids.figures.tasks import name_rows

MOST_TYPES = 40
MOST_TASKS = 30
SMALLEST_Q = 1e-20
MOST_BINS, FEWEST_PER_BIN = 6, 10
NORMAL_95 = 1.959964


@style.styled
def gate(
    genes: pd.DataFrame, tasks: pd.DataFrame, threshold: float, cell_types: Iterable[str] | None = None
) -> Figure:
    """Top: genes that pass the quality gate, by cell type and by number of peaks. Bottom: the tasks' q-values.

    Outlined bars: genes that could not be tested; pale: tested; dark: passed. Lines: Wilson's 95 % interval of a
    share. Of more than 40 cell types those with most passing genes are shown, of more than 30 tasks those with the
    smallest q-values; notes count the rest. Bins hold about equal numbers of tested genes.

    Parameters
    ----------
    genes : DataFrame
        ``gate.tsv``, one row per gene and cell type; unpaired cells are not judged, and `passed_gate` is missing.
        Without a p-value a gene could not be tested.
    tasks : DataFrame
        Columns ``cell_type, gene``.
    threshold : float
        The highest q-value that passes.
    """
    genes = genes[genes["passed_gate"].notna()]
    if genes.empty:
        return style.empty_figure("no gene was judged by the quality gate")
    judged = genes.astype({"cell_type": str})
    judged = judged.assign(passes=flags(genes["passed_gate"]), is_tested=genes["p_value"].notna(), all=1)
    counts = {"passes": "n_passed", "is_tested": "n_tested", "all": "n_all"}
    by_type = judged.groupby("cell_type")[[*counts]].sum().rename(columns=counts)
    by_type = by_type.sort_values([*by_type], ascending=False, kind="stable")
    shown = by_type.head(MOST_TYPES)
    tested = judged[judged["is_tested"]]
    n_bins = int(np.clip(len(tested) // FEWEST_PER_BIN, 1, MOST_BINS))
    code, bins = equal_count_bins(tested["n_peaks"].to_numpy(), n_bins)
    by_peaks = tested[code >= 0].groupby(code[code >= 0])["passes"].agg(["sum", "size"])
    asked = tasks[["cell_type", "gene"]].merge(tested, on=["cell_type", "gene"])
    nearest = asked.sort_values("q_value", kind="stable").head(MOST_TASKS)

    colours = colours_for(genes, cell_types)
    heights = [max(1.6, 0.16 * len(shown) + 0.5), max(0.5, 0.13 * len(nearest) + 0.4)]
    figure = style.new_figure(style.DOUBLE_COLUMN, sum(heights) + 0.7)
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 1.1], height_ratios=heights)
    _draw_types(figure.add_subplot(grid[0, 0]), shown, colours, len(by_type))
    _draw_peaks(figure.add_subplot(grid[0, 1]), by_peaks, bins, int((code < 0).sum()))
    _draw_tasks(figure.add_subplot(grid[1, :]), nearest, threshold, colours, len(tasks), len(asked))
    return figure


def wilson_interval(n_passed: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end of Wilson's score interval of a share, 95 % (Wilson, J. Am. Stat. Assoc. 1927); `n` above 0."""
    n = np.asarray(n, dtype=float)
    share, z2 = np.asarray(n_passed) / n, NORMAL_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def _draw_types(ax: Axes, by_type: pd.DataFrame, colours: dict, n_all: int) -> None:
    rows = np.arange(len(by_type))
    ax.barh(rows, by_type["n_all"], 0.7, facecolor="none", edgecolor=style.PALE, label="_all")
    ax.barh(rows, by_type["n_tested"], 0.7, color=style.PALE, label="_tested")
    used = [colours.get(name, style.GREY) for name in by_type.index]
    ax.barh(rows, by_type["n_passed"], 0.7, color=used, label="_passed")
    for row, (passed, tested, size) in zip(rows, by_type.to_numpy(), strict=True):
        style.beside(ax, row, f"{passed:,} of {tested:,}, {size - tested:,} untestable")
    name_rows(ax, [style.shorten(name, 22) for name in by_type.index])
    ax.set_ylim(max(len(rows), 3) - 0.4, -0.6)
    hidden = n_all - len(by_type)
    note = f"{hidden} further cell types with fewer passing genes are in the tables." * (hidden > 0)
    ax.set_xlabel(style.lines("genes: untestable (outlined), tested (pale), passed (dark)", note))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    style.panel_title(ax, "Genes that pass, by cell type")


def _draw_peaks(ax: Axes, by_peaks: pd.DataFrame, bins: list[str], n_missing: int) -> None:
    style.panel_title(ax, "Share that passes, by peaks in the window")
    if by_peaks.empty:
        style.say(ax, "no gene could be tested, or the number of peaks is not known")
        return
    x = np.arange(len(bins))
    n_passed, n = by_peaks["sum"].to_numpy(), by_peaks["size"].to_numpy()
    low, high = wilson_interval(n_passed, n)
    ax.vlines(x, 100 * low, 100 * high, color=style.BLUE, lw=1.0, label="_interval")
    ax.plot(x, 100 * n_passed / n, "o", ms=4, color=style.BLUE, clip_on=False, label="_share")
    for position, size in zip(x, n, strict=True):
        units = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        looks = {"ha": "center", "va": "top", "fontsize": 5.5, "color": style.GREY}
        ax.annotate(f"{size:,}", (position, 1), (0, -1), **units, **looks)
    ax.set_xticks(x, bins, rotation=40, ha="right", rotation_mode="anchor")
    missing = f"{n_missing:,} without a number of peaks are left out." * (n_missing > 0)
    ax.set(xlim=(-0.6, len(bins) - 0.4), ylim=(0, 1.15 * max(5.0, 100 * high.max())))
    ax.set_xlabel(style.lines("peaks in the window (grey: genes tested)", missing))
    ax.set_ylabel("% of genes that pass")
    ax.axhline(0, color=style.INK, lw=0.4)


def _draw_tasks(
    ax: Axes, tasks: pd.DataFrame, threshold: float, colours: dict, n_asked: int, n_tested: int
) -> None:
    """q-values of the tasks, smallest first; filled where the task passes."""
    style.panel_title(ax, "The tasks: q-value that the window tells nothing")
    untestable = f"{n_asked - n_tested:,} of {n_asked:,} tasks could not be tested" * (n_tested < n_asked)
    if tasks.empty:
        style.say(ax, untestable or "no tasks")
        return
    rows, q = np.arange(len(tasks)), np.maximum(tasks["q_value"].to_numpy(float), SMALLEST_Q)
    for row, value, cell_type, passes in zip(rows, q, tasks["cell_type"], tasks["passes"], strict=True):
        colour = colours.get(cell_type, style.GREY)
        looks = {"ms": 4, "mec": colour, "mfc": colour if passes else "none"}
        ax.plot(value, row, "o", clip_on=False, label="_task", **looks)
    ax.axvline(threshold, color=style.INK, lw=0.6, ls="--", label="_threshold")
    names = tasks["gene"].map(lambda gene: style.shorten(gene, 16)) + " · "
    names += tasks["cell_type"].map(lambda name: style.shorten(name, 22))
    name_rows(ax, list(names))
    hidden = f"{n_tested - len(tasks):,} with larger q-values are in the tables" * (n_tested > len(tasks))
    notes = "; ".join(note for note in (untestable, hidden) if note)
    style.log_axis(ax.xaxis, min(q.min(), threshold), 1)
    ax.set_xlim(min(q.min(), threshold) / 2, 1.3)
    ax.set_xlabel(f"q-value (filled: passes; dashed: {threshold:g})" + f"\n{notes}." * bool(notes))
