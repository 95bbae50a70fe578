"""What every figure shares: sizes, colours, fonts, and the few drawing helpers that more than one needs."""

import functools
import math
from collections.abc import Callable, Sequence

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

SINGLE_COLUMN = 3.5  # inches, 89 mm
DOUBLE_COLUMN = 7.2  # inches, 183 mm

INK = "#222222"
GREY = "#8a8a8a"
PALE = "#d9d9d9"
LIGHT = "#c4c4c4"
BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
ORANGE = "#e69f00"
SPLIT_COLOURS = {"train": GREY, "validation": BLUE}
MODALITY_COLOURS = {"rna": VERMILLION, "atac": BLUE}

# The first eight after Okabe and Ito, the yellow darkened for white paper, black made violet: ink stands for all types.
# The rest after Paul Tol.
PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#5e3c99",
    "#332288", "#882255", "#44aa99", "#999933", "#aa4499", "#ddcc77", "#117733", "#cc6677",
    "#88ccee", "#661100", "#6699cc", "#aa4466", "#4b7a00", "#b8860b", "#9aa5b1", "#c51b8a",
)  # fmt: skip

# Down is blue, up is vermillion, and no effect is a grey that still shows on white.
EFFECT_COLOURS = LinearSegmentedColormap.from_list(
    "effect", ["#00507d", BLUE, "#b5b5b5", VERMILLION, "#8c3d00"]
)

# Axes and colours of log effects reach at least this far: what is far below it looks like nothing.
LEAST_REACH = 0.05
# An effect that would be written 0.00 is.
LEAST_WRITTEN = 0.005

ABBREVIATIONS = {"atac": "ATAC", "rna": "RNA", "tss": "TSS", "lsi": "LSI", "rmse": "RMSE"}
LOG_CHANGE = "change in mean log-expression (natural log)"

STYLE = {
    # The first ships with matplotlib: the same glyphs on every machine. For browsers without it: Verdana's are as wide.
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.title_fontsize": 6,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "figure.titlesize": 8,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,  # names are data: a "$" in one is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.0,
    "hatch.linewidth": 0.5,
    "patch.linewidth": 0.6,
    "figure.dpi": 200,  # as saved, so that a layout made once fits every format
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",  # here too: names can be searched, copied and edited
    "svg.hashsalt": "grids",
}


def in_style():
    """A context with matplotlib's defaults plus :data:`STYLE`, whatever the user's matplotlibrc says."""
    return matplotlib.style.context(["default", STYLE])


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorator: run a figure function inside :func:`in_style`."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with in_style():
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the given size in inches that lays itself out when drawn."""
    return Figure(figsize=(width, height), layout="constrained")


def small_multiples(n_panels: int, panel_height: float, margin: float, n_columns: int = 5):
    """A double-column figure of equal small panels, narrower when they do not fill one row, and its axes in order."""
    columns = min(n_columns, n_panels)
    rows = math.ceil(n_panels / columns)
    width = max(2.6, DOUBLE_COLUMN * columns / n_columns)
    figure = new_figure(width, panel_height * rows + margin)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[n_panels:]:
        ax.set_axis_off()
    return figure, axes[:n_panels]


def empty_figure(text: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = new_figure(SINGLE_COLUMN, 1.2)
    say(figure.subplots(), text)
    return figure


def say(ax: Axes, text: str) -> None:
    """Replace the content of an axes by one sentence."""
    ax.set_axis_off()
    write_inside(ax, text, wrap=True)


def write_inside(ax: Axes, text: str, **style) -> None:
    """Grey words in the middle of an axes."""
    looks = {"ha": "center", "va": "center", "color": GREY} | style
    ax.text(0.5, 0.5, text, transform=ax.transAxes, **looks)


def shorten(name: str, limit: int = 28) -> str:
    """A name of at most `limit` characters, its middle replaced by an ellipsis."""
    name = str(name)
    if len(name) <= limit:
        return name
    head = (limit - 1) * 2 // 3
    return f"{name[:head]}…{name[len(name) - (limit - 1 - head) :]}"


def lines(*texts: str) -> str:
    """Those texts that say something, one below the other."""
    return "\n".join(filter(None, texts))


def words(name: str) -> str:
    """``min_tss_enrichment`` -> ``min TSS enrichment``."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in str(name).split("_"))


def beside(ax: Axes, y: float, text: str, offset: tuple[float, float] = (4, 0), **style) -> None:
    """Small text right of the axes, at the height `y` of its data; `offset` in points."""
    units = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    looks = {"va": "center", "fontsize": 6} | style
    ax.annotate(text, (1, y), offset, annotation_clip=False, **units, **looks)


def number(value: float) -> str:
    """A short number for a label; a dash when it is missing."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.2g}".replace("-", "−")


def effect_number(value: float) -> str:
    """A log effect as a short number; one that does not show on the scale of any figure is 0.00."""
    return "0.00" if abs(value) < LEAST_WRITTEN else number(value)


def reach(ax: Axes, axis: str) -> None:
    """Widen an axis of log effects, about its middle, to :data:`LEAST_REACH` at least."""
    low, high = getattr(ax, f"get_{axis}lim")()
    missing = max(LEAST_REACH - (high - low), 0) / 2
    getattr(ax, f"set_{axis}lim")(low - missing, high + missing)


def panel_title(ax: Axes, text: str, **options) -> None:
    """A title set flush left."""
    ax.set_title(text, loc="left", **options)


def log_axis(axis, low: float, high: float) -> None:
    """Make an x or y axis logarithmic with plain labels: 0.02, 500, 20k.

    Less than two decades get labels at 1, 2 and 5 times each power of ten.
    """
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    few = low > 0 and high / low < 100
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: thousands(value)))
    axis.set_minor_formatter(NullFormatter())


def thousands(value: float) -> str:
    """``0.02``, ``500``, ``20k``, ``3M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def few_ticks(ax: Axes, x: int | None = None, y: int | None = None) -> None:
    """At most so many intervals between the ticks of each axis."""
    if x:
        ax.xaxis.set_major_locator(MaxNLocator(x))
    if y:
        ax.yaxis.set_major_locator(MaxNLocator(y))


def violins(
    ax: Axes,
    values: Sequence[np.ndarray],
    positions: Sequence[float],
    colours: Sequence,
    width: float = 0.8,
    vertical: bool = True,
    side: str = "both",
) -> None:
    """Violins for those samples that have finite values; a sample without spread is drawn as a line.

    `side` is "both", or "low" or "high" for a half violin left or right of its position.
    """
    for sample, position, colour in zip(values, positions, colours, strict=True):
        sample = np.asarray(sample, dtype=float)
        sample = sample[np.isfinite(sample)]
        if sample.size == 0:
            continue
        if np.ptp(sample) <= 1e-9 * max(1.0, np.abs(sample).max()):
            line = ax.hlines if vertical else ax.vlines
            left = position - width / 2 * (side != "high")
            line(sample[0], left, position + width / 2 * (side != "low"), color=colour, lw=0.8)
            continue
        looks = {"orientation": "vertical" if vertical else "horizontal", "side": side, "showextrema": False}
        parts = ax.violinplot(sample, [position], widths=width, **looks)
        for body in parts["bodies"]:
            body.set(facecolor=colour, edgecolor="none", alpha=1.0)


def mark(label: str, marker: str = "o", **looks) -> Line2D:
    """A marker without a line, for a legend."""
    return Line2D([], [], ls="", marker=marker, label=label, **looks)


def legend_outside(
    figure: Figure,
    handles: Sequence[Artist],
    labels: Sequence[str] | None = None,
    limit: int = 7,
    side: str = "lower",
) -> None:
    """A legend below ("lower") or above ("upper") the axes, in as few rows of `limit` columns as fit, filled evenly.

    Labels are the handles' own where none are given; without handles there is no legend.
    """
    if not handles:
        return
    labels = [handle.get_label() for handle in handles] if labels is None else labels
    widest = (max(map(len, labels)) + 5) * 0.6 * STYLE["legend.fontsize"] / 72
    fitting = max(1, min(limit, len(labels), int((figure.get_figwidth() - 0.2) / widest)))
    n_columns = math.ceil(len(labels) / math.ceil(len(labels) / fitting))
    figure.legend(handles, labels, loc=f"outside {side} center", ncols=n_columns)
