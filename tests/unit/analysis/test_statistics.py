import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grids.analysis.statistics import equal_count_bins


def test_distinct_values_fall_into_bins_of_equal_counts_labelled_by_their_range():
    codes, labels = equal_count_bins(np.array([9.0, 1, 2, 3, 4, 5, 6, 7, 8, 10]), 5)
    np.testing.assert_array_equal(codes, [4, 0, 0, 1, 1, 2, 2, 3, 3, 4])
    assert labels == ["1 to 2", "3 to 4", "5 to 6", "7 to 8", "9 to 10"]


def test_missing_values_are_in_no_bin():
    codes, labels = equal_count_bins(np.array([np.nan, 0.25, 0.5]), 2)
    np.testing.assert_array_equal(codes, [-1, 0, 1])
    assert labels == ["0.25", "0.5"]
    assert equal_count_bins(np.array([np.nan]), 3)[1] == []


def test_labels_have_as_many_digits_as_it_takes_to_tell_bins_apart():
    assert equal_count_bins(np.array([1.00001, 1.00002]), 2)[1] == ["1.00001", "1.00002"]


@given(
    st.lists(st.one_of(st.integers(-3, 3), st.floats(-1e3, 1e3)), min_size=1, max_size=60), st.integers(1, 8)
)
def test_bins_follow_the_order_of_values_and_ties_share_one(values, n_bins):
    values = np.array(values, dtype=float)
    codes, labels = equal_count_bins(values, n_bins)
    order = np.argsort(values, kind="stable")
    steps, gaps = np.diff(codes[order]), np.diff(values[order])
    assert (steps >= 0).all() and (steps[gaps == 0] == 0).all()
    assert sorted(set(codes)) == list(range(len(labels)))
    assert 1 <= len(set(labels)) == len(labels) <= n_bins
