"""Gene models of a stretch of a chromosome: exons, strand, and labels that do not collide."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from grids.figures.style import GREY, INK, VERMILLION, shorten

FONT_SIZE = 5.5
ROW_HEIGHT = 0.2  # inches
BODY = 0.3  # height of an exon, in rows


def place_genes(
    genes: pd.DataFrame, low: int, high: int, tss: int, explained: str, width: float, max_rows: int = 6
) -> pd.DataFrame:
    """Rows for the genes of a view, so that neither bodies nor labels overlap.

    Genes are placed from the TSS outwards; those that fit into no row are left out.

    Parameters
    ----------
    genes : DataFrame
        ``gene start end strand ...`` of the view's chromosome; those outside of the view are ignored.
    low, high : int
        The view, 0-based half-open.
    tss : int
        The explained gene's TSS.
    explained : str
        The explained gene, placed first.
    width : float
        Width of the view in inches.
    max_rows : int

    Returns
    -------
    DataFrame
        The genes that fit, with ``row`` (0 on top), ``label`` and ``label_start`` (position of its left end).
    """
    seen = genes[(genes["end"] > low) & (genes["start"] < high)].copy()
    middle = seen[["start", "end"]].clip(low, high).mean(axis=1)
    seen["order"] = (middle - tss).abs().where(seen["gene"] != explained, -1.0)
    seen = seen.sort_values(["order", "gene"], kind="stable")
    per_inch = (high - low) / width
    gap = 0.05 * per_inch
    free: list[list[tuple[float, float]]] = [[] for _ in range(max_rows)]
    placed = []
    for gene in seen.itertuples(index=False):
        label = strand_label(gene.gene, gene.strand)
        length = 0.68 * FONT_SIZE / 72 * len(label) * per_inch * (1.15 if gene.gene == explained else 1)
        at = float(np.clip(gene.start, low, max(low, high - length)))
        left, right = min(max(gene.start, low), at) - gap, max(min(gene.end, high), at + length) + gap
        row = next(
            (r for r, taken in enumerate(free) if all(right <= a or left >= b for a, b in taken)), None
        )
        if row is not None:
            free[row].append((left, right))
            placed.append({**gene._asdict(), "row": row, "label": label, "label_start": at})
    return pd.DataFrame(placed, columns=[*seen.columns, "row", "label", "label_start"])


def strand_label(gene: str, strand: object) -> str:
    """The gene's name with an arrow in the direction of transcription."""
    name = shorten(gene, 18)
    return {"+": f"{name} →", "-": f"← {name}"}.get(str(strand), name)


def draw_genes(ax: Axes, placed: pd.DataFrame, explained: str, low: int, high: int, width: float) -> None:
    """Draw the placed genes: exons as blocks, introns as a line with arrow heads, names above.

    Parameters
    ----------
    ax : Axes
    placed : DataFrame
        From :func:`place_genes`; `exon_starts` and `exon_ends` are comma lists or missing.
    explained : str
        Drawn in colour and bold.
    low, high : int
        The view.
    width : float
        Width of the view in inches.
    """
    per_inch = (high - low) / width
    for gene in placed.itertuples(index=False):
        own = gene.gene == explained
        colour = VERMILLION if own else INK if isinstance(gene.exon_starts, str) else GREY
        start, end = max(gene.start, low), min(gene.end, high)
        ax.plot([start, end], [gene.row] * 2, color=colour, lw=0.7, solid_capstyle="butt")
        if gene.strand in ("+", "-") and end - start > 0.16 * per_inch:
            heads = np.arange(start + 0.08 * per_inch, end - 0.04 * per_inch, 0.16 * per_inch)
            marker = ">" if gene.strand == "+" else "<"
            ax.plot(heads, np.full(len(heads), gene.row), marker, ms=1.9, mew=0, color=colour)
        for block_start, block_end in blocks(gene):
            if block_end > low and block_start < high:
                ax.add_patch(
                    Rectangle(
                        (max(block_start, low), gene.row - BODY / 2),
                        min(block_end, high) - max(block_start, low),
                        BODY,
                        facecolor=colour,
                        edgecolor=colour,
                        lw=0.4,
                        label=f"_exon {gene.gene}",
                    )
                )
        ax.text(
            gene.label_start,
            gene.row - 0.28,
            gene.label,
            ha="left",
            va="bottom",
            fontsize=FONT_SIZE,
            color=colour if own else INK,
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
