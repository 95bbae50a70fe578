"""The image benchmark: sample digits and the pixels that each method closes in them."""

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.explainers.methods import in_order, method_name
from grids.figures import style

BACKGROUND, UNDRAWN_MEMBER = "#f4f4f4", "#f7cfae"
CELL = 0.62  # inches per digit


@style.styled
def mnist_digits(digits: AnnData, sets: pd.DataFrame, cells: pd.DataFrame, n_samples: int = 9) -> Figure:
    """Columns are test digits, from the least to the most certain; rows are methods. Numbers are log odds.

    Parameters
    ----------
    digits : AnnData
        As :func:`benchmarks.mnist.digits.write` stores them.
    sets : DataFrame
        ``mnist/sets.tsv``: ``method row column`` of the pixels that are closed.
    cells : DataFrame
        ``mnist/cells.tsv.gz``: ``method cell before after``.
    n_samples : int
        Digits shown at most, evenly spread over the log odds before.

    Returns
    -------
    Figure
    """
    if cells.empty:
        return style.empty_figure("no method was run on the digits")
    methods = in_order(cells["method"])
    log_odds = cells.pivot(index="cell", columns="method", values="after")
    before = cells.drop_duplicates("cell").set_index("cell")["before"].sort_values(kind="stable")
    samples = before.index[np.unique(np.linspace(0, len(before) - 1, n_samples).round().astype(int))]
    side = int(digits.var["row"].max()) + 1, int(digits.var["column"].max()) + 1
    figure = style.new_figure(
        min(style.DOUBLE_COLUMN, CELL * (len(samples) + 2)), CELL * (len(methods) + 1) + 0.5
    )
    axes = figure.subplots(len(methods) + 1, len(samples), squeeze=False)
    for column, sample in enumerate(samples):
        drawn = np.zeros(side, bool)
        opened = np.flatnonzero(digits.X[digits.obs.index.get_loc(sample)].toarray()[0])
        drawn[digits.var["row"].iloc[opened], digits.var["column"].iloc[opened]] = True
        _show(axes[0, column], drawn, np.zeros(side, bool), before[sample])
        for row, method in enumerate(methods, start=1):
            own = sets[sets["method"] == method]
            member = np.zeros(side, bool)
            member[own["row"], own["column"]] = True
            _show(axes[row, column], drawn, member, log_odds.loc[sample, method])
    for ax, name in zip(axes[:, 0], ["unchanged", *map(method_name, methods)], strict=True):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=6)
    handles = [
        Patch(color=style.INK, label="drawn"),
        Patch(color=style.VERMILLION, label="drawn, closed"),
        Patch(color=UNDRAWN_MEMBER, label="in the set, not drawn"),
    ]
    style.legend_outside(figure, handles, [handle.get_label() for handle in handles])
    figure.get_layout_engine().set(h_pad=0.01, w_pad=0.02, hspace=0, wspace=0)
    return figure


def _show(ax: Axes, drawn: np.ndarray, member: np.ndarray, log_odds: float) -> None:
    picture = np.empty((*drawn.shape, 3))
    picture[:] = to_rgb(BACKGROUND)
    picture[member] = to_rgb(UNDRAWN_MEMBER)
    picture[drawn] = to_rgb(style.INK)
    picture[drawn & member] = to_rgb(style.VERMILLION)
    ax.imshow(picture, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_xlabel(f"{round(log_odds, 1) + 0.0:.1f}".replace("-", "−"), fontsize=5.5, labelpad=1)
