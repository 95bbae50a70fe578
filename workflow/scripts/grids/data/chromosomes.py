"""Chromosomes: names in the dialects of peaks and annotations, order, sizes, and whether files are of one assembly."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from grids.io.errors import InputError, did_you_mean, listing

_NUMBER = re.compile(r"([0-9]+)")
# A contig by its accession: GL000194.1 (Ensembl), chr1_GL000194v1_random, chrUn_GL000194v1 (UCSC), without
# version in older assemblies; "-" and "." where Seurat and R put them in place of "_" and "-".
_CONTIG = re.compile(
    r"(?:chr[0-9A-Za-z]+[._-]((?:N[TW][._-]|[A-Za-z]+)[0-9]+(?=v)|[A-Za-z]{2}[0-9]{6})(?:v([0-9]+))?"
    r"(?:[._-](?:random|alt|fix))?"
    r"|(?:chr)?((?:N[TW][._-]|[A-Z]{2}|[A-Z]{4,6})[0-9]{6,})[v._-]([0-9]+))"
)
_REFSEQ_CHROMOSOME = re.compile(r"^NC_0000([0-9]{2})\.[0-9]+$")
_REFSEQ_MITOCHONDRIA = ("NC_012920.1", "NC_005089.1")  # human, mouse
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


def sort_order(table: pd.DataFrame) -> np.ndarray:
    """Permutation that sorts rows by chromosome, then start, then end.

    Chromosomes come in natural order: 1, 2, ..., 10, X, Y, M, then everything else; with or without
    ``chr``. Equal rows keep their order.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
    """
    codes, names = pd.factorize(table.chromosome.astype(str))
    rank = np.empty(len(names), dtype=np.int64)
    rank[sorted(range(len(names)), key=lambda i: _chromosome_key(names[i]))] = np.arange(len(names))
    return np.lexsort((table.end.to_numpy(), table.start.to_numpy(), rank[codes]))


def _chromosome_key(name: str) -> tuple:
    bare = bare_chromosome(name)
    group = 0 if re.fullmatch(r"[0-9]+[A-Za-z]?", bare) else {"X": 1, "Y": 2, "M": 3}.get(bare, 4)
    # Digits without leading zeros are in the order of their numbers if the shorter ones come first.
    pieces = [
        (0, len(p.lstrip("0")), p.lstrip("0")) if _NUMBER.fullmatch(p) else (1, 0, p)
        for p in _NUMBER.split(bare)
        if p
    ]
    return group, pieces, name


def bare_chromosome(name: str) -> str:
    """The chromosome behind a name's dialect: chr1 -> 1, MT -> M, chrUn_KI270742v1 and KI270742-1 -> KI270742.1."""
    if contig := _CONTIG.fullmatch(name):
        accession = re.sub(r"[.-]", "_", contig[1] or contig[3]).upper()
        return f"{accession}.{contig[2] or contig[4] or 1}"
    if refseq := _REFSEQ_CHROMOSOME.match(name):
        number = int(refseq[1])
        if number <= 24:  # human
            return {23: "X", 24: "Y"}.get(number, str(number))
        if 67 <= number <= 87:  # mouse
            return {86: "X", 87: "Y"}.get(number, str(number - 66))
    if name in _REFSEQ_MITOCHONDRIA:
        return "M"
    bare = re.sub("^chr", "", name, flags=re.IGNORECASE)
    return "M" if bare.upper() in ("M", "MT") else bare.upper() if bare.upper() in ("X", "Y") else bare


def is_main_chromosome(name: str) -> bool:
    """Whether a name is that of a chromosome (1, 2L, X, Y, M in any dialect), not of a contig."""
    return _chromosome_key(name)[0] < 4


def _loose_key(name: str) -> str:
    """A name without what R and Seurat change in it: signs, and the X that R puts before digits."""
    return re.sub(r"^X(?=[0-9])", "", re.sub(r"[^0-9A-Za-z]", "_", bare_chromosome(name)))


def harmonise_chromosomes(genes: pd.DataFrame, peaks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring the genes' chromosome names to the dialect of the peaks (chr1 or 1, chrM or MT, contigs).

    Names that are not known otherwise match if they differ in signs only (`HLA-A*01` and `HLA.A.01`).

    Returns
    -------
    genes : DataFrame
        A copy with chromosomes renamed.
    report : DataFrame with columns what, n_total, n_matched, share_matched

    Raises
    ------
    InputError
        No chromosome in common, or peaks that name one chromosome in two ways.
    """
    of_peaks: dict[str, str] = {}
    for name in pd.unique(peaks.chromosome.astype(str)):
        other = of_peaks.setdefault(bare_chromosome(name), name)
        if other != name:
            raise InputError(
                f"the peaks name one chromosome in two ways, '{other}' and '{name}'; "
                "expected one dialect throughout: rename the peaks"
            )
    main = [name for bare, name in of_peaks.items() if re.fullmatch(r"[0-9]+|[XYM]", bare)]
    prefix = "chr" if any(name.startswith("chr") for name in main) else ""
    of_genes = {name: bare_chromosome(name) for name in pd.unique(genes.chromosome.astype(str))}
    similar = _similar(
        [name for name, bare in of_genes.items() if bare not in of_peaks],
        [name for bare, name in of_peaks.items() if bare not in of_genes.values()],
    )
    renamed = {}
    for name, bare in of_genes.items():
        in_dialect = f"{prefix}{bare}" if main and re.fullmatch(r"[0-9]+|[XYM]", bare) else name
        renamed[name] = of_peaks.get(bare) or similar.get(name, in_dialect)
    harmonised = genes.assign(chromosome=genes.chromosome.astype(str).map(renamed).astype(object))
    annotated = set(harmonised.chromosome)
    counts = [
        ("peaks on annotated chromosomes", peaks.chromosome.astype(str).isin(annotated)),
        ("genes on chromosomes with peaks", harmonised.chromosome.isin(set(of_peaks.values()))),
        ("chromosomes of peaks in the annotation", pd.Series(list(of_peaks.values())).isin(annotated)),
    ]
    if not counts[0][1].any():
        raise InputError(
            f"peaks and gene annotation have no chromosome in common: peaks lie on "
            f"{listing(of_peaks.values(), 4) or 'none'}; genes on {listing(renamed, 4) or 'none'}. "
            "Use an annotation of the peaks' assembly (input.genes)"
        )
    report = pd.DataFrame(
        [(what, len(found), int(found.sum()), float(np.mean(found))) for what, found in counts],
        columns=["what", "n_total", "n_matched", "share_matched"],
    )
    return harmonised, report


def _similar(names: list[str], others: list[str]) -> dict[str, str]:
    """Pairs of names that differ in signs only, as :func:`_loose_key` says; each name in one pair at most."""
    both = []
    for group in (names, others):
        keys = pd.Series(group, index=[_loose_key(name) for name in group], dtype=object)
        both.append(keys[~keys.index.duplicated(keep=False)])
    return {name: both[1][key] for key, name in both[0].items() if key in both[1].index}


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

    With `assembly`, no peak and no gene may start beyond the end of its chromosome. Without, peaks far beyond the
    last gene of their chromosomes give a foreign species away. Warnings are returned when peaks are no more frequent
    near start sites of genes than near shifted positions; data sets with few genes near peaks are not judged.

    Parameters
    ----------
    peaks, genes : DataFrame
        chromosome, start, end; genes also tss and, if known, gene_type. One dialect of chromosome names.
    assembly : {"hg19", "hg38", "mm10", "mm39"} or a synonym ("GRCh38"), optional

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
    is_enriched = at_tss * (n_genes - shifted) >= min_odds_ratio * shifted * (n_genes - at_tss)
    if tiles or shifted < min_expected or is_enriched:
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
