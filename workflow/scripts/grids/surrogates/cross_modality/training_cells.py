"""Cells as the training loop reads them: sparse, by split, in batches.

Cells that are on disk are read a buffer at a time. Each epoch shuffles runs of neighbouring cells, fills a buffer with
a random :data:`CHUNKS_PER_BUFFER` of them, and shuffles the cells within the buffer. When all cells fit in one buffer
this is the order of cells in memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grids.io import backed
from grids.io.cells import Multiome

CHUNKS_PER_BUFFER = 32


@dataclass(frozen=True)
class TrainingCells:
    """One split of the cells as the training loop reads it: sparse, with cell types as codes."""

    atac: backed.Rows
    atac_type: np.ndarray
    rna: backed.Rows
    rna_type: np.ndarray
    paired: bool

    @classmethod
    def of(
        cls, multiome: Multiome, split: str, cell_types: list[str], cell_type: str | None = None
    ) -> "TrainingCells":
        """The cells of a split (and cell type), with types as positions in `cell_types`."""
        atac = multiome.atac.stream(split=split, cell_type=cell_type)
        rna = multiome.rna.stream(split=split, cell_type=cell_type)
        codes = pd.Index(cell_types)
        of_atac, of_rna = (codes.get_indexer(part.obs["cell_type"]) for part in (atac, rna))
        return cls(atac.X, of_atac, rna.X, of_rna, multiome.paired)

    def type_means(self, n_types: int) -> np.ndarray:
        """Mean expression of each cell type, shape (n_types, n_genes); of all cells where a type has none."""
        means = backed.group_means(self.rna, self.rna_type, n_types).astype(np.float32)
        return np.where(np.isnan(means), np.asarray(backed.mean(self.rna), np.float32), means)

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator["TrainingCells"]:
        """Batches of both modalities, shuffled when `rng` is given; of the same cells when they are paired."""
        n_atac, n_rna = self.atac.shape[0], self.rna.shape[0]
        n = max(n_atac, n_rna)
        buffer = self._cells_per_buffer(batch_size)

        def order(n_cells: int) -> np.ndarray:
            return np.arange(n) % n_cells if rng is None else _shuffled(n_cells, n, rng, buffer)

        atac_order = order(n_atac)
        rna_order = atac_order if self.paired else order(n_rna)
        parts = (_in_order(x, o, buffer) for x, o in ((self.atac, atac_order), (self.rna, rna_order)))
        for start, (atac, rna) in zip(range(0, n, buffer), zip(*parts, strict=True), strict=True):
            i, j = atac_order[start : start + buffer], rna_order[start : start + buffer]
            for first in range(0, len(i), batch_size):
                batch = slice(first, first + batch_size)
                if len(i[batch]) > 1 or n == 1:  # batch normalisation needs two cells
                    types = self.atac_type[i[batch]], self.rna_type[j[batch]]
                    yield TrainingCells(atac(batch), types[0], rna(batch), types[1], self.paired)

    def _cells_per_buffer(self, batch_size: int) -> int:
        """All cells when they are in memory; else whole batches of as many as may be in memory."""
        n = max(self.atac.shape[0], self.rna.shape[0], 1)
        on_disk = [matrix for matrix in (self.atac, self.rna) if isinstance(matrix, backed.StoredRows)]
        per_cell = sum(matrix.nnz / max(matrix.shape[0], 1) for matrix in on_disk)
        most = int(backed.ENTRIES_IN_MEMORY / max(per_cell, 1e-9))
        return n if n <= most else max(most // batch_size, 1) * batch_size


def _in_order(matrix: backed.Rows, order: np.ndarray, buffer: int) -> Iterator[Callable]:
    """For each buffer of rows in the given order, a function from a slice of it to a csr_matrix."""
    for start in range(0, len(order), buffer):
        rows = order[start : start + buffer]
        if isinstance(matrix, backed.StoredRows):
            yield matrix[rows].__getitem__
        else:
            yield lambda batch, rows=rows: matrix[rows[batch]]


def _shuffled(n_cells: int, n: int, rng: np.random.Generator, buffer: int) -> np.ndarray:
    """`n` cells in random order, each as often as the others (up to one)."""
    return np.concatenate([_permutation(n_cells, rng, buffer) for _ in range(-(-n // n_cells))])[:n]


def _permutation(n_cells: int, rng: np.random.Generator, buffer: int) -> np.ndarray:
    if n_cells <= buffer:
        return rng.permutation(n_cells)
    starts = np.arange(0, n_cells, max(buffer // CHUNKS_PER_BUFFER, 1))
    chunks = np.split(np.arange(n_cells), starts[1:])
    order = np.concatenate([chunks[i] for i in rng.permutation(len(chunks))])
    return np.concatenate([rng.permutation(order[i : i + buffer]) for i in range(0, n_cells, buffer)])
