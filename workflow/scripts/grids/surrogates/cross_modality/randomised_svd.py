"""Singular vectors of a large sparse matrix whose entries are a scale of their row times one of their column."""

import torch
from scipy import sparse
from torch import Tensor

from grids.surrogates.sparse_products import sum_entries

N_OVERSAMPLED = 10
N_POWER_ITERATIONS = 7


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
    seed : int

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
