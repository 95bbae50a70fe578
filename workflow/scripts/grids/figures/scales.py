"""What colours and axes stand for: cell types, classes, the redundancy index, log effects."""

import math
import textwrap
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures import style
from grids.io.levels import ACROSS_TYPES, ALL_TYPES, WITHIN_TYPE, level_of

# What the two levels of evidence are called.
LEVEL_WORDS = {WITHIN_TYPE: "within types", ACROSS_TYPES: "across types"}
# Colour and marker of each class: either alone tells them apart.
CLASSES = {
    "redundant": (style.BLUE, "o"),
    "multiplicative": (style.GREEN, "s"),
    "synergistic": (style.VERMILLION, "^"),
    "single": (style.ORANGE, "D"),
    "undecided": (style.LIGHT, "v"),
    "none": (style.GREY, "X"),
}
OTHER_CLASS = (style.INK, "P")
INDEX = "redundancy index (log scale)"
INDEX_FORMULA = f"{INDEX}: 1 − sum of single effects / joint effect"
SIGNIFICANT = 0.05

# White is nothing, so that text stays readable on small values; both ends differ in hue, not in darkness.
HEAT_COLOURS = LinearSegmentedColormap.from_list(
    "heat", ["#00507d", style.BLUE, "#ffffff", style.VERMILLION, "#8c3d00"]
)

# Relative luminance at which white and ink stand out equally (WCAG 2.1).
MIDDLE_LUMINANCE = 0.21

# An index is a ratio: with a joint effect near zero it can be anything. Axes do not follow it beyond these.
LOWEST_INDEX, HIGHEST_INDEX = -2.0, 1.5


def cell_type_colours(names: Iterable[str]) -> dict[str, tuple[float, float, float]]:
    """A colour per cell type that depends on its name, not on its place in a table.

    Each name prefers the slot its checksum points to; names that share a slot take the next free one in
    alphabetical order. Pass all cell types of a run to get the same colours in each of its figures. With
    more names than colours, later rounds through the palette are lighter. In alphabetical order of the names.

    :data:`~grids.io.levels.ALL_TYPES` is no type: it takes no slot, is drawn in ink, and stands last.
    """
    wanted = {str(name) for name in names}
    names = sorted(wanted - {ALL_TYPES})
    n_slots = next((n for n in (8, 16, len(style.PALETTE)) if n >= len(names)), None)
    n_slots = n_slots or math.ceil(len(names) / len(style.PALETTE)) * len(style.PALETTE)
    taken: dict[int, str] = {}
    for name in names:
        slot = zlib.crc32(name.encode()) % n_slots
        while slot in taken:
            slot = (slot + 1) % n_slots
        taken[slot] = name
    colours = {}
    for slot, name in taken.items():
        tint = 0.45 * (1 - 0.6 ** (slot // len(style.PALETTE)))
        full = to_rgb(style.PALETTE[slot % len(style.PALETTE)])
        colours[name] = tuple(float(c + (1 - c) * tint) for c in full)
    of_all = {ALL_TYPES: to_rgb(style.INK)} if ALL_TYPES in wanted else {}
    return {name: colours[name] for name in names} | of_all


def population_name(cell_type: object) -> str:
    """A cell type as figures write it; where all types are looked at together, the level of evidence."""
    level = level_of(str(cell_type))
    return LEVEL_WORDS[level] if level == ACROSS_TYPES else str(cell_type)


def in_order_of_types(names: Iterable) -> list[str]:
    """Names of cell types in alphabetical order, all types together behind them."""
    return sorted({str(name) for name in names}, key=lambda name: (name == ALL_TYPES, name))


def colours_for(table: pd.DataFrame, cell_types: Iterable[str] | None) -> dict:
    """Colours of a run's cell types (when given) and of whatever else the table holds."""
    of_run = () if cell_types is None else cell_types
    return cell_type_colours({*table["cell_type"].dropna(), *of_run})


def cell_type_key(colours: Mapping[str, object], shown: Iterable, limit: int = 24) -> list[Line2D]:
    """Legend handles of the cell types among `shown`, in the order of their colours."""
    present = {str(name) for name in shown}
    names = [name for name in colours if name in present][:limit]
    return [style.mark(style.shorten(population_name(name), 24), ms=4, color=colours[name]) for name in names]


def class_mark(name: object) -> tuple[str, str]:
    """Colour and marker of a class."""
    return CLASSES.get(str(name), OTHER_CLASS)


def class_outline(name: object) -> dict:
    """Width and colour of the line around a class's marker: only a pale one has one."""
    return {"mew": 0.6, "mec": style.INK} if class_mark(name)[0] == style.LIGHT else {"mew": 0}


def class_key(names: Iterable) -> list[Line2D]:
    """Legend handles of the classes among `names`, in the order of :data:`CLASSES`."""
    present = {str(name) for name in pd.Series(names).fillna("no class")}
    ordered = [name for name in CLASSES if name in present] + sorted(present - set(CLASSES))
    marks = [(name, *class_mark(name)) for name in ordered]
    return [
        style.mark(name, marker, ms=4, color=colour, **class_outline(name)) for name, colour, marker in marks
    ]


def index_limits(values: np.ndarray) -> tuple[float, float]:
    """Limits of an index axis: zero and one are in view, extreme values are not followed."""
    values = np.asarray(values, dtype=float)
    values = np.append(values[np.isfinite(values)], [-0.25, 1.05])
    return max(values.min(), LOWEST_INDEX) - 0.08, min(values.max(), HIGHEST_INDEX) + 0.08


def index_words(directions: Iterable) -> tuple[str, str]:
    """What an index below and above zero says about the members.

    Closing one of two peaks that can replace each other does nothing; opening one of them does everything. Words
    of logic therefore hold for closing only.
    """
    if set(directions) <= {"silence", "derepress"}:
        return "need each other", "back each other up"
    return "less together than apart", "more together than apart"


def write_index_words(ax: Axes, directions: Iterable) -> None:
    """The meaning of both sides of zero above an axes whose x axis is the index."""
    below, above = index_words(directions)
    units = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "annotation_clip": False}
    for text, offset, side in ((f"← {below}", -4, "right"), (f"{above} →", 4, "left")):
        looks = {"ha": side, "va": "bottom", "fontsize": 6, "color": style.GREY}
        ax.annotate(text, (0, 1), (offset, 2), **units, **looks)


def symmetric(values: np.ndarray) -> tuple[Normalize, str]:
    """A colour scale of log effects around zero, and what it does not reach: a few far larger values do not wash out
    the rest, and it reaches :data:`~grids.figures.style.LEAST_REACH` at least.

    The second is for ``colorbar(extend=...)``: "both" when a value lies beyond the scale, else "neither".
    """
    sizes = np.abs(np.asarray(values, dtype=float))
    sizes = sizes[np.isfinite(sizes)]
    largest = float(sizes.max(initial=0.0))
    top = 1.5 * float(np.percentile(sizes, 98)) if sizes.size else 0.0
    top = max(min(top or largest, largest), style.LEAST_REACH)
    return Normalize(-top, top), "both" if (sizes > top).any() else "neither"


def heat_bar(
    figure: Figure, axes: Iterable[Axes], norm: Normalize, colours: Colormap, extend: str, pad: float = 0.04
) -> Colorbar:
    """The colour bar below a figure's heat maps, without a label yet."""
    size = {"aspect": 30, "shrink": min(1.0, 3.2 / figure.get_figwidth()), "pad": pad}
    scale = ScalarMappable(norm, colours)
    bar = figure.colorbar(scale, ax=list(axes), location="bottom", extend=extend, **size)
    bar.outline.set_linewidth(0.4)
    return bar


def ink_on(colours: np.ndarray) -> np.ndarray:
    """White or ink for each background colour (RGBA along the last axis), whichever stands out more."""
    rgb = np.asarray(colours)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.where(linear @ [0.2126, 0.7152, 0.0722] < MIDDLE_LUMINANCE, "white", style.INK)


def flags(column: pd.Series) -> pd.Series:
    """True where a column of truth values, however a table spells them, is true; a missing one is not."""
    return column.astype(str).str.lower().isin(["true", "1", "1.0"])


def fold(text: str, width: float) -> str:
    """A label broken into lines that fit into a figure of `width` inches; its own line breaks stay."""
    n_characters = max(20, int(width / 0.056))
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, n_characters))
