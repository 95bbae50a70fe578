"""What the RNA matrix holds: counts, values from which counts can be rebuilt, or values without counts; and each
cell's depth.

A cell's depth is its number of counts over all genes. Where the matrix is a panel of some genes, only a column of
`obs` knows it. Values are rebuilt into counts as ``value * depth / constant``, and only if that is whole (within
:data:`TOLERANCE`) for :data:`WHOLE_SHARE` of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from grids.data.raw_files import Part, match_row
from grids.io import backed
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log

DEPTH_COLUMNS = (
    "n_counts", "total_counts", "nCount_RNA", "gex_umis_count", "n_umis", "nUMI", "size_factors", "size_factor",
)  # fmt: skip
TOLERANCE = 0.01
WHOLE_SHARE = 0.999
# A column is the depth if it is at least the matrix' sum in so many cells, give or take 1 %.
DEPTH_SHARE = 0.95
# Without a depth a cell's smallest value is taken for one count, if this many cells have this many values.
ENOUGH_VALUES, ENOUGH_CELLS = 50, 0.95
LOOKED_AT = 1_000
# Logs of counts per any depth are smaller.
LARGEST_LOG = 30.0
# Bases of logarithms to think of; None: not logged.
LOGS = (None, np.e, 2.0, 10.0)
EQUAL_SUMS = 1e-3


def settle_rna(rna: Part, source: Mapping, harmonisation: list[dict]) -> None:
    """Make the RNA's values counts where they are or can be, and find each cell's depth.

    Parameters
    ----------
    rna : Part
        Gets `X` and `depth`; `depth` stays None where counts are not known and the values are taken as they are.
    source : mapping
        The config's `input`: `rna_values`, `counts_layer`, `depth_key`.
    harmonisation : list of dict
        Gets rows on values rebuilt and on counts outside the matrix.

    Raises
    ------
    InputError
        The values are neither counts nor what `rna_values` says, or `depth_key` is no column of positive numbers.
    """
    normalized = source.get("rna_values") == "normalized"
    columns = _depth_columns(rna, source.get("depth_key"))
    if normalized and rna.values.whole:
        log.warning("%s: input.rna_values is 'normalized' but all values are whole numbers", rna.where)
    if normalized or not rna.values.whole:
        base, why = _log_base(rna)
        bases = (base,) if base or rna.values.largest > LARGEST_LOG else LOGS
        rebuilt = _rebuild_counts(rna.X, bases, columns)
        if rebuilt is not None and rebuilt.base is not None and base is None:
            base, why = rebuilt.base, f"only without the logarithm they are whole counts with {rebuilt.by}"
        if normalized and base is not None:
            instead = f"use the whole numbers in {listing(rna.whole_elsewhere)}: input.counts_layer, and"
            instead = instead if rna.whole_elsewhere else "give raw counts, with"
            raise InputError(
                f"{rna.where}: input.rna_values is 'normalized', but the values are logged ({why}); give them without "
                f"the logarithm, or {instead} rna_values: counts"
            )
        if rebuilt is None and normalized:
            log.warning(
                "%s: the counts behind these values are not known, so the window surrogate cannot use them; it needs "
                "counts (input.counts_layer) or each cell's total counts (input.depth_key)",
                rna.where,
            )
            if rna.values.largest <= LARGEST_LOG:
                log.warning(
                    "%s: the largest value is %.3g, and nothing tells whether the values are logged; the logarithm is "
                    "taken of them",
                    rna.where, rna.values.largest,
                )  # fmt: skip
            return
        if rebuilt is None:
            raise InputError(_no_counts(rna, why))
        log.warning("%s: these are no counts; counts are rebuilt from them and %s", rna.where, rebuilt.by)
        what = f"RNA values that are whole counts again with {rebuilt.by}"
        harmonisation.append(match_row(what, rna.values.n, rebuilt.n_whole))
        rna.X = rebuilt.counts
    rna.depth = _depth(rna, columns, source.get("depth_key"), harmonisation)


def _depth_columns(rna: Part, key: str | None) -> dict[str, np.ndarray]:
    """Columns of `obs` that may be the depth: the one asked for, or those of usual names."""
    if key:
        if key not in rna.obs:
            raise InputError(
                f"{rna.where}: depth_key '{key}' is not in obs; it has: {listing(rna.obs.columns) or 'no columns'}."
                f"{did_you_mean(key, rna.obs.columns)}"
            )
        if (values := _above_zero(rna.obs[key])) is None:
            raise InputError(
                f"{rna.where}: depth_key '{key}' must hold a number above 0 for every cell: its total RNA counts (or "
                "its size factor)"
            )
        return {key: values}
    # A MuData's own `obs` counts only where the name says that it is the RNA's.
    names = [name for name in DEPTH_COLUMNS if name in rna.own_columns]
    names += [name for name in ("nCount_RNA", *(f"rna:{n}" for n in DEPTH_COLUMNS)) if name in rna.obs]
    found = {name: _above_zero(rna.obs[name]) for name in dict.fromkeys(names)}
    return {name: values for name, values in found.items() if values is not None}


def _above_zero(column: pd.Series) -> np.ndarray | None:
    """The column's values if all of them are numbers above zero."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return None
    values = column.to_numpy(np.float64, na_value=np.nan)
    return values if (np.isfinite(values) & (values > 0)).all() else None


def _depth(
    rna: Part, columns: Mapping[str, np.ndarray], key: str | None, harmonisation: list[dict]
) -> np.ndarray:
    """Counts of each cell over all genes: of the fullest column that fits, else of size factors, else of the matrix."""
    _, sums = backed.totals(rna.X)
    factors = {name for name in columns if "size_factor" in name}
    fitting = {
        name: values
        for name, values in columns.items()
        if name not in factors and np.mean(values >= 0.99 * sums) >= DEPTH_SHARE
    }
    if fitting:
        name = max(fitting, key=lambda name: fitting[name].mean())
        what = f"RNA counts of the cells (obs column {name}) in the matrix"
        harmonisation.append(match_row(what, fitting[name].sum(), sums.sum()))
        log.info("%s: depth from obs column %s", rna.where, name)
        return fitting[name]
    if unfit := [name for name in columns if name not in factors]:
        instead = "it is taken for size factors" if key else "it is no depth of theirs and is not used"
        told = "%s: obs column %s is below the sum of the cells' counts; %s"
        log.warning(told, rna.where, unfit[0], instead)
        factors |= {key} if key else set()
    if factors:
        name = min(factors)
        log.info("%s: depth from size factors, obs column %s", rna.where, name)
        return columns[name] * (sums.mean() / columns[name].mean())
    return sums


def _log_base(rna: Part) -> tuple[float | None, str]:
    """The base of the logarithm of 1 + value if the values are such, and how that is known; None if it is not."""
    if rna.values.largest > LARGEST_LOG:
        return None, ""
    if rna.log_base:
        return rna.log_base, "uns['log1p'] says so"
    rows = rna.X[backed.evenly_spaced(rna.X.shape[0], LOOKED_AT)]
    if not _are_equal(rows.sum(axis=1)):
        for base in LOGS[1:]:
            if _are_equal(_unlogged(rows, base).sum(axis=1)):
                return base, "without the logarithm all cells have the same sum"
    return None, ""


def _unlogged(rows: sparse.csr_matrix, base: float | None) -> sparse.csr_matrix:
    if base is None:
        return rows
    return backed.with_data(rows, np.expm1(rows.data * np.log(base), dtype=np.float64))


def _are_equal(sums: np.ndarray) -> bool:
    sums = np.asarray(sums, float).ravel()
    sums = sums[sums > 0]
    return len(sums) > 1 and bool(np.ptp(sums) <= EQUAL_SUMS * sums.mean())


@dataclass(frozen=True)
class Rebuilt:
    """Counts behind values: of what base the values were logs, and by what they became whole."""

    counts: backed.Rows
    base: float | None
    by: str
    n_whole: int


def _rebuild_counts(
    values: backed.Rows, bases: Sequence[float | None], columns: Mapping[str, np.ndarray]
) -> Rebuilt | None:
    """The counts that values come from, where one of the bases (None: no logarithm) makes them whole."""
    for base in bases:
        unlogged = backed.then(values, partial(_unlogged, base=base))
        smallest, n_values = _smallest(unlogged)
        for by, factor in _factors(smallest, n_values, columns).items():
            scaled = backed.scale(unlogged, factor)
            parts = (rows.data for _, rows in backed.blocks(scaled))
            n_whole = sum(int((np.abs(values - np.rint(values)) <= TOLERANCE).sum()) for values in parts)
            if n_whole >= WHOLE_SHARE * n_values.sum():
                counts = backed.then(
                    scaled, lambda rows: backed.with_data(rows, np.rint(rows.data).astype(np.float32))
                )
                return Rebuilt(counts, base, by, n_whole)
    return None


def _factors(
    smallest: np.ndarray, n_values: np.ndarray, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the values of each cell may have to be multiplied by to be counts, shape (n_cells,) each."""
    some = n_values > 0
    factors = {}
    for name, depth in columns.items():
        one = (smallest * depth)[some]  # of most cells: that of one count
        factors[f"obs column {name}"] = depth / np.median(one[one < 1.5 * one.min()])
    if np.mean(n_values >= ENOUGH_VALUES) >= ENOUGH_CELLS:
        factors["each cell's smallest value"] = np.where(some, 1 / np.where(some, smallest, 1), 1.0)
    return factors


def _smallest(matrix: backed.Rows) -> tuple[np.ndarray, np.ndarray]:
    """Smallest value of each row, inf where it has none, and number of values, shape (n_rows,) each."""
    smallest, n_values = np.full(matrix.shape[0], np.inf), np.zeros(matrix.shape[0], np.int64)
    for place, rows in backed.blocks(matrix):
        n_values[place] = np.diff(rows.indptr)
        some = n_values[place] > 0
        if some.any():
            smallest[place][some] = np.minimum.reduceat(rows.data, rows.indptr[:-1][some])
    return smallest, n_values


def _no_counts(rna: Part, logged: str) -> str:
    found = f"RNA values are not whole numbers (e.g. {rna.values.fraction:g})"
    if logged:
        found += f" but logged ({logged})"
    if rna.whole_elsewhere:
        places = listing(rna.whole_elsewhere)
        todo = f"whole numbers are in {places}: name the one with counts in input.counts_layer"
    else:
        todo = (
            "give raw counts (in X, in a layer named by input.counts_layer, or in raw), or name the column of obs with "
            "each cell's total counts in input.depth_key"
        )
        if not logged:
            todo += ", or set input.rna_values: normalized for depth-normalised values that are not logged"
    return f"{rna.where}: {found}, but input.rna_values is 'counts'; {todo}"
