"""Whether p-values are as often small as they may be where there is nothing to find."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grids.analysis.links.calibration import poisson_interval
from grids.figures import style
from grids.io.levels import LEVELS, WITHIN_TYPE

# Name and colour of each kind of test, name and marker of each null.
_TESTS = {
    "window": ("windows", style.BLUE),
    "distal": ("distal peaks", style.VERMILLION),
    "link": ("links", style.GREEN),
}
_NULLS = {"shuffle": ("RNA shuffled", "o"), "decoy": ("decoy windows", "s")}
_TITLES = {"within_type": "Within types", "across_types": "Across types"}
MOST_DIGITS = 8
LEAST_RATIO, MOST_RATIO = 0.02, 50


@style.styled
def calibration(counts: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """A row per level. Left, for each null: observed against expected p-values. Right: how many there are too many.

    Types of the level within a type are drawn together, and each by a thin line where there are several. Shaded: what
    95 % of independent tests' p-values would do. Dotted: the data as they are. Right, numbers of p-values below four
    thresholds over the expected ones, with their Poisson interval; those beyond the axis are drawn at its end.

    Parameters
    ----------
    counts : DataFrame
        ``calibration_p_values.tsv.gz``.
    table : DataFrame
        ``calibration.tsv``.
    """
    levels = [level for level in LEVELS if (counts["level"] == level).any()]
    if not levels:
        return style.empty_figure("nothing was calibrated: cells are unpaired")
    figure = style.new_figure(style.DOUBLE_COLUMN, 2.4 * len(levels) + 0.5)
    axes = figure.subplots(len(levels), 3, squeeze=False, width_ratios=[1, 1, 1.1])
    for row, level in zip(axes, levels, strict=True):
        of_level = counts[counts["level"] == level]
        pooled = table["cell_type"].isna() if level == WITHIN_TYPE else True
        ratios = table[(table["level"] == level) & pooled]
        for ax, null in zip(row, _NULLS, strict=False):
            style.panel_title(ax, f"{_TITLES[level]}: {_NULLS[null][0]}")
            _draw_quantiles(ax, of_level, null, ratios[ratios["null"] == null])
        style.panel_title(row[2], f"{_TITLES[level]}: too many?")
        _draw_ratios(row[2], ratios)
    key = [Line2D([], [], color=colour, label=name) for name, colour in _TESTS.values()]
    key += [style.mark(name, marker, color=style.GREY, ms=3.2) for name, marker in _NULLS.values()]
    key += [Line2D([], [], color=style.GREY, ls=":", label="data as they are")]
    key += [Patch(color=style.PALE, label="95 % of independent tests")]
    style.legend_outside(figure, key)
    return figure


def _draw_quantiles(ax: Axes, counts: pd.DataFrame, null: str, ratios: pd.DataFrame) -> None:
    own = counts[counts["null"] == null]
    if not own["n_tests"].sum():
        style.say(ax, "no such null was tested, or no test had a p-value")
        return
    several = own["cell_type"].nunique() > 1
    for what, (_, colour) in _TESTS.items():
        of_test = own[own["what"] == what]
        if several:
            for _, of_type in of_test.groupby("cell_type", sort=False):
                ax.plot(*_quantiles(of_type), color=colour, lw=0.4, alpha=0.35, label="_type")
        ax.plot(*_quantiles(_together(of_test)), color=colour, lw=1.4, label=f"_{what}")
        as_is = counts[(counts["null"] == "none") & (counts["what"] == what)]
        ax.plot(*_quantiles(_together(as_is)), color=colour, lw=0.9, ls=":", label="_as they are")
    largest = max((_together(own[own["what"] == what]) for what in _TESTS), key=lambda x: x["n_tests"].max())
    _draw_band(ax, largest)
    farthest = min(np.log10(largest["n_tests"].max()) + 0.5, MOST_DIGITS)
    ax.plot([0, farthest], [0, farthest], color=style.INK, lw=0.5, label="_diagonal")
    ax.set(xlim=(0, farthest), ylim=(0, min(farthest + 1.5, MOST_DIGITS)))
    ax.set_xlabel("expected −log₁₀ p")
    ax.set_ylabel("observed −log₁₀ p")
    found = [
        f"{_TESTS[row.what][0]}: {row.n_repeats_with_discoveries} of {row.n_repeats}"
        for row in ratios[ratios["n_tests"] > 0].drop_duplicates("what").itertuples()
    ]
    looks = {"ha": "right", "va": "bottom", "fontsize": 5.5, "color": style.GREY, "linespacing": 1.3}
    ax.text(
        0.99,
        0.03,
        "\n".join(["repeats with any q < 0.05", *found]),
        transform=ax.transAxes,
        in_layout=False,
        **looks,
    )


def _together(counts: pd.DataFrame) -> pd.DataFrame:
    """Counts of all types, by p-value."""
    return counts.groupby("p_value")[["n_at_most", "n_tests"]].sum().reset_index()


def _quantiles(counts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Expected and observed -log10 p: a p-value that a share of the tests does not exceed is expected to be that."""
    seen = counts[counts["n_at_most"] > 0]
    return -np.log10(seen["n_at_most"] / seen["n_tests"]), -np.log10(seen["p_value"])


def _draw_band(ax: Axes, counts: pd.DataFrame) -> None:
    """Where each quantile would lie, were that many tests independent."""
    n, p = counts["n_tests"].max(), counts["p_value"].to_numpy()
    low, high = poisson_interval(p * n)
    digits = [-np.log10(np.clip(end / n, 1e-12, 1)) for end in (high, low)]
    ax.fill_betweenx(-np.log10(p), *digits, color=style.PALE, lw=0, zorder=0, label="_band")


def _draw_ratios(ax: Axes, ratios: pd.DataFrame) -> None:
    """Observed over expected at each threshold, one column each; nothing where nothing is expected."""
    thresholds = sorted(ratios["threshold"].unique(), reverse=True)
    shown = ratios[ratios["null"].isin(_NULLS) & ratios["ratio"].notna()]
    if shown.empty:
        style.say(ax, "no test had a p-value")
        return
    pairs = [(what, null) for null in _NULLS for what in _TESTS]
    for what, null in pairs:
        own = shown[(shown["what"] == what) & (shown["null"] == null)]
        if (
            own.empty
        ):  # a line without points that is not clipped is laid out as if it began at the figure's corner
            continue
        place = (pairs.index((what, null)) + 0.5) / len(pairs) - 0.5
        x = np.array([thresholds.index(value) for value in own["threshold"]]) + 0.8 * place
        low, ratio, high = (
            np.clip(own[name], LEAST_RATIO, MOST_RATIO) for name in ("ratio_low", "ratio", "ratio_high")
        )
        colour = _TESTS[what][1]
        ax.vlines(x, low, high, color=colour, lw=0.8, label="_interval")
        ax.plot(x, ratio, _NULLS[null][1], color=colour, ms=3.2, clip_on=False, label=f"_{null} {what}")
    ax.axhline(1, color=style.INK, lw=0.5)
    ax.axhline(2, color=style.INK, lw=0.5, ls="--", label="_twice")
    style.log_axis(ax.yaxis, LEAST_RATIO, MOST_RATIO)
    ax.set(ylim=(LEAST_RATIO, MOST_RATIO), xlim=(-0.6, len(thresholds) - 0.4))
    ax.set_xticks(range(len(thresholds)), [f"{value:g}" for value in thresholds])
    ax.set_xlabel("threshold of the p-value")
    ax.set_ylabel("observed over expected number\n(dashed: twice as many)")
