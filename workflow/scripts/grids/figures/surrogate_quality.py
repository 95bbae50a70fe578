"""The surrogate against its baselines on test cells."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grids.figures import style
from grids.figures.scales import colours_for, flags
from grids.figures.tasks import name_rows

BASELINES = {
    "gene_mean": "mean per gene",
    "cell_type_mean": "cell-type mean",
    "lsi_ridge": "LSI + ridge",
    "lsi_neighbours": "LSI + neighbours",
}
SCORES = {"pearson_r": "Pearson r per gene", "rmse": "RMSE per gene (log-expression)"}
MAX_LABELS = 16
MOST_TYPES_WITH_NUMBERS = 16


@style.styled
def surrogate_quality(
    quality: pd.DataFrame, tasks: pd.DataFrame | None = None, cell_types: Iterable[str] | None = None
) -> Figure:
    """Per-gene correlation and error against the baselines, and the genes predicted within each cell type.

    Upper rows: distributions over genes (dot: median) and each gene against the best baseline, the one with the
    best median. Lowest row: per cell type, the share of genes with a smaller error than the cell-type mean, and the
    share of genes that beat it by more than chance.

    Parameters
    ----------
    quality : DataFrame
        ``model cell_type gene n_cells pearson_r spearman_r rmse beats_type_mean``; no cell type for all test
        cells. Models other than the baselines are surrogates; the first is set against the best baseline.
    tasks : DataFrame, optional
        ``cell_type gene``; their genes are highlighted and labelled.
    """
    if quality.empty:
        return style.empty_figure("no genes to compare on test cells")
    overall = quality[quality["cell_type"].isna()]
    genes = list(dict.fromkeys(tasks["gene"])) if tasks is not None else []
    surrogates = [model for model in pd.unique(quality["model"]) if model not in BASELINES]
    surrogate = next(iter(surrogates), "missing")
    baselines = [name for name in BASELINES if (quality["model"] == name).any()]
    models = [surrogate, *sorted(surrogates[1:]), *baselines]

    figure = style.new_figure(style.DOUBLE_COLUMN, 7.4)
    grid = figure.add_gridspec(3, 2, width_ratios=[1, 1], height_ratios=[1, 1, 0.8])
    for row, score in enumerate(SCORES):
        wide = overall.pivot_table(index="gene", columns="model", values=score, aggfunc="first")
        wide = wide.reindex(columns=models).astype(float)
        _draw_distributions(figure.add_subplot(grid[row, 0]), wide, score, surrogate, genes)
        _draw_paired(figure.add_subplot(grid[row, 1]), wide, score, surrogate, genes)
    _draw_cell_types(figure.add_subplot(grid[2, :]), quality, surrogate, cell_types)
    return figure


def model_name(model: str) -> str:
    """A model's name as the figures write it."""
    names = {**BASELINES, "cross_modality": "cross-modality surrogate"}
    return names.get(model, f"{style.words(model)} surrogate")


def _draw_distributions(ax: Axes, wide: pd.DataFrame, score: str, surrogate: str, genes: list[str]) -> None:
    style.panel_title(ax, f"{SCORES[score].split(' (')[0]}, across types ({len(wide):,} genes)")
    if wide.empty:
        style.say(ax, "no scores across types: no model of all of them")
        return
    rows = np.arange(wide.shape[1])
    colours = [style.BLUE if model == surrogate else style.PALE for model in wide]
    style.violins(ax, [wide[model].to_numpy() for model in wide], rows, colours, vertical=False)
    for row, model in zip(rows, wide, strict=True):
        values = wide[model].dropna()
        if values.empty:
            at = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 6, "color": style.GREY}
            ax.text(0.02, row, "not defined: constant per gene", **at)
            continue
        low, median, high = np.percentile(values, [25, 50, 75])
        ax.plot([low, high], [row, row], color=style.INK, lw=1.2, solid_capstyle="butt")
        ax.plot(median, row, "o", ms=3.5, color="white", mec=style.INK, mew=0.7, label=f"_median {model}")
        style.beside(ax, row, f"{median:z.3f}".replace("-", "−"))
    style.beside(ax, -0.7, "median", va="top", color=style.GREY)
    shown = wide.loc[wide.index.isin(genes), surrogate].dropna()
    row = list(wide).index(surrogate)
    ax.plot(shown, np.full(len(shown), row + 0.42), "|", ms=4, mew=0.7, color=style.VERMILLION)
    name_rows(ax, [style.shorten(model_name(model), 26) for model in wide])
    ax.set(ylim=(len(rows) - 0.4, -0.7), xlabel=SCORES[score])
    style.few_ticks(ax, x=5)


def _draw_paired(ax: Axes, wide: pd.DataFrame, score: str, surrogate: str, genes: list[str]) -> None:
    medians = wide[[model for model in wide if model in BASELINES]].median().dropna()
    order = medians.sort_values(ascending=score == "rmse", kind="stable")
    both = wide[[surrogate, *order.index[:1]]].dropna()
    if order.empty or both.empty:
        style.say(ax, "no gene is scored for both the surrogate and a baseline")
        return
    best, marked = order.index[0], both.index.isin(genes)
    better = both[surrogate] < both[best] if score == "rmse" else both[surrogate] > both[best]
    low, high = both.to_numpy().min(), both.to_numpy().max()
    pad = 0.04 * (high - low or 1)
    limits = (low - pad, high + pad)
    ax.plot(limits, limits, color=style.GREY, lw=0.6, ls="--")
    x, y = both[best], both[surrogate]
    pale = {"s": 5, "lw": 0, "color": style.BLUE, "alpha": 0.45, "rasterized": len(both) > 3000}
    ax.scatter(x[~marked], y[~marked], label="_genes", **pale)
    bold = {"s": 12, "lw": 0.4, "color": style.VERMILLION, "edgecolor": "white"}
    ax.scatter(x[marked], y[marked], label="_task genes", **bold)
    ax.set(xlim=limits, ylim=limits, xlabel=model_name(best), ylabel=model_name(surrogate))
    ax.set_box_aspect(1)
    style.few_ticks(ax, x=4, y=4)
    style.panel_title(ax, f"{SCORES[score].split(' (')[0]}: better for {better.mean():.0%} of genes")
    _label_points(ax, both.loc[marked, [best, surrogate]].iloc[:MAX_LABELS], spacing=0.062)


def _label_points(ax: Axes, points: pd.DataFrame, spacing: float) -> None:
    """Names of points (columns: x, y) in a column right of the axes, joined by thin lines, so that none collide.

    The y limits must be final; `spacing` is the height of a label as a fraction of the axes' height.
    """
    low, high = ax.get_ylim()
    line = {"arrowstyle": "-", "lw": 0.35, "color": style.GREY, "shrinkA": 0, "shrinkB": 1.5}
    looks = {"textcoords": ax.transAxes, "ha": "left", "va": "center", "fontsize": 5.5}
    points = points.iloc[np.argsort(points.iloc[:, 1].to_numpy(), kind="stable")]
    heights = spread((points.iloc[:, 1].to_numpy() - low) / (high - low), spacing)
    for (name, *place), height in zip(points.itertuples(name=None), heights, strict=True):
        label = style.shorten(name, 18)
        ax.annotate(label, place, (1.04, height), arrowprops=line, annotation_clip=False, **looks)


def spread(wanted: np.ndarray, spacing: float) -> np.ndarray:
    """Positions near the wanted ones (ascending) that keep their order and at least `spacing` between them.

    Stays within 0 and 1 as long as the positions fit between them.
    """
    placed = np.array(wanted, dtype=float)
    for i in range(len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + spacing if i else 0.0)
    ceiling = 1.0
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - spacing
    return placed


def _draw_cell_types(
    ax: Axes, quality: pd.DataFrame, surrogate: str, cell_types: Iterable[str] | None
) -> None:
    per_type = quality[quality["cell_type"].notna()]
    shares = genes_per_cell_type(per_type, surrogate)
    style.panel_title(ax, "Within types: genes with a smaller error than the cell-type mean")
    if shares.empty:
        style.say(ax, "no scores per cell type")
        return
    colours = colours_for(per_type, cell_types)
    x = np.arange(len(shares))
    used = [colours[str(name)] for name in shares.index]
    ax.bar(x - 0.2, 100 * shares["better"], 0.36, color=used, label="_better")
    hatched = {"facecolor": "white", "hatch": "//////"}
    looks = {"edgecolor": used, "lw": 0.8, "label": "_by_more_than_chance"}
    ax.bar(x + 0.2, 100 * shares["beats_type_mean"], 0.36, **hatched, **looks)
    if len(shares) <= MOST_TYPES_WITH_NUMBERS:
        above = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 5.5}
        for position, row in zip(x, shares.itertuples(), strict=True):
            for offset, value in ((-0.2, row.better), (0.2, row.beats_type_mean)):
                if np.isfinite(value):
                    ax.annotate(f"{100 * value:.0f}", (position + offset, 100 * value), (0, 1), **above)
    upright = len(shares) <= 8 and max(len(str(name)) for name in shares.index) <= 10
    looks = {"rotation": 0, "ha": "center"} if upright else {"rotation": 40, "ha": "right"}
    ax.set_xticks(x, [style.shorten(name, 18) for name in shares.index], rotation_mode="anchor", **looks)
    ax.tick_params(axis="x", length=0)
    ax.set(ylabel="% of genes", xlim=(-0.6, max(len(shares), 4) - 0.4))
    key = [Patch(facecolor=style.GREY, label="smaller error")]
    key += [Patch(**hatched, edgecolor=style.GREY, label="by more than chance")]
    ax.legend(loc="upper right", bbox_to_anchor=(1, 1.02), handles=key, ncols=2)
    ax.set_ylim(0, 1.3 * max(5.0, 100 * np.nanmax(np.append(shares.to_numpy(dtype=float), 0))))


def genes_per_cell_type(quality: pd.DataFrame, surrogate: str) -> pd.DataFrame:
    """Shares of genes per cell type, from the rows of :func:`surrogate_quality` that are not over all cells.

    One row per cell type in alphabetical order. ``better``: share of genes whose RMSE is below that of the cell-type
    mean, of those where both are known; ``beats_type_mean``: share of genes marked so. Missing where no gene is known.
    """
    own = quality[quality["model"] == surrogate]
    mean = quality.loc[quality["model"] == "cell_type_mean", ["cell_type", "gene", "rmse"]]
    both = own.merge(mean, on=["cell_type", "gene"], suffixes=("", "_mean"), how="left")
    known = both["rmse"].notna() & both["rmse_mean"].notna()
    better = (both["rmse"] < both["rmse_mean"]).astype(float).where(known)
    beats = flags(both["beats_type_mean"]).astype(float).where(both["beats_type_mean"].notna())
    shares = pd.DataFrame({"better": better, "beats_type_mean": beats})
    return shares.groupby(both["cell_type"]).mean()
