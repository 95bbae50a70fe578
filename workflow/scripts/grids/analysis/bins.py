"""Bins of equal counts, labelled by the range of the values in them."""

import numpy as np


def equal_count_bins(values: np.ndarray, n_bins: int) -> tuple[np.ndarray, list[str]]:
    """Divide values into bins of as equal counts as ties allow; equal values share a bin.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Missing values belong to no bin.
    n_bins : int
        With many ties there may be fewer.

    Returns
    -------
    codes : ndarray of int, shape (n,)
        Number of each value's bin, lowest values first; -1 where missing.
    labels : list of str
        ``"0.1 to 0.25"``: the smallest and largest value in each bin; ``"3"`` for a bin of one value.
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    codes = np.full(len(values), -1)
    if not known.any():
        return codes, []
    inside = values[known]
    edges = np.unique(np.quantile(inside, np.arange(1, n_bins) / n_bins, method="inverted_cdf"))
    # An edge is the last value of its bin; bins that ties have left empty vanish in the renumbering.
    codes[known] = np.unique(np.searchsorted(edges, inside, side="left"), return_inverse=True)[1]
    ranges = [
        (inside[codes[known] == i].min(), inside[codes[known] == i].max()) for i in range(codes.max() + 1)
    ]
    for digits in range(3, 18):
        labels = [_label(low, high, digits) for low, high in ranges]
        if len(set(labels)) == len(labels):
            break
    return codes, labels


def _label(low: float, high: float, digits: int) -> str:
    return f"{low:.{digits}g}" if low == high else f"{low:.{digits}g} to {high:.{digits}g}"
