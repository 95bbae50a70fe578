"""Peaks near genes: distances to start sites, windows, overlaps. Coordinates are 0-based half-open, as in BED.

The only module that imports pyranges.
"""

import numpy as np
import pandas as pd

from grids.data.coordinates import peak_names

WINDOW_COLUMNS = ["peak", "chromosome", "start", "end", "gene", "distance_to_tss_bp", "is_promoter"]


def _signed_distance(start, end, tss, is_minus):
    """bp from the TSS to the closest base of [start, end); negative upstream, 0 when it covers the TSS."""
    along = np.where(start > tss, start - tss, np.where(end <= tss, end - 1 - tss, 0))
    return np.where(is_minus, -along, along)


def distance_to_tss(peaks: pd.DataFrame, gene: pd.Series) -> np.ndarray:
    """Signed distance of every peak to one gene's TSS.

    Parameters
    ----------
    peaks : DataFrame with chromosome, start, end
    gene : one row of the gene table: chromosome, strand, tss

    Returns
    -------
    ndarray of float64, shape (n_peaks,)
        bp from the TSS to the closest base of the peak: 0 when it covers the TSS, negative upstream with
        respect to the strand ("." counts as "+"), NaN on other chromosomes and for a gene without TSS.
    """
    if pd.isna(gene.tss):
        return np.full(len(peaks), np.nan)
    start, end = peaks.start.to_numpy(np.int64), peaks.end.to_numpy(np.int64)
    distance = _signed_distance(start, end, int(gene.tss), gene.strand == "-").astype(float)
    distance[(peaks.chromosome.astype(str) != str(gene.chromosome)).to_numpy()] = np.nan
    return distance


def locate(
    members: pd.DataFrame, gene: pd.Series, window_bp: int = 500_000, soft_hit_bp: int = 10_000_000
) -> dict:
    """Where the members of one set lie with respect to their gene.

    Parameters
    ----------
    members : DataFrame with chromosome, start, end, one row per member
    gene : one row of the gene table: chromosome, start, end, strand, tss
    window_bp, soft_hit_bp : int
        Largest distance to the TSS of a member in the window, and of a soft hit.

    Returns
    -------
    dict
        hit (bool: a member overlaps the gene), soft_hit (bool: a member hits or lies within `soft_hit_bp`
        of the TSS), n_same_chromosome, share_same_chromosome, n_in_window, closest_bp (unsigned; NaN when
        no member is on the chromosome).
    """
    distance = np.abs(distance_to_tss(members, gene))
    same = (members.chromosome.astype(str) == str(gene.chromosome)).to_numpy()
    hit = bool((same & (members.start < gene.end).to_numpy() & (members.end > gene.start).to_numpy()).any())
    return {
        "hit": hit,
        "soft_hit": hit or bool((distance <= soft_hit_bp).any()),
        "n_same_chromosome": int(same.sum()),
        "share_same_chromosome": float(same.mean()) if len(same) else np.nan,
        "n_in_window": int((distance <= window_bp).sum()),
        "closest_bp": float(np.nanmin(distance)) if np.isfinite(distance).any() else np.nan,
    }


def link_windows(
    peaks: pd.DataFrame,
    genes: pd.DataFrame,
    window_bp: int = 500_000,
    promoter_upstream_bp: int = 1_000,
    promoter_downstream_bp: int = 100,
) -> pd.DataFrame:
    """Every peak within `window_bp` of a gene's TSS.

    Parameters
    ----------
    peaks : DataFrame with chromosome, start, end
    genes : DataFrame with gene, chromosome, strand, tss
        Genes without a TSS have no window.
    window_bp : int
        Largest distance between the TSS and the closest base of a peak.
    promoter_upstream_bp, promoter_downstream_bp : int
        The promoter reaches from this far upstream to this far downstream of the TSS, by strand.

    Returns
    -------
    DataFrame with columns peak, chromosome, start, end, gene, distance_to_tss_bp, is_promoter
        Peaks have canonical names; distances as in :func:`distance_to_tss`. In the order of `genes`, then
        by position. A gene without peaks has no row.
    """
    located = genes[genes.tss.notna()]
    tss = located.tss.to_numpy(np.int64)
    windows = located.assign(start=np.maximum(tss - window_bp, 0), end=tss + window_bp + 1)
    gene_row, peak_row = overlapping(windows, peaks)
    start, end = peaks.start.to_numpy(np.int64), peaks.end.to_numpy(np.int64)
    order = np.lexsort((end[peak_row], start[peak_row], gene_row))
    peak_row, gene_row = peak_row[order], gene_row[order]
    start, end, tss = start[peak_row], end[peak_row], tss[gene_row]
    distance = _signed_distance(start, end, tss, (located.strand == "-").to_numpy()[gene_row])
    return pd.DataFrame(
        {
            "peak": peak_names(peaks)[peak_row],
            "chromosome": peaks.chromosome.astype(str).to_numpy(object)[peak_row],
            "start": start,
            "end": end,
            "gene": located.gene.to_numpy(object)[gene_row],
            "distance_to_tss_bp": distance,
            "is_promoter": (distance >= -promoter_upstream_bp) & (distance <= promoter_downstream_bp),
        }
    )


def overlapping(first: pd.DataFrame, second: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of two tables of intervals that share at least one base.

    Returns
    -------
    first_row, second_row : ndarray of int64, shape (n_overlaps,)
        Positions in `first` and `second`, sorted.
    """
    import pyranges

    if first.empty or second.empty:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ranges = []
    for table, name in ((first, "first_row"), (second, "second_row")):
        spans = {
            "Chromosome": table.chromosome.astype(str).to_numpy(),
            "Start": table.start.to_numpy(np.int64),
            "End": table.end.to_numpy(np.int64),
            name: np.arange(len(table)),
        }
        ranges.append(pyranges.PyRanges(pd.DataFrame(spans), int64=True))
    # Joining nothing gives a frame without columns.
    rows = ranges[0].join(ranges[1]).df.reindex(columns=["first_row", "second_row"]).astype(np.int64)
    rows = rows.sort_values(["first_row", "second_row"])
    return rows.first_row.to_numpy(), rows.second_row.to_numpy()
