"""Genome assemblies: their names and chromosome sizes, and whether peaks and genes can be of one."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from grids.data.chromosomes import bare_chromosome, harmonise_chromosomes
from grids.io.errors import InputError, did_you_mean, listing

# Chromosomes 1, 2, ..., X, Y, M in this order.
_SIZES = {
    "hg19": (
        249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431,
        135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248,
        59128983, 63025520, 48129895, 51304566, 155270560, 59373566, 16571,
    ),
    "hg38": (
        248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717,
        133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285,
        58617616, 64444167, 46709983, 50818468, 156040895, 57227415, 16569,
    ),
    "mm10": (
        195471971, 182113224, 160039680, 156508116, 151834684, 149736546, 145441459, 129401213, 124595110,
        130694993, 122082543, 120129022, 120421639, 124902244, 104043685, 98207768, 94987271, 90702639,
        61431566, 171031299, 91744698, 16299,
    ),
    "mm39": (
        195154279, 181755017, 159745316, 156860686, 151758149, 149588044, 144995196, 130127694, 124359700,
        130530862, 121973369, 120092757, 120883175, 125139656, 104073951, 98008968, 95294699, 90720763,
        61420004, 169476592, 91455967, 16299,
    ),
}  # fmt: skip
CHROMOSOME_SIZES = {
    assembly: dict(zip([*map(str, range(1, len(sizes) - 2)), "X", "Y", "M"], sizes, strict=True))
    for assembly, sizes in _SIZES.items()
}
_SYNONYMS = {"grch37": "hg19", "hs37d5": "hg19", "grch38": "hg38", "grcm38": "mm10", "grcm39": "mm39"}


def assembly_name(text: str) -> str:
    """UCSC name of an assembly: ``GRCh38.p14`` -> ``hg38``. Names not known are returned as they are."""
    bare = re.sub(r"\.p[0-9]+$", "", str(text).strip())
    return _SYNONYMS.get(bare.casefold(), bare.casefold() if bare.casefold() in _SIZES else bare)


def agree_on_assembly(declared: Mapping[str, str | None]) -> str | None:
    """The one assembly that all inputs declare; None when none does.

    Parameters
    ----------
    declared : mapping of source (a file, a config key) to its assembly, None or "" where it says nothing

    Raises
    ------
    InputError
        Two sources disagree.
    """
    said = {source: text for source, text in declared.items() if text}
    names = {assembly_name(text) for text in said.values()}
    if len(names) > 1:
        told = ", ".join(f"{source} says '{text}'" for source, text in said.items())
        raise InputError(
            f"the inputs come from different assemblies: {told}; coordinates cannot be compared: use files of one "
            "assembly"
        )
    return names.pop() if names else None


def fit_to_run(
    table: pd.DataFrame, peaks: pd.DataFrame, genes: pd.DataFrame, assembly: str | None, where: str, what: str
) -> pd.DataFrame:
    """Intervals from outside, under the run's chromosome names and checked against its assembly.

    Parameters
    ----------
    table, peaks, genes : DataFrame
        chromosome, start, end.
    assembly : str, optional
        As of :func:`check_assembly`.
    where, what : str
        Which table it is and what its intervals are, for messages.

    Raises
    ------
    InputError
        No chromosome in common with the peaks, or coordinates beyond a chromosome's end.
    """
    found = pd.unique(table["chromosome"])
    try:
        table, _ = harmonise_chromosomes(table, peaks)
    except InputError:
        raise InputError(
            f"{where}: no chromosome in common with the peaks: {what} lie on {listing(found, 4)}, peaks on "
            f"{listing(pd.unique(peaks['chromosome']), 4)}; use {what} of the peaks' assembly"
        ) from None
    try:
        check_assembly(table, genes, assembly)  # its warning about start sites is for peaks only
    except InputError as error:
        raise InputError(f"{where}: {str(error).replace('peaks', what)}") from None
    return table


def check_assembly(peaks: pd.DataFrame, genes: pd.DataFrame, assembly: str | None = None) -> list[str]:
    """Refuse peaks and genes that cannot be of one assembly; warn where they probably are not.

    With `assembly`, no peak and no gene may start beyond the end of its chromosome. Without, peaks far
    beyond the last gene of their chromosomes give a foreign species away. A warning is returned when
    peaks are no more frequent near start sites of genes than near shifted positions; data sets with few
    genes near peaks are not judged.

    Parameters
    ----------
    peaks, genes : DataFrame
        chromosome, start, end; genes also tss and, if known, gene_type. One dialect of chromosome names.
    assembly : {"hg19", "hg38", "mm10", "mm39"} or a synonym ("GRCh38"), optional

    Returns
    -------
    list of str
        Warnings, empty when all is well.

    Raises
    ------
    InputError
        Coordinates beyond a chromosome's end, or an unknown assembly.
    """
    if assembly is not None:
        sizes = CHROMOSOME_SIZES.get(assembly_name(assembly))
        if sizes is None:
            raise InputError(
                f"input.assembly '{assembly}' is not known; known: {', '.join(CHROMOSOME_SIZES)}."
                f"{did_you_mean(assembly, CHROMOSOME_SIZES)} Leave it out for other assemblies"
            )
        for what, table in (("peaks", peaks), ("genes", genes)):
            names = table.chromosome.astype(str).unique()
            size_of = {name: sizes.get(bare_chromosome(name)) for name in names}
            last = _per_chromosome(table.chromosome, size_of)
            if (beyond := table.start.to_numpy() >= last).any():
                example = table[beyond].iloc[0]
                raise InputError(
                    f"{int(beyond.sum())} of {len(table)} {what} lie beyond the end of their chromosome in "
                    f"{assembly} (e.g. {example.chromosome}:{example.start}-{example.end}, chromosome size "
                    f"{last[beyond][0]:.0f}): these {what} are of another assembly; correct input.assembly "
                    "or use files of one assembly"
                )
    _refuse_peaks_beyond_genes(peaks, genes)
    return _tss_warning(peaks, genes)


def _per_chromosome(chromosome: pd.Series, values: Mapping[str, float | None]) -> np.ndarray:
    """A value per row by chromosome; NaN where none is known (comparisons with it are False)."""
    return chromosome.astype(str).map(values).to_numpy(dtype=float, na_value=np.nan)


def _refuse_peaks_beyond_genes(peaks, genes, margin_bp=5_000_000, min_peaks=20, min_share=0.01):
    if len(genes) < 10_000:
        return  # a part of a genome's genes says nothing about where chromosomes end
    last = genes.groupby(genes.chromosome.astype(str)).end.max()
    last = last[[bare_chromosome(name) != "Y" for name in last.index]]  # half of the human Y is free of genes
    last_gene = _per_chromosome(peaks.chromosome, last.to_dict())
    beyond = peaks.start.to_numpy() > last_gene + margin_bp
    if beyond.sum() >= max(min_peaks, min_share * len(peaks)):
        example = peaks[beyond].iloc[0]
        raise InputError(
            f"{int(beyond.sum())} of {len(peaks)} peaks lie more than {margin_bp // 1_000_000} Mb beyond the "
            f"last gene of their chromosome (e.g. {example.chromosome}:{example.start}-{example.end}, last "
            f"gene ends at {last_gene[beyond][0]:.0f}): peaks and annotation are of different assemblies; "
            "set input.genes to an annotation of the peaks' assembly"
        )


def _tss_warning(peaks, genes, near_bp=2_000, min_expected=50, min_odds_ratio=1.5) -> list[str]:
    if "gene_type" in genes and (genes.gene_type == "protein_coding").any():
        genes = genes[genes.gene_type == "protein_coding"]
    shifts = (-500_000, -200_000, -100_000, 100_000, 200_000, 500_000)
    spans_of = dict(list(peaks.groupby(peaks.chromosome.astype(str))))
    n_genes, at_tss, shifted, n_abutting = 0, 0, 0.0, 0
    for chromosome, group in genes.dropna(subset="tss").groupby(genes.chromosome.astype(str)):
        if chromosome not in spans_of:
            continue
        spans = spans_of[chromosome].sort_values("start")
        start, end = spans.start.to_numpy(), np.maximum.accumulate(spans.end.to_numpy())
        n_abutting += int((start[1:] == end[:-1]).sum())
        tss = group.tss.to_numpy(dtype=np.int64)
        n_genes += len(tss)
        at_tss += _n_near(tss, start, end, near_bp)
        shifted += float(np.mean([_n_near(tss + shift, start, end, near_bp) for shift in shifts]))
    tiles = n_abutting > len(peaks) / 2  # tiles of equal width cover whole regions, promoters or not
    if tiles or shifted < min_expected:
        return []
    if at_tss * (n_genes - shifted) >= min_odds_ratio * shifted * (n_genes - at_tss):
        return []
    return [
        f"{at_tss} of {n_genes} gene starts have a peak within {near_bp:,} bp, hardly more than by chance "
        f"({shifted:.0f}, at positions 100 to 500 kb away); peaks usually gather at promoters: check that "
        "peaks and annotation are of the same assembly"
    ]


def _n_near(position, start, end, near_bp) -> int:
    """How many positions lie within `near_bp` of a span; `start` sorted, `end` its running maximum."""
    last = np.searchsorted(start, position + near_bp, side="right") - 1
    return int(((last >= 0) & (end[last] > position - near_bp)).sum())
