"""Costs, ratios and exponents of the scale benchmark from tables whose answer is known, and the figure of them."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from benchmarks.scale.benchmark import MEASUREMENT_COLUMNS
from benchmarks.scale.figures.scale_cost import scale_cost
from benchmarks.scale.points import SIZES, points
from benchmarks.scale.summary import (
    COST_COLUMNS,
    EXPONENT_COLUMNS,
    MEMORY_COLUMNS,
    RATIO_COLUMNS,
    costs,
    exponents,
    memory_of_many_cells,
    ratios,
)

SCALE = {
    "middle": {
        "n_cells": 100,
        "n_peaks": 1000,
        "n_open": 50,
        "n_genes": 30,
        "set_size": 4,
        "candidates": 8,
    },
    "vary": {"n_cells": [50, 200], "n_open": [25, 100], "n_genes": [60]},
    "paper": [10],
    "many_cells": [],
}


@pytest.fixture
def measurements():
    """Pooling costs cells x open peaks exactly, on top of 200 MB; the dense step 40 times the pooled one."""
    rows = []
    for name, point in points(SCALE).items():
        n = point["n_cells"] * point["n_open"]
        for stage, seconds in (
            ("paper_atac_step", 1e-3),
            ("pooling", n * 1e-6),
            ("dense_paper_atac_step", 0.04),
        ):
            for repeat, slower in ((1, 1.5), (2, 1.0), (3, 9.0)):
                rows.append(
                    {
                        **point,
                        "point": name,
                        "stage": stage,
                        "threads": 2,
                        "repeat": repeat,
                        "seconds": seconds * slower,
                        "cpu_seconds": seconds * 2,
                        "n_calls": 1,
                        "base_mb": 200,
                        "start_mb": 210,
                        "peak_mb": 200 + n**0.5,
                        "result": 0.5 if stage == "pooling" else 0.25 + 1e-7 * (stage[0] == "d"),
                    }
                )
    return pd.DataFrame(rows)[MEASUREMENT_COLUMNS]


def test_the_fastest_repeat_counts(measurements):
    table = costs(measurements)
    assert list(table.columns) == COST_COLUMNS and len(table) == 7 * 3
    row = table[(table["point"] == "n_cells-50") & (table["stage"] == "pooling")].iloc[0]
    assert_allclose(row[["seconds", "median_seconds", "cpu_seconds"]].astype(float), [2.5e-3, 3.75e-3, 5e-3])
    assert table["stage"][:3].tolist() == ["pooling", "paper_atac_step", "dense_paper_atac_step"]
    assert table["n_repeats"].eq(3).all()


def test_ratios_compare_a_step_with_its_dense_version(measurements):
    table = ratios(costs(measurements))
    assert list(table.columns) == RATIO_COLUMNS and len(table) == 7
    assert_allclose(table["ratio"], 40)
    assert table["same_result"].all() and table["stage"].eq("paper_atac_step").all()
    measurements.loc[measurements["stage"].str.startswith("dense"), "result"] += 1e-3
    assert not ratios(costs(measurements))["same_result"].any()


def test_exponents_are_those_of_the_cost(measurements):
    table = exponents(costs(measurements))
    assert list(table.columns) == EXPONENT_COLUMNS
    # Genes have two values only, and the paper's point lies outside the star.
    assert set(table["size"]) == {"n_cells", "n_open"} and table["largest"].max() == 200
    pooling = table[table["stage"] == "pooling"].set_index(["size", "quantity"])
    for size in ("n_cells", "n_open"):
        for quantity, exponent in (("seconds", 1), ("cpu_seconds", 1), ("memory_mb", 0.5)):
            assert_allclose(pooling.loc[(size, quantity), "exponent"], exponent)
            assert_allclose(pooling.loc[(size, quantity), "standard_error"], 0, atol=1e-9)
    steps = table[table["stage"].str.endswith("atac_step") & (table["quantity"] == "seconds")]
    assert len(steps) == 4
    assert_allclose(steps["exponent"], 0, atol=1e-9)


def test_memory_of_many_cells_is_a_line():
    # 300 MB and 2 MB per thousand cells, but for residuals of 30, -60 and 30 MB that a line does not see
    n_cells, residual = np.array([100_000, 200_000, 300_000]), np.array([30, -60, 30])
    peak = 300 + 0.002 * n_cells + residual
    table = pd.DataFrame(
        {"point": "many", "varied": "many", "stage": "pooling", "n_cells": n_cells, "peak_mb": peak}
    )
    other = table.assign(varied="n_cells", peak_mb=9e9)
    short = table.iloc[:2].assign(stage="effects")
    found = memory_of_many_cells(pd.concat([table, other, short]))
    assert list(found.columns) == MEMORY_COLUMNS and len(found) == 1
    row = found.iloc[0]
    assert row[["stage", "n_values", "smallest", "largest"]].tolist() == ["pooling", 3, 100_000, 300_000]
    assert_allclose(row[["peak_mb_smallest", "peak_mb_largest"]].astype(float), [530, 930])
    assert_allclose([row["mb_per_thousand_cells"], row["mb_at_a_million_cells"]], [2, 2300])
    assert_allclose(row["standard_error"], np.sqrt((residual**2).sum() / (100**2 * 2)))


def test_the_figure_shows_points_and_exponents(measurements):
    table = costs(measurements)
    figure = scale_cost(table, exponents(table))
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.axison}
    assert list(panels) == ["pooling", "paper ATAC step", "dense paper ATAC step"]
    ax = panels["pooling"]
    (dots,) = [line for line in ax.lines if line.get_label() == "_n_cells"]
    assert_allclose(dots.get_xdata(), [0.5, 1, 2])
    assert_allclose(dots.get_ydata(), [2.5e-3, 5e-3, 1e-2])
    (fit,) = [line for line in ax.lines if line.get_label() == "_n_open fit"]
    assert_allclose(fit.get_ydata(), [2.5e-3, 5e-3, 1e-2])
    assert [text.get_text() for text in ax.texts] == ["1.00 ± 0.00"] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cells", "open peaks per cell"]


def test_a_figure_without_exponents_says_so(measurements):
    table = costs(measurements)
    figure = scale_cost(table, exponents(table).iloc[:0])
    assert [text.get_text() for text in figure.axes[0].texts] == ["no size has three values"]


def test_sizes_of_the_tables_are_those_of_the_points():
    assert set(SIZES) < set(MEASUREMENT_COLUMNS) and set(SIZES) < set(COST_COLUMNS)
