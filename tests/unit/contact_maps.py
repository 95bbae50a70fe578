"""Small contact maps whose values are known, written as .cool and .mcool."""

import cooler
import numpy as np
import pandas as pd

RESOLUTION_BP = 10_000
SIZES = {"chr1": 2_000_000, "chr2": 805_000}


def bins_of(sizes=SIZES, resolution_bp=RESOLUTION_BP):
    return cooler.binnify(pd.Series(sizes), resolution_bp)


def decaying_counts(n_bins, scale=600, seed=0):
    """A symmetric matrix of Poisson counts that fall with the distance, 1 / (1 + d)."""
    distance = np.abs(np.subtract.outer(np.arange(n_bins), np.arange(n_bins)))
    counts = np.random.default_rng(seed).poisson(scale / (1 + distance))
    return np.triu(counts) + np.triu(counts, 1).T


def dense_counts(sizes=SIZES, resolution_bp=RESOLUTION_BP, seed=0):
    """Name -> counts of each chromosome; contacts between chromosomes are added by :func:`write_cool`."""
    n_bins = bins_of(sizes, resolution_bp)["chrom"].value_counts()
    return {name: decaying_counts(n_bins[name], seed=seed + i) for i, name in enumerate(sizes)}


def write_cool(path, counts, sizes=SIZES, resolution_bp=RESOLUTION_BP, weight=None, assembly=None):
    """Write counts of each chromosome, one contact between each bin and the last chromosome's last bin, weights."""
    bins = bins_of(sizes, resolution_bp)
    if weight is not None:
        bins["weight"] = weight
    whole = np.zeros((len(bins), len(bins)), int)
    for name, matrix in counts.items():
        at = np.flatnonzero(bins["chrom"] == name)
        whole[np.ix_(at, at)] = matrix
    others = bins["chrom"] != list(sizes)[-1]
    whole[np.flatnonzero(others), -1] = 1
    one, two = np.nonzero(np.triu(whole))
    pixels = pd.DataFrame({"bin1_id": one, "bin2_id": two, "count": whole[one, two]})
    cooler.create_cooler(str(path), bins, pixels, assembly=assembly)
    return path


def write_mcool(path, base, resolutions):
    cooler.zoomify_cooler(str(base), str(path), resolutions, chunksize=100_000)
    return path


def peaks_at(chromosome, middles, width=400):
    """Peaks around the given positions."""
    middles = np.asarray(middles)
    start, end = middles - width // 2, middles + width // 2
    names = [f"{chromosome}:{a}-{b}" for a, b in zip(start, end, strict=True)]
    return pd.DataFrame({"peak": names, "chromosome": chromosome, "start": start, "end": end})


def gene_at(name, chromosome, tss):
    return pd.DataFrame(
        {
            "gene": [name], "chromosome": [chromosome], "start": [tss], "end": [tss + 5_000], "strand": ["+"],
            "tss": [tss], "exon_starts": [np.nan], "exon_ends": [np.nan],
        }
    )  # fmt: skip


def set_of(gene, members, cell_type="Astro", tss=0):
    """A set whose members are rows of a table of peaks, in the order of their ranks."""
    members = members.reset_index(drop=True)
    return members[["peak", "chromosome", "start", "end"]].assign(
        surrogate="window",
        method="grids",
        cell_type=cell_type,
        gene=gene,
        direction="silence",
        passed_gate=True,
        set_size=len(members),
        rank=np.arange(1, len(members) + 1),
        distance_to_tss_bp=(members["start"] - tss).astype(float),
        in_window=True,
        log_effect_alone=-0.1,
        log_effect_in_context=-0.2,
        share_of_restarts=1.0,
    )
