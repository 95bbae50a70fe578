"""A gene's locus: contacts and TADs, arcs to the members of its set, accessibility of the cell types, gene models."""

import math
import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from grids.analysis.contacts.contact_map import ContactMap, describe_values
from grids.figures import style
from grids.figures.locus_tracks import (
    ROW_HEIGHT,
    WIDTH,
    Stretch,
    draw_contacts,
    draw_genes,
    draw_tads,
    place_genes,
)  # fmt: skip
from grids.figures.scales import cell_type_colours, flags, population_name
from grids.figures.tasks import FORCED_WORDS, full_sets, mark_forced_panel
from grids.io.errors import InputError, listing
from grids.io.levels import ALL_TYPES
from grids.io.tables import TASK_KEYS, is_forced

DEFAULT_WINDOW_BP = 500_000
MAX_RANKS = 16
KINDS = ("contacts", "tads", "arcs", "alternatives", "tracks", "genes")  # of axes, from top to bottom
TRIANGLE_HEIGHT = WIDTH / 4  # the TSS in the middle, its farthest contacts on top: 45 degrees


@dataclass(frozen=True)
class Locus:
    """What is known of the surroundings of genes.

    Parameters
    ----------
    genes : DataFrame
        ``gene chromosome start end strand tss exon_starts exon_ends``, 0-based half-open.
    windows : DataFrame
        ``gene distance_to_tss_bp ...``; the farthest peak of a gene's window sets the width of its view.
    accessibility : DataFrame
        ``peak chromosome start end`` and one column per cell type: share of cells with the peak open.
    contacts : ContactMap, optional
        Contacts of the stretch are drawn above the arcs; a ring marks the contact of each member with the TSS.
    tads : DataFrame, optional
        `chromosome start end`: the TADs of the stretch are drawn above the arcs, the gene's TAD filled.
    """

    genes: pd.DataFrame
    windows: pd.DataFrame
    accessibility: pd.DataFrame
    contacts: ContactMap | None = None
    tads: pd.DataFrame | None = None

    def around(self, gene: str) -> Stretch | None:
        """The window around a gene's TSS, cut at the chromosome's start and at the last thing known on it."""
        found = self.genes[self.genes["gene"] == gene]
        if found.empty or pd.isna(found["tss"].iloc[0]):
            return None
        tss, chromosome = int(found["tss"].iloc[0]), found["chromosome"].iloc[0]
        distances = self.windows.loc[self.windows["gene"] == gene, "distance_to_tss_bp"]
        reach = float(distances.abs().max()) if len(distances) else float(DEFAULT_WINDOW_BP)
        reach = max(math.ceil(reach / 10_000) * 10_000, 10_000)
        tables = (self.accessibility, self.genes)
        ends = [table.loc[table["chromosome"] == chromosome, "end"].max() for table in tables]
        last = max([int(end) for end in ends if pd.notna(end)] + [tss + 1])
        high = min(tss + reach, max(last, tss + reach // 10))
        return Stretch(gene, chromosome, tss, max(0, tss - reach), high)


@style.styled
def locus_view(
    task: tuple[str, str],
    sets: pd.DataFrame,
    locus: Locus,
    alternatives: pd.DataFrame | None = None,
    max_types: int = 8,
    max_alternatives: int = 6,
) -> Figure:
    """One task's set in its locus; members elsewhere in the genome are listed below.

    Arcs from the TSS: colour is a member's effect in context, width its size, number its rank. Below them one line
    of ticks per alternative set, with its share of the first set's effect. The arcs of a task that did not pass the
    quality gate are hatched, and the title says so.

    Parameters
    ----------
    task : (cell type, gene)
    sets : DataFrame
        ``sets.tsv``; the largest set of the task is shown.
    alternatives : DataFrame, optional
        ``alternative_sets.tsv``: disjoint sets found when the members of the first were excluded.
    max_types : int
        At most so many thin tracks of other cell types.
    max_alternatives : int
        At most so many alternative sets, in the order in which they were found; a note counts the rest.

    Raises
    ------
    InputError
        The task has several sets, of several directions, methods or surrogates.
    """
    cell_type, gene = task
    members = _one_set(task, sets)
    where = "in " * (cell_type != ALL_TYPES) + style.shorten(population_name(cell_type))
    if members.empty:
        return style.empty_figure(f"no set was found for {style.shorten(gene)} {where}")
    stretch = locus.around(gene)
    if stretch is None:
        return style.empty_figure(f"{style.shorten(gene)} has no position: its locus cannot be drawn")
    inside, outside = members[stretch.holds(members)], members[~stretch.holds(members)]
    peaks = locus.accessibility[stretch.holds(locus.accessibility)]
    types = [c for c in peaks.columns if c not in ("peak", "chromosome", "start", "end")]
    others = [c for c in types if c != cell_type]
    instead = _alternatives(alternatives, members)
    placed = place_genes(locus.genes, stretch)
    notes = [
        *_notes_on_members(outside, stretch.chromosome),
        *_note_on_rest(len(others) - max_types, "cell types are not shown"),
        *_note_on_rest(
            int(stretch.holds(locus.genes).sum()) - len(placed),
            "genes of this stretch are not drawn for lack of room",
        ),
        *_notes_on_alternatives(instead, max_alternatives, peaks),
    ]
    others, instead = others[:max_types], instead[:max_alternatives]

    figure, axes = _lay_out(locus, len(instead), len(others), int(placed["row"].max()) + 1, len(notes))
    (arcs,), (bottom,) = axes["arcs"], axes["genes"]
    arcs.set_xlim(stretch.low, stretch.high)
    scale = _draw_arcs(arcs, inside, members, stretch.tss)
    triangle = None
    for triangle in axes["contacts"]:
        _draw_contacts(triangle, locus.contacts, stretch, inside)
    for ax in axes["tads"]:
        draw_tads(ax, triangle, locus.tads, stretch)
        _label(ax, "TADs", fontsize=6)
    for ax, rows in zip(axes["alternatives"], instead, strict=True):
        _draw_alternative(ax, rows, peaks)
    _draw_tracks(axes["tracks"], peaks, [cell_type, *others], types, inside, scale)
    draw_genes(bottom, placed, stretch)
    _finish(axes, stretch, notes)
    forced = is_forced(members).any()
    mark_forced_panel(arcs, forced, margin=0)
    top = [*axes["contacts"], *axes["tads"], arcs][0]
    title = f"{style.shorten(gene)} {where}: {len(members)} peak{'s' * (len(members) != 1)} to "
    title += f"{members['direction'].iloc[0]} it, {len(inside)} in view" + f"; {FORCED_WORDS}" * bool(forced)
    top.set_title(title, loc="left")
    return figure


def _one_set(task: tuple[str, str], sets: pd.DataFrame) -> pd.DataFrame:
    chosen = sets[(sets["cell_type"] == task[0]) & (sets["gene"] == task[1])]
    kinds = chosen[TASK_KEYS].drop_duplicates()
    if len(kinds) > 1:
        several = listing(" / ".join(map(str, kind)) for kind in kinds.itertuples(index=False, name=None))
        raise InputError(
            f"locus view of {task[1]} in {task[0]}: the task has {len(kinds)} sets ({several}); "
            "choose one by direction, method and surrogate"
        )
    return full_sets(chosen).sort_values("rank") if len(chosen) else chosen


def _lay_out(
    locus: Locus, n_alternatives: int, n_others: int, n_gene_rows: int, n_notes: int
) -> tuple[Figure, dict[str, list[Axes]]]:
    """The figure, and its axes from top to bottom by what they show; beside each is room for a colour bar."""
    rows = [
        *[("contacts", TRIANGLE_HEIGHT)] * (locus.contacts is not None),
        *[("tads", 0.16)] * (locus.tads is not None),
        ("arcs", 1.25),
        *[("alternatives", 0.12)] * n_alternatives,
        ("tracks", 0.6),
        *[("tracks", 0.17)] * n_others,
        ("genes", ROW_HEIGHT * n_gene_rows + 0.12),
    ]
    kinds, heights = zip(*rows, strict=True)
    figure = style.new_figure(style.DOUBLE_COLUMN, sum(heights) + 0.75 + 0.11 * n_notes)
    figure.get_layout_engine().set(h_pad=0.015, hspace=0)
    grid = figure.add_gridspec(len(rows), 2, height_ratios=heights, width_ratios=[1, 0.014])
    axes: dict[str, list[Axes]] = {kind: [] for kind in KINDS}
    arcs = kinds.index("arcs")
    for i in (*range(arcs, len(rows)), *range(arcs)):  # the others share the arcs' x axis
        shared = next(iter(axes["arcs"]), None)
        axes[kinds[i]].append(figure.add_subplot(grid[i, 0], sharex=shared))
    return figure, axes


def _colour_bar(ax: Axes, scale: ScalarMappable, label: str) -> Colorbar:
    """A colour bar right of an axes, in the second column of its grid."""
    place = ax.get_subplotspec()
    bar = ax.figure.colorbar(scale, cax=ax.figure.add_subplot(place.get_gridspec()[place.rowspan.start, 1]))
    bar.set_label(label, fontsize=6)
    bar.outline.set_visible(False)
    return bar


def _draw_contacts(ax: Axes, contacts: ContactMap, stretch: Stretch, inside: pd.DataFrame) -> None:
    mesh = draw_contacts(ax, contacts, stretch, inside[["start", "end"]].mean(axis=1).to_numpy())
    _label(ax, "contacts", fontsize=6)
    if mesh is not None:
        bar = _colour_bar(ax, mesh, f"{describe_values(contacts)}\n{contacts.resolution_bp / 1e3:g}-kb bins")
        bar.locator, bar.formatter = LogLocator(subs=(1, 3)), FuncFormatter(lambda x, _: style.thousands(x))
        bar.minorticks_off()
        bar.update_ticks()


def _finish(axes: dict[str, list[Axes]], stretch: Stretch, notes: list[str]) -> None:
    """A line at the TSS, and one axis of positions at the bottom, with the notes below it."""
    (bottom,) = axes["genes"]
    for kind, of_kind in axes.items():
        for ax in of_kind:
            if kind != "contacts":
                ax.axvline(stretch.tss, color=style.GREY, lw=0.5, ls=":", zorder=0)
            ax.tick_params(axis="x", bottom=ax is bottom, labelbottom=ax is bottom)
            ax.spines["bottom"].set_visible(ax is bottom)
    bottom.spines["left"].set_visible(False)
    bottom.set_yticks([])
    bottom.xaxis.set_major_locator(MaxNLocator(6))
    decimals = max(1, 1 - math.floor(math.log10((stretch.high - stretch.low) / 1e6)))
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1e6:.{decimals}f}"))
    bottom.set_xlabel(f"position on {style.shorten(stretch.chromosome, 20)} (Mb)")
    if notes:
        looks = {"fontsize": 5.5, "color": style.GREY, "va": "top", "ha": "left"}
        _beside(bottom, "\n".join(notes), (0, 0), (0, -26), **looks)


def _label(ax: Axes, text: str, **looks) -> None:
    """A horizontal label left of the axes, between its tick labels."""
    _beside(ax, text, (0, 0.5), (-4, 0), ha="right", va="center", **looks)


def _beside(ax: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], **looks) -> None:
    """Words at a place in fractions of the axes, moved by so many points."""
    units = {"xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate(text, place, offset, annotation_clip=False, **units, **looks)


def _note_on_rest(n: int, words: str) -> list[str]:
    return [f"{n} further {words}."] if n > 0 else []


def _notes_on_members(outside: pd.DataFrame, chromosome: str) -> list[str]:
    lines, same = [], outside["chromosome"] == chromosome
    where = {f"elsewhere on {chromosome}": outside[same], "on other chromosomes": outside[~same]}
    for place, part in where.items():
        if len(part):
            effects = part["log_effect_in_context"].map(style.effect_number)
            each = zip(part["chromosome"], part["start"] / 1e6, part["rank"], effects, strict=True)
            # Not broken over lines.
            places = [f"{on}:{at:.2f}\u00a0Mb\u00a0({rank},\u00a0{effect})" for on, at, rank, effect in each]
            lead = f"{len(part)} member{'s' * (len(part) != 1)} {place} (rank, effect in context)"
            lines += textwrap.wrap(f"{lead}: {listing(places, 8)}", 130)
    return lines


def _draw_arcs(ax: Axes, inside: pd.DataFrame, members: pd.DataFrame, tss: int) -> ScalarMappable:
    """Half ellipses from the TSS to each member in view; returns the colour scale of the effects."""
    effects = members["log_effect_in_context"].to_numpy(dtype=float)
    strongest = max(float(np.nan_to_num(np.abs(effects)).max(initial=0.0)), style.LEAST_REACH)
    scale = ScalarMappable(Normalize(-strongest, strongest), style.EFFECT_COLOURS)
    bar = _colour_bar(ax, scale, "effect in context\n(change in log-expression)")
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    ax.set(ylim=(0, 1.12), yticks=[])
    ax.spines["left"].set_visible(False)
    _label(ax, "members", fontsize=6)
    if inside.empty:
        style.write_inside(ax, "no member of the set lies in this stretch", va="baseline")
        return scale
    centre = inside[["start", "end"]].mean(axis=1).to_numpy()
    effect = inside["log_effect_in_context"].to_numpy(dtype=float)
    distance = np.abs(centre - tss)
    height = 0.25 + 0.75 * np.sqrt(distance / max(distance.max(), 1))
    size = np.abs(np.nan_to_num(effect)) / strongest
    for i in np.argsort(size, kind="stable"):
        colour = scale.to_rgba(effect[i]) if np.isfinite(effect[i]) else style.PALE
        looks = {"facecolor": "none", "edgecolor": colour, "lw": 0.5 + 2.0 * size[i], "capstyle": "butt"}
        x, y = half_ellipse(tss, centre[i], height[i], np.linspace(0, np.pi, 60))
        ax.add_patch(PathPatch(Path(np.column_stack([x, y])), label=f"_{inside['peak'].iloc[i]}", **looks))
    _number_arcs(ax, centre, tss, height, inside["rank"].to_numpy())
    return scale


def half_ellipse(start: float, end: float, height: float, angle: np.ndarray) -> tuple:
    """Points of the upper half of an ellipse that stands on `start` and `end` of the baseline; `angle` from `start`."""
    return (start + end) / 2 - (end - start) / 2 * np.cos(angle), height * np.sin(angle)


def _number_arcs(ax: Axes, centre: np.ndarray, tss: int, height: np.ndarray, ranks: np.ndarray) -> None:
    """The rank on each arc, best ranks first: on its top, else further down towards the member."""
    low, high = ax.get_xlim()
    near = 0.016 * (high - low)
    taken: list[tuple[float, float]] = []
    for i in np.argsort(ranks, kind="stable")[:MAX_RANKS]:
        for angle in np.pi * np.array([0.5, 0.6, 0.7, 0.8]):
            x, y = half_ellipse(tss, centre[i], height[i], angle)
            if all(abs(x - a) > near or abs(y - b) > 0.1 for a, b in taken):
                taken.append((x, y))
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}
                ax.text(x, y, f"{ranks[i]:.0f}", ha="center", va="center", fontsize=5, bbox=box)
                break


def _alternatives(table: pd.DataFrame | None, members: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each alternative to the set, in the order in which they were found."""
    if table is None:
        return []
    own = table[table["alternative"] > 0].merge(members[TASK_KEYS].drop_duplicates(), on=TASK_KEYS)
    return [rows for _, rows in own.groupby("alternative")]


def _notes_on_alternatives(found: list[pd.DataFrame], n_shown: int, peaks: pd.DataFrame) -> list[str]:
    lines = []
    if shown := found[:n_shown]:
        inside = pd.concat(shown)["peak"].isin(peaks["peak"])
        out = f"; {(~inside).sum()} of their {len(inside)} members are out of view" * (not inside.all())
        lines.append(f"Alternative sets: % of the first set's effect, black where it reaches 90 %{out}.")
    n_hidden = len(found) - len(shown)
    return lines + _note_on_rest(n_hidden, f"alternative set{'s are' if n_hidden > 1 else ' is'} not shown")


def _draw_alternative(ax: Axes, rows: pd.DataFrame, peaks: pd.DataFrame) -> None:
    """One tick per member in view."""
    number_of_set, share = rows["alternative"].iloc[0], rows["share_of_first"].iloc[0]
    colour = style.INK if flags(rows["reaches_90_percent"]).all() else style.GREY
    here = peaks[peaks["peak"].isin(rows["peak"])]
    ax.axhline(0.5, color=style.PALE, lw=0.5, zorder=0)
    looks = {"color": colour, "lw": 1.2, "label": f"_alternative {number_of_set}"}
    ax.vlines(here[["start", "end"]].mean(axis=1), 0.1, 0.9, **looks)
    reached = f"{100 * share:.0f} %".replace("-", "−") if pd.notna(share) else style.number(share)
    _label(ax, f"alternative {number_of_set}: {reached}", fontsize=5.5, color=colour)
    ax.set(ylim=(0, 1), yticks=[])
    ax.spines["left"].set_visible(False)


def _draw_tracks(
    axes: list[Axes],
    peaks: pd.DataFrame,
    shown: list[str],
    types: list[str],
    inside: pd.DataFrame,
    scale: ScalarMappable,
) -> None:
    """Share of cells with each peak open, on one scale; the set's members in the colour of their effect."""
    colours = cell_type_colours([*types, shown[0]])
    present = [name for name in shown if name in peaks]
    top = 100 * float(np.nanmax(np.append(peaks[present].to_numpy(dtype=float), 0.0))) or 1.0
    middle = peaks[["start", "end"]].mean(axis=1).to_numpy()
    for ax, name in zip(axes, shown, strict=True):
        first = ax is axes[0]
        label = "mean of types" if name == ALL_TYPES else style.shorten(name, 16)
        _label(ax, label, fontsize=6, fontweight="bold" if first else "normal")
        for at in inside[["start", "end"]].mean(axis=1):
            ax.axvline(at, color="#e6e6e6", lw=0.8, zorder=0)
        ax.set_ylim(0, (1.25 if first else 1.05) * top)  # the first has words above its peaks
        ax.set_yticks([0, top] if first else [], ["0", f"{top:.0f} %"] if first else [])
        ax.spines["left"].set_visible(first)
        if name not in peaks:
            style.write_inside(ax, "no accessibility")
            continue
        heights = 100 * peaks[name].to_numpy(dtype=float)
        lines = [[(x, 0), (x, y)] for x, y in zip(middle, heights, strict=True)]
        own = LineCollection(lines, colors=[colours[name]], linewidths=0.9, capstyle="butt", label=f"_{name}")
        ax.add_collection(own, autolim=False)
        ax.axhline(0, color=style.INK, lw=0.4)
        if first:
            words = {"transform": ax.transAxes, "va": "top", "fontsize": 5, "color": style.GREY}
            ax.text(0.004, 0.98, "% of cells with the peak open", **words)
            effect = dict(zip(inside["peak"], inside["log_effect_in_context"], strict=True))
            for x, y, peak in zip(middle, heights, peaks["peak"], strict=True):
                if peak in effect and np.isfinite(effect[peak]):
                    ax.plot(x, y, "v", ms=3, mew=0, color=scale.to_rgba(effect[peak]), clip_on=False)
