import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import CHROMOSOMES, N_GENES, N_PEAKS, open_peaks, random_surrogate
from scipy import sparse
from toys import LinearToy

from grids.io.errors import InputError
from grids.surrogates import pooling
from grids.surrogates.pooling import split_rows_by_group, sum_rows


def test_rows_are_split_at_group_borders():
    opened = sparse.csr_matrix(np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]], dtype=np.uint8))
    rows = split_rows_by_group(opened, np.array([0, 0, 1, 2]), 3)
    assert rows.shape == (9, 4)
    assert [sorted(rows[i].indices.tolist()) for i in range(9)] == [[0], [2], [3], [], [], [], [1], [], [3]]


@given(seed=st.integers(0, 1000), n_groups=st.integers(1, 5), sorted_groups=st.booleans())
def test_split_rows_give_the_same_sums_as_masks(seed, n_groups, sorted_groups):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, n_groups, N_PEAKS)
    group = np.sort(group) if sorted_groups else group
    opened = open_peaks(7, seed=seed)
    table = torch.from_numpy(rng.normal(size=(N_PEAKS, 3)))
    sums = sum_rows(split_rows_by_group(opened, group, n_groups), table).view(7, n_groups, 3)
    dense = torch.from_numpy(opened.toarray().astype(float))
    for g in range(n_groups):
        here = torch.from_numpy(group == g)
        torch.testing.assert_close(sums[:, g], dense[:, here] @ table[here])


def test_unsorted_indices_are_sorted_first():
    opened = open_peaks(5)
    shuffled = opened.copy()
    for i in range(5):
        row = slice(shuffled.indptr[i], shuffled.indptr[i + 1])
        shuffled.indices[row] = shuffled.indices[row][::-1]
    shuffled.has_sorted_indices = False
    a, b = (split_rows_by_group(x, CHROMOSOMES, 3) for x in (opened, shuffled))
    assert (a != b).nnz == 0


def test_opening_a_peak_adds_its_shift():
    for encoder in ("paper", "normalised"):
        model = random_surrogate(encoder)
        opened = open_peaks(4).tolil()
        opened[2, 17] = 0
        without = model.pool(opened.tocsr())
        opened[2, 17] = 1
        moved = model.pool(opened.tocsr()) - without
        expected = torch.zeros_like(moved)
        expected[2, model.group_of_peak[17]] = model.shift[17]
        if encoder == "normalised":
            expected[2, 0, -1] = 1.0  # the measured depth, which a perturbation then leaves alone
        torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-5)


def test_predict_in_batches_equals_predict_at_once(monkeypatch):
    model = random_surrogate("paper")
    opened = open_peaks(33)
    at_once = model.predict(opened)
    monkeypatch.setattr(pooling, "CELLS_PER_BATCH", 7)
    torch.testing.assert_close(model.predict(opened), at_once)
    assert model.predict(opened[:0]).shape == (0, N_GENES)


@pytest.mark.parametrize(
    ("opened", "message"),
    [(np.zeros((3, N_PEAKS)), "expected a sparse matrix"), (open_peaks(3, 7), "expected 40 peaks")],
)
def test_wrong_input_is_refused_at_the_door(opened, message):
    with pytest.raises(InputError, match=message):
        LinearToy(np.ones(N_PEAKS)).pool(opened)
