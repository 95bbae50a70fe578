"""Gene models of a stretch of a chromosome: exons, strand, and labels that do not collide."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from grids.figures import style

WIDTH = 5.6  # inches of a stretch on paper, approximately
FONT_SIZE = 5.5
ROW_HEIGHT = 0.2  # inches
BODY = 0.3  # height of an exon, in rows


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


def place_genes(genes: pd.DataFrame, stretch: Stretch, max_rows: int = 6) -> pd.DataFrame:
    """Rows for the genes of a stretch, so that neither bodies nor labels overlap.

    Genes are placed from the TSS outwards, the explained one first; those that fit into no row are left out.

    Parameters
    ----------
    genes : DataFrame
        ``gene chromosome start end strand ...``; those outside of the stretch are ignored.
    stretch : Stretch
    max_rows : int

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
        label = strand_label(gene.gene, gene.strand)
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


def strand_label(gene: str, strand: object) -> str:
    """The gene's name with an arrow in the direction of transcription."""
    name = style.shorten(gene, 18)
    return {"+": f"{name} →", "-": f"← {name}"}.get(str(strand), name)


def draw_genes(ax: Axes, placed: pd.DataFrame, stretch: Stretch) -> None:
    """Draw the placed genes: exons as blocks, introns as a line with arrow heads, names above.

    Parameters
    ----------
    ax : Axes
    placed : DataFrame
        From :func:`place_genes`; `exon_starts` and `exon_ends` are comma lists or missing. The explained gene is
        drawn in colour and bold.
    stretch : Stretch
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
        ax.text(
            gene.label_start,
            gene.row - 0.28,
            gene.label,
            ha="left",
            va="bottom",
            fontsize=FONT_SIZE,
            color=colour if own else style.INK,
            fontweight="bold" if own else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2},
        )
    n_rows = int(placed["row"].max()) + 1 if len(placed) else 1
    ax.set_ylim(n_rows - 0.6, -0.95)


def blocks(gene) -> list[tuple[int, int]]:
    """The exons of a row of ``genes.tsv.gz``, or the whole body where they are unknown."""
    if not isinstance(gene.exon_starts, str) or not gene.exon_starts.strip(","):
        return [(gene.start, gene.end)]
    starts, ends = (
        [int(float(p)) for p in str(text).split(",") if p] for text in (gene.exon_starts, gene.exon_ends)
    )
    return list(zip(starts, ends, strict=True))
