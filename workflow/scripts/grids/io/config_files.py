"""The files that a config names: their paths and addresses, and the table of tasks."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from grids.io.config_schema import with_values
from grids.io.errors import InputError, check_all, did_you_mean, listing
from grids.io.names import check_names, escape

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
INPUT_FILES = ("multiome", "rna", "atac", "genes")
# What a cell type's tasks may be instead of a list.
ALL_GENES = "all"


def expand_paths(config, schema: dict):
    """The same config with ``~``, ``$NAME`` and ``${NAME}`` in its paths replaced by what they stand for.

    A path is a text whose entry in the schema says ``format: path``. One that is there under its very name stays as
    it is, as do URLs and variables that are not set.
    """
    return with_values(config, schema, _expanded)


def _expanded(value, entry: dict):
    is_path = isinstance(value, str) and entry.get("format") == "path"
    if not is_path or is_url(value) or os.path.lexists(value):
        return value
    return os.path.expanduser(os.path.expandvars(value))


def check_files(config: dict, schema: dict, source: str, marker_sets: Iterable[str] = ()) -> None:
    """Refuse local files that the config names and that are not there.

    `marker_sets` are the names of the marker tables that ship.

    Raises
    ------
    InputError
        With a line for each file that is missing, and what the schema says of it.
    """
    marker_sets, checks = sorted(marker_sets), []
    entries = {place: entry for place, _, entry in _paths(config, schema)}
    files = local_files(config, schema, marker_sets)
    markers = files.get("input.markers")
    if markers and not os.path.exists(markers):
        del files["input.markers"]
        checks.append(partial(_refuse_markers, markers, marker_sets, source))
    for place, path in files.items():
        expected = entries[place].get("description", "path of a file")
        checks.append(partial(check_file, path, f"{source}: {place}", expected))
    check_all(checks)


def _refuse_markers(markers: str, marker_sets: list[str], source: str) -> None:
    check_variables(markers, f"{source}: input.markers")
    raise InputError(
        f"{source}: input.markers: '{markers}' is neither a file nor one of {listing(marker_sets)}."
        f"{did_you_mean(markers, marker_sets)}"
    )


def local_files(config: dict, schema: dict, marker_sets: Iterable[str] = ()) -> dict[str, str]:
    """The user's files on disk by what names them in the config; neither URLs nor marker tables that ship.

    What has ``format: path`` in the schema is a file, but for the folder of the results.
    """
    shipped = {("input.markers", name) for name in marker_sets}
    return {
        place: path
        for place, path, _ in _paths(config, schema)
        if path and place != "results" and (place, path) not in shipped
        if place == "input.markers" or not is_url(path)
    }


def _paths(value, schema: dict, place: str = "") -> Iterator[tuple[str, str, dict]]:
    """Every path in the config with its entry in the schema, behind its place (``evidence 'name'`` in a list)."""
    if isinstance(value, dict):
        entries = schema.get("properties", {})
        for key, entry in value.items():
            yield from _paths(entry, entries.get(key, {}), f"{place}.{key}" if place else str(key))
    elif isinstance(value, list) and "path" in schema.get("items", {}).get("properties", {}):
        entry = schema["items"]["properties"]["path"]
        yield from ((f"{place} '{named['name']}'", named["path"], entry) for named in value)
    elif isinstance(value, str) and schema.get("format") == "path":
        yield place, value, schema


def downloads(inputs: dict) -> dict[str, dict[str, str | None]]:
    """What to download: file name -> its ``key``, ``url`` and ``checksum``.

    Files of the same name in two places get their key as a prefix.
    """
    urls = {key: inputs[key] for key in INPUT_FILES if inputs.get(key) and is_url(inputs[key])}
    names = {key: escape(unquote(Path(urlsplit(url).path).name) or key) for key, url in urls.items()}
    return {
        name if list(names.values()).count(name) == 1 else f"{key}.{name}": {
            "key": key,
            "url": urls[key],
            "checksum": inputs.get("checksums", {}).get(key),
        }
        for key, name in names.items()
    }


def is_url(path: str) -> bool:
    """Whether a path of the config is to be downloaded."""
    return "://" in str(path)


def is_address(url: str) -> bool:
    """Whether a URL is one of http or https that can be asked for."""
    try:
        parts = urlsplit(url)
    except ValueError:  # for example a bracket that is not closed
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_web and url.isprintable() and " " not in url


def check_file(path: str | Path, where: str, expected: str = "path of a file") -> None:
    """Raise an InputError when there is no such file, or its name cannot be used; the message begins with `where`."""
    if os.path.isdir(path):
        raise InputError(f"{where}: '{path}' is a folder; expected the {expected}")
    check_variables(path, where)
    if not os.path.isfile(path):
        raise InputError(
            f"{where}: there is no file '{path}' (a relative path starts where snakemake runs, {Path.cwd()})"
        )
    check_names([str(path)], f"{where}: file names")
    if {"{", "}"} & {*str(path)}:
        raise InputError(
            f"{where}: '{path}' has a brace, which Snakemake reads as a wildcard; rename the file"
        )


def check_variables(path: str | Path, where: str) -> None:
    """Refuse a path in which :func:`expand_paths` has left a variable."""
    names = [plain or braced for plain, braced in _VARIABLE.findall(str(path))]
    unset = next((name for name in names if name not in os.environ), None)
    if unset and not os.path.lexists(path):
        raise InputError(
            f"{where}: '{path}' names the variable {unset}, which is not set; set it (export {unset}=...), or write "
            "the path out"
        )


def read_tasks(tasks: dict | str, source: str) -> dict[str, list[str] | str]:
    """The genes to explain per cell type, from the config's mapping or from the TSV that it names.

    The mapping may say :data:`ALL_GENES` instead of a list.

    Raises
    ------
    InputError
        When the table is missing, lacks a column, has an empty field, or names a task twice.
    """
    if not isinstance(tasks, str):
        return {
            str(cell_type): genes if genes == ALL_GENES else list(genes) for cell_type, genes in tasks.items()
        }
    path = Path(tasks)
    check_file(path, f"{source}: tasks")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _tasks_of_rows(csv.DictReader(file, delimiter="\t", strict=True), tasks)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{tasks}: cannot be read as a tab-separated text file ({error})") from None


def _tasks_of_rows(rows: csv.DictReader, tasks: str) -> dict[str, list[str]]:
    columns = rows.fieldnames or []
    for column in ("cell_type", "gene"):
        if columns.count(column) != 1:
            problem = "is missing" if column not in columns else "stands twice"
            raise InputError(
                f"{tasks}: column '{column}' {problem}; the header must be 'cell_type<tab>gene', "
                f"it is: {listing(columns) or 'empty'}"
            )
    found: dict[str, list[str]] = {}
    for row in rows:
        where = f"{tasks}, line {rows.line_num}"
        if None in row:
            raise InputError(
                f"{where}: more fields than columns; expected one cell type and one gene per line"
            )
        cell_type, gene = ((row[column] or "").strip() for column in ("cell_type", "gene"))
        if not cell_type or not gene:
            raise InputError(f"{where}: {'gene' if cell_type else 'cell_type'} is empty")
        check_names((cell_type, gene), f"{where}: names")
        if gene in found.setdefault(cell_type, []):
            raise InputError(f"{where}: task {cell_type}, {gene} stands twice")
        found[cell_type].append(gene)
    if not found:
        raise InputError(f"{tasks}: no tasks below the header")
    return found
