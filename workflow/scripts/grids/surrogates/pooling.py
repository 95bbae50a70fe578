"""The shared first layer: a linear pooling of open peaks, followed by a smooth tail.

A cell enters a surrogate only through its *pooled state*, ``n_groups x width`` numbers that are linear in
its open peaks. Perturbing a set of peaks is then a low-rank update of the pooled state, and no step ever
needs an array of cells x peaks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor, nn

from grids.io import backed
from grids.io.cells import Multiome
from grids.io.errors import InputError
from grids.surrogates.judged_windows import JudgedWindows, judge_by_permutation
from grids.surrogates.sparse_products import SumRows, sum_entries

# Predicted at a time.
CELLS_PER_BATCH = 1024


def split_rows_by_group(
    opened: sparse.csr_matrix, group_of_peak: np.ndarray, n_groups: int
) -> sparse.csr_matrix:
    """View each cell's row as ``n_groups`` rows, one for each group of peaks.

    With sorted indices and groups that are runs of neighbouring peaks (chromosomes), the open peaks of a cell
    are already in group order, so only the row pointers change; otherwise the entries are reordered once.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open.
    group_of_peak : ndarray of int, shape (n_peaks,)
    n_groups : int

    Returns
    -------
    csr_matrix, shape (n_cells * n_groups, n_peaks)
        Row ``cell * n_groups + group`` holds the cell's open peaks of that group; entries are 1.
    """
    n_cells, n_peaks = opened.shape
    if not opened.has_sorted_indices:
        opened = opened.sorted_indices()
    indices = opened.indices
    if n_groups == 1:
        indptr = opened.indptr
    else:
        row = np.repeat(np.arange(n_cells, dtype=np.int64), np.diff(opened.indptr)) * n_groups
        row += group_of_peak[indices]
        if (group_of_peak[1:] < group_of_peak[:-1]).any():
            order = np.argsort(row, kind="stable")
            row, indices = row[order], indices[order]
        indptr = np.zeros(n_cells * n_groups + 1, dtype=opened.indptr.dtype)
        np.cumsum(np.bincount(row, minlength=n_cells * n_groups), out=indptr[1:])
    ones = np.ones(len(indices), dtype=np.float32)
    return sparse.csr_matrix((ones, indices, indptr), shape=(n_cells * n_groups, n_peaks))


def sum_rows(rows: sparse.csr_matrix, table: Tensor, block: slice = slice(None)) -> Tensor:
    """Sum, for each sparse row, the table's rows at its indices, shape (n_rows, width). Differentiable in `table`.

    Parameters
    ----------
    rows : csr_matrix, shape (n_rows, n_peaks)
        Only the pattern is read.
    table : Tensor, shape (n_peaks, width)
    block : slice
        Consecutive rows to sum; all by default.
    """
    first, end, _ = block.indices(rows.shape[0])
    if (first, end) != (0, rows.shape[0]):
        bounds = rows.indptr[first : end + 1]
        entries = slice(bounds[0], bounds[-1])
        part = rows.data[entries], rows.indices[entries], bounds - bounds[0]
        rows = sparse.csr_matrix(part, shape=(end - first, rows.shape[1]), copy=False)
    return SumRows.apply(rows, table) if table.requires_grad else sum_entries(rows, table)


def check_opened(opened, n_peaks: int) -> sparse.csr_matrix:
    """The one check of a cells x peaks argument: a sparse matrix with one column per peak, returned as CSR.

    Raises
    ------
    InputError
        When it is not sparse or has another number of columns.
    """
    if not sparse.issparse(opened):
        raise InputError(f"opened: expected a sparse matrix of cells x peaks, got {type(opened).__name__}")
    if opened.shape[1] != n_peaks:
        raise InputError(f"opened: expected {n_peaks} peaks (columns), got {opened.shape[1]}")
    return opened.tocsr()


class Surrogate(nn.Module, ABC):
    """What a run asks of the surrogate of a cell type, whichever it is.

    A surrogate is explained gene by gene: :meth:`for_gene` is the pooled surrogate that a gene depends on, evaluated on
    the cells that :meth:`observe` shows it.

    Attributes
    ----------
    name : str
        The kind of surrogate, as in the config.
    peaks, genes : list of str
        Names of the inputs and outputs, in order.
    n_replicates : int
        Refits on resampled training cells, or draws from a posterior: ``replicate(0)`` to
        ``replicate(n_replicates - 1)``. None by default.
    """

    name: str
    peaks: list[str]
    genes: list[str]
    n_replicates = 0

    @abstractmethod
    def predict(self, opened: sparse.csr_matrix) -> Tensor:
        """Predicted log-expression, shape (n_cells, n_genes), of cells x peaks that are non-zero where open."""

    @abstractmethod
    def for_gene(self, gene: str) -> "PooledSurrogate":
        """The part of the surrogate that one gene depends on."""

    def replicate(self, b: int) -> "Surrogate":
        """One of the refits."""
        raise IndexError(f"the {self.name} surrogate has {self.n_replicates} refits, none of number {b}")

    @abstractmethod
    def observe(self, opened: sparse.spmatrix, seed: int, split: str) -> Callable[[str], "Observed"]:
        """Cells as genes see them: a function from a gene to what ``for_gene(gene)`` is evaluated on.

        Parameters
        ----------
        opened : sparse matrix, shape (n_cells, n_peaks)
            Non-zero where the peak was seen open.
        seed, split
            Of the run and the cells: what is drawn depends on them, the cell type and the gene only.
        """

    @abstractmethod
    def judge_windows(
        self,
        train: Multiome,
        test: Multiome,
        windows: pd.DataFrame,
        genes: list[str],
        orders: list[np.ndarray],
    ) -> JudgedWindows:
        """Judge genes by what their windows tell; arguments as of
        :func:`~grids.surrogates.judged_windows.judge_by_permutation`.
        """

    def chance_of_no_member(self, gene: str) -> float | None:
        """Posterior chance that no peak controls the gene; None where the surrogate does not say."""
        return None


# Cells x peaks of a gene's surrogate (CSR), and the log-expression that each cell's state adds, (n_cells,) or None.
Observed = tuple[sparse.csr_matrix, Tensor | None]


class PooledSurrogate(Surrogate):
    """A function from a cell's open peaks to its log-expression that starts with a linear pooling.

    Search, single-peak scans and set statistics see every model through the three members below. As a surrogate of
    many genes, it is looked at whole for each of them.

    Attributes
    ----------
    shift : Tensor, shape (n_peaks, width)
        What opening one peak adds to the pooled state of its group.
    group_of_peak : LongTensor, shape (n_peaks,)
        The group (chromosome, gene, ...) whose state a peak shifts.
    n_groups : int
    """

    shift: Tensor
    group_of_peak: Tensor
    n_groups: int

    def for_gene(self, gene: str) -> "PooledSurrogate":
        """This surrogate itself."""
        return self

    def observe(self, opened: sparse.spmatrix, seed: int, split: str) -> Callable[[str], Observed]:
        """The cells as they are, the same for every gene."""
        observed = check_opened(opened, len(self.peaks)), None
        return lambda gene: observed

    def judge_windows(self, train, test, windows, genes, orders) -> JudgedWindows:
        """What permuting the genes' windows over cells tells."""
        return judge_by_permutation(self, train, test, windows, genes, orders)

    def pool(self, opened: sparse.csr_matrix) -> Tensor:
        """Pooled state of each cell, shape (n_cells, n_groups, width); `opened` is non-zero where a peak is open."""
        return self._pooled(opened, self.shift)

    def with_state(self, pooled: Tensor, by_state: Tensor | None) -> Tensor:
        """Pooled states with what each cell's state adds, the second part of :data:`Observed`, where there is one."""
        if by_state is not None:
            raise ValueError(f"the {self.name} surrogate is told nothing beside the peaks")
        return pooled

    def _pooled(self, opened: sparse.csr_matrix, peak_vectors: Tensor) -> Tensor:
        opened = check_opened(opened, len(self.peaks))
        rows = split_rows_by_group(opened, self.group_of_peak.cpu().numpy(), self.n_groups)
        return sum_rows(rows, peak_vectors).view(opened.shape[0], self.n_groups, -1)

    @abstractmethod
    def tail(self, pooled: Tensor, genes: Tensor | None = None) -> Tensor:
        """Predicted natural log of 1 + depth-normalised counts from pooled states, shape (n_cells, n_genes).

        Parameters
        ----------
        pooled : Tensor, shape (n_cells, n_groups, width)
        genes : LongTensor, shape (n_genes,), optional
            Columns to predict; all by default.
        """

    def folded(self) -> "PooledSurrogate":
        """The same function in evaluation mode, cheaper to evaluate and to differentiate with respect to the state.

        Its weights are constants; pooling is shared with this surrogate. This surrogate itself by default.
        """
        return self

    @torch.no_grad()
    def predict(self, opened: backed.Rows) -> Tensor:
        """Predicted log-expression of cells, shape (n_cells, n_genes), in evaluation mode and in batches.

        `opened`, shape (n_cells, n_peaks), may be on disk.
        """
        self.eval()
        if not isinstance(opened, backed.StoredRows):
            opened = check_opened(opened, len(self.peaks))
        parts = [
            self.tail(self.pool(block[i : i + CELLS_PER_BATCH]))
            for _, block in backed.blocks(opened)
            for i in range(0, block.shape[0], CELLS_PER_BATCH)
        ]
        return torch.cat(parts) if parts else self.shift.new_empty(0, len(self.genes))
