"""Singular vectors by products with few vectors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from grids.surrogates.sparse_products import right_singular_vectors


def scaled_pattern(n_rows, n_columns, share, seed, structured=False):
    """Pattern, row and column scales, and the matrix they stand for."""
    rng = np.random.default_rng(seed)
    group, block = rng.integers(9, size=n_rows), rng.integers(9, size=n_columns)
    often = structured & (group[:, None] == block)
    pattern = sparse.csr_matrix(rng.random((n_rows, n_columns)) < np.where(often, 0.9, share))
    scales = [rng.uniform(0.5, 2, n).astype(np.float32) for n in (n_rows, n_columns)]
    matrix = scales[0][:, None] * pattern.toarray() * scales[1]
    return pattern, *map(torch.from_numpy, scales), matrix


@pytest.mark.parametrize(("n_rows", "n_columns"), [(60, 200), (200, 60), (90, 90)])
def test_values_and_vectors_are_those_of_the_dense_decomposition(n_rows, n_columns):
    *scaled, matrix = scaled_pattern(n_rows, n_columns, 0.01, seed=0, structured=True)
    values, vectors = right_singular_vectors(*scaled, 8, seed=1)
    _, expected, rotated = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(values, expected[:8], rtol=1e-4)
    np.testing.assert_allclose(np.abs((vectors.numpy() * rotated[:8].T).sum(0)), 1, atol=1e-3)
    strongest = vectors.abs().argmax(0)
    assert (vectors[strongest, torch.arange(8)] > 0).all()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_all_vectors_of_a_small_matrix_rebuild_its_products(n_rows, n_columns, seed):
    *scaled, matrix = scaled_pattern(n_rows, n_columns, 0.4, seed)
    values, vectors = right_singular_vectors(*scaled, min(n_rows, n_columns), seed)
    np.testing.assert_allclose((vectors * values**2) @ vectors.T, matrix.T @ matrix, atol=1e-3)


def test_no_less_is_explained_than_by_the_library():
    # without structure the spectrum is flat, and single vectors are not determined
    *scaled, matrix = scaled_pattern(300, 2000, 0.05, seed=0)
    ours, vectors = right_singular_vectors(*scaled, 20, seed=0)
    _, theirs, _ = randomized_svd(matrix, 20, random_state=0)
    np.testing.assert_allclose(ours, theirs, rtol=0.01)
    explained = np.linalg.norm(matrix @ vectors.numpy()) ** 2
    assert explained == pytest.approx((ours**2).sum().item(), rel=1e-3)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(20), atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_vectors():
    *scaled, _ = scaled_pattern(50, 80, 0.2, seed=0)
    first, again, other = (right_singular_vectors(*scaled, 5, seed)[1] for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
