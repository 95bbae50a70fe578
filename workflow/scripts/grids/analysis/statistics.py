"""What several analyses share: bins of equal counts, draws and intervals of a bootstrap, q-values within families."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
# Surrogates predict in single precision. Mean log effects within MEAN_ROUNDING of zero, or of each other, are the
# same; those of single cells, and means over the few cells of a state's level, within CELL_ROUNDING.
MEAN_ROUNDING = 1e-6
CELL_ROUNDING = 1e-5
# A permuted statistic that is lower than the observed one by this share or less is as high.
TIE = 1e-9


def bootstrap_counts(n: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `n` units is in each of the samples drawn with replacement, shape (n_draws, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=n_draws)


def bootstrap_weights(n_cells: int, n_bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """Each draw's weights of the cells, summing to one, shape (n_bootstrap, n_cells)."""
    return bootstrap_counts(n_cells, n_bootstrap, rng) / n_cells


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval at :data:`CONFIDENCE` over the first dimension (Efron 1979)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def with_interval(name: str, value: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """A value and the :func:`interval` of its draws, as columns ``name``, ``name_low`` and ``name_high``."""
    low, high = interval(draws)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def interval_over_genes(draws: np.ndarray, n_genes: int) -> tuple[float, float]:
    """:func:`interval` of the draws that have a value; missing for a single gene, which is all there is to draw."""
    draws = draws[np.isfinite(draws)]
    if n_genes < 2 or not len(draws):
        return np.nan, np.nan
    low, high = interval(draws)
    return float(low), float(high)


def q_values(p_value: pd.Series, family: pd.DataFrame | None = None) -> pd.Series:
    """Benjamini-Hochberg within each family; a missing p-value has no q-value and does not count as a test.

    Parameters
    ----------
    p_value : Series
    family : DataFrame, optional
        What tells the family of each p-value; by default all are of one.
    """
    from scipy.stats import false_discovery_control  # here: a second of a job's start

    p_value = p_value.astype(float)
    tested = p_value.notna()
    if not tested.any():
        return p_value
    known = p_value[tested]
    keys: Sequence = [np.zeros(len(known))] if family is None else [family.loc[tested, k] for k in family]
    adjusted = known.groupby(keys, dropna=False).transform(lambda p: false_discovery_control(p.to_numpy()))
    return adjusted.reindex(p_value.index)


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
    ranges = pd.Series(inside).groupby(codes[known]).agg(["min", "max"]).to_numpy()
    for digits in range(3, 18):
        labels = [_label(low, high, digits) for low, high in ranges]
        if len(set(labels)) == len(labels):
            break
    return codes, labels


def _label(low: float, high: float, digits: int) -> str:
    return f"{low:.{digits}g}" if low == high else f"{low:.{digits}g} to {high:.{digits}g}"
