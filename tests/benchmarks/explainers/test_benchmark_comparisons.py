"""Paired comparisons: literal numbers, agreement with scipy, and what counts as a unit."""

import benchmark_tables as make
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.stats import binomtest, false_discovery_control, wilcoxon

from benchmarks.explainers.comparisons import COMPARISON_COLUMNS, compare, paired_cohens_d, signed_rank
from benchmarks.explainers.methods import in_order, method_name
from grids.io.errors import InputError

GENE = ("Astro", "Aqp4")


def cells_of(changes, task=GENE, before=None, direction="silence", size=10):
    """A row per method and cell from changes of log-expression, {method: one number per cell}."""
    parts = []
    for method, change in changes.items():
        change = np.asarray(change, dtype=float)
        start = np.zeros(len(change)) if before is None else np.asarray(before, dtype=float)
        labels = {"surrogate": "s", "method": method, "cell_type": task[0], "gene": task[1]}
        labels |= {"direction": direction, "set_size": size, "cell": [f"c{i}" for i in range(len(change))]}
        parts.append(pd.DataFrame(labels).assign(before=start, after=start + change))
    return pd.concat(parts, ignore_index=True)


def tasks_of(means, n_cells=4, direction="silence"):
    """A task for each number, {method: one mean change per task}; all cells of a task change alike."""
    parts = [
        cells_of({m: np.full(n_cells, v[i]) for m, v in means.items()}, ("Astro", f"G{i}"), None, direction)
        for i in range(len(next(iter(means.values()))))
    ]
    return pd.concat(parts, ignore_index=True)


def row_of(table, method="rival", measure="log_change", gene=None):
    """By default that over all tasks."""
    asked = table["gene"].isna() if gene is None else table["gene"] == gene
    rows = table[(table["method"] == method) & (table["measure"] == measure) & asked]
    assert len(rows) == 1
    return rows.iloc[0]


def test_numbers_of_one_task_worked_out_by_hand():
    # Advantages 1, 2, -3, 4: ranks 1, 2, 3, 4; R+ - R- = 1 + 2 + 4 - 3 = 4 of 10.
    table = compare(cells_of({"grids": [-2, -3, -1, -5], "rival": [-1, -1, -4, -1]}))
    row = row_of(table, gene="Aqp4")
    assert list(table.columns) == COMPARISON_COLUMNS
    assert (row["n_cells"], row["n_tasks"]) == (4, 1)
    assert_allclose([row["mean_of_reference"], row["mean_of_method"]], [-2.75, -1.75])
    assert_allclose([row["mean_advantage"], row["median_advantage_of_cells"]], [1, 1.5])
    assert row["share_of_cells_larger"] == 0.75
    assert_allclose(row["cell_rank_biserial"], 0.4)
    assert_allclose(row["cell_cohens_d"], 1 / np.std([1, 2, -3, 4], ddof=1))
    assert_allclose(row["cell_p_value"], wilcoxon([1, 2, -3, 4]).pvalue)
    assert (row["wins"], row["ties"], row["losses"]) == (1, 0, 0)


def test_the_three_measures():
    table = compare(cells_of({"grids": [-1.0, -2.0], "rival": [-0.5, -1.0]}, before=[0.0, 1.0]))
    e = np.exp
    assert_allclose(row_of(table)["mean_advantage"], 0.75)
    relative = row_of(table, measure="relative_change")
    assert_allclose(relative["mean_of_reference"], np.mean([e(-1) - 1, e(-2) - 1]))
    assert_allclose(relative["mean_advantage"], np.mean([e(-0.5) - e(-1), e(-1) - e(-2)]))
    absolute = row_of(table, measure="absolute_change")
    assert_allclose(absolute["mean_of_method"], np.mean([e(-0.5) - 1, e(0) - e(1)]))
    assert_allclose(absolute["mean_advantage"], np.mean([e(-0.5) - e(-1), e(0) - e(-1)]))


def test_opening_is_closing_with_the_sign_turned():
    changes = {"grids": [2.0, 3.0, 1.0], "rival": [1.0, 3.5, 0.5]}
    opened = compare(cells_of(changes, direction="activate"), measures=("log_change",))
    closed = compare(cells_of({m: -np.array(v) for m, v in changes.items()}), measures=("log_change",))
    signed = ["mean_of_reference", "mean_of_method"]
    assert_allclose(opened[signed], -closed[signed])
    rest = [c for c in COMPARISON_COLUMNS if c not in (*signed, "direction")]
    pd.testing.assert_frame_equal(opened[rest], closed[rest])
    assert row_of(opened)["wins"] == 1


@pytest.mark.parametrize(
    ("rival", "outcome"), [(0.989, "wins"), (0.9901, "ties"), (1.0099, "ties"), (1.011, "losses")]
)
def test_ties_are_one_per_cent_of_the_largest_effect(rival, outcome):
    means = {"grids": [-1.0], "rival": [-rival]}
    row = row_of(compare(tasks_of(means)))
    # Where the rival is the best, its own effect is the measure: 1.0099 - 1 < 0.010099.
    assert row[outcome] == 1 and row[["wins", "ties", "losses"]].sum() == 1
    # A third method that goes much further makes the same difference a tie.
    assert row_of(compare(tasks_of({**means, "best": [-3.0]})))["ties"] == 1


def test_a_gene_that_nobody_moves_the_right_way_is_no_wide_tie():
    row = row_of(compare(tasks_of({"grids": [0.5], "rival": [0.6]})))
    assert row["wins"] == 1


def test_tasks_are_units_of_the_test_over_tasks_however_many_cells_they_have():
    means = {"grids": [-1, -2, -3, -4, -5.0], "rival": [-0.5, -1.4, -2.3, -4.2, -4.1]}
    few, many = (row_of(compare(tasks_of(means, n_cells))) for n_cells in (4, 40))
    advantages = np.array([0.5, 0.6, 0.7, -0.2, 0.9])
    for row in (few, many):
        assert row["n_tasks"] == 5
        assert_allclose(row["mean_advantage"], 0.5)
        assert_allclose(row["median_advantage_of_tasks"], 0.6)
        assert_allclose(row["task_p_value"], wilcoxon(advantages).pvalue)
        assert_allclose(row["task_sign_p_value"], binomtest(4, 5).pvalue)
        assert_allclose(row["task_rank_biserial"], (2 + 3 + 4 + 5 - 1) / 15)
        assert_allclose(row["task_cohens_d"], paired_cohens_d(advantages))
        assert (row["wins"], row["ties"], row["losses"]) == (4, 0, 1)
    assert (few["n_cells"], many["n_cells"]) == (20, 200)
    assert many["cell_p_value"] < few["cell_p_value"] / 1e6


def test_every_task_weighs_the_same_whatever_its_cells():
    large = cells_of({"grids": np.full(90, -1.0), "rival": np.full(90, -0.5)}, ("A", "G1"))
    small = cells_of({"grids": np.full(10, -1.0), "rival": np.full(10, -1.5)}, ("B", "G2"))
    row = row_of(compare(pd.concat([large, small])))
    assert_allclose(row["mean_advantage"], 0, atol=1e-12)
    assert row["share_of_cells_larger"] == 0.9
    assert row["task_rank_biserial"] == 0


def test_sign_test_leaves_ties_out():
    row = row_of(compare(tasks_of({"grids": [-1, -1, -1, -1.0], "rival": [-0.5, -0.6, -0.999, -1.0]})))
    assert (row["wins"], row["ties"], row["losses"]) == (2, 2, 0)
    assert_allclose(row["task_sign_p_value"], 0.5)


def test_a_method_without_some_tasks_is_compared_on_those_it_has():
    cells = tasks_of({"grids": [-1, -2.0], "rival": [-0.5, -0.5], "other": [-0.1, -0.1]})
    cells = cells[~((cells["method"] == "rival") & (cells["gene"] == "G1"))]
    table = compare(cells)
    assert row_of(table)["n_tasks"] == 1
    assert_allclose(row_of(table)["mean_advantage"], 0.5)
    assert row_of(table, "other")["n_tasks"] == 2
    # A task that the reference itself lacks is no task to compare on.
    rest = cells[~((cells["method"] == "grids") & (cells["gene"] == "G0"))]
    assert set(compare(rest)["method"]) == {"other"}


def test_one_task_of_log_odds():
    rng = np.random.default_rng(0)
    log_odds = rng.normal(40, 300, 50)
    changes = {"grids": -rng.gamma(9, 1, 50), "sage": -rng.gamma(6, 1, 50)}
    table = compare(cells_of(changes, ("8", "8 against 3"), log_odds, size=64), measures=("log_change",))
    assert len(table) == 2 and set(table["cell_type"]) == {None, "8"}
    pooled, own = (row_of(table, "sage", gene=gene) for gene in (None, "8 against 3"))
    same = ["n_cells", "mean_advantage", "mean_advantage_low", "mean_advantage_high", "cell_p_value", "wins"]
    pd.testing.assert_series_equal(pooled[same], own[same], check_names=False)
    assert table.filter(like="task_").isna().all(axis=None)
    assert 0 < own["cell_p_value"] < 0.01


def test_q_values_of_pooled_and_single_rows_are_families_of_their_own():
    table = compare(make.cells(make.METHODS[:6], make.TASKS[:4], n_cells=12))
    pooled = table["gene"].isna()
    for _, rows in table.groupby(["set_size", "measure", pooled]):
        assert_allclose(rows["cell_q_value"], false_discovery_control(rows["cell_p_value"]))
    family = table[pooled & (table["set_size"] == 10) & (table["measure"] == "log_change")]
    assert len(family) == 5
    assert_allclose(family["task_q_value"], false_discovery_control(family["task_p_value"]))
    assert table.loc[~pooled, ["task_p_value", "task_q_value"]].isna().all(axis=None)


def test_the_same_set_in_another_order_is_no_difference():
    noise = np.random.default_rng(1).normal(0, 1e-7, 50)
    moved = -np.linspace(1, 2, 50)
    table = compare(cells_of({"grids": moved, "rival": moved + noise - 1e-6}))
    rows = table[["cell_p_value", "cell_rank_biserial", "share_of_cells_larger", "mean_advantage", "ties"]]
    assert (rows == [1, 0, 0, 0, 1]).all(axis=None)


def test_intervals_are_those_of_a_mean_and_of_tasks_where_there_are_several():
    rng = np.random.default_rng(2)
    grids = rng.normal(-2, 1, 900)
    one = cells_of({"grids": grids, "rival": np.zeros(900)})
    row = row_of(compare(one, n_bootstrap=4000), gene="Aqp4")
    width = row["mean_advantage_high"] - row["mean_advantage_low"]
    assert_allclose(width, 2 * 1.96 * grids.std() / 30, rtol=0.06)
    assert row["mean_advantage_low"] < row["mean_advantage"] < row["mean_advantage_high"]
    # Cells of a task that all change alike say nothing about the next task.
    means = rng.normal(-2, 1, 64)
    tasks = compare(tasks_of({"grids": means, "rival": np.zeros(64)}), n_bootstrap=4000)
    pooled = row_of(tasks)
    assert_allclose(
        pooled["mean_advantage_high"] - pooled["mean_advantage_low"], 2 * 1.96 * means.std() / 8, rtol=0.08
    )
    own = tasks[tasks["gene"] == "G3"].iloc[0]
    assert_allclose(own["mean_advantage_low"], own["mean_advantage_high"])


def test_the_same_seed_gives_the_same_table_in_any_order_of_rows():
    cells = make.cells(make.METHODS[:4], make.TASKS[:3], n_cells=20)
    table = compare(cells, seed=3, n_bootstrap=50)
    pd.testing.assert_frame_equal(table, compare(cells, seed=3, n_bootstrap=50))
    shuffled = compare(cells.sample(frac=1, random_state=0), seed=3, n_bootstrap=50)
    pd.testing.assert_frame_equal(table, shuffled, check_exact=False, rtol=1e-9)
    assert not table["mean_advantage_low"].equals(
        compare(cells, seed=4, n_bootstrap=50)["mean_advantage_low"]
    )


@settings(max_examples=15)
@given(arrays(float, st.integers(1, 8), elements=st.integers(-6, 6).map(float)))
def test_turning_the_comparison_round_turns_the_numbers_round(differences):
    p_value, correlation = signed_rank(differences)
    other_p, other_correlation = signed_rank(-differences)
    assert -1 <= correlation <= 1
    assert_allclose([other_p, other_correlation], [p_value, -correlation], atol=1e-12)
    if (differences > 0).all():
        assert_allclose(correlation, 1)
    table = [
        compare(cells_of({"grids": [0.0] * len(differences), "rival": s * differences}), n_bootstrap=1)
        for s in (1, -1)
    ]
    for gene in (None, "Aqp4"):
        one, two = (row_of(t, gene=gene) for t in table)
        assert_allclose(one["mean_advantage"], -two["mean_advantage"], atol=1e-12)
        assert_allclose(one["mean_advantage"], differences.mean(), atol=1e-12)


def test_what_cannot_be_compared_is_refused():
    cells = cells_of({"grids": [-1, -2.0], "rival": [-1, -1.0]})
    with pytest.raises(InputError, match="same cell of a task twice"):
        compare(pd.concat([cells, cells.iloc[:1]]))
    with pytest.raises(InputError, match="method 'grids' is missing for set size 10"):
        compare(cells[cells["method"] == "rival"])
    with pytest.raises(InputError, match="different cells of Astro, Aqp4"):
        compare(cells.iloc[:3])


def test_a_run_of_one_method_has_nothing_to_compare():
    table = compare(cells_of({"grids": [-1, -2.0]}))
    assert table.empty and list(table.columns) == COMPARISON_COLUMNS


def test_methods_stand_in_one_order_and_have_names():
    shuffled = ["new", *reversed(make.METHODS)]
    assert in_order(shuffled) == [*make.METHODS, "new"]
    names = [method_name(method) for method in in_order(shuffled)]
    assert len(set(names)) == len(names)
    assert {"GRIDS", "CXPlain, w = 64", "|correlation|", "new"} <= set(names)


@pytest.mark.parametrize(
    "differences",
    [
        [0.3, -0.1, 0.7, 0.2, 1.1, -0.4, 0.9],
        [1, 1, -1, 2, 2, 3, 0, 0],
        [0, 0, 0, 1, -2],
        list(np.random.default_rng(0).normal(0.3, 1, 13).round(1)),
    ],
)
def test_few_differences_are_tested_exactly_as_scipy_does(differences):
    differences = np.asarray(differences, float)
    expected = wilcoxon(differences, zero_method="pratt").pvalue
    assert signed_rank(differences)[0] == pytest.approx(expected, abs=1e-12)
