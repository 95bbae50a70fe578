"""Gene annotations: GTF, GFF3 and BED in their dialects, read into one table of genes."""

import gzip
import io
import os
import re
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grids.chromosomes import LARGEST, sort_order
from grids.errors import InputError, listing
from grids.logging import log
from grids.names import check_names

GENE_COLUMNS = [
    "gene", "chromosome", "start", "end", "strand", "tss", "exon_starts", "exon_ends", "gene_id", "gene_type",
]  # fmt: skip
NEAR_BP = 1_000_000  # rows of one name closer than this are one gene
LONGEST_LINE = 1 << 20  # bytes

_GENE_FEATURES = {b"gene", b"ncRNA_gene", b"pseudogene"}
_SUB_FEATURES = {
    b"CDS",
    b"UTR",
    b"five_prime_UTR",
    b"three_prime_UTR",
    b"start_codon",
    b"stop_codon",
    b"intron",
}
_STRANDS = {"+", "-", "."}
_NAME_KEYS = ("gene_name", "gene", "gene_symbol")
_TYPE_KEYS = ("gene_type", "gene_biotype", "biotype")
_HEADER_TYPES = ("gene_type", "gene_biotype", "biotype", "type")
_HEADER_IDS = ("gene_id", "ensembl_id", "ensembl", "id")
# `key "value"`, `key value` (GTF) and `key=value` (GFF3)
_ATTRIBUTE = re.compile(r'(?:^|;)\s*([A-Za-z_][\w.-]*)\s*(?:=|\s)\s*(?:"([^"]*)"|([^;"]*))')
_GENE_ID = re.compile(rb'(?:^|;)\s*gene_id\s*(?:=|\s)\s*"?([^";]+)')


def read_genes(path: str | os.PathLike, gene_names: Sequence[str] | None = None) -> pd.DataFrame:
    """Read genes from a GTF, GFF3 or BED file, gzipped or not.

    Rows that share a name become one gene: rows on one strand that lie less than 1 Mb apart are merged; of
    loci further apart, the first is kept, protein-coding ones first, then by chromosome (1, 2, ..., X, Y,
    M, contigs) and position, and the log says how many were left out.

    Parameters
    ----------
    path : path
        The dialect and the compression are told from the content. A GTF without ``gene`` lines is read
        from its transcripts and exons. A BED file needs a name column; a header line (``#chr start end
        name ...``) may name columns for the gene's id and type.
    gene_names : sequence of str, optional
        Keep only these names or ids.

    Returns
    -------
    DataFrame with columns gene, chromosome, start, end, strand, tss, exon_starts, exon_ends, gene_id,
        gene_type. One row per gene name, by position; 0-based half-open. tss is the position of the most
        5' base (`start` when the strand is "+" or "."; `end` - 1 when "-"). Exons of all transcripts are
        merged and written as comma-separated lists, empty when unknown.

    Raises
    ------
    InputError
        Not an annotation, empty, truncated, or a line with impossible coordinates (its number is told).
    """
    lines = _Lines(path)
    first = next((fields for fields in (_fields(line) for line in lines) if fields), None)
    if first is None:
        raise InputError(f"{path}: no annotation in this file: it is empty or holds only comments")
    if _is_bed(first):
        rows, exons = _read_bed(_Lines(path))
    elif _is_gtf(first):
        rows, exons = _read_gtf(_Lines(path))
    else:
        shown = b" | ".join(first)[:60].decode(errors="replace")
        raise InputError(
            f"{path}, line {lines.number}: neither GTF/GFF3 (9 tab-separated columns: chromosome, source, "
            "feature, start, end, score, strand, frame, attributes) nor BED (chromosome, start, end, name): "
            f"{shown}"
        )
    if rows.empty:
        raise InputError(f"{path}: no gene in this file, only a header")
    if gene_names is not None:
        wanted = set(map(str, gene_names))
        rows = rows[
            rows.gene.isin(wanted) | rows.gene_id.isin(wanted) | _without_version(rows.gene_id).isin(wanted)
        ]
    for column in ("gene", "chromosome", "gene_id"):
        check_names(rows[column].unique(), f"{path}: {column} names")
    genes = _one_row_per_name(rows, path)
    genes["tss"] = np.where(genes.strand == "-", genes.end - 1, genes.start)
    merged = [
        _merge_exons([exons[key] for key in keys if key in exons], start, end)
        for keys, start, end in zip(genes.pop("keys"), genes.start, genes.end, strict=True)
    ]
    genes["exon_starts"] = [starts for starts, _ in merged]
    genes["exon_ends"] = [ends for _, ends in merged]
    return genes[GENE_COLUMNS]


def match_genes(
    genes: pd.DataFrame, names: Sequence[str], ids: Sequence[str] | None = None
) -> tuple[pd.DataFrame, float]:
    """Find the genes of an expression matrix in an annotation.

    Parameters
    ----------
    genes : DataFrame
        As from :func:`read_genes`.
    names : sequence of str
        Gene names of the expression matrix.
    ids : sequence of str, optional
        Their ids (Ensembl), same length; the names themselves when not given. Used for names that the
        annotation does not have; a version (".5") does not matter.

    Returns
    -------
    genes : DataFrame
        Rows of the annotation in the order of `names`, one per name found; column gene holds that name.
    share : float
        Share of the names found.

    Raises
    ------
    InputError
        None is found.
    """
    names = pd.Series(names, dtype=object).astype(str)
    ids = names if ids is None else pd.Series(ids, dtype=object).astype(str)
    row_of_name = pd.Series(np.arange(len(genes)), index=genes.gene.to_numpy())
    bare_ids = _without_version(genes.gene_id)
    unique = ~bare_ids.duplicated().to_numpy()
    row_of_id = pd.Series(np.arange(len(genes))[unique], index=bare_ids[unique].to_numpy())
    row = names.map(row_of_name).fillna(_without_version(ids).map(row_of_id))
    found = row.notna()
    if not found.any():
        raise InputError(
            f"none of the {len(names)} genes of the RNA data is in the annotation: the data have "
            f"{listing(names, 3) or 'none'}; the annotation has {listing(genes.gene[:3])} with ids "
            f"{listing(genes.gene_id[:3])}. Use an annotation of this species (input.genes), or set "
            "input.gene_name_key to the RNA column with gene names"
        )
    matched = genes.iloc[row[found].astype(int)].reset_index(drop=True)
    return matched.assign(gene=names[found].to_numpy()), float(found.mean())


def _without_version(ids: pd.Series) -> pd.Series:
    return ids.astype(str).str.replace(r"\.[0-9]+$", "", regex=True)


# --- lines -----------------------------------------------------------------------------------------


class _Lines:
    """The data lines of a file as bytes, without line ends, comments and browser lines.

    Iterating again goes on. `number` is the 1-based number of the line given last; `header` the columns of
    a commented BED header, if one has passed.
    """

    def __init__(self, path: str | os.PathLike):
        self.path, self.number, self.header = Path(path), 0, []
        if not self.path.is_file():
            raise InputError(f"{path}: gene annotation not found; check input.genes")
        self._iterator = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self._iterator

    def error(self, message: str) -> InputError:
        return InputError(f"{self.path}, line {self.number}: {message}")

    def _read(self) -> Iterator[bytes]:
        with self.path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 20) if compressed else raw
            try:
                if b"\0" in file.peek(1024)[:1024]:
                    raise InputError(
                        f"{self.path}: this is a binary file; expected GTF, GFF3 or BED, as text or gzipped"
                    )
                for line in iter(lambda: file.readline(LONGEST_LINE + 1), b""):
                    self.number += 1
                    if len(line) > LONGEST_LINE:
                        raise self.error(
                            f"more than {LONGEST_LINE:,} bytes; expected GTF, GFF3 or BED with line breaks"
                        )
                    if self.number == 1:
                        line = line.removeprefix(b"\xef\xbb\xbf")
                    if line[:1] == b"#":
                        if line.startswith(b"##FASTA"):
                            return
                        if _is_bed_header(_fields(line[1:].strip())):
                            self.header = _fields(line[1:].strip())
                        continue
                    line = line.rstrip(b"\r\n")
                    if line.strip() and not line.startswith(
                        (b"track ", b"browser ", b"track\t", b"browser\t")
                    ):
                        yield line
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise InputError(
                    f"{self.path}: the gzip file is truncated or damaged after line {self.number} ({error}); "
                    "download or copy it again"
                ) from None


def _fields(line: bytes) -> list[bytes]:
    return line.split(b"\t") if b"\t" in line else line.split()


def _is_bed_header(fields: list[bytes]) -> bool:
    return len(fields) >= 3 and [f.lower() for f in fields[1:3]] in (
        [b"start", b"end"],
        [b"chromstart", b"chromend"],
    )


def _is_integer(text: bytes) -> bool:
    digits = text.removeprefix(b"-")
    return digits.isdigit() and len(digits) <= len(str(LARGEST)) and int(digits) <= LARGEST


def _is_bed(fields: list[bytes]) -> bool:
    return _is_bed_header(fields) or (len(fields) >= 3 and _is_integer(fields[1]) and _is_integer(fields[2]))


def _is_gtf(fields: list[bytes]) -> bool:
    return (
        len(fields) >= 8
        and _is_integer(fields[3])
        and _is_integer(fields[4])
        and fields[6] in (b"+", b"-", b".", b"?")
    )


def _text(lines: _Lines, field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        raise lines.error("a name is not valid UTF-8 text; convert the file to UTF-8") from None


def _interval(lines: _Lines, start: bytes, end: bytes, one_based: bool) -> tuple[int, int]:
    """0-based half-open coordinates of a line, checked."""
    if not (_is_integer(start) and _is_integer(end)):
        shown = f"'{start.decode(errors='replace')}' and '{end.decode(errors='replace')}'"
        raise lines.error(f"start and end must be whole numbers, found {shown} (at most {LARGEST:,})")
    first, last = int(start) - one_based, int(end)
    if first < 0 or first >= last:
        expected = "1 <= start <= end (GTF and GFF3 count from 1)" if one_based else "0 <= start < end"
        raise lines.error(f"start {int(start)} and end {last} are no interval; expected {expected}")
    return first, last


# --- GTF and GFF3 ----------------------------------------------------------------------------------


def _attributes(text: str) -> dict[str, str]:
    return {key: quoted or bare.strip() for key, quoted, bare in _ATTRIBUTE.findall(text)}


def _first(attributes: dict[str, str], keys: Sequence[str]) -> str:
    return next((attributes[key] for key in keys if attributes.get(key)), "")


def _read_gtf(lines: _Lines):
    """Genes, one row per gene line or per transcript where there is none; exons by (gene id, chromosome)."""
    genes, transcripts = [], {}
    exons: dict[tuple, array] = defaultdict(lambda: array("q"))
    gene_of_parent: dict[str, str] = {}  # GFF3: transcript ID -> gene id
    has_gene_line, features, n_orphans = set(), set(), 0
    for line in lines:
        fields = line.split(b"\t", 8)
        if len(fields) < 9:
            raise lines.error(f"expected 9 tab-separated columns, found {len(fields)}")
        feature = fields[2]
        if feature in _SUB_FEATURES:
            features.add(feature)
            continue
        is_gene, is_exon = feature in _GENE_FEATURES, feature == b"exon"
        # Most lines belong to a gene already read: only their gene_id is looked at.
        is_plain = is_exon or (feature == b"transcript" and b"Parent=" not in fields[8])
        match = _GENE_ID.search(fields[8]) if is_plain else None
        if match and (key := (_text(lines, match[1]), _text(lines, fields[0]))) in has_gene_line:
            span = _interval(lines, fields[3], fields[4], one_based=True)
            if is_exon:
                exons[key].extend(span)
            continue
        attributes = _attributes(_text(lines, fields[8]))
        parent = attributes.get("Parent", "").split(",")[0]
        is_part = is_exon or feature == b"transcript" or parent in gene_of_parent
        if not (is_gene or is_part):
            features.add(feature)
            continue
        start, end = _interval(lines, fields[3], fields[4], one_based=True)
        chromosome, strand = _text(lines, fields[0]), _text(lines, fields[6])
        identifier = attributes.get("ID", "")
        named = _first(attributes, _NAME_KEYS)
        if is_gene:
            named = _first(attributes, ("gene_name", "Name", "gene", "gene_symbol"))
        gene_id = attributes.get("gene_id") or gene_of_parent.get(parent) or named
        if is_gene:
            gene_id = gene_id or identifier.removeprefix("gene:")
        if not gene_id and not is_gene and parent:
            n_orphans += 1
            continue
        if not gene_id:
            raise lines.error(
                f"this {_text(lines, feature)} has no gene_id, gene_name, gene or Name among its attributes"
            )
        if identifier and not is_exon:
            gene_of_parent[identifier] = gene_id
        key = (gene_id, chromosome)
        row = [named or gene_id, chromosome, start, end, strand, gene_id, _first(attributes, _TYPE_KEYS)]
        if is_exon:
            exons[key].extend((start, end))
        if is_gene:
            has_gene_line.add(key)
            genes.append(row)
        elif key not in has_gene_line:
            whole = transcripts.setdefault((key, strand, attributes.get("transcript_id") or parent), row)
            whole[2], whole[3] = min(whole[2], start), max(whole[3], end)
    genes += [row for (key, _, _), row in transcripts.items() if key not in has_gene_line]
    if not genes:
        found = listing(sorted(_text(lines, feature) for feature in features)) or "none"
        raise InputError(f"{lines.path}: no gene, transcript or exon among its features ({found})")
    if n_orphans:
        log.warning(
            "%s: %d lines name neither a gene nor a known parent and are left out", lines.path, n_orphans
        )
    return _gene_rows(genes), exons


def _gene_rows(rows: list[list]) -> pd.DataFrame:
    table = pd.DataFrame(
        rows, columns=["gene", "chromosome", "start", "end", "strand", "gene_id", "gene_type"]
    )
    table["strand"] = table.strand.where(table.strand.isin(_STRANDS), ".")
    table["key"] = list(zip(table.gene_id, table.chromosome, strict=True))
    return table


# --- BED -------------------------------------------------------------------------------------------


def _read_bed(lines: _Lines):
    """Genes and, from BED12, their exons."""
    rows = []
    exons: dict[tuple, array] = defaultdict(lambda: array("q"))
    columns: dict[str, int] | None = None
    for line in lines:
        fields = _fields(line)
        if columns is None:
            in_file = _is_bed_header(fields)
            columns = _bed_columns(fields if in_file else lines.header)
            if in_file:
                continue
        if len(fields) < 4:
            raise lines.error(
                f"expected at least 4 columns (chromosome, start, end, gene name), found {len(fields)}"
            )
        start, end = _interval(lines, fields[1], fields[2], one_based=False)
        chromosome, name = _text(lines, fields[0]), _text(lines, fields[3]).strip()
        if name in ("", "."):
            raise lines.error("the gene has no name (column 4)")
        strand = _text(lines, fields[5]).strip() if len(fields) > 5 else "."
        gene_id, gene_type = (
            _text(lines, fields[columns[what]]).strip()
            if columns.get(what, len(fields)) < len(fields)
            else ""
            for what in ("gene_id", "gene_type")
        )
        rows.append([name, chromosome, start, end, strand, gene_id or name, gene_type])
        if len(fields) >= 12 and not columns:
            blocks = [[int(x) for x in f.split(b",") if _is_integer(x)] for f in fields[10:12]]
            if fields[9].isdigit() and len(blocks[0]) == len(blocks[1]) == int(fields[9]):
                for size, offset in zip(*blocks, strict=True):
                    exons[gene_id or name, chromosome].extend((start + offset, start + offset + size))
    return _gene_rows(rows), exons


def _bed_columns(header: list[bytes]) -> dict[str, int]:
    """Positions of gene_id and gene_type in a BED header; empty without one."""
    if not _is_bed_header(header):
        return {}
    names = [name.decode(errors="replace").lower() for name in header]
    columns = {}
    for what, spellings in (("gene_id", _HEADER_IDS), ("gene_type", _HEADER_TYPES)):
        found = [names.index(spelling) for spelling in spellings if spelling in names]
        if found:
            columns[what] = found[0]
    return columns


# --- one gene per name -----------------------------------------------------------------------------


def _one_row_per_name(rows: pd.DataFrame, path) -> pd.DataFrame:
    """Merge rows of one name into loci, keep one locus per name; column keys: whose exons to use."""
    rows = rows.iloc[sort_order(rows)].reset_index(drop=True)
    rows["position"] = np.arange(len(rows))
    rows["coding"] = rows.gene_type == "protein_coding"
    group = rows.groupby(["gene", "chromosome", "strand"], sort=False)
    reach = group.end.cummax().groupby([rows.gene, rows.chromosome, rows.strand], sort=False).shift()
    rows["locus"] = (
        (rows.start - reach >= NEAR_BP).groupby([rows.gene, rows.chromosome, rows.strand]).cumsum()
    )
    # Protein-coding rows first, so that `first` takes their id and type.
    loci = (
        rows.sort_values(["coding", "position"], ascending=[False, True], kind="stable")
        .groupby(["gene", "chromosome", "strand", "locus"], sort=False)
        .agg(
            start=("start", "min"),
            end=("end", "max"),
            gene_id=("gene_id", "first"),
            gene_type=("gene_type", "first"),
            coding=("coding", "max"),
            position=("position", "min"),
            keys=("key", list),
        )
        .reset_index()
        .sort_values(["coding", "position"], ascending=[False, True], kind="stable")
    )
    again = loci.duplicated("gene")
    if again.any():
        names = loci.gene[again].unique()
        log.warning(
            "%s: %d gene names occur at several places; the first place is used, %d others are left out (%s)",
            path,
            len(names),
            int(again.sum()),
            listing(names, 5),
        )
    return loci[~again].sort_values("position").reset_index(drop=True)


def _merge_exons(exons: list[array], start: int, end: int) -> tuple[str, str]:
    """Union of the exons that lie within the gene, as two comma-separated lists."""
    spans = sorted({(a[i], a[i + 1]) for a in exons for i in range(0, len(a), 2)})
    starts: list[int] = []
    ends: list[int] = []
    for first, last in spans:
        if first < start or last > end:
            continue
        if ends and first <= ends[-1]:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return ",".join(map(str, starts)), ",".join(map(str, ends))
