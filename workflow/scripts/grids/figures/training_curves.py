"""Losses over epochs, training and validation, joint stages and specialisation."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style
from grids.figures.scales import cell_type_key, colours_for

COLUMNS = 4
STAGES = {"atac": "ATAC autoencoder", "rna": "RNA autoencoder"}


@style.styled
def training_curves(curves: pd.DataFrame, cell_types: Iterable[str] | None = None) -> Figure:
    """One panel per stage and loss; stages trained per cell type have one colour per cell type.

    Training is dashed, validation solid; a dot marks the smallest validation loss.

    Parameters
    ----------
    curves : DataFrame
        ``stage cell_type epoch loss split value``; no cell type for joint stages. Every loss has training
        values; validation values have those that decide when a stage stops. Stages and losses are shown in
        the table's order.
    """
    if curves.empty:
        return style.empty_figure("no training curves: no stage was trained")
    panels = list(curves[["stage", "loss"]].drop_duplicates().itertuples(index=False, name=None))
    colours = colours_for(curves, cell_types)

    figure, axes = style.small_multiples(len(panels), 1.55, 0.45, COLUMNS)
    for i, (ax, (stage, loss)) in enumerate(zip(axes, panels, strict=True)):
        _draw(ax, curves[(curves["stage"] == stage) & (curves["loss"] == loss)], colours)
        title = [STAGES.get(stage, style.words(stage)), style.words(loss)]
        style.panel_title(ax, "\n".join(style.shorten(line, 30) for line in title))
        ax.set(xlabel="epoch", ylabel="loss" if i % COLUMNS == 0 else "")

    key = [
        Line2D([], [], color=style.SPLIT_COLOURS["train"], ls="--", lw=0.8, label="training"),
        Line2D([], [], color=style.SPLIT_COLOURS["validation"], label="validation"),
        *cell_type_key(colours, curves["cell_type"].dropna()),
    ]
    style.legend_outside(figure, key)
    return figure


def _draw(ax: Axes, curves: pd.DataFrame, colours: dict) -> None:
    for (cell_type, split), part in curves.groupby(["cell_type", "split"], dropna=False, sort=True):
        part = part.sort_values("epoch")
        validation = split == "validation"
        colour = colours.get(str(cell_type), style.SPLIT_COLOURS["validation" if validation else "train"])
        looks = {"ls": "-", "lw": 1.0} if validation else {"ls": "--", "lw": 0.7}
        looks |= {"color": colour, "label": f"_{cell_type} {split}"}
        (line,) = ax.plot(part["epoch"], part["value"], **looks)
        if len(part) == 1:
            line.set(marker="o", markersize=2.5)
        elif validation and part["value"].notna().any():
            best = part.loc[part["value"].idxmin()]
            ax.plot(best["epoch"], best["value"], "o", ms=2.8, color=colour)
    values = curves["value"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    style.few_ticks(ax, x=4, y=4)
    if values.size and values.min() > 0 and values.max() / values.min() > 20:
        style.log_axis(ax.yaxis, values.min(), values.max())
    ax.xaxis.get_major_locator().set_params(integer=True, steps=[1, 2, 5, 10])
