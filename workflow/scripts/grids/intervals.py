"""Peaks, transcription start sites and windows. Coordinates are 0-based half-open, as in BED.

The only module that imports pyranges.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from grids.errors import InputError, did_you_mean, listing

COORDINATES = ["chromosome", "start", "end"]
WINDOW_COLUMNS = ["peak", "chromosome", "start", "end", "gene", "distance_to_tss_bp", "is_promoter"]

LARGEST = 10**12  # no chromosome is so long; larger coordinates would overflow unseen

_PEAK = re.compile(r"(\S*[^\s:_-])[:_-](-?[0-9]{1,12})[_-](-?[0-9]{1,12})")
_COLUMN_DIALECTS = {
    "chromosome": ("chromosome", "chrom", "chr", "seqnames", "seqname", "seqid"),
    "start": ("start", "chromstart"),
    "end": ("end", "chromend", "stop"),
}
_NUMBER = re.compile(r"([0-9]+)")
_UCSC_CONTIG = re.compile(r"^chr[0-9A-Za-z]+_([A-Z]+[0-9]+)v([0-9]+)(?:_random|_alt|_fix)?$")
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


# --- names and order -------------------------------------------------------------------------------


def parse_peaks(
    names: Sequence[str],
    var: pd.DataFrame | None = None,
    peak_name_key: str | None = None,
    where: str = "",
) -> pd.DataFrame:
    """Coordinates of peaks, from their names or from columns.

    Names are read as ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200``; the contig may itself hold
    ``-``, ``_`` or ``.``. When names are no coordinates, columns of `var` are used: chromosome, start
    and end in the usual spellings, or one column ``interval``. Coordinates are taken as they are.

    Parameters
    ----------
    names : sequence of str, length n_peaks
    var : DataFrame with n_peaks rows, optional
    peak_name_key : str, optional
        Column of `var` with the names, instead of `names`.
    where : str
        File and modality, for messages.

    Returns
    -------
    DataFrame with columns chromosome (str), start, end (int64); its index is `names`

    Raises
    ------
    InputError
        Peaks without coordinates, end <= start, negative start, or the same peak twice.
    """
    where = f"{where}: " if where else ""
    index = pd.Index(names).astype(str)
    columns = {str(column).casefold(): column for column in var.columns} if var is not None else {}
    if peak_name_key is not None:
        if var is None or peak_name_key not in var.columns:
            known = [] if var is None else list(var.columns)
            raise InputError(
                f"{where}input.peak_name_key '{peak_name_key}' is not a column of the peaks; columns: "
                f"{listing(known) or 'none'}.{did_you_mean(peak_name_key, known)}"
            )
        table = _split_names(var[peak_name_key])
    else:
        table = _split_names(index)
        dialect = {
            name: next((columns[c] for c in spellings if c in columns), None)
            for name, spellings in _COLUMN_DIALECTS.items()
        }
        if table.start.isna().any() and all(dialect.values()):
            table = _from_columns(var, dialect)
        elif table.start.isna().any() and "interval" in columns:
            table = _split_names(var[columns["interval"]])
    table.index = index

    bad = table.chromosome.isna() | table.start.isna() | table.end.isna()
    if bad.any():
        raise InputError(
            f"{where}{int(bad.sum())} of {len(table)} peaks have no coordinates "
            f"(e.g. {_examples(index[bad])}); expected names like chr1:100-200, chr1-100-200 or chr1_100_200 "
            "or columns chromosome, start, end: rename the peaks, add the columns, or set "
            "input.peak_name_key to a column that holds such names"
        )
    table = table.astype({"start": np.int64, "end": np.int64})
    if (bad := table.start < 0).any():
        raise InputError(
            f"{where}{int(bad.sum())} peaks start before position 0 (e.g. {_examples(index[bad])}); "
            "coordinates are 0-based, so the smallest start is 0"
        )
    if (bad := table.end <= table.start).any():
        raise InputError(
            f"{where}{int(bad.sum())} peaks end at or before their start (e.g. {_examples(index[bad])}); "
            "expected start < end (0-based, half-open)"
        )
    if (bad := table.duplicated()).any():
        raise InputError(
            f"{where}{int(bad.sum())} peaks have the coordinates of an earlier one "
            f"(e.g. {_examples(index[bad])}); each peak may occur once: merge or remove the copies"
        )
    return table


def _split_names(names) -> pd.DataFrame:
    """Chromosome, start, end of peak names; missing where a name is no coordinate."""
    matches = [_PEAK.fullmatch(name) for name in pd.Index(names).astype(str)]
    parts = [m.groups() if m else (None, None, None) for m in matches]
    table = pd.DataFrame(parts, columns=COORDINATES, dtype=object)
    return table.assign(start=pd.to_numeric(table.start), end=pd.to_numeric(table.end))


def _from_columns(var: pd.DataFrame, dialect: Mapping[str, str]) -> pd.DataFrame:
    chromosome = var[dialect["chromosome"]].astype(object)
    chromosome = chromosome.where(chromosome.notna() & chromosome.astype(str).str.fullmatch(r"\S+"), None)
    table = pd.DataFrame({"chromosome": [None if c is None else str(c) for c in chromosome]}, dtype=object)
    for name in ("start", "end"):
        values = pd.to_numeric(var[dialect[name]].astype(object), errors="coerce").to_numpy(float)
        table[name] = np.where((values == np.floor(values)) & (np.abs(values) <= LARGEST), values, np.nan)
    return table


def _examples(names) -> str:
    return ", ".join(map(str, names[:3]))


def peak_names(table: pd.DataFrame) -> pd.Index:
    """Canonical names, ``chr1:100-200``, of a table with chromosome, start, end."""
    columns = zip(table.chromosome.astype(str), table.start, table.end, strict=True)
    return pd.Index([f"{chromosome}:{start}-{end}" for chromosome, start, end in columns], dtype=object)


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
    """The chromosome behind a name's dialect: chr1 -> 1, MT -> M, chrUn_KI270742v1 -> KI270742.1."""
    if contig := _UCSC_CONTIG.match(name):
        return f"{contig[1]}.{contig[2]}"
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


def harmonise_chromosomes(genes: pd.DataFrame, peaks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring the genes' chromosome names to the dialect of the peaks (chr1 or 1, chrM or MT, contigs).

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
    renamed = {}
    for name in pd.unique(genes.chromosome.astype(str)):
        bare = bare_chromosome(name)
        in_dialect = f"{prefix}{bare}" if main and re.fullmatch(r"[0-9]+|[XYM]", bare) else name
        renamed[name] = of_peaks.get(bare, in_dialect)
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


# --- assemblies ------------------------------------------------------------------------------------


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
    if len({assembly_name(text) for text in said.values()}) > 1:
        raise InputError(
            "the inputs come from different assemblies: "
            + ", ".join(f"{source} says '{text}'" for source, text in said.items())
            + "; coordinates cannot be compared: use files of one assembly"
        )
    return assembly_name(next(iter(said.values()))) if said else None


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
            last = _per_chromosome(
                table.chromosome, {name: sizes.get(bare_chromosome(name)) for name in _names(table)}
            )
            beyond = table.start.to_numpy() >= last
            if beyond.any():
                example = table[beyond].iloc[0]
                raise InputError(
                    f"{int(beyond.sum())} of {len(table)} {what} lie beyond the end of their chromosome in "
                    f"{assembly} (e.g. {example.chromosome}:{example.start}-{example.end}, chromosome size "
                    f"{last[beyond][0]:.0f}): these {what} are of another assembly; correct input.assembly "
                    "or use files of one assembly"
                )
    _refuse_peaks_beyond_genes(peaks, genes)
    return _tss_warning(peaks, genes)


def _names(table: pd.DataFrame) -> list[str]:
    return list(pd.unique(table.chromosome.astype(str)))


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


# --- distances and windows -------------------------------------------------------------------------


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
    import pyranges

    located = genes[genes.tss.notna()]
    if peaks.empty or located.empty:
        pairs = pd.DataFrame({"peak_row": [], "gene_row": []}, dtype=np.int64)
    else:
        tss = located.tss.to_numpy(np.int64)
        windows = {
            "Chromosome": located.chromosome.astype(str).to_numpy(),
            "Start": np.maximum(tss - window_bp, 0),
            "End": tss + window_bp + 1,
            "gene_row": np.arange(len(located)),
        }
        spans = {
            "Chromosome": peaks.chromosome.astype(str).to_numpy(),
            "Start": peaks.start.to_numpy(np.int64),
            "End": peaks.end.to_numpy(np.int64),
            "peak_row": np.arange(len(peaks)),
        }
        joined = pyranges.PyRanges(pd.DataFrame(spans), int64=True).join(
            pyranges.PyRanges(pd.DataFrame(windows), int64=True)
        )
        # Joining nothing gives a frame without columns.
        pairs = joined.df.reindex(columns=["peak_row", "gene_row"]).astype(np.int64)
    peak_row, gene_row = pairs.peak_row.to_numpy(), pairs.gene_row.to_numpy()
    start, end = peaks.start.to_numpy(np.int64), peaks.end.to_numpy(np.int64)
    order = np.lexsort((end[peak_row], start[peak_row], gene_row))
    peak_row, gene_row = peak_row[order], gene_row[order]
    start, end, tss = start[peak_row], end[peak_row], located.tss.to_numpy(np.int64)[gene_row]
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
        },
        columns=WINDOW_COLUMNS,
    )


def overlapping(first: pd.DataFrame, second: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of two tables of intervals that share at least one base.

    Parameters
    ----------
    first, second : DataFrame with chromosome, start, end

    Returns
    -------
    first_row, second_row : ndarray of int64, shape (n_overlaps,)
        Positions in `first` and `second`, sorted.
    """
    import pyranges

    if first.empty or second.empty:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ranges = [
        pyranges.PyRanges(
            pd.DataFrame(
                {
                    "Chromosome": table.chromosome.astype(str).to_numpy(),
                    "Start": table.start.to_numpy(np.int64),
                    "End": table.end.to_numpy(np.int64),
                    name: np.arange(len(table)),
                }
            ),
            int64=True,
        )
        for name, table in (("first_row", first), ("second_row", second))
    ]
    # Joining nothing gives a frame without columns.
    rows = ranges[0].join(ranges[1]).df.reindex(columns=["first_row", "second_row"]).astype(np.int64)
    rows = rows.sort_values(["first_row", "second_row"])
    return rows.first_row.to_numpy(), rows.second_row.to_numpy()
