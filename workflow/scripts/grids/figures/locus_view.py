"""A gene's locus: contacts and TADs, arcs to the members of its set, accessibility of the cell types, gene models."""

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from grids.analysis.contacts.contact_map import ContactMap, describe_values
from grids.figures.contact_triangle import draw_contacts, draw_tads
from grids.figures.gene_models import ROW_HEIGHT, draw_genes, place_genes
from grids.figures.scales import flags
from grids.figures.style import (
    DOUBLE_COLUMN,
    EFFECT_COLOURS,
    FORCED_WORDS,
    GREY,
    INK,
    LEAST_REACH,
    PALE,
    cell_type_colours,
    effect_number,
    empty_figure,
    mark_forced_panel,
    new_figure,
    number,
    shorten,
    styled,
    thousands,
)
from grids.figures.tasks import KEY, full_sets
from grids.io.errors import InputError, listing
from grids.io.tables import is_forced

WIDTH = 5.6  # inches of the view itself, approximately
DEFAULT_WINDOW_BP = 500_000
MAX_RANKS = 16
TRIANGLE_HEIGHT = WIDTH / 4  # the TSS in the middle, its farthest contacts on top: 45 degrees


@styled
def locus_view(
    task: tuple[str, str],
    sets: pd.DataFrame,
    genes: pd.DataFrame,
    windows: pd.DataFrame,
    accessibility: pd.DataFrame,
    direction: str | None = None,
    method: str | None = None,
    surrogate: str | None = None,
    max_types: int = 8,
    alternatives: pd.DataFrame | None = None,
    max_alternatives: int = 6,
    contacts: ContactMap | None = None,
    tads: pd.DataFrame | None = None,
) -> Figure:
    """One task's set in its locus; members elsewhere in the genome are listed below.

    Parameters
    ----------
    task : (cell type, gene)
    sets : DataFrame
        ``sets.tsv``; the largest set of the task is shown.
    genes : DataFrame
        ``gene chromosome start end strand tss exon_starts exon_ends``, 0-based half-open.
    windows : DataFrame
        ``gene distance_to_tss_bp ...``; the farthest peak of the gene's window sets the width of the view.
    accessibility : DataFrame
        ``peak chromosome start end`` and one column per cell type: share of cells with the peak open.
    direction, method, surrogate : str, optional
        Which set, when the task has several.
    max_types : int
        At most so many thin tracks of other cell types.
    alternatives : DataFrame, optional
        ``alternative_sets.tsv``: disjoint sets found when the members of the first were excluded.
    max_alternatives : int
        At most so many of them, in the order in which they were found; a note counts the rest.
    contacts : ContactMap, optional
        Contacts of the stretch are drawn above the arcs; a ring marks the contact of each member with the TSS.
    tads : DataFrame, optional
        `chromosome start end`: the TADs of the stretch are drawn above the arcs, the gene's TAD filled.

    Returns
    -------
    Figure
        Arcs from the TSS: colour is a member's effect in context, width its size, number its rank. Below them
        one line of ticks per alternative set, with its share of the first set's effect. The arcs of a task that did
        not pass the quality gate are hatched, and the title says so.

    Raises
    ------
    InputError
        The task has several sets and `direction`, `method`, `surrogate` do not choose one.
    """
    cell_type, name = task
    members = _one_set(task, sets, {"direction": direction, "method": method, "surrogate": surrogate})
    found = genes[genes["gene"] == name]
    if members.empty:
        return empty_figure(f"no set was found for {shorten(name)} in {shorten(cell_type)}")
    if found.empty or pd.isna(found["tss"].iloc[0]):
        return empty_figure(f"{shorten(name)} has no position: its locus cannot be drawn")
    gene = found.iloc[0]
    tss, chromosome = int(gene["tss"]), gene["chromosome"]
    peaks = accessibility[accessibility["chromosome"] == chromosome]
    local_genes = genes[genes["chromosome"] == chromosome]
    low, high = _view(tss, windows.loc[windows["gene"] == name, "distance_to_tss_bp"], peaks, local_genes)
    peaks = peaks[(peaks["end"] > low) & (peaks["start"] < high)]
    inside = (members["chromosome"] == chromosome) & (members["end"] > low) & (members["start"] < high)

    placed = place_genes(local_genes, low, high, tss, name, WIDTH)
    types = [c for c in accessibility.columns if c not in ("peak", "chromosome", "start", "end")]
    others = [c for c in types if c != cell_type]
    notes = _notes(
        members[~inside], chromosome, len(others) - max_types, _n_seen(local_genes, low, high) - len(placed)
    )
    found_instead = _alternatives(alternatives, members)
    shown_instead = found_instead[:max_alternatives]
    notes += _alternative_notes(shown_instead, len(found_instead) - len(shown_instead), peaks)
    n_rows = int(placed["row"].max()) + 1
    n_thin = min(len(others), max_types)
    above = [TRIANGLE_HEIGHT] * (contacts is not None) + [0.16] * (tads is not None)
    heights = [*above, 1.25, *[0.12] * len(shown_instead), 0.6, *[0.17] * n_thin, ROW_HEIGHT * n_rows + 0.12]
    figure = new_figure(DOUBLE_COLUMN, sum(heights) + 0.75 + 0.11 * notes.count("\n"))
    figure.get_layout_engine().set(h_pad=0.015, hspace=0)
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1, 0.014])
    arcs = len(above)
    axes = [figure.add_subplot(grid[arcs, 0])]
    axes += [figure.add_subplot(grid[i, 0], sharex=axes[0]) for i in range(arcs + 1, len(heights))]
    top = [figure.add_subplot(grid[i, 0], sharex=axes[0]) for i in range(arcs)]
    axes[0].set_xlim(low, high)

    scale = _draw_arcs(axes[0], members[inside], members, tss)
    bar = figure.colorbar(scale, cax=figure.add_subplot(grid[arcs, 1]))
    bar.set_label("effect in context\n(change in log-expression)", fontsize=6)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    if contacts is not None:
        middles = members.loc[inside, ["start", "end"]].mean(axis=1).to_numpy()
        mesh = draw_contacts(top[0], contacts, chromosome, low, high, tss, middles)
        if mesh is not None:
            bar = figure.colorbar(mesh, cax=figure.add_subplot(grid[0, 1]))
            bar.set_label(
                f"{describe_values(contacts)}\n{contacts.resolution_bp / 1e3:g}-kb bins", fontsize=6
            )
            bar.outline.set_visible(False)
            bar.locator, bar.formatter = LogLocator(subs=(1, 3)), FuncFormatter(lambda x, _: thousands(x))
            bar.minorticks_off()
            bar.update_ticks()
        _label(top[0], "contacts", fontsize=6)
    if tads is not None:
        draw_tads(top[-1], top[0] if contacts is not None else None, tads, chromosome, low, high, tss)
        _label(top[-1], "TADs", fontsize=6)
    tracks = axes[1 + len(shown_instead) : -1]
    for ax, rows in zip(axes[1:], shown_instead, strict=False):
        _draw_alternative(ax, rows, peaks)
    _draw_tracks(tracks, peaks, [cell_type, *others[:n_thin]], types, members[inside], scale)
    draw_genes(axes[-1], placed, name, low, high, WIDTH)
    for ax in [*top, *axes]:
        if ax not in top[: contacts is not None]:
            ax.axvline(tss, color=GREY, lw=0.5, ls=":", zorder=0)
        last = ax is axes[-1]
        ax.tick_params(axis="x", bottom=last, labelbottom=last)
        ax.spines["bottom"].set_visible(last)
    axes[-1].spines["left"].set_visible(False)
    axes[-1].set_yticks([])
    _position_axis(axes[-1], chromosome, low, high, notes)
    which, forced = members.iloc[0], is_forced(members).any()
    mark_forced_panel(axes[0], forced, margin=0)
    (top or axes)[0].set_title(
        f"{shorten(name)} in {shorten(cell_type)}: {len(members)} peak{'s' * (len(members) != 1)} to "
        f"{which['direction']} it, {int(inside.sum())} in view" + f"; {FORCED_WORDS}" * bool(forced),
        loc="left",
    )
    return figure


def _one_set(task: tuple[str, str], sets: pd.DataFrame, wanted: dict[str, str | None]) -> pd.DataFrame:
    chosen = sets[(sets["cell_type"] == task[0]) & (sets["gene"] == task[1])]
    for column, value in wanted.items():
        if value is not None:
            chosen = chosen[chosen[column] == value]
    kinds = chosen[KEY].drop_duplicates()
    if len(kinds) > 1:
        several = listing(" / ".join(map(str, kind)) for kind in kinds.itertuples(index=False, name=None))
        raise InputError(
            f"locus view of {task[1]} in {task[0]}: the task has {len(kinds)} sets ({several}); "
            "choose one by direction, method and surrogate"
        )
    return full_sets(chosen).sort_values("rank") if len(chosen) else chosen


def _view(tss: int, distances: pd.Series, peaks: pd.DataFrame, genes: pd.DataFrame) -> tuple[int, int]:
    """The window around the TSS, cut at the chromosome's start and at the last thing known on it."""
    reach = float(distances.abs().max()) if len(distances) else float(DEFAULT_WINDOW_BP)
    reach = max(math.ceil(reach / 10_000) * 10_000, 10_000)
    ends = [end for table in (peaks, genes) for end in [table["end"].max()] if pd.notna(end)]
    last = max([int(end) for end in ends] + [tss + 1])
    return max(0, tss - reach), min(tss + reach, max(last, tss + reach // 10))


def _label(ax: Axes, text: str, **style) -> None:
    """A horizontal label left of the axes, between its tick labels."""
    ax.annotate(
        text,
        (0, 0.5),
        (-4, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        annotation_clip=False,
        **style,
    )


def _n_seen(genes: pd.DataFrame, low: int, high: int) -> int:
    return int(((genes["end"] > low) & (genes["start"] < high)).sum())


def _notes(outside: pd.DataFrame, chromosome: str, n_types: int, n_genes: int) -> str:
    lines = []
    if len(outside):
        same = outside[outside["chromosome"] == chromosome]
        other = outside[outside["chromosome"] != chromosome]
        for part, where in ((same, f"elsewhere on {chromosome}"), (other, "on other chromosomes")):
            if len(part):
                places = [
                    f"{m.chromosome}:{m.start / 1e6:.2f} Mb ({m.rank}, {effect_number(m.log_effect_in_context)})"
                    for m in part.itertuples(index=False)
                ]
                places = [place.replace(" ", "\u00a0") for place in places]  # not broken over lines
                noun = "member" if len(part) == 1 else "members"
                lead = f"{len(part)} {noun} {where} (rank, effect in context)"
                lines += textwrap.wrap(f"{lead}: {listing(places, 8)}", 130)
    if n_types > 0:
        lines.append(f"{n_types} further cell types are not shown.")
    if n_genes > 0:
        lines.append(f"{n_genes} further genes of this stretch are not drawn for lack of room.")
    return "".join(f"\n{line}" for line in lines)


def _draw_arcs(ax: Axes, inside: pd.DataFrame, members: pd.DataFrame, tss: int) -> ScalarMappable:
    """Half ellipses from the TSS to each member in view; returns the colour scale of the effects."""
    effects = members["log_effect_in_context"].to_numpy(dtype=float)
    strongest = max(float(np.nan_to_num(np.abs(effects)).max(initial=0.0)), LEAST_REACH)
    scale = ScalarMappable(Normalize(-strongest, strongest), EFFECT_COLOURS)
    ax.set(ylim=(0, 1.12), yticks=[])
    ax.spines["left"].set_visible(False)
    _label(ax, "members", fontsize=6)
    if inside.empty:
        ax.text(
            0.5,
            0.5,
            "no member of the set lies in this stretch",
            transform=ax.transAxes,
            ha="center",
            color=GREY,
        )
        return scale
    centre = (inside["start"].to_numpy(dtype=float) + inside["end"].to_numpy(dtype=float)) / 2
    effect = inside["log_effect_in_context"].to_numpy(dtype=float)
    distance = np.abs(centre - tss)
    height = 0.25 + 0.75 * np.sqrt(distance / max(distance.max(), 1))
    size = np.abs(np.nan_to_num(effect)) / strongest
    for i in np.argsort(size, kind="stable"):
        colour = scale.to_rgba(effect[i]) if np.isfinite(effect[i]) else PALE
        ax.add_patch(
            PathPatch(
                half_ellipse(tss, centre[i], height[i]),
                facecolor="none",
                edgecolor=colour,
                lw=0.5 + 2.0 * size[i],
                capstyle="butt",
                label=f"_{inside['peak'].iloc[i]}",
            )
        )
    _number_arcs(ax, centre, tss, height, inside["rank"].to_numpy())
    return scale


def half_ellipse(start: float, end: float, height: float) -> Path:
    """The upper half of an ellipse that stands on `start` and `end` of the baseline, as a path."""
    angle = np.linspace(0, np.pi, 60)
    x = (start + end) / 2 - (end - start) / 2 * np.cos(angle)
    return Path(np.column_stack([x, height * np.sin(angle)]))


def _number_arcs(ax: Axes, centre: np.ndarray, tss: int, height: np.ndarray, ranks: np.ndarray) -> None:
    """The rank on each arc, best ranks first: on its top, else further down towards the member."""
    low, high = ax.get_xlim()
    near = 0.016 * (high - low)
    taken: list[tuple[float, float]] = []
    for i in np.argsort(ranks, kind="stable")[:MAX_RANKS]:
        for angle in np.pi * np.array([0.5, 0.6, 0.7, 0.8]):
            x = (centre[i] + tss) / 2 - (centre[i] - tss) / 2 * np.cos(angle)
            y = height[i] * np.sin(angle)
            if all(abs(x - a) > near or abs(y - b) > 0.1 for a, b in taken):
                taken.append((x, y))
                ax.text(
                    x,
                    y,
                    f"{ranks[i]:.0f}",
                    ha="center",
                    va="center",
                    fontsize=5,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
                )
                break


def _alternatives(table: pd.DataFrame | None, members: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each alternative to the set, in the order in which they were found."""
    if table is None:
        return []
    own = table[table["alternative"] > 0].merge(members[KEY].drop_duplicates(), on=KEY)
    return [rows for _, rows in own.groupby("alternative")]


def _alternative_notes(shown: list[pd.DataFrame], n_hidden: int, peaks: pd.DataFrame) -> str:
    lines = []
    if shown:
        inside = pd.concat(shown)["peak"].isin(peaks["peak"])
        out = f"; {(~inside).sum()} of their {len(inside)} members are out of view" * (not inside.all())
        lines.append(f"Alternative sets: % of the first set's effect, black where it reaches 90 %{out}.")
    if n_hidden:
        lines.append(f"{n_hidden} further alternative set{'s are' if n_hidden > 1 else ' is'} not shown.")
    return "".join(f"\n{line}" for line in lines)


def _draw_alternative(ax: Axes, rows: pd.DataFrame, peaks: pd.DataFrame) -> None:
    """One tick per member in view."""
    number_of_set, share = rows["alternative"].iloc[0], rows["share_of_first"].iloc[0]
    colour = INK if flags(rows["reaches_90_percent"]).all() else GREY
    here = peaks[peaks["peak"].isin(rows["peak"])]
    middle = (here["start"].to_numpy(dtype=float) + here["end"].to_numpy(dtype=float)) / 2
    ax.axhline(0.5, color=PALE, lw=0.5, zorder=0)
    ax.vlines(middle, 0.1, 0.9, color=colour, lw=1.2, label=f"_alternative {number_of_set}")
    reached = f"{100 * share:.0f} %".replace("-", "−") if pd.notna(share) else number(share)
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
    middle = (peaks["start"].to_numpy(dtype=float) + peaks["end"].to_numpy(dtype=float)) / 2
    for ax, name in zip(axes, shown, strict=True):
        first = ax is axes[0]
        _label(ax, shorten(name, 16), fontsize=6, fontweight="bold" if first else "normal")
        for member in inside.itertuples(index=False):
            at = (member.start + member.end) / 2
            ax.axvline(at, color="#e6e6e6", lw=0.8, zorder=0)
        ax.set_ylim(0, (1.25 if first else 1.05) * top)  # the first has words above its peaks
        ax.set_yticks([0, top] if first else [], ["0", f"{top:.0f} %"] if first else [])
        ax.spines["left"].set_visible(first)
        if name not in peaks:
            ax.text(
                0.5, 0.5, "no accessibility", transform=ax.transAxes, ha="center", va="center", color=GREY
            )
            continue
        heights = 100 * peaks[name].to_numpy(dtype=float)
        lines = [[(x, 0), (x, y)] for x, y in zip(middle, heights, strict=True)]
        own = LineCollection(lines, colors=[colours[name]], linewidths=0.9, capstyle="butt", label=f"_{name}")
        ax.add_collection(own, autolim=False)
        ax.axhline(0, color=INK, lw=0.4)
        if first:
            ax.text(
                0.004,
                0.98,
                "% of cells with the peak open",
                transform=ax.transAxes,
                va="top",
                fontsize=5,
                color=GREY,
            )
            effect = dict(zip(inside["peak"], inside["log_effect_in_context"], strict=True))
            for x, y, peak in zip(middle, heights, peaks["peak"], strict=True):
                if peak in effect and np.isfinite(effect[peak]):
                    ax.plot(x, y, "v", ms=3, mew=0, color=scale.to_rgba(effect[peak]), clip_on=False)


def _position_axis(ax: Axes, chromosome: str, low: int, high: int, notes: str) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(6))
    decimals = max(1, 1 - math.floor(math.log10((high - low) / 1e6)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1e6:.{decimals}f}"))
    ax.set_xlabel(f"position on {shorten(chromosome, 20)} (Mb)")
    if notes:
        ax.annotate(
            notes.strip("\n"),
            (0, 0),
            (0, -26),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=5.5,
            color=GREY,
            va="top",
            ha="left",
            annotation_clip=False,
        )
