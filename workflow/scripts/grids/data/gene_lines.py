"""Gene annotations line by line, whatever their format; and tables of genes: BED files, with a header or without, and
exports of BioMart, R and the UCSC table browser.
"""

import gzip
import io
import os
import re
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grids.data.coordinates import LARGEST, LONGEST_LINE
from grids.io.errors import InputError

# Strands as people write them; numbers with a fraction are what data frames with missing values hold.
_SPELLINGS = {
    "+": ("+", "1", "+1", "1.0", "+1.0", "plus", "forward", "fwd", "positive", "pos"),
    "-": ("-", "-1", "-1.0", "\u2212", "\u22121", "minus", "reverse", "rev", "negative", "neg"),
    ".": ("", ".", "?", "*", "na", "nan", "none"),
}
_STRAND_OF = {spelling: strand for strand, spellings in _SPELLINGS.items() for spelling in spellings}

# Names of columns, as in :func:`_plain`; an earlier spelling is preferred to a later one.
_COLUMNS = {
    "chromosome": (
        "chromosome", "chrom", "chr", "seqnames", "seqname", "seqid", "contig", "chromosome_name",
        "chromosome_scaffold_name",
    ),
    "start": ("start", "chromstart", "txstart", "gene_start", "start_position", "gene_start_bp"),
    "end": ("end", "stop", "chromend", "txend", "gene_end", "end_position", "gene_end_bp"),
    "gene": (
        "gene_name", "gene_symbol", "symbol", "genesymbol", "external_gene_name", "hgnc_symbol", "mgi_symbol",
        "name2", "name", "gene",
    ),
    "gene_id": (
        "gene_id", "ensembl_gene_id", "gene_stable_id_version", "gene_stable_id", "ensembl_id", "ensembl", "id",
    ),
    "gene_type": ("gene_type", "gene_biotype", "biotype", "type"),
    "strand": ("strand",),
    "width": ("width",),
}  # fmt: skip
# BioMart counts from 1, as Ensembl does; these are its names for a gene's first base.
_COUNTED_FROM_ONE = ("start_position", "gene_start_bp")
_OF_BROWSER = (b"track ", b"browser ", b"track\t", b"browser\t")
_OF_GTF = {"feature", "frame", "phase", "attribute", "attributes"}


class Lines:
    """The data lines of a file as bytes, without line ends, comments and browser lines.

    Iterating again goes on. `number` is the 1-based number of the line given last; `header` the columns that
    a comment names.
    """

    def __init__(self, path: str | os.PathLike):
        self.path, self.number = Path(path), 0
        self.header: Header | None = None
        if not self.path.is_file():
            raise InputError(f"{path}: gene annotation not found; check input.genes")
        self._iterator = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self._iterator

    def error(self, message: str, number: int | None = None) -> InputError:
        return InputError(f"{self.path}, line {number or self.number}: {message}")

    def text(self, field: bytes) -> str:
        try:
            return field.decode()
        except UnicodeDecodeError:
            raise self.error("a name is not valid UTF-8 text; convert the file to UTF-8") from None

    def interval(self, start: bytes, end: bytes, *, from_one: bool) -> tuple[int, int]:
        """0-based half-open coordinates, checked."""
        if not (is_integer(start) and is_integer(end)):
            shown = f"'{start.decode(errors='replace')}' and '{end.decode(errors='replace')}'"
            raise self.error(f"start and end must be whole numbers, found {shown} (at most {LARGEST:,})")
        first, last = int(start) - from_one, int(end)
        if first < 0 or first >= last:
            counted = "1 <= start <= end (GTF, GFF3 and BioMart count from 1)"
            expected = counted if from_one else "0 <= start < end"
            raise self.error(f"start {int(start)} and end {last} are no interval; expected {expected}")
        return first, last

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
                        self.header = header_of(split(line[1:].strip())) or self.header
                        continue
                    line = line.rstrip(b"\r\n")
                    if line.strip() and not line.startswith(_OF_BROWSER):
                        yield line
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise InputError(
                    f"{self.path}: the gzip file is truncated or damaged after line {self.number} ({error}); "
                    "download or copy it again"
                ) from None


def split(line: bytes) -> list[bytes]:
    """The values of a line of a table, without the quotes that R puts around them."""
    return [_unquoted(field) for field in (line.split(b"\t") if b"\t" in line else line.split())]


def _unquoted(field: bytes) -> bytes:
    field = field.strip()
    quoted = len(field) >= 2 and field[:1] == field[-1:] and field[:1] in (b'"', b"'")
    return field[1:-1].strip() if quoted else field


def is_integer(text: bytes) -> bool:
    digits = text.removeprefix(b"-")
    return digits.isdigit() and len(digits) <= len(str(LARGEST)) and int(digits) <= LARGEST


def strand_of(text: str) -> str | None:
    """``+`` or ``-``; ``.`` for a strand that is unknown; None for a text that is no strand."""
    return _STRAND_OF.get(text.strip().casefold())


@dataclass(frozen=True)
class Header:
    """The line that names the columns of a table of genes.

    Attributes
    ----------
    place : dict of str to int
        Columns found: chromosome, start, end, gene, gene_id, gene_type, strand, width.
    n : int
        Columns named, known or not.
    from_one : bool
        Whether the first base is number 1, as the name of the column with the start says.
    """

    place: dict[str, int]
    n: int
    from_one: bool


def header_of(fields: list[bytes]) -> Header | None:
    """The header that a line is: of a BED file, the UCSC table browser, BioMart or a data frame of R."""
    names = [_plain(field.decode(errors="replace")) for field in fields]
    place = {}
    for what, spellings in _COLUMNS.items():
        if found := next((spelling for spelling in spellings if spelling in names), None):
            place[what] = names.index(found)
    if place.get("start") == 1:
        place.setdefault("chromosome", 0)
    if not {"chromosome", "start", "end"} <= place.keys() or not _OF_GTF.isdisjoint(names):
        return None
    return Header(place, len(names), names[place["start"]] in _COUNTED_FROM_ONE)


def _plain(name: str) -> str:
    """``Gene start (bp)`` -> ``gene_start_bp``."""
    return re.sub(r"[^0-9a-z]+", "_", name.casefold()).strip("_")


_BED = Header({"chromosome": 0, "start": 1, "end": 2, "gene": 3}, 0, False)
_NO_NAME = ("", ".")


def read_bed(lines: Lines) -> tuple[list[list], dict[tuple, array]]:
    """Genes and, from BED12, their exons.

    The strand is the column that a header calls so. Without such a header it is column 6; or column 5 if there
    is no column 6 and column 5 holds `+` or `-`, or nothing but strands (1 and -1, not 1 alone), or if column 5
    holds `+` and `-` and column 6 holds neither. Numbers beside a column 6 are a score.

    Returns
    -------
    rows : list of [gene, chromosome, start, end, strand, gene_id, gene_type]
    exons : dict of (gene_id, chromosome) to array of int64: start, end, start, end, ...
    """
    rows: list[list] = []
    exons: dict[tuple, array] = defaultdict(lambda: array("q"))
    numbers: list[int] = []
    strands: dict[int, list[str]] = {}  # by column; every row's value
    header: Header | None = None
    for line in lines:
        fields = split(line)
        if header is None:
            in_file = header_of(fields)
            header = in_file or lines.header or _BED
            strands = {column: [] for column in _strand_columns(header)}
            if in_file:
                continue
        rows.append(_row(lines, fields, header))
        numbers.append(lines.number)
        for column, values in strands.items():
            values.append(lines.text(fields[column]) if column < len(fields) else "")
        if len(fields) >= 12 and header is _BED:
            exons[rows[-1][5], rows[-1][1]].extend(_blocks(fields, rows[-1][2]))
    column = _strand_column(strands)
    for row, number, text in zip(rows, numbers, strands.get(column, ()), strict=False):
        row[4] = strand_of(text)
        if row[4] is None:
            raise lines.error(
                f"'{text}' in column {column + 1} is no strand; expected +, -, 1, -1, or . where it is unknown. "
                "If the strand is in another column, or in none, name the columns in a first line: #chr, "
                "start, end, name and so on",
                number,
            )
    return rows, exons


def _row(lines: Lines, fields: list[bytes], header: Header) -> list:
    """One gene, its strand not known yet."""
    place = {"gene": header.place.get("gene_id", 3)} | header.place
    n_needed = 1 + max(place[what] for what in ("chromosome", "start", "end", "gene"))
    if len(fields) < n_needed:
        raise lines.error(
            f"expected at least {n_needed} columns (chromosome, start, end, gene name), found {len(fields)}"
        )

    def value(what: str) -> str:
        return lines.text(fields[place[what]]) if place.get(what, len(fields)) < len(fields) else ""

    first, last, from_one = fields[place["start"]], fields[place["end"]], header.from_one
    width = value("width").encode()
    if all(map(is_integer, (width, first, last))) and int(width) == int(last) - int(first) + 1:
        from_one = True  # a data frame of R's GRanges: first and last base are both in the interval
    start, end = lines.interval(first, last, from_one=from_one)
    name, gene_id = value("gene"), value("gene_id")
    if name in _NO_NAME or (name == "NA" and gene_id):
        name = gene_id
    if name in _NO_NAME:
        raise lines.error(f"the gene has no name (column {place['gene'] + 1})")
    return [name, value("chromosome"), start, end, ".", gene_id or name, value("gene_type")]


def _blocks(fields: list[bytes], start: int) -> list[int]:
    """The exons of a line of a BED12: start, end, start, end, ..."""
    sizes, offsets = ([int(x) for x in f.split(b",") if is_integer(x)] for f in fields[10:12])
    if not fields[9].isdigit() or not len(sizes) == len(offsets) == int(fields[9]):
        return []
    starts = [start + offset for offset in offsets]
    return [x for first, size in zip(starts, sizes, strict=True) for x in (first, first + size)]


def _strand_columns(header: Header) -> list[int]:
    """Columns in which the strand may be: the one of that name, or the fifth and sixth if they have no name."""
    if "strand" in header.place:
        return [header.place["strand"]]
    return [column for column in (4, 5) if column >= header.n]


def _strand_column(candidates: dict[int, Sequence[str]]) -> int | None:
    """The column that holds the strands; None where none does."""
    if 4 not in candidates or 5 not in candidates:
        return next(iter(candidates), None)
    fifth, sixth = set(candidates[4]), set(candidates[5])
    signs, of_fifth = {"+", "-"}, set(map(strand_of, fifth))
    if sixth == {""}:
        return 4 if not signs.isdisjoint(fifth) or (None not in of_fifth and "-" in of_fifth) else None
    return 4 if "+" in fifth and None not in of_fifth and signs.isdisjoint(sixth) else 5
