"""How many genes the surrogate can explain, by cell type and by number of peaks in the window."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grids.bins import equal_count_bins
from grids.figures.scales import flags
from grids.figures.style import (
    BLUE,
    DOUBLE_COLUMN,
    GREY,
    INK,
    PALE,
    beside,
    colours_for,
    empty_figure,
    new_figure,
    panel_title,
    say,
    shorten,
    styled,
)

MOST_TYPES = 40
MOST_BINS, FEWEST_PER_BIN = 6, 10
NORMAL_95 = 1.959964


@styled
def gate(genes: pd.DataFrame, cell_types: Iterable[str] | None = None) -> Figure:
    """Left: genes that pass the quality gate, by cell type. Right: the share that passes, by number of peaks.

    Parameters
    ----------
    genes : DataFrame
        ``gate.tsv``, one row per gene and cell type; unpaired cells are not judged, and `passed_gate` is missing.
    cell_types : iterable of str, optional
        All cell types of the run, so that colours agree between figures.

    Returns
    -------
    Figure
        Pale bars: all genes judged. Lines: Wilson's 95 % interval of a share. Of more than 40 cell types those
        with most passing genes are shown; a note counts the rest. Bins hold about equal numbers of genes.
    """
    genes = genes[genes["passed_gate"].notna()]
    if genes.empty:
        return empty_figure("no gene was judged by the quality gate")
    judged = genes.assign(passes=flags(genes["passed_gate"]), cell_type=genes["cell_type"].astype(str))
    by_type = judged.groupby("cell_type")["passes"].agg(["sum", "size"])
    by_type = by_type.sort_values(["sum", "size"], ascending=False, kind="stable")
    shown = by_type.head(MOST_TYPES)
    n_bins = int(np.clip(len(judged) // FEWEST_PER_BIN, 1, MOST_BINS))
    code, bins = equal_count_bins(judged["n_peaks"].to_numpy(), n_bins)
    by_peaks = judged[code >= 0].groupby(code[code >= 0])["passes"].agg(["sum", "size"])

    figure = new_figure(DOUBLE_COLUMN, max(2.1, 0.16 * len(shown) + 0.8))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    _draw_types(left, shown, colours_for(genes, cell_types), len(by_type))
    _draw_peaks(right, by_peaks, bins, int((code < 0).sum()))
    return figure


def wilson_interval(n_passed: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a share, 95 % (Wilson, J. Am. Stat. Assoc. 1927).

    Parameters
    ----------
    n_passed, n : arrays of int
        `n` above 0.

    Returns
    -------
    low, high : arrays of float, between 0 and 1
    """
    n = np.asarray(n, dtype=float)
    share, z2 = np.asarray(n_passed) / n, NORMAL_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def _draw_types(ax: Axes, by_type: pd.DataFrame, colours: dict, n_all: int) -> None:
    rows = np.arange(len(by_type))
    ax.barh(rows, by_type["size"], 0.7, color=PALE, label="_judged")
    used = [colours.get(name, GREY) for name in by_type.index]
    ax.barh(rows, by_type["sum"], 0.7, color=used, label="_passed")
    for row, (passed, size) in zip(rows, by_type.to_numpy(), strict=True):
        beside(ax, row, f"{passed:,} of {size:,}")
    ax.set_yticks(rows, [shorten(name, 22) for name in by_type.index])
    ax.tick_params(axis="y", length=0)
    hidden = n_all - len(by_type)
    note = f"\n{hidden} further cell types with fewer passing genes are in the tables."
    ax.set(
        ylim=(max(len(rows), 3) - 0.4, -0.6),
        xlabel="genes judged (pale), passed (dark)" + note * (hidden > 0),
    )
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel_title(ax, "Genes that pass, by cell type")


def _draw_peaks(ax: Axes, by_peaks: pd.DataFrame, bins: list[str], n_missing: int) -> None:
    panel_title(ax, "Share that passes, by number of peaks in the window")
    if by_peaks.empty:
        say(ax, "the number of peaks is not known")
        return
    x = np.arange(len(bins))
    n_passed, n = by_peaks["sum"].to_numpy(), by_peaks["size"].to_numpy()
    low, high = wilson_interval(n_passed, n)
    ax.vlines(x, 100 * low, 100 * high, color=BLUE, lw=1.0, label="_interval")
    ax.plot(x, 100 * n_passed / n, "o", ms=4, color=BLUE, clip_on=False, label="_share")
    for position, size in zip(x, n, strict=True):
        ax.annotate(
            f"{size:,}",
            (position, 1),
            (0, -1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=5.5,
            color=GREY,
        )
    ax.set_xticks(x, bins, rotation=40, ha="right", rotation_mode="anchor")
    missing = f"\n{n_missing:,} without a number of peaks are left out." * (n_missing > 0)
    ax.set(
        xlim=(-0.6, len(bins) - 0.4),
        ylim=(0, 1.15 * max(5.0, 100 * high.max())),
        xlabel="peaks in the window (grey: genes × cell types judged)" + missing,
        ylabel="% of genes that pass",
    )
    ax.axhline(0, color=INK, lw=0.4)
