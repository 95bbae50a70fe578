"""Tables of genes: BED files, with a header or without, and exports of BioMart, R and the UCSC table browser."""

from array import array
from collections import defaultdict
from collections.abc import Sequence

from grids.data.gene_lines import Header, Lines, header_of, is_integer, split, strand_of

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

    first, last = fields[place["start"]], fields[place["end"]]
    from_one = header.from_one or _is_width(value("width").encode(), first, last)
    start, end = lines.interval(first, last, from_one=from_one)
    name, gene_id = value("gene"), value("gene_id")
    if name in _NO_NAME or (name == "NA" and gene_id):
        name = gene_id
    if name in _NO_NAME:
        raise lines.error(f"the gene has no name (column {place['gene'] + 1})")
    return [name, value("chromosome"), start, end, ".", gene_id or name, value("gene_type")]


def _is_width(width: bytes, first: bytes, last: bytes) -> bool:
    """Whether first and last base are both in the interval, as in a data frame of R's GRanges: counted from 1."""
    return all(map(is_integer, (width, first, last))) and int(width) == int(last) - int(first) + 1


def _blocks(fields: list[bytes], start: int) -> list[int]:
    """The exons of a line of a BED12: start, end, start, end, ..."""
    sizes, offsets = ([int(x) for x in f.split(b",") if is_integer(x)] for f in fields[10:12])
    if not fields[9].isdigit() or not len(sizes) == len(offsets) == int(fields[9]):
        return []
    return [
        x
        for size, offset in zip(sizes, offsets, strict=True)
        for x in (start + offset, start + offset + size)
    ]


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
    signs = {"+", "-"}
    if sixth == {""}:
        is_fifth = not signs.isdisjoint(fifth) or (_are_strands(fifth) and "-" in map(strand_of, fifth))
        return 4 if is_fifth else None
    return 4 if "+" in fifth and _are_strands(fifth) and signs.isdisjoint(sixth) else 5


def _are_strands(values: set[str]) -> bool:
    return None not in map(strand_of, values)
