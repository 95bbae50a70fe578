"""Tasks: which genes to explain in which cell types, as the config or a table names them."""

import csv
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from grids.io.config import check, check_file, check_files
from grids.io.config_schema import sound_sections
from grids.io.errors import InputError, check_all, listing
from grids.io.names import check_names

# What a cell type's tasks may be instead of a list.
ALL_GENES = "all"


def checked_tasks(
    config: dict, schema: dict, source: str, marker_sets: Iterable[str] = ()
) -> dict[str, list[str] | str]:
    """The tasks of a config, as read from YAML without defaults, in which everything else is right too.

    Raises
    ------
    InputError
        With a line for each thing that is wrong with keys, values, files or tasks.
    """
    sound = sound_sections(config, schema, source)
    *_, tasks = check_all(
        [
            partial(check, config, schema, source),
            partial(check_files, sound, schema, source, marker_sets),
            partial(read_tasks, sound.get("tasks", {}), source),
        ]
    )
    return tasks


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
