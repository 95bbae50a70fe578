"""How the window surrogate's regularisation and metacells were chosen."""

import math
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style
from grids.figures.scales import flags, in_order_of_types, population_name

MARKERS = "os^Dv<>P"
MOST_LABELS = 5
# Deviances that differ by less than this share are the same to the eye.
LEAST_SPAN = 0.01


@style.styled
def regularisation_path(path: pd.DataFrame, max_types: int = 30) -> Figure:
    """One panel per cell type, and one across them: deviance of validation cells against regularisation.

    One line per number of cells in a metacell; ringed: what was chosen.

    Parameters
    ----------
    path : DataFrame
        ``cell_type strength n_cells_per_metacell validation_deviance chosen``.
    max_types : int
        At most so many panels, in alphabetical order; a note counts the rest.
    """
    if path.empty:
        return style.empty_figure("no regularisation path: nothing was chosen on validation cells")
    types = in_order_of_types(path["cell_type"])
    shown = types[:max_types]
    sizes = sorted(path["n_cells_per_metacell"].dropna().unique())
    marks = dict(zip(sizes, zip(cycle(style.PALETTE), cycle(MARKERS), strict=False), strict=False))

    figure, axes = style.small_multiples(len(shown), 1.5, 0.75, n_columns=4)
    for ax, cell_type in zip(axes, shown, strict=True):
        _draw(ax, path[path["cell_type"] == cell_type], marks)
        style.panel_title(ax, style.shorten(population_name(cell_type), 28))
    figure.supylabel("deviance on validation cells", fontsize=7)
    n_hidden = len(types) - len(shown)
    note = f"{len(shown)} models are shown, {n_hidden} more are in the tables." * (n_hidden > 0)
    figure.supxlabel(style.lines("strength of regularisation (the values tried)", note), fontsize=7)
    key = [
        Line2D([], [], color=c, marker=m, ms=3, label=f"{size:g} cell{'s' * bool(size != 1)} per metacell")
        for size, (c, m) in marks.items()
    ]
    style.legend_outside(figure, [*key, style.mark("chosen", ms=6, mfc="none", mec=style.INK)], side="upper")
    return figure


def _draw(ax: Axes, path: pd.DataFrame, marks: dict) -> None:
    # The values tried stand at equal distances: they are a geometric series, and may begin with none at all.
    strengths = sorted(path["strength"].unique())
    place = {strength: i for i, strength in enumerate(strengths)}
    for size, part in path.sort_values("strength").groupby("n_cells_per_metacell"):
        looks = {"ms": 2.5, "lw": 0.9, "label": f"_{size:g} cells"}
        looks |= dict(zip(("color", "marker"), marks[size], strict=True))
        ax.plot(part["strength"].map(place), part["validation_deviance"], **looks)
    chosen = path[flags(path["chosen"])]
    looks = {"ls": "", "marker": "o", "ms": 6, "mfc": "none", "mec": style.INK, "label": "_chosen"}
    ax.plot(chosen["strength"].map(place), chosen["validation_deviance"], **looks)
    step = math.ceil(len(strengths) / MOST_LABELS)
    ax.set_xticks(range(0, len(strengths), step), [f"{strength:g}" for strength in strengths[::step]])
    style.few_ticks(ax, y=4)
    ax.margins(0.08)
    low, high = path["validation_deviance"].min(), path["validation_deviance"].max()
    if high - low < LEAST_SPAN * abs(high):
        middle, half = (low + high) / 2, LEAST_SPAN * abs(high)
        ax.set_ylim(middle - half, middle + half)
    ax.ticklabel_format(axis="y", useOffset=False)
