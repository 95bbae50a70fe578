"""HDF5 files as users have them: what cannot be read is told as what it is, and what is not needed is no obstacle."""

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import pandas as pd
from anndata import OldFormatWarning
from anndata.io import read_elem

from grids.io.errors import InputError
from grids.io.logging import log

# Numbers of the filters that files of single cells are packed with and h5py does not bring.
FILTERS = {
    307: "bzip2", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32026: "blosc2",
}  # fmt: skip


@contextlib.contextmanager
def opened(path: Path, where: str) -> Iterator[h5py.File]:
    """An HDF5 file; whatever goes wrong while it is read becomes one line that begins with `where`.

    Raises
    ------
    InputError
        There is no such file, it may not be read, another program writes to it, it is packed with a filter that is
        not installed, holds something of an unknown encoding, or is damaged.
    """
    expected = "expected .h5mu, .h5ad or a 10x .h5"
    if path.is_dir():
        raise InputError(f"{where}: this is a folder; {expected}")
    if not path.is_file():
        raise InputError(f"{where}: file not found")
    if not os.access(path, os.R_OK):
        raise InputError(f"{where}: you may not read this file; ask for the permission, or copy it")
    if not h5py.is_hdf5(path):
        raise InputError(f"{where}: not an HDF5 file; {expected}")
    try:
        with h5py.File(path, "r") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", OldFormatWarning)  # one per column of an older file
            yield file
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{where}: {_why(error, path)}") from error


def _why(error: Exception, path: Path) -> str:
    told = f"{type(error).__name__}: {str(error)[:200]}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory to read it ({told})"
    if isinstance(error, BlockingIOError) or getattr(error, "errno", None) in (errno.EAGAIN, errno.EACCES):
        return (
            "another program has the file open for writing (a notebook?): close it there, or copy the file; if no "
            "program has, its disk has no locks: set the environment variable HDF5_USE_FILE_LOCKING=FALSE"
        )
    if missing := _missing_filter(path):
        return f"packed with {missing}, a filter that is not installed here; write it again with compression='gzip'"
    if type(error).__name__ == "IORegistryError":
        return (
            f"it holds something that this version of anndata cannot read ({told}); take it out of the file"
        )
    return f"truncated or corrupt ({told}); fetch or write the file again"


def _missing_filter(path: Path) -> str | None:
    """The first filter of the file's arrays that HDF5 does not have."""
    found = []

    def look(name, node):
        if isinstance(node, h5py.Dataset):
            filters = node.id.get_create_plist()
            found.extend(filters.get_filter(i)[0] for i in range(filters.get_nfilters()))

    with contextlib.suppress(Exception), h5py.File(path, "r") as file:
        file.visititems(look)
    number = next((number for number in found if not h5py.h5z.filter_avail(number)), None)
    return None if number is None else f"{FILTERS.get(number, 'an unknown filter')} (HDF5 filter {number})"


def read_table(group: h5py.Group, where: str) -> pd.DataFrame | None:
    """A table (`obs`, `var`) with text as index and names; columns of unknown encodings are left out with a warning.

    None where there is no table (anndata before 0.7); `where` tells which it is, for the warning.
    """
    try:
        table = read_elem(group)
    except Exception:
        if "column-order" not in getattr(group, "attrs", ()):
            raise
        index, columns = read_elem(group[group.attrs["_index"]]), {}
        for name in group.attrs["column-order"]:
            try:
                columns[name] = read_elem(group[name])
            except Exception as error:
                told = "%s: column '%s' cannot be read (%s: %.150s) and is left out"
                log.warning(told, where, name, type(error).__name__, error)
        table = pd.DataFrame(columns, index=index)
    if not isinstance(table, pd.DataFrame):
        return None
    table.index = pd.Index(table.index.astype(str), dtype=object).rename(None)
    return table


def writable(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with columns that every version of anndata writes and reads.

    Numbers, truth values and categories of text or numbers stay; everything else (text, dates, intervals, mixtures)
    becomes categories of text. Columns without a name that HDF5 takes are left out.
    """
    columns = {}
    for name, column in table.items():
        if not isinstance(name, str) or name in ("", "_index") or "/" in name or "\0" in name:
            continue
        is_category = isinstance(column.dtype, pd.CategoricalDtype)
        if pd.api.types.is_numeric_dtype(column.cat.categories if is_category else column):
            columns[name] = column
            continue
        if is_category:  # as plain text, in their order
            names = column.cat.categories.astype(object).map(str).astype(object)
            columns[name] = column.cat.rename_categories(names)
        else:
            text = column.astype(object)
            columns[name] = text.where(text.isna(), text.astype(str)).astype("category")
    return pd.DataFrame(columns, index=table.index.rename(None))
