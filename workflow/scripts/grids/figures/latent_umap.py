"""Both modalities in the latent space, before and after mapping."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grids.figures import style
from grids.figures.scales import cell_type_key, colours_for

MAPPINGS = {"before": "before mapping", "after": "after mapping"}


@style.styled
def latent_umap(latent: pd.DataFrame, cell_types: Iterable[str] | None = None) -> Figure:
    """Two by two: before and after mapping (rows), coloured by modality and by cell type (columns).

    Cells are drawn in a shuffled order, so that neither modality covers the other.

    Parameters
    ----------
    latent : DataFrame
        ``cell modality mapping cell_type umap_1 umap_2``; mapping is "before" or "after".
    """
    if latent.empty:
        return style.empty_figure("no latent states to show")
    by_type = colours_for(latent, cell_types)
    modalities = dict.fromkeys(latent["modality"].astype(str))
    by_modality = {name: style.MODALITY_COLOURS.get(name, style.GREY) for name in modalities}
    figure = style.new_figure(style.DOUBLE_COLUMN, 6.2)
    axes = figure.subplots(2, 2)
    columns = (("modality", by_modality, "by modality"), ("cell_type", by_type, "by cell type"))
    for row, (mapping, name) in zip(axes, MAPPINGS.items(), strict=True):
        cells = latent[latent["mapping"] == mapping]
        cells = cells.iloc[np.random.default_rng(0).permutation(len(cells))]
        size = float(np.clip(9000 / max(len(cells), 1), 0.5, 8))
        for ax, (column, colours, how) in zip(row, columns, strict=True):
            if cells.empty:
                style.say(ax, f"no cells {name}")
                continue
            looks = {"s": size, "lw": 0, "alpha": 0.7, "rasterized": True, "label": f"_{mapping} {column}"}
            own = [colours[str(value)] for value in cells[column]]
            ax.scatter(cells["umap_1"], cells["umap_2"], c=own, **looks)
            style.panel_title(ax, f"{name}, {how}")
            ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
            ax.set_aspect("equal", adjustable="datalim")
    key = [style.mark(style.words(name), ms=4, color=by_modality[name]) for name in by_modality]
    axes[0, 0].legend(handles=key, loc="best", frameon=True, framealpha=0.8, edgecolor="none")
    style.legend_outside(figure, cell_type_key(by_type, latent["cell_type"].dropna(), limit=40))
    return figure
