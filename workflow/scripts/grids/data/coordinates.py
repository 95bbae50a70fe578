"""Coordinates as files give them, checked: of peaks by their names or columns, and of intervals in lines of text.

Coordinates are 0-based half-open, as in BED.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log

COORDINATES = ["chromosome", "start", "end"]
LARGEST = 10**12  # no chromosome is so long; larger coordinates would overflow unseen
LONGEST_LINE = 1 << 20  # bytes, or characters
_NUMBER = re.compile(r"^-?[0-9]")
MISSING = ("", ".", "NA", "NaN", "nan", "None", "-")
# Separators are ":", "-" and "_", or both "." (names of R's data frames).
_PEAK = re.compile(
    r"(\S*[^\s:._-])(?:[:_-](?=-?[0-9]+[_-])|\.(?=[0-9]+\.))(-?[0-9]{1,12})[._-](-?[0-9]{1,12})"
)
_COLUMN_DIALECTS = {
    "chromosome": ("chromosome", "chrom", "chr", "seqnames", "seqname", "seqid"),
    "start": ("start", "chromstart"),
    "end": ("end", "chromend", "stop"),
}


def parse_peaks(
    names: Sequence[str],
    var: pd.DataFrame | None = None,
    peak_name_key: str | None = None,
    where: str = "",
    coordinates: str | None = None,
) -> pd.DataFrame:
    """Coordinates of peaks, from their names or from columns.

    Names are read as ``chr1:100-200``, ``chr1-100-200``, ``chr1_100_200`` or ``chr1.100.200``; the contig
    may itself hold ``-``, ``_`` or ``.``. When names are no coordinates, columns of `var` are used: chromosome, start
    and end in the usual spellings, or one column ``interval``. Coordinates are taken as they are. Where names and
    columns tell different places (by more than one base: some count from 1), `coordinates` has to choose.

    Parameters
    ----------
    names : sequence of str, length n_peaks
    var : DataFrame with n_peaks rows, optional
    peak_name_key : str, optional
        Column of `var` with the names, instead of `names`.
    where : str
        File and modality, for messages.
    coordinates : {"names", "columns"}, optional
        Which to take.

    Returns
    -------
    DataFrame with columns chromosome (str), start, end (int64); its index is `names`

    Raises
    ------
    InputError
        Names and columns that disagree, peaks without coordinates, end <= start, negative start, or the same peak
        twice.
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
        by_name, by_columns = _split_names(index), _of_columns(var, columns)
        if coordinates == "columns" and by_columns is None:
            raise InputError(
                f"{where}input.peak_coordinates is 'columns', but the peaks have no columns chromosome, start and end; "
                f"columns: {listing(columns.values()) or 'none'}"
            )
        if coordinates is None and by_columns is not None:
            _check_agreement(by_name, by_columns, index, where)
        use_names = by_columns is None or coordinates == "names"
        use_names |= coordinates is None and by_name.start.notna().all()
        table = by_name if use_names else by_columns
    table.index = index

    bad = table.chromosome.isna() | table.start.isna() | table.end.isna()
    if bad.any():
        raise InputError(
            f"{where}{int(bad.sum())} of {len(table)} peaks have no coordinates (e.g. {_examples(index[bad])}); "
            "expected names like chr1:100-200, chr1-100-200 or chr1_100_200 or columns chromosome, start, end: rename "
            "the peaks, add the columns, or set input.peak_name_key to a column that holds such names"
        )
    table = table.astype({"start": np.int64, "end": np.int64})
    smallest = "coordinates are 0-based, so the smallest start is 0"
    _refuse(table.start < 0, where, "start before position 0", smallest)
    ends_early = table.end <= table.start
    _refuse(ends_early, where, "end at or before their start", "expected start < end (0-based, half-open)")
    copies = "each peak may occur once: merge or remove the copies"
    _refuse(table.duplicated(), where, "have the coordinates of an earlier one", copies)
    return table


def _refuse(bad: pd.Series, where: str, problem: str, advice: str) -> None:
    if bad.any():
        raise InputError(
            f"{where}{int(bad.sum())} peaks {problem} (e.g. {_examples(bad.index[bad])}); {advice}"
        )


def _split_names(names) -> pd.DataFrame:
    """Chromosome, start, end of peak names; missing where a name is no coordinate."""
    matches = map(_PEAK.fullmatch, pd.Index(names).astype(str))
    parts = [match.groups() if match else (None, None, None) for match in matches]
    table = pd.DataFrame(parts, columns=COORDINATES, dtype=object)
    return table.assign(start=pd.to_numeric(table.start), end=pd.to_numeric(table.end))


def _of_columns(var: pd.DataFrame | None, columns: Mapping[str, str]) -> pd.DataFrame | None:
    """Places that columns tell, by their folded names; None where there are no such columns."""
    dialect = {
        name: next((columns[c] for c in spellings if c in columns), None)
        for name, spellings in _COLUMN_DIALECTS.items()
    }
    if not all(dialect.values()):
        return _split_names(var[columns["interval"]]) if "interval" in columns else None
    chromosome = var[dialect["chromosome"]].astype(object)
    chromosome = chromosome.where(chromosome.notna() & chromosome.astype(str).str.fullmatch(r"\S+"), None)
    table = pd.DataFrame({"chromosome": [None if c is None else str(c) for c in chromosome]}, dtype=object)
    for name in ("start", "end"):
        values = pd.to_numeric(var[dialect[name]].astype(object), errors="coerce").to_numpy(float)
        table[name] = np.where((values == np.floor(values)) & (np.abs(values) <= LARGEST), values, np.nan)
    return table


def _check_agreement(by_name: pd.DataFrame, by_columns: pd.DataFrame, index: pd.Index, where: str) -> None:
    """Refuse names that put peaks elsewhere than columns do."""
    both = (by_name.start.notna() & by_columns.start.notna() & by_columns.end.notna()).to_numpy()
    apart = [(by_name[side] - by_columns[side]).abs().to_numpy() > 1 for side in ("start", "end")]
    names, columns = (
        t.chromosome.astype(str).str.removeprefix("chr").to_numpy() for t in (by_name, by_columns)
    )
    differ = both & (apart[0] | apart[1] | (names != columns))
    if not differ.any():
        return
    first = int(np.argmax(differ))
    place = by_columns.iloc[first]
    raise InputError(
        f"{where}names and columns place {int(differ.sum())} of {len(index)} peaks differently (e.g. "
        f"'{index[first]}' lies at {place.chromosome}:{place.start:.0f}-{place.end:.0f} by its columns); set "
        "input.peak_coordinates to names or columns"
    )


def _examples(names) -> str:
    return ", ".join(map(str, names[:3]))


def peak_names(table: pd.DataFrame) -> pd.Index:
    """Canonical names, ``chr1:100-200``, of a table with chromosome, start, end."""
    columns = zip(table.chromosome.astype(str), table.start, table.end, strict=True)
    return pd.Index([f"{chromosome}:{start}-{end}" for chromosome, start, end in columns], dtype=object)


def fields_of(line: str, separator: str | None = "\t") -> list[str]:
    """The fields of a line, without the white space that spreadsheets leave around them."""
    return [field.strip() for field in line.split(separator)]


def data_lines(path: str | os.PathLike, where: str) -> Iterator[tuple[int, str]]:
    """The lines of a text file, gzipped or not, that say something, with their 1-based numbers; without comments.

    Raises
    ------
    InputError
        The file is missing, damaged or no text, or has a line without end.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{where}: this is a folder; give the path of a file")
    if not path.is_file():
        raise InputError(f"{where}: file not found; check its path")
    with path.open("rb") as raw:
        opener = gzip.open if raw.read(2) == b"\x1f\x8b" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), ""), start=1):
                if len(line) > LONGEST_LINE:
                    raise InputError(
                        f"{where}, line {number}: more than {LONGEST_LINE:,} characters; expected a BED, BEDPE or TSV "
                        "file with line breaks"
                    )
                line = line.rstrip("\r\n").replace('"', "")
                if line.strip() and not line.startswith(("##", "# ", "track ", "browser ")):
                    yield number, line
    except UnicodeDecodeError:
        raise InputError(f"{where}: this is no UTF-8 text; expected a BED, BEDPE or TSV file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{where}: the gzip file is damaged ({error}); download or copy it again") from None


def bed_rows(
    path: str | os.PathLike, columns: list[str], n_required: int, where: str, kind: str
) -> pd.DataFrame:
    """The first columns of a BED-like file as text, without its header, and `line`, the 1-based number of each row.

    Parameters
    ----------
    columns : list of str
        Names for the columns, in their order; those that a line does not have are empty.
    n_required : int
        Columns that every line must have.
    where, kind : str
        Which file it is and what kind of file, for messages.

    Raises
    ------
    InputError
        A line is too short.
    """
    rows, is_first = [], True
    for number, line in data_lines(path, where):
        fields = fields_of(line, "\t" if "\t" in line else None)
        is_header = is_first and len(fields) > 1 and not any(map(_NUMBER.match, fields[1:3]))
        if line.startswith("#"):
            continue
        is_first = False
        if is_header and fields[1] not in MISSING:
            continue
        if len(fields) < n_required:
            raise InputError(
                f"{where}, line {number}: {len(fields)} columns; {kind} has at least {n_required}: "
                f"{', '.join(columns[:n_required])}"
            )
        rows.append([*(fields + [""] * len(columns))[: len(columns)], number])
    return pd.DataFrame(rows, columns=[*columns, "line"])


def with_coordinates(table: pd.DataFrame, where: str, suffix: str = "") -> pd.DataFrame:
    """Rows that have coordinates, as whole numbers.

    Parameters
    ----------
    table : DataFrame
        Columns chromosome, start and end, each with `suffix`, as text; and line, for messages.

    Raises
    ------
    InputError
        A coordinate is no whole number, or a row no interval.
    """
    columns = [f"{column}{suffix}" for column in COORDINATES]
    missing = table[columns].isin(MISSING).any(axis=1)
    if missing.any():
        log.info("%s: %d rows have no coordinates and are left out", where, int(missing.sum()))
    table = table[~missing].copy()
    for column in columns[1:]:
        # R writes 100000 as 1e+05.
        values = pd.to_numeric(table[column], errors="coerce").astype(float)
        if (odd := values.isna() | (values != np.floor(values)) | (values.abs() > LARGEST)).any():
            raise InputError(
                f"{where}, line {table['line'][odd].iloc[0]}: {column} is '{table[column][odd].iloc[0]}'; "
                f"expected a whole number of at most {LARGEST:,}"
            )
        table[column] = values.astype(np.int64)
    chromosome, start, end = columns
    if (odd := (table[start] < 0) | (table[end] <= table[start])).any():
        row = table[odd].iloc[0]
        raise InputError(
            f"{where}, line {row['line']}: {row[chromosome]}:{row[start]}-{row[end]} is no interval; expected "
            "0 <= start < end (0-based half-open: a variant at position p is p - 1, p)"
        )
    return table
