"""Rows of a sparse matrix that may be larger than memory: read from its HDF5 file, some at a time.

Steps over cells take a csr_matrix or :class:`StoredRows` and go through it by :func:`blocks`. A csr_matrix is one
block, so that data which fit in memory are computed at once.
"""

import copy
import os
from collections.abc import Callable, Iterator

import h5py
import numpy as np
from anndata.io import read_elem
from scipy import sparse

# A matrix with more entries than this stays on disk: 0.3 to 0.5 GB with its indices.
ENTRIES_IN_MEMORY = 2**26
# Entries that are read at a time.
ENTRIES_PER_BLOCK = 2**24
# Rows that are not wanted are read and dropped, rather than left out by reading twice, when they have fewer.
ENTRIES_OF_GAP = 2**15
# A reader caches whole chunks of compressed files.
CACHE_BYTES = 2**26

Step = Callable[[sparse.csr_matrix], sparse.csr_matrix]


def plain(values: np.ndarray) -> np.ndarray:
    """Numbers as scipy computes with them: not of half or long precision, in this machine's byte order."""
    wider = {2: np.float32, 16: np.float64}.get(values.dtype.itemsize) if values.dtype.kind == "f" else None
    return values.astype(wider or values.dtype.newbyteorder("="), copy=False)


class StoredRows:
    """Rows of a CSR matrix that stays in its file, in anndata's layout.

    Indexing reads rows into memory; :meth:`select` and :meth:`then` read nothing.

    Parameters
    ----------
    path : path
    name : str
        The matrix' group in the file.

    Attributes
    ----------
    n_entries : ndarray of int64, shape (n_rows,)
        Of each row, as stored.
    """

    def __init__(self, path: str | os.PathLike, name: str):
        self.path, self.name = os.fspath(path), name
        with h5py.File(self.path, "r") as file:
            group = file[name]
            self._indptr = group["indptr"][:].astype(np.int64)
            self._width = int(group.attrs["shape"][1])
        self._rows = np.arange(len(self._indptr) - 1)
        self._steps: tuple[Callable, ...] = ()  # of rows in memory and their places in the file
        self._n_columns = self._width

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._rows), self._n_columns

    @property
    def n_entries(self) -> np.ndarray:
        return self._indptr[self._rows + 1] - self._indptr[self._rows]

    @property
    def nnz(self) -> int:
        """Entries, as stored."""
        return int(self.n_entries.sum())

    def _changed(self, **attributes) -> "StoredRows":
        other = copy.copy(self)
        other.__dict__.update(attributes)
        return other

    def select(self, rows: slice | np.ndarray) -> "StoredRows":
        """Some of the rows: a slice, positions in any order, or a mask."""
        return self._changed(_rows=self._rows[rows])

    def then(self, step: Step, n_columns: int | None = None) -> "StoredRows":
        """The same rows with `step` applied to what is read, row by row; `n_columns` where it changes their number."""
        return self._with_step(lambda rows, _: step(rows), n_columns)

    def scale(self, factors: np.ndarray) -> "StoredRows":
        """The same rows times their factors, float64, shape (n_rows,)."""
        in_file = np.ones(len(self._indptr) - 1)
        in_file[self._rows] = factors
        return self._with_step(lambda rows, places: scale(rows, in_file[places]))

    def _with_step(self, step: Callable, n_columns: int | None = None) -> "StoredRows":
        return self._changed(_steps=(*self._steps, step), _n_columns=n_columns or self._n_columns)

    def __getitem__(self, rows: slice | np.ndarray) -> sparse.csr_matrix:
        """Rows in memory: a slice, positions in any order, or a mask."""
        wanted = self._rows[rows]
        if not len(wanted):
            return sparse.csr_matrix((0, self._n_columns), dtype=self._read(np.arange(0, 1)).dtype)
        order = np.argsort(wanted, kind="stable")
        matrix = self._read(wanted[order])
        return matrix if np.array_equal(order, np.arange(len(order))) else matrix[np.argsort(order)]

    def _read(self, rows: np.ndarray) -> sparse.csr_matrix:
        """Rows of the file in ascending order."""
        start, end = self._indptr[rows], self._indptr[rows + 1]
        after_gap = np.flatnonzero(start[1:] - end[:-1] > ENTRIES_OF_GAP) + 1
        parts, first = [], 0
        with h5py.File(self.path, "r", rdcc_nbytes=CACHE_BYTES) as file:
            group = file[self.name]
            while first < len(rows):
                last = max(np.searchsorted(end, start[first] + ENTRIES_PER_BLOCK, side="right"), first + 1)
                gap = np.searchsorted(after_gap, first, side="right")
                if gap < len(after_gap):
                    last = min(last, after_gap[gap])
                part = self._run(group, rows[first], rows[last - 1] + 1)
                place = rows[first:last] - rows[first]
                if not np.array_equal(place, np.arange(part.shape[0])):
                    part = part[place]
                for step in self._steps:
                    part = step(part, rows[first:last])
                parts.append(part)
                first = last
        return parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr")

    def _run(self, group: h5py.Group, first: int, end: int) -> sparse.csr_matrix:
        """Neighbouring rows of the file."""
        indptr = self._indptr[first : end + 1]
        entries = slice(indptr[0], indptr[-1])
        indices = group["indices"][entries].astype(np.int32, copy=False)
        rows = (plain(group["data"][entries]), indices, (indptr - indptr[0]).astype(np.int32))
        return sparse.csr_matrix(rows, shape=(end - first, self._width))


Rows = sparse.csr_matrix | StoredRows


def read(group: h5py.Group) -> Rows:
    """A matrix of an open file as it is: in memory, or left on disk if it is a large CSR matrix."""
    encoding = group.attrs.get("encoding-type")
    if encoding == "csr_matrix" and len(group["indices"]) > ENTRIES_IN_MEMORY:
        return StoredRows(group.file.filename, group.name)
    layout = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}.get(encoding)
    if layout is not None and group["data"].dtype.kind in "iuf":  # of half precision scipy takes none
        arrays = plain(group["data"][:]), group["indices"][:], group["indptr"][:]
        return layout(arrays, shape=tuple(group.attrs["shape"]))
    return read_elem(group)


def blocks(matrix: Rows) -> Iterator[tuple[slice, sparse.csr_matrix]]:
    """All rows in order, at most :data:`ENTRIES_PER_BLOCK` entries or one row at a time, with their places."""
    if not isinstance(matrix, StoredRows):
        yield slice(0, matrix.shape[0]), matrix
        return
    total, first = np.cumsum(matrix.n_entries), 0
    while first < len(total):
        before = total[first - 1] if first else 0
        end = max(int(np.searchsorted(total, before + ENTRIES_PER_BLOCK, side="right")), first + 1)
        yield slice(first, end), matrix[first:end]
        first = end


def select(matrix: Rows, rows: np.ndarray) -> Rows:
    """Some of the rows; of stored ones nothing is read."""
    return matrix.select(rows) if isinstance(matrix, StoredRows) else matrix[rows]


def then(matrix: Rows, step: Step, n_columns: int | None = None) -> Rows:
    """What `step` makes of each row; of stored ones when they are read."""
    return matrix.then(step, n_columns) if isinstance(matrix, StoredRows) else step(matrix)


def with_data(rows: sparse.csr_matrix, data: np.ndarray) -> sparse.csr_matrix:
    """The same entries with other values, which stand in the place of theirs."""
    return sparse.csr_matrix((data, rows.indices, rows.indptr), rows.shape)


def scale(matrix: Rows, factors: np.ndarray) -> Rows:
    """Each row times its factor, computed in float64; `factors` have shape (n_rows,)."""
    if isinstance(matrix, StoredRows):
        return matrix.scale(factors)
    return with_data(matrix, matrix.data * np.repeat(np.asarray(factors, np.float64), np.diff(matrix.indptr)))


def in_memory(matrix: Rows) -> sparse.csr_matrix:
    """As many rows as :data:`ENTRIES_IN_MEMORY` allow, evenly spaced; all of a csr_matrix."""
    if not isinstance(matrix, StoredRows):
        return matrix
    n_rows = matrix.shape[0]
    most = int(ENTRIES_IN_MEMORY / max(matrix.nnz / max(n_rows, 1), 1))
    return matrix[evenly_spaced(n_rows, max(most, 1))]


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """Positions of at most so many of `n`, at equal distances."""
    return np.arange(n) if n <= most else np.arange(most) * n // most


def totals(matrix: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Number of entries and sum of each row, int64 and float64, shape (n_rows,)."""
    n_entries, sums = np.zeros(matrix.shape[0], np.int64), np.zeros(matrix.shape[0])
    for rows, block in blocks(matrix):
        n_entries[rows] = np.diff(block.indptr)
        sums[rows] = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
    return n_entries, sums


def count_columns(matrix: Rows) -> np.ndarray:
    """In how many rows each column has an entry, shape (n_columns,)."""
    counts = np.zeros(matrix.shape[1], np.int64)
    for _, block in blocks(matrix):
        counts += np.bincount(block.indices, minlength=matrix.shape[1])
    return counts


def mean(matrix: Rows) -> np.ndarray:
    """Mean of each column, shape (n_columns,)."""
    return group_means(matrix, np.zeros(matrix.shape[0], int), 1)[0]


def group_means(matrix: Rows, group_of_row: np.ndarray, n_groups: int) -> np.ndarray:
    """Mean of each column over the rows of each group, shape (n_groups, n_columns); NaN for groups without rows.

    Parameters
    ----------
    matrix : csr_matrix or StoredRows, shape (n_rows, n_columns)
    group_of_row : ndarray of int, shape (n_rows,)
        Rows of no group have -1.
    """
    running = [RunningMean() for _ in range(n_groups)]
    for rows, block in blocks(matrix):
        codes = group_of_row[rows]
        for code in np.unique(codes[codes >= 0]):
            here = codes == code
            part = block if here.all() else block[here]
            running[code].add(np.asarray(part.mean(axis=0)).ravel(), part.shape[0])
    found = [mean.value for mean in running if mean.weight]
    empty = np.full_like(found[0], np.nan) if found else np.full(matrix.shape[1], np.nan)
    return np.stack([mean.value if mean.weight else empty for mean in running])


class RunningMean:
    """A weighted mean of values, numbers or arrays, that come one after the other; of one value exactly that value."""

    def __init__(self):
        self.value, self.weight = None, 0

    def add(self, value: float | np.ndarray, weight: float) -> None:
        """Take one more value into account."""
        if weight:
            self.weight += weight
            self.value = (
                value if self.value is None else self.value + (value - self.value) * (weight / self.weight)
            )


class CsrWriter:
    """A CSR matrix of values of `dtype` in anndata's layout that grows by blocks of rows in an empty group."""

    def __init__(self, group: h5py.Group, dtype: np.dtype, n_columns: int):
        self.group, self.n_columns, self.n_stored = group, n_columns, 0
        self.indptr = [np.zeros(1, np.int64)]
        for name, kind in (("data", dtype), ("indices", np.int32)):
            group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(2**18,))

    def append(self, rows: sparse.csr_matrix, values: np.ndarray | None = None) -> None:
        """Add rows, with `values`, if given, in place of their data."""
        for name, array in (("data", rows.data if values is None else values), ("indices", rows.indices)):
            dataset = self.group[name]
            start = len(dataset)
            dataset.resize(start + len(array), 0)
            dataset[start:] = array
        self.indptr.append(self.n_stored + rows.indptr[1:].astype(np.int64))
        self.n_stored += rows.nnz

    def close(self) -> None:
        """Write what is known only now: row pointers and shape."""
        indptr = np.concatenate(self.indptr)
        indptr = indptr.astype(np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64)
        self.group.create_dataset("indptr", data=indptr)
        shape = (len(indptr) - 1, self.n_columns)
        self.group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})


def write(matrix: StoredRows, group: h5py.Group) -> None:
    """Write rows, a block at a time, into an empty group."""
    writer = None
    for _, block in blocks(matrix):
        writer = writer or CsrWriter(group, block.dtype, matrix.shape[1])
        writer.append(block)
    writer.close()
