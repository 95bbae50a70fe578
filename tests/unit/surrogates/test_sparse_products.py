"""Sparse products and their gradients against dense ones."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from grids.surrogates.sparse_products import PickEntries, SumRows, products_of_pairs

N_ROWS, N_COLUMNS, WIDTH = 5, 7, 3
PAIRS = st.lists(st.tuples(st.integers(0, N_ROWS - 1), st.integers(0, N_COLUMNS - 1)), max_size=60)


def tables(*lengths):
    torch.manual_seed(0)
    return [torch.randn(n, WIDTH, requires_grad=True) for n in lengths]


def assert_same_gradients(found, expected, of):
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected)
    for a, b in zip(
        torch.autograd.grad((found * weight).sum(), of),
        torch.autograd.grad((expected * weight).sum(), of),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@given(pairs=PAIRS, in_order=st.booleans())
@settings(max_examples=50)
def test_products_of_pairs_are_entries_of_the_dense_product(pairs, in_order):
    left, right = tables(N_ROWS, N_COLUMNS)
    rows, columns = torch.tensor(sorted(pairs) if in_order else pairs, dtype=torch.long).view(-1, 2).T
    found = products_of_pairs(left, right, rows, columns)
    assert_same_gradients(found, (left @ right.T)[rows, columns], (left, right))


@given(density=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_sums_of_rows_are_a_dense_product(density, seed):
    (table,) = tables(N_COLUMNS)
    rows = sparse.random_array((N_ROWS, N_COLUMNS), density=density, rng=seed, dtype=np.float32).tocsr()
    rows.data[:] = 1
    assert_same_gradients(SumRows.apply(rows, table), torch.from_numpy(rows.toarray()) @ table, (table,))


@given(index=st.lists(st.integers(0, N_COLUMNS - 1), max_size=20))
@settings(max_examples=30)
def test_gradients_of_picked_entries_add_up(index):
    vector, index = torch.randn(N_COLUMNS, requires_grad=True), torch.tensor(index, dtype=torch.long)
    assert_same_gradients(PickEntries.apply(vector, index), vector[index], (vector,))
