"""Reading and writing the public tables: TSV with a header, gzipped where large."""

import csv
import gzip
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from grids.io.levels import ALL_TYPES, level_of
from grids.io.writing import whole

# A run may hold sets that several surrogates, methods or directions gave; they are never pooled.
RUN_KEYS = ["surrogate", "method", "direction"]
# Tests are of one family whatever the direction: which one a task's set has is part of the answer.
FAMILY_KEYS = ["surrogate", "method"]
TASK_KEYS = ["surrogate", "method", "cell_type", "gene", "direction"]
SET_KEYS = [*TASK_KEYS, "set_size"]
SET_COLUMNS = [
    *SET_KEYS, "rank", "chromosome", "start", "end", "peak", "distance_to_tss_bp", "in_window",
    "log_effect_alone", "log_effect_in_context", "share_of_restarts",
]  # fmt: skip
EFFECT_COLUMNS = [
    *SET_KEYS, "n_cells", "mean_before", "mean_after", "absolute_change", "relative_change", "log_change",
    "null_mean", "null_sd", "p_value", "q_value", "objective_seconds",
]  # fmt: skip
# Names, and lists of positions: text even where all of them look like numbers.
NAME_COLUMNS = [
    "cell", "cell_type", "chromosome", "gene", "method", "peak", "peak_1", "peak_2", "surrogate", "found_in",
    "applied_to", "state", "state_value", "level", "group", "evidence", "exon_starts", "exon_ends",
]  # fmt: skip
SKIPPED_COLUMNS = ["cell_type", "gene", "reason"]
REDUNDANCY_COLUMNS = [
    *SET_KEYS, "n_cells", "joint_log_effect", "joint_log_effect_low", "joint_log_effect_high",
    "sum_of_single_log_effects", "redundancy_index", "redundancy_index_low", "redundancy_index_high",
    "class", "n_sufficient", "n_alternative_sets",
]  # fmt: skip
MEMBER_COLUMNS = [
    *SET_KEYS, "rank", "peak", "log_effect_alone", "log_effect_alone_low", "log_effect_alone_high",
    "log_effect_in_context", "log_effect_in_context_low", "log_effect_in_context_high", "shapley_value",
    "shapley_error", "in_minimal_sufficient_set", "is_backup", "selection_frequency",
]  # fmt: skip
INTERACTION_COLUMNS = [
    *SET_KEYS, "peak_1", "peak_2", "interaction_log", "interaction_log_low", "interaction_log_high",
    "p_value", "q_value", "additive_interaction", "additive_p_value", "additive_q_value",
]  # fmt: skip
KNOCK_DOWN_COLUMNS = [
    *SET_KEYS, "n_closed", "peak", "log_change", "log_change_low", "log_change_high", "single_log_effect",
]  # fmt: skip
ALTERNATIVE_COLUMNS = [
    *TASK_KEYS, "alternative", "rank", "peak", "log_change", "share_of_first", "reaches_90_percent",
]  # fmt: skip
# How the peaks of a gene may combine, in columns `logic`.
LOGICS = ("none", "single", "multiplicative", "redundant", "synergistic")
# What a set is said to be, in columns `class`.
CLASSES = (*LOGICS, "undecided")
# What may name a task in a table; whether it passed the gate stands behind.
TASK_NAMES = ["cell_type", "gene", "direction", "found_in", "applied_to", "passed_gate"]
SPECIFICITY_COLUMNS = [
    "surrogate", "method", "gene", "direction", "found_in", "applied_to", "set_size", "n_cells",
    "log_change", "log_change_low", "log_change_high", "jaccard",
]  # fmt: skip
STATE_COLUMNS = [
    *SET_KEYS, "state", "state_value", "n_cells", "joint_log_effect", "joint_log_effect_low",
    "joint_log_effect_high", "redundancy_index", "redundancy_index_low", "redundancy_index_high",
    "p_value_of_change", "q_value_of_change",
]  # fmt: skip
ATLAS_COLUMNS = [
    "surrogate", "method", "direction", "grouping", "group", "n_sets", "n_genes", "n_not_passed",
    "n_with_index", "median_redundancy_index", "lower_quartile", "upper_quartile", "share_none",
    "share_single", "share_multiplicative", "share_redundant", "share_synergistic", "share_undecided",
    "p_value_of_grouping", "p_value", "q_value",
]  # fmt: skip
EVIDENCE_COLUMNS = [
    "evidence", "cell_type", "gene_scope", "predictor", "n_pairs", "n_positive", "n_not_passed", "auprc",
    "auprc_low", "auprc_high", "enrichment", "enrichment_low", "enrichment_high",
]  # fmt: skip
EVIDENCE_PAIR_COLUMNS = [
    "evidence", "cell_type", "gene", "passed_gate", "peak", "distance_to_tss_bp", "is_positive", "grids",
    "distance", "correlation", "accessibility_over_distance",
]  # fmt: skip

# Every whole number of smaller size has a float of its own.
EXACT = 2**53

# What reading a file that is no table, or is damaged, raises.
UNREADABLE = (OSError, EOFError, ValueError, csv.Error, zlib.error)


def number(value: float) -> str:
    """A number in six significant digits; whole ones, which may be positions or counts, in full.

    A column of whole numbers in which one is missing is a column of floats.
    """
    value += 0.0  # minus zero would be written as -0
    return f"{value:.0f}" if value.is_integer() and abs(value) < EXACT else f"{value:.6g}"


def write(table: pd.DataFrame, path: str | os.PathLike, *, header: bool = True) -> None:
    """Write a table without its index under a temporary name, then rename: a path holds a whole table or nothing.

    Gzip output (.tsv.gz) carries no time stamp, so equal tables are equal bytes. Numbers are written as by
    :func:`number`, missing values as empty fields.
    """
    path = Path(path)
    text = table.to_csv(
        sep="\t", index=False, header=header, float_format=number, lineterminator="\n"
    ).encode()
    with whole(path) as temporary:
        temporary.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def read(path: str | os.PathLike, **options) -> pd.DataFrame:
    """Read a table; `options` are those of :func:`pandas.read_csv`.

    Columns of :data:`NAME_COLUMNS` stay text: a cluster called ``1`` is not the number 1, and a gene called ``NA`` is
    not missing. Only an empty field is.
    """
    options.setdefault("dtype", dict.fromkeys(NAME_COLUMNS, str))
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], **options)


def read_accessibility(path: str | os.PathLike, cell_type: str | None = None) -> pd.DataFrame:
    """Read ``accessibility.tsv.gz``: `peak chromosome start end` and a column of numbers per cell type.

    A type may be called as a column of names in other tables, which :func:`read` would take for text. Where `cell_type`
    stands for all of them, there is a column of the mean over types as well.
    """
    table = read(path, dtype=dict.fromkeys(("peak", "chromosome"), str))
    return table.assign(**{ALL_TYPES: table.iloc[:, 4:].mean(1)}) if cell_type == ALL_TYPES else table


def read_cell_types(path: str | os.PathLike) -> list[str]:
    """All cell types of a run: the columns of ``accessibility.tsv.gz`` after ``peak chromosome start end``."""
    return list(read(path, nrows=0).columns[4:])


def stack(parts: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """The tables that have rows, one below the other, with these columns."""
    return concatenate([*parts, pd.DataFrame(columns=columns)]).reindex(columns=columns)


def concatenate(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other; those without rows have no types of their own to hand on."""
    parts = list(parts)
    return pd.concat([part for part in parts if len(part)] or parts[-1:], ignore_index=True)


def mark_gate(
    table: pd.DataFrame, judged: pd.DataFrame, cell_type: str = "cell_type", column: str = "passed_gate"
) -> pd.DataFrame:
    """Add the column that says whether a task passed the quality gate, behind those that name the task, and its level.

    Parameters
    ----------
    table : DataFrame
        Rows of tasks: a column `gene`, and one with the cell type.
    judged : DataFrame
        Columns ``cell_type gene passed_gate``: the gate, or the explained tasks; one verdict per task.
    cell_type : str
        The column of `table` whose cell type is meant.
    column : str
        Name of the new column: true or false, missing where nothing was judged.
    """
    keys = ["cell_type", "gene"]
    verdicts = judged.drop_duplicates(keys).set_index(keys)["passed_gate"]
    tasks = pd.MultiIndex.from_frame(table[[cell_type, "gene"]], names=keys)
    names = list(table.columns)
    place = 1 + max(names.index(name) for name in TASK_NAMES if name in names)
    table = table.copy()
    table.insert(place, column, verdicts.reindex(tasks).to_numpy())
    if "level" not in table:
        table.insert(0, "level", [level_of(name) for name in table[cell_type]])
    return table


def is_forced(table: pd.DataFrame, column: str = "passed_gate") -> pd.Series:
    """True in rows of tasks that did not pass the quality gate and were explained all the same (`gate.force`)."""
    if column not in table:
        return pd.Series(False, index=table.index)
    return table[column].astype("boolean").eq(False).fillna(False).astype(bool)


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that a summary over tasks counts: not those of forced tasks, unless there are no others."""
    forced = is_forced(table)
    return table if forced.all() else table[~forced]
