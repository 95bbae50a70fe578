"""Reading and writing the public tables: TSV with a header, gzipped where large."""

import gzip
import os
from pathlib import Path

import pandas as pd

SET_COLUMNS = [
    "surrogate", "method", "cell_type", "gene", "direction", "set_size", "rank", "chromosome", "start", "end",
    "peak", "distance_to_tss_bp", "in_window", "log_effect_alone", "log_effect_in_context",
    "selection_frequency",
]  # fmt: skip
EFFECT_COLUMNS = [
    "surrogate", "method", "cell_type", "gene", "direction", "set_size", "n_cells", "mean_before", "mean_after",
    "absolute_change", "relative_change", "log_change", "null_mean", "null_sd", "p_value", "q_value",
    "objective_seconds",
]  # fmt: skip
NAME_COLUMNS = [
    "cell", "cell_type", "chromosome", "gene", "method", "peak", "peak_1", "peak_2", "surrogate",
]  # fmt: skip
SKIPPED_COLUMNS = ["cell_type", "gene", "reason"]


def write(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a table under a temporary name, then rename: a path either holds a whole table or nothing.

    Gzip output carries no time stamp, so equal tables are equal bytes. Numbers have six significant digits.

    Parameters
    ----------
    table : DataFrame
        Written without its index; missing values as empty fields.
    path : path
        Ending in .tsv or .tsv.gz; its folder is made when missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n").encode()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    os.replace(temporary, path)


def read(path: str | os.PathLike, **options) -> pd.DataFrame:
    """Read a table.

    Names stay text: a cluster called ``1`` is not the number 1, and a gene called ``NA`` is not missing. Only an
    empty field is.

    Parameters
    ----------
    path : path
    **options
        For :func:`pandas.read_csv`.
    """
    options.setdefault("dtype", dict.fromkeys(NAME_COLUMNS, str))
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], **options)


def read_cell_types(path: str | os.PathLike) -> list[str]:
    """All cell types of a run: the columns of ``accessibility.tsv.gz`` after ``peak chromosome start end``."""
    return list(read(path, nrows=0).columns[4:])
