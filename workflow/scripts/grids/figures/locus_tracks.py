"""Parts of a locus view: the stretch that it shows, contacts as a triangle, TADs, and gene models."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patches import Rectangle

from grids.analysis.contacts.contact_map import ContactMap, contacts_of_region
from grids.analysis.contacts.tads import tad_of
from grids.figures import style

WIDTH = 5.6  # inches of a stretch on paper, approximately
FONT_SIZE = 5.5
ROW_HEIGHT = 0.2  # inches
BODY = 0.3  # height of an exon, in rows
CONTACT_COLOURS = LinearSegmentedColormap.from_list(
    "contacts", ["#fffdf7", "#fdd9a8", "#ef8a4c", "#c0341d", "#560d12"]
).with_extremes(bad="#dddddd", under="#ffffff")
MAX_BINS = 300


@dataclass(frozen=True)
class Stretch:
    """The part of a chromosome around the TSS of the explained gene that a view shows, 0-based half-open."""

    gene: str
    chromosome: str
    tss: int
    low: int
    high: int

    @property
    def bp_per_inch(self) -> float:
        return (self.high - self.low) / WIDTH

    def holds(self, places: pd.DataFrame) -> pd.Series:
        """True in rows of a table with ``chromosome start end`` that lie in the stretch, or reach into it."""
        same = places["chromosome"] == self.chromosome
        return same & (places["end"] > self.low) & (places["start"] < self.high)


def draw_contacts(ax: Axes, contacts: ContactMap, stretch: Stretch, members: np.ndarray) -> QuadMesh | None:
    """Contacts of all pairs of bins in view, each above the middle between the two bins, at their distance in bp.

    A ring marks the contact of each of the `members`, given by their middles in bp, with the TSS. The mesh is for the
    colour bar; None when there is nothing to draw.
    """
    tss, low, high = stretch.tss, stretch.low, stretch.high
    ax.set(ylim=(0, max(tss - low, high - tss)), yticks=[])
    ax.spines["left"].set_visible(False)
    if stretch.chromosome not in contacts.name_of:
        return style.write_inside(ax, f"the contact map has no {stretch.chromosome}")
    matrix, edges = contacts_of_region(contacts, stretch.chromosome, low, high, MAX_BINS)
    seen = matrix[np.isfinite(matrix) & (matrix > 0)]
    if not len(seen):
        return style.write_inside(ax, "the contact map has no contact in this stretch")
    faintest, strongest = np.quantile(seen, (0.02, 0.99))
    # No contact is paler than the faintest; masked bins are grey. The lower half lies below the axis.
    values = np.where(matrix == 0, faintest / 2, matrix)
    one, two = np.meshgrid(edges, edges, indexing="ij")
    norm = LogNorm(faintest, max(strongest, 1.01 * faintest))
    looks = {"norm": norm, "cmap": CONTACT_COLOURS, "rasterized": True, "label": "_contacts"}
    mesh = ax.pcolormesh((one + two) / 2, two - one, np.ma.masked_invalid(values), **looks)
    key = "ring: member and TSS\ngrey: masked bin"
    ax.text(0.004, 0.98, key, transform=ax.transAxes, va="top", fontsize=5, color=style.GREY)
    for end in (low, high):  # where contacts of the TSS lie
        ax.plot([tss, (tss + end) / 2], [0, abs(end - tss)], color=style.INK, lw=0.4, ls=":")
    ring = {"ms": 4.5, "mfc": "none", "mec": style.BLUE, "mew": 0.9, "label": "_contacts of members"}
    ax.plot((members + tss) / 2, np.abs(members - tss), "o", **ring)
    return mesh


def draw_tads(ax: Axes, triangle: Axes | None, tads: pd.DataFrame, stretch: Stretch) -> None:
    """TADs in view as bars, that of the TSS filled and, over the contacts in `triangle`, outlined."""
    own = tad_of(tads, stretch.chromosome, stretch.tss)
    ax.set(ylim=(0, 1), yticks=[])
    ax.spines["left"].set_visible(False)
    for start, end in tads.loc[stretch.holds(tads), ["start", "end"]].itertuples(index=False, name=None):
        first, last = max(start, stretch.low), min(end, stretch.high)
        looks = {"facecolor": style.PALE, "zorder": 2, "label": "_TAD"}
        if (start, end) == own:
            looks = {"facecolor": style.INK, "zorder": 3, "label": "_TAD of the gene"}
        ax.add_patch(Rectangle((first, 0.2), last - first, 0.6, edgecolor="white", lw=0.6, **looks))
    if own is None:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        style.write_inside(ax, "the TSS lies in no TAD", fontsize=6, bbox=box)
        return
    start, end = own
    size = f"{(end - start) / 1e3:.0f} kb" if end - start < 1e6 else f"{(end - start) / 1e6:.2f} Mb"
    size += ", reaches out of view" * (start < stretch.low or end > stretch.high)
    middle = (max(start, stretch.low) + min(end, stretch.high)) / 2
    letters = {"color": "white", "fontsize": 5, "ha": "center", "va": "center"}
    ax.text(middle, 0.48, size, zorder=4, clip_on=True, **letters)
    if triangle is not None:
        corners = [start, (start + end) / 2, end], [0, end - start, 0]
        triangle.plot(*corners, color=style.INK, lw=0.8, label="_outline of the TAD")


def place_genes(genes: pd.DataFrame, stretch: Stretch, max_rows: int = 6) -> pd.DataFrame:
    """Rows for the genes of a stretch, so that neither bodies nor labels overlap.

    Genes are placed from the TSS outwards, the explained one first; those that fit into no row are left out.

    Returns
    -------
    DataFrame
        The genes that fit, with ``row`` (0 on top), ``label`` and ``label_start`` (position of its left end).
    """
    low, high = stretch.low, stretch.high
    seen = genes[stretch.holds(genes)].copy()
    middle = seen[["start", "end"]].clip(low, high).mean(axis=1)
    seen["order"] = (middle - stretch.tss).abs().where(seen["gene"] != stretch.gene, -1.0)
    seen = seen.sort_values(["order", "gene"], kind="stable")
    gap = 0.05 * stretch.bp_per_inch
    free: list[list[tuple[float, float]]] = [[] for _ in range(max_rows)]
    placed = []
    for gene in seen.itertuples(index=False):
        name = style.shorten(gene.gene, 18)
        label = {"+": f"{name} →", "-": f"← {name}"}.get(str(gene.strand), name)
        length = 0.68 * FONT_SIZE / 72 * len(label) * stretch.bp_per_inch
        length *= 1.15 if gene.gene == stretch.gene else 1
        at = float(np.clip(gene.start, low, max(low, high - length)))
        left, right = min(max(gene.start, low), at) - gap, max(min(gene.end, high), at + length) + gap
        fits = (r for r, taken in enumerate(free) if all(right <= a or left >= b for a, b in taken))
        row = next(fits, None)
        if row is not None:
            free[row].append((left, right))
            placed.append({**gene._asdict(), "row": row, "label": label, "label_start": at})
    return pd.DataFrame(placed, columns=[*seen.columns, "row", "label", "label_start"])


def draw_genes(ax: Axes, placed: pd.DataFrame, stretch: Stretch) -> None:
    """Draw the genes of :func:`place_genes`: exons as blocks, introns as a line with arrow heads, names above.

    `exon_starts` and `exon_ends` are comma lists or missing. The explained gene is drawn in colour and bold.
    """
    low, high, per_inch = stretch.low, stretch.high, stretch.bp_per_inch
    for gene in placed.itertuples(index=False):
        own = gene.gene == stretch.gene
        colour = style.VERMILLION if own else style.INK if isinstance(gene.exon_starts, str) else style.GREY
        start, end = max(gene.start, low), min(gene.end, high)
        ax.plot([start, end], [gene.row] * 2, color=colour, lw=0.7, solid_capstyle="butt")
        if gene.strand in ("+", "-") and end - start > 0.16 * per_inch:
            heads = np.arange(start + 0.08 * per_inch, end - 0.04 * per_inch, 0.16 * per_inch)
            marker = ">" if gene.strand == "+" else "<"
            ax.plot(heads, np.full(len(heads), gene.row), marker, ms=1.9, mew=0, color=colour)
        for block_start, block_end in blocks(gene):
            if block_end > low and block_start < high:
                left, right = max(block_start, low), min(block_end, high)
                looks = {"facecolor": colour, "edgecolor": colour, "lw": 0.4, "label": f"_exon {gene.gene}"}
                ax.add_patch(Rectangle((left, gene.row - BODY / 2), right - left, BODY, **looks))
        looks = {"color": colour, "fontweight": "bold"} if own else {"color": style.INK}
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.2}
        place = gene.label_start, gene.row - 0.28
        ax.text(*place, gene.label, ha="left", va="bottom", fontsize=FONT_SIZE, bbox=box, **looks)
    n_rows = int(placed["row"].max()) + 1 if len(placed) else 1
    ax.set_ylim(n_rows - 0.6, -0.95)


def blocks(gene) -> list[tuple[int, int]]:
    """The exons of a row of ``genes.tsv.gz``, or the whole body where they are unknown."""
    if not isinstance(gene.exon_starts, str) or not gene.exon_starts.strip(","):
        return [(gene.start, gene.end)]
    ends = ([int(float(p)) for p in str(text).split(",") if p] for text in (gene.exon_starts, gene.exon_ends))
    return list(zip(*ends, strict=True))
