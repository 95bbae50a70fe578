"""Costs by stage and point, ratios of dense to pooled steps, and exponents of growth."""

import numpy as np
import pandas as pd
from scipy.stats import linregress

from benchmarks.scale.points import ASKED_STAGES, MANY_STAGES, SIZES, SIZES_OF_STAGE

COST_COLUMNS = [
    "point", "varied", "stage", *SIZES, "threads", "seconds", "median_seconds", "cpu_seconds", "n_repeats", "base_mb",
    "start_mb", "peak_mb", "result",
]  # fmt: skip
RATIO_COLUMNS = [
    "point", "stage", "pooled_seconds", "dense_seconds", "ratio", "pooled_peak_mb", "dense_peak_mb", "pooled_result",
    "dense_result", "same_result",
]  # fmt: skip
EXPONENT_COLUMNS = [
    "stage", "size", "quantity", "exponent", "standard_error", "n_values", "smallest", "largest",
]  # fmt: skip
MEMORY_COLUMNS = [
    "stage", "n_values", "smallest", "largest", "peak_mb_smallest", "peak_mb_largest", "mb_per_thousand_cells",
    "standard_error", "mb_at_a_million_cells",
]  # fmt: skip
DENSE = "dense_"
# Losses summed in another order differ by rounding.
RELATIVE_TOLERANCE = 1e-4


def costs(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per point and stage: time and peak memory.

    Times are those of the fastest repeat: whatever else a machine does only ever adds to them.

    Parameters
    ----------
    measurements : DataFrame
        As from :func:`benchmarks.scale.benchmark.measure_point`.

    Returns
    -------
    DataFrame, :data:`COST_COLUMNS`
    """
    in_order = dict.fromkeys(("training", "training_pass", *MANY_STAGES, *SIZES_OF_STAGE, *ASKED_STAGES))
    stages = [stage for stage in in_order if stage in set(measurements["stage"])]
    ordered = measurements.assign(stage=pd.Categorical(measurements["stage"], stages))
    grouped = ordered.groupby(["point", "varied", "stage", *SIZES, "threads"], sort=False, observed=True)
    found = grouped.agg(
        seconds=("seconds", "min"),
        median_seconds=("seconds", "median"),
        cpu_seconds=("cpu_seconds", "min"),
        n_repeats=("repeat", "size"),
        base_mb=("base_mb", "max"),
        start_mb=("start_mb", "max"),
        peak_mb=("peak_mb", "max"),
        result=("result", "first"),
    ).reset_index()
    names = dict.fromkeys(measurements["point"])
    found["point"] = pd.Categorical(found["point"], list(names))
    return found.sort_values(["point", "stage"], kind="stable").astype({"point": str, "stage": str})[
        COST_COLUMNS
    ]


def ratios(costs_: pd.DataFrame) -> pd.DataFrame:
    """Each plain dense step against the pooled one at the same point.

    Parameters
    ----------
    costs_ : DataFrame, :data:`COST_COLUMNS`

    Returns
    -------
    DataFrame, :data:`RATIO_COLUMNS`
    """
    keys, measured = ["point", "stage"], ["seconds", "peak_mb", "result"]
    is_dense = costs_["stage"].str.startswith(DENSE)
    dense = costs_[is_dense].assign(stage=costs_["stage"].str.removeprefix(DENSE)).set_index(keys)
    pooled = costs_[~is_dense].set_index(keys)
    both = pooled[measured].add_prefix("pooled_").join(dense[measured].add_prefix("dense_"), how="inner")
    both = both.reset_index()
    both["ratio"] = both["dense_seconds"] / both["pooled_seconds"]
    both["same_result"] = np.isclose(
        both["pooled_result"], both["dense_result"], rtol=RELATIVE_TOLERANCE, atol=0
    )
    return both[RATIO_COLUMNS]


def exponents(costs_: pd.DataFrame) -> pd.DataFrame:
    """How time and memory grow with each size: slopes of log cost against log size around the middle point.

    Parameters
    ----------
    costs_ : DataFrame, :data:`COST_COLUMNS`

    Returns
    -------
    DataFrame, :data:`EXPONENT_COLUMNS`
        One row per stage, size and quantity (`seconds`, `cpu_seconds`, and `memory_mb`, the peak memory beyond the
        interpreter and its libraries); stages measured at fewer than three values of a
        size have none.
    """
    rows = []
    costs_ = costs_.assign(memory_mb=(costs_["peak_mb"] - costs_["base_mb"]).clip(lower=1))
    middle = costs_["point"] == "middle"
    for stage in pd.unique(costs_["stage"]):
        of_stage = costs_["stage"] == stage
        for size in SIZES:
            part = costs_[of_stage & (middle | (costs_["varied"] == size))]
            part = part[~part["point"].str.startswith("paper")]
            if part[size].nunique() < 3:
                continue
            for quantity in ("seconds", "cpu_seconds", "memory_mb"):
                line, covariance = np.polyfit(np.log(part[size]), np.log(part[quantity]), 1, cov=True)
                found = [line[0], covariance[0, 0] ** 0.5, len(part), part[size].min(), part[size].max()]
                rows.append([stage, size, quantity, *found])
    return pd.DataFrame(rows, columns=EXPONENT_COLUMNS)


def memory_of_many_cells(costs_: pd.DataFrame) -> pd.DataFrame:
    """Peak memory of each stage against the number of cells: least-squares line over the points with many cells.

    Parameters
    ----------
    costs_ : DataFrame, :data:`COST_COLUMNS`

    Returns
    -------
    DataFrame, :data:`MEMORY_COLUMNS`
        One row per stage with at least three numbers of cells; the last column is the line at a million cells.
    """
    rows = []
    many = costs_[costs_["varied"] == "many"]
    for stage, part in many.groupby("stage", sort=False):
        if len(part) < 3:
            continue
        line = linregress(part["n_cells"] / 1000, part["peak_mb"])
        ends = part["n_cells"].agg(["min", "max"])
        of_ends = part.set_index("n_cells").loc[ends, "peak_mb"]
        at_million = line.intercept + 1000 * line.slope
        rows.append([stage, len(part), *ends, *of_ends, line.slope, line.stderr, at_million])
    return pd.DataFrame(rows, columns=MEMORY_COLUMNS)
