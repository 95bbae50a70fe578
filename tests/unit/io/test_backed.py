"""Rows on disk equal the same rows in memory, whatever is asked of them and however small the blocks are."""

import h5py
import numpy as np
import pytest
from anndata.io import read_elem, write_elem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from grids.io import backed

N_ROWS, N_COLUMNS = 30, 12
MATRIX = sparse.random(N_ROWS, N_COLUMNS, 0.3, "csr", np.float32, random_state=1)
MATRIX.data[MATRIX.indptr[4] : MATRIX.indptr[6]] = 0  # two rows without entries
MATRIX.eliminate_zeros()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "matrix.h5"
    with h5py.File(path, "w") as file:
        write_elem(file, "X", MATRIX)
    return path


@pytest.fixture
def stored(path):
    return backed.StoredRows(path, "X")


@st.composite
def sizes(draw):
    """Entries per block and of a gap that is read through."""
    return draw(st.integers(1, 60)), draw(st.integers(0, 20))


def set_sizes(monkeypatch, block, gap=0):
    monkeypatch.setattr(backed, "ENTRIES_PER_BLOCK", block)
    monkeypatch.setattr(backed, "ENTRIES_OF_GAP", gap)


def same(found, expected):
    assert found.format == "csr" and found.dtype == expected.dtype and found.shape == expected.shape
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.indices.dtype == found.indptr.dtype == np.int32


# The fixture only patches constants that every example sets anew.
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(rows=st.lists(st.integers(0, N_ROWS - 1), max_size=40), sizes=sizes())
def test_any_rows_in_any_order(path, monkeypatch, rows, sizes):
    set_sizes(monkeypatch, *sizes)
    rows = np.array(rows, int)
    stored = backed.StoredRows(path, "X")
    same(stored[rows], MATRIX[rows])
    same(stored.select(rows)[:], MATRIX[rows])
    same(stored[5:20], MATRIX[5:20])
    mask = np.arange(N_ROWS) % 3 == 0
    same(stored.select(mask)[1:], MATRIX[mask][1:])


@quick
@given(
    rows=st.lists(st.integers(0, N_ROWS - 1), min_size=1, max_size=40, unique=True),
    columns=st.lists(st.integers(0, N_COLUMNS - 1), min_size=1, max_size=9, unique=True),
    sizes=sizes(),
)
def test_blocks_are_all_rows_with_every_step_done(path, monkeypatch, rows, columns, sizes):
    set_sizes(monkeypatch, *sizes)
    rows = np.array(rows)

    def step(block):
        return (block * 2)[:, columns].sorted_indices()

    lazy = backed.StoredRows(path, "X").select(rows).then(step, len(columns))
    assert lazy.shape == (len(rows), len(columns))
    found = list(backed.blocks(lazy))
    assert [part.start for part, _ in found] == [0, *(part.stop for part, _ in found[:-1])]
    same(sparse.vstack([block for _, block in found], "csr"), step(MATRIX[rows]))
    n_entries = np.diff(MATRIX[rows].indptr)
    assert all(n_entries[part].sum() <= sizes[0] or part.stop - part.start == 1 for part, _ in found)
    assert lazy.nnz == MATRIX[rows].nnz


@quick
@given(block=st.integers(1, 60), groups=st.lists(st.integers(-1, 3), min_size=N_ROWS, max_size=N_ROWS))
def test_statistics_add_up_over_blocks(path, monkeypatch, block, groups):
    set_sizes(monkeypatch, block)
    stored, groups, dense = backed.StoredRows(path, "X"), np.array(groups), MATRIX.toarray()
    n_entries, sums = backed.totals(stored)
    assert_array_equal(n_entries, (dense != 0).sum(1))
    assert_allclose(sums, dense.sum(1), rtol=1e-6)
    assert_array_equal(backed.count_columns(stored), (dense != 0).sum(0))
    assert_allclose(backed.mean(stored), dense.mean(0), rtol=1e-5)
    means = backed.group_means(stored, groups, 5)
    for code in range(5):
        expected = dense[groups == code].mean(0) if (groups == code).any() else np.full(N_COLUMNS, np.nan)
        assert_allclose(means[code], expected, rtol=1e-5)


def test_in_memory_the_means_are_those_of_scipy_to_the_last_bit():
    groups = np.arange(N_ROWS) % 4
    assert_array_equal(backed.mean(MATRIX), np.asarray(MATRIX.mean(0)).ravel())
    means = backed.group_means(MATRIX, groups, 4)
    assert means.dtype == np.float32
    assert_array_equal(means[2], np.asarray(MATRIX[groups == 2].mean(0)).ravel())


def test_only_large_csr_matrices_stay_on_disk(path, monkeypatch):
    with h5py.File(path, "a") as file:
        write_elem(file, "csc", MATRIX.tocsc())
        monkeypatch.setattr(backed, "ENTRIES_IN_MEMORY", MATRIX.nnz)
        same(backed.read(file["X"]), MATRIX)
        monkeypatch.setattr(backed, "ENTRIES_IN_MEMORY", MATRIX.nnz - 1)
        assert isinstance(backed.read(file["X"]), backed.StoredRows)
        assert sparse.issparse(backed.read(file["csc"]))


def test_as_many_rows_as_memory_may_hold(stored, monkeypatch):
    monkeypatch.setattr(backed, "ENTRIES_IN_MEMORY", MATRIX.nnz / 3 + 0.1)
    some = backed.in_memory(stored)
    assert some.shape[0] == N_ROWS // 3
    same(some, MATRIX[::3])
    assert backed.in_memory(MATRIX) is MATRIX


def test_evenly_spaced_positions_are_distinct_and_span_all():
    for n, most in ((10, 20), (10, 10), (10, 7), (1000, 3)):
        found = backed.evenly_spaced(n, most)
        assert len(np.unique(found)) == min(n, most) and found[0] == 0 and found[-1] < n
        assert np.ptp(np.diff(found)) <= 1


def test_what_is_written_is_what_was_there(stored, tmp_path, monkeypatch):
    set_sizes(monkeypatch, 7)
    with h5py.File(tmp_path / "out.h5", "w") as file:
        backed.write(stored.then(lambda rows: rows.astype(np.uint8)), file.create_group("X"))
        same(read_elem(file["X"]), MATRIX.astype(np.uint8))


def test_a_running_mean_of_one_value_is_that_value():
    mean = backed.RunningMean()
    mean.add(0.1, 3)
    assert mean.value == 0.1
    mean.add(0.3, 1)
    mean.add(5.0, 0)
    assert_allclose([mean.value, mean.weight], [0.15, 4])
