"""Reader of IDX files, the format in which MNIST is published."""

import gzip
import os
import zlib
from math import prod
from pathlib import Path

import numpy as np

from grids.io.errors import InputError

# The fourth byte is the number of dimensions: two zero bytes, the type (8: unsigned bytes), dimensions.
MAGIC = b"\x00\x00\x08"


def read_idx(path: str | os.PathLike, n_dimensions: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, gzip or not.

    Parameters
    ----------
    path : path
    n_dimensions : int
        3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    InputError
        When it is not such a file, or shorter or longer than its header says.
    """
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip file ({error}); download it again") from None
    if content[:4] != MAGIC + bytes([n_dimensions]):
        raise InputError(
            f"{path}: not an IDX file of unsigned bytes with {n_dimensions} dimensions "
            "(mnist.idx_files: images have 3, labels 1)"
        )
    start = 4 + 4 * n_dimensions
    shape = tuple(int(n) for n in np.frombuffer(content[4:start].ljust(4 * n_dimensions, b"\0"), ">u4"))
    if len(content) != start + prod(shape):
        raise InputError(
            f"{path}: its header announces {' x '.join(map(str, shape))} bytes, but after it come "
            f"{max(len(content) - start, 0)}; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
