"""Products of sparse rows and large tables: differentiable ones, and singular vectors by them.

Gradients are sparse products themselves. Look-ups would copy a row of the table for every entry, and add the gradients
up one by one.
"""

import warnings

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag

N_OVERSAMPLED = 10
N_POWER_ITERATIONS = 7


def sum_entries(rows: sparse.csr_matrix, table: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum, for each sparse row, the table's rows at its indices, shape (n_rows, width).

    Of the rows, (n_rows, n), only the pattern is read; each entry counts its weight, (n_entries,), one by default.
    """
    indices = torch.from_numpy(rows.indices.astype(np.int32, copy=False)).to(table.device)
    offsets = torch.from_numpy(rows.indptr[:-1].astype(np.int32, copy=False)).to(table.device)
    table = table.contiguous()  # of others, rows are summed one number at a time
    return embedding_bag(indices, table, offsets, mode="sum", per_sample_weights=weights)


class SumRows(torch.autograd.Function):
    """:func:`sum_entries`; the gradient is the same sum over the transposed rows."""

    @staticmethod
    def forward(ctx, rows: sparse.csr_matrix, table: Tensor) -> Tensor:
        ctx.rows = rows
        return sum_entries(rows, table)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor]:
        return None, sum_entries(ctx.rows.T.tocsr(), gradient)


def products_of_pairs(left: Tensor, right: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Products of chosen pairs of a row of one table and a row of another, shape (n_pairs,).

    Tables are (n_rows, width) and (n_columns, width), pairs int32 or int64, fastest in the order of `rows`.
    """
    if left.device.type != "cpu":
        return (embedding(rows, left) * embedding(columns, right)).sum(1)
    if (rows[1:] >= rows[:-1]).all():
        return _ProductsOfPairs.apply(left, right, rows, columns)
    order = rows.argsort(stable=True)
    return _ProductsOfPairs.apply(left, right, rows[order], columns[order])[order.argsort()]


class _ProductsOfPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx, left: Tensor, right: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        first_of_row = torch.zeros(len(left) + 1, dtype=torch.int32)
        first_of_row[1:] = rows.bincount(minlength=len(left)).cumsum(0)
        columns = columns.int()
        ctx.save_for_backward(left, right, first_of_row, columns)
        if len(columns) > len(left) * len(right):  # pairs that repeat: more than a sparse matrix may hold
            return (left @ right.T)[rows, columns]
        pattern = first_of_row, columns, left.new_zeros(len(columns)), (len(left), len(right))
        with warnings.catch_warnings():
            # of torch, that such tensors are in beta and are not checked
            warnings.filterwarnings("ignore", "Sparse")
            return torch.sparse.sampled_addmm(torch.sparse_csr_tensor(*pattern), left, right.T).values()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        left, right, first_of_row, columns = ctx.saved_tensors
        pairs = sparse.csr_matrix(
            (gradient.numpy(), columns.numpy(), first_of_row.numpy()), (len(left), len(right))
        )
        return (
            sum_entries(pairs, right, gradient.contiguous()),
            torch.from_numpy(pairs.T @ left.numpy()),
            None,
            None,
        )


class PickEntries(torch.autograd.Function):
    """Entries of a vector; gradients are added up in the order of the entries, whatever the number of threads."""

    @staticmethod
    def forward(ctx, vector: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.length = len(vector)
        return vector.index_select(0, index)  # in less than half the time of vector[index]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return index.bincount(gradient, minlength=ctx.length).to(gradient), None


def right_singular_vectors(
    pattern: sparse.csr_matrix, row_scale: Tensor, column_scale: Tensor, n: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The largest singular values of ``diag(row_scale) pattern diag(column_scale)``, and their right singular vectors.

    Randomised subspace iteration (Halko, Martinsson and Tropp, SIAM Review 2011, algorithms 4.4 and 5.1), as
    scikit-learn has it. Its products sum rows of a table, as pooling does; the scaled matrix is never formed.

    Parameters
    ----------
    pattern : csr_matrix, shape (n_rows, n_columns)
        Entries count as one.
    row_scale : Tensor, shape (n_rows,)
    column_scale : Tensor, shape (n_columns,)
    n : int
        At most ``min(n_rows, n_columns)``.

    Returns
    -------
    values : Tensor, shape (n,)
        Largest first.
    vectors : Tensor, shape (n_columns, n)
        Of unit length; the largest entry by size of each is positive.
    """
    transposed = pattern.T.tocsr()

    def times(vectors: Tensor) -> Tensor:
        return row_scale[:, None] * sum_entries(pattern, column_scale[:, None] * vectors)

    def transposed_times(vectors: Tensor) -> Tensor:
        return column_scale[:, None] * sum_entries(transposed, row_scale[:, None] * vectors)

    width = min(n + N_OVERSAMPLED, *pattern.shape)
    drawn = torch.randn(len(row_scale), width, generator=torch.Generator().manual_seed(seed))
    basis = _orthonormal(transposed_times(drawn))
    for _ in range(N_POWER_ITERATIONS):
        basis = _orthonormal(transposed_times(_orthonormal(times(basis))))
    _, values, rotated = torch.linalg.svd(times(basis), full_matrices=False)
    vectors = basis @ rotated[:n].T
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return values[:n], vectors * largest.sign()


def _orthonormal(vectors: Tensor) -> Tensor:
    return torch.linalg.qr(vectors).Q
