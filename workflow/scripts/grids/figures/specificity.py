"""What each set does in every other cell type, and how far the types' own sets agree."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from grids.figures import style
from grids.figures.scales import (
    HEAT_COLOURS,
    heat_bar,
    in_order_of_types,
    ink_on,
    population_name,
    symmetric,
)  # fmt: skip
from grids.figures.tasks import FORCED, not_shown
from grids.io.levels import ALL_TYPES
from grids.io.tables import is_forced

GENE = ["gene", "direction", "method", "surrogate"]
CELL_WIDTH, ROW_HEIGHT, LABELS = 0.24, 0.15, 0.85  # inches
ROWS = 56  # of a column of matrices, their titles included
FEWEST_ROWS = 5  # room for the label at the side
MOST_STACKS = 4
MOST_TYPES_WITH_NUMBERS = 26
CLEAR = {"facecolor": "none", "edgecolor": "#00000055"}
FORCED_WORDS = "gate not passed, row/column"


@style.styled
def specificity(applied: pd.DataFrame, max_genes: int = 30) -> Figure:
    """One small matrix per gene: rows are the cell types whose set it is, columns those it is applied to.

    The set found across types is the lowest row, apart from the others: the model of all types has measured it.

    Colour: change on one scale for all genes. Number: Jaccard overlap with the column's own set, absent where that
    type has none. Outlined: the set in the type it was found in. Hatched: the gene did not pass the quality gate in
    the row's cell type or in the column's. Of the genes of ``specificity.tsv`` those with the strongest effect are
    shown, `max_genes` at most and as many as fit on a page; a note counts the rest.
    """
    if applied.empty:
        return style.empty_figure("no specificity: no set was applied to another cell type")
    types = in_order_of_types({*applied["found_in"], *applied["applied_to"]} - {ALL_TYPES})
    n_stacks = int(np.clip(style.DOUBLE_COLUMN // (LABELS + len(types) * CELL_WIDTH), 1, MOST_STACKS))
    genes = _strongest_genes(applied)
    sizes = [part["found_in"].nunique() for part in genes.values()]
    stacks = fill_stacks(sizes[:max_genes], n_stacks)
    keys = list(genes)[: sum(map(len, stacks))]
    norm, extend = symmetric(np.concatenate([genes[key]["log_change"] for key in keys]))
    several = [i for i in range(1, len(keys[0])) if len({key[i] for key in genes}) > 1]

    cell = min(CELL_WIDTH, (style.DOUBLE_COLUMN - LABELS) / len(types))
    n_rows = max(FEWEST_ROWS, *(sum(stack) + len(stack) for stack in stacks))
    longest = max((len(style.shorten(name, 16)) for name in types), default=0)
    width = max(style.SINGLE_COLUMN, len(stacks) * (LABELS + len(types) * cell))
    figure = style.new_figure(min(width, style.DOUBLE_COLUMN), n_rows * ROW_HEIGHT + 0.045 * longest + 1.1)
    axes = figure.subplots(1, len(stacks), squeeze=False)[0]
    remaining = iter(keys)
    for ax, stack in zip(axes, stacks, strict=True):
        blocks = [(key, genes[key]) for _, key in zip(stack, remaining, strict=False)]
        _draw_stack(ax, blocks, types, n_rows, norm, several)
    bar = heat_bar(figure, axes, norm, HEAT_COLOURS, extend)
    left_out = not_shown(len(genes), len(keys), "genes")
    bar.set_label(style.lines(style.LOG_CHANGE.replace(" (", "\n("), left_out))
    across = any(genes[key]["found_in"].eq(ALL_TYPES).any() for key in keys)
    words = "found in this cell type,\nor across types" if across else "cell type in which\nthe set was found"
    figure.supylabel(words, fontsize=7)
    figure.suptitle("cell type to which it is applied", fontsize=7)
    legend = [
        Patch(facecolor="none", edgecolor=style.INK, lw=0.8, label="own cell type"),
        Patch(color=style.PALE, label="missing"),
        Patch(facecolor="none", lw=0, label="number: Jaccard overlap"),
    ]
    if any(_is_forced_either(genes[key]).any() for key in keys):
        legend.append(Patch(**FORCED, label=FORCED_WORDS))
    style.legend_outside(figure, legend)
    return figure


def _is_forced_either(applied: pd.DataFrame) -> pd.Series:
    """Whether one of the surrogates that a number rests on is not to be trusted: that of all types stands alone."""
    where_applied = is_forced(applied, "passed_gate_where_applied") & applied["found_in"].ne(ALL_TYPES)
    return is_forced(applied) | where_applied


def fill_stacks(sizes: list[int], n_stacks: int, rows: int = ROWS) -> list[list[int]]:
    """Place matrices one below the other, in their order, in at most `n_stacks` stacks of about equal height.

    Each takes its size and one row more for its title, and a stack at most so many `rows`, unless a single matrix has
    more. Returned are the sizes of each stack's matrices; the last ones are left out when there is no room.
    """
    low = -(-(sum(sizes) + len(sizes)) // n_stacks)
    for limit in range(min(low, rows), rows + 1):
        stacks: list[list[int]] = [[]]
        for size in sizes:
            if stacks[-1] and sum(stacks[-1]) + len(stacks[-1]) + size + 1 > limit:
                if len(stacks) == n_stacks:
                    break
                stacks.append([])
            stacks[-1].append(size)
        if sum(map(len, stacks)) == len(sizes):
            break
    return stacks


def _strongest_genes(applied: pd.DataFrame) -> dict[tuple, pd.DataFrame]:
    """Each gene's rows, the gene whose sets do most anywhere first."""
    genes = applied.assign(size=applied["log_change"].abs()).groupby(GENE, dropna=False)
    parts, strength = dict(iter(genes)), genes["size"].max()
    return {key: parts[key] for key in strength.sort_values(ascending=False, kind="stable").index}


def _draw_stack(
    ax: Axes,
    blocks: list[tuple[tuple, pd.DataFrame]],
    types: list[str],
    n_rows: int,
    norm: Normalize,
    several: list[int],
) -> None:
    """One matrix below the other, in one axes: cells are of equal size and columns stand below each other."""
    column = {name: i for i, name in enumerate(types)}
    top, ticks, labels = 0, [], []
    for key, part in blocks:
        found_in = in_order_of_types(part["found_in"])
        row = part["found_in"].astype(str).map({name: i for i, name in enumerate(found_in)}).to_numpy()
        at = part["applied_to"].astype(str).map(column).to_numpy()
        change, jaccard = np.full((2, len(found_in), len(types)), np.nan)
        change[row, at], jaccard[row, at] = part["log_change"], part["jaccard"]
        forced = _is_forced_either(part).to_numpy()
        title = " · ".join([style.shorten(key[0], 18), *(str(key[i]) for i in several)])
        ax.text(0, top + 0.92, title, va="bottom", fontsize=6, fontweight="bold")
        top += 1
        extent = np.arange(len(types) + 1), top + np.arange(len(found_in) + 1)
        grey = np.where(np.isfinite(change), np.nan, 1.0)
        ax.pcolormesh(*extent, grey, cmap=ListedColormap([style.PALE]), label="_missing")
        looks = {"cmap": HEAT_COLOURS, "norm": norm, "ec": style.PALE, "lw": 0.3}
        ax.pcolormesh(*extent, change, label=f"_{key[0]}", **looks)
        for i, j in zip(row[forced], at[forced], strict=True):
            ax.add_patch(Rectangle((j, top + i), 1, 1, **FORCED | CLEAR, zorder=2, label="_forced"))
        if ALL_TYPES in found_in[1:]:
            last = top + len(found_in) - 1
            ax.plot([0, len(types)], [last, last], color="white", lw=2, label="_across types")
        for i, name in enumerate(found_in):
            if name == ALL_TYPES:
                continue
            looks = {"fill": False, "ec": style.INK, "lw": 0.8, "zorder": 3, "label": "_own"}
            ax.add_patch(Rectangle((column[name], top + i), 1, 1, **looks))
        if len(types) <= MOST_TYPES_WITH_NUMBERS:
            _write_overlaps(ax, change, jaccard, top, norm)
        ticks += list(top + 0.5 + np.arange(len(found_in)))
        labels += found_in
        top += len(found_in)
    ax.set_yticks(ticks, [style.shorten(population_name(name), 16) for name in labels], fontsize=5.5)
    names = [style.shorten(name, 16) for name in types]
    ax.set_xticks(np.arange(len(types)) + 0.5, names, fontsize=5.5, rotation=90)
    ax.tick_params(length=0, pad=1, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.set(xlim=(0, len(types)), ylim=(n_rows, 0))
    ax.spines[["left", "bottom"]].set_visible(False)


def _write_overlaps(ax: Axes, change: np.ndarray, jaccard: np.ndarray, top: int, norm: Normalize) -> None:
    """The overlap in each cell, without its leading zero: 1, .33, 0."""
    for i, j in zip(*np.nonzero(np.isfinite(jaccard)), strict=True):
        background = HEAT_COLOURS(norm(change[i, j])) if np.isfinite(change[i, j]) else to_rgba(style.PALE)
        text = f"{jaccard[i, j]:.2f}".removeprefix("0").removesuffix("00").removesuffix(".") or "0"
        looks = {"ha": "center", "va": "center", "fontsize": 4.5, "color": str(ink_on(background))}
        ax.text(j + 0.5, top + i + 0.53, text, **looks)
