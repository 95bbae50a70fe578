"""Text files of intervals: their lines, and coordinates that can be trusted."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from grids.data.chromosomes import COORDINATES, LARGEST
from grids.data.gene_lines import LONGEST_LINE
from grids.io.errors import InputError
from grids.io.logging import log

_NUMBER = re.compile(r"^-?[0-9]")
MISSING = ("", ".", "NA", "NaN", "nan", "None", "-")


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
    if not path.is_file():
        found = (
            "this is a folder; give the path of a file" if path.is_dir() else "file not found; check its path"
        )
        raise InputError(f"{where}: {found}")
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    opener = gzip.open if compressed else open
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
