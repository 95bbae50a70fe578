"""Names of chromosomes: their order, and the dialects in which peaks and annotations write them."""

import re

import numpy as np
import pandas as pd

from grids.io.errors import InputError, listing

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

    Parameters
    ----------
    genes, peaks : DataFrame with a column chromosome

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
