"""The benchmark's figures show the tables' values, and every table that a run can give has a readable figure."""

import benchmark_tables as make
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from numpy.testing import assert_allclose
from scipy.stats import binomtest

from benchmarks.explainers.comparisons import compare
from benchmarks.explainers.figures.benchmark_changes import benchmark_changes
from benchmarks.explainers.figures.benchmark_cost import benchmark_cost
from benchmarks.explainers.figures.benchmark_locations import benchmark_locations
from benchmarks.explainers.figures.benchmark_methods import groups, looks, shares_of_reference
from benchmarks.explainers.figures.benchmark_set_size import benchmark_set_size
from benchmarks.explainers.figures.benchmark_specificity import benchmark_specificity, own_and_other_types
from benchmarks.explainers.figures.benchmark_tasks import benchmark_tasks
from benchmarks.explainers.tables import decimals, probability
from grids.figures.save import save
from grids.figures.style import in_style

METHODS = ["grids", "greedy", "saliency", "random"]


def run(cells):
    """All tables of a benchmark run."""
    effects = make.effects(cells)
    return {
        "cells": cells,
        "comparisons": compare(cells, n_bootstrap=10),
        "effects": effects,
        "costs": make.costs(effects),
        "locations": make.locations(effects),
        "specificity": make.specificity(effects),
    }


def draw(tables):
    """Every figure of a run, by name."""
    return {
        "changes": benchmark_changes(tables["cells"], tables["comparisons"]),
        "tasks": benchmark_tasks(tables["effects"]),
        "locations": benchmark_locations(tables["locations"]),
        "specificity": benchmark_specificity(tables["specificity"]),
        "set_size": benchmark_set_size(tables["effects"]),
        "cost": benchmark_cost(tables["effects"], tables["costs"]),
    }


@pytest.fixture(scope="module")
def small():
    cells = make.cells(METHODS, make.TASKS[:5], n_cells=12)
    return run(cells[~((cells["method"] == "saliency") & (cells["gene"] == "Aqp4"))])


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def panels(figure):
    """Axes by their title, the row's title standing for all that follow it."""
    title, found = None, {}
    for ax in figure.axes:
        title = ax.get_title(loc="left") or title
        found.setdefault(title, []).append(ax)
    return found


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == f"_{label}"]


def of(table, method, size):
    return table[(table["method"] == method) & (table["set_size"] == size)]


def test_boxes_hold_all_cells_and_dots_are_tasks(small):
    figure = benchmark_changes(small["cells"], small["comparisons"])
    for size in (10, 128):
        relative, absolute = panels(figure)[f"L = {size}"]
        for row, method in enumerate(METHODS):
            own = of(small["cells"], method, size)
            change = 100 * np.expm1(own["after"] - own["before"])
            (box,) = (patch for patch in relative.patches if patch.get_label() == f"_box {method}")
            corners = box.get_path().vertices
            assert_allclose([corners[:, 0].min(), corners[:, 0].max()], np.quantile(change, [0.25, 0.75]))
            assert corners[:, 1].min() < row < corners[:, 1].max()
            (dots,) = lines(absolute, f"tasks {method}")
            means = of(small["effects"], method, size).sort_values(["cell_type", "gene"])["absolute_change"]
            assert_allclose(dots.get_xdata(), means)
        assert [label.get_text() for label in relative.get_yticklabels()] == [
            "GRIDS", "greedy", "Saliency", "random",
        ]  # fmt: skip


def test_tests_over_tasks_stand_beside_the_methods(small):
    figure = benchmark_changes(small["cells"], small["comparisons"])
    table = small["comparisons"]
    pooled = table[table["gene"].isna() & (table["measure"] == "log_change")]
    for size in (10, 128):
        _, ax = panels(figure)[f"L = {size}"]
        written = [text.get_text() for text in ax.texts]
        expected = ["win/tie/loss", "p (tasks)", "effect"]
        for method in METHODS[1:]:
            row = of(pooled, method, size).iloc[0]
            expected += [f"{row['wins']}/{row['ties']}/{row['losses']}", probability(row["task_p_value"])]
            expected.append(decimals(row["task_rank_biserial"], 2))
        assert written == expected


def test_a_single_task_is_tested_over_its_cells(small):
    cells = make.cells(METHODS, make.TASKS[:1], (10,), n_cells=12, direction="activate")
    comparisons = compare(cells)
    shown = texts(benchmark_changes(cells, comparisons))
    own = of(comparisons[comparisons["measure"] == "log_change"], "saliency", 10).iloc[0]
    assert "p (cells)" in shown and probability(own["cell_p_value"]) in shown


def test_the_heat_map_gives_shares_of_grids_and_outlines_what_goes_further(small):
    effects = small["effects"].copy()
    better = (effects["method"] == "greedy") & (effects["gene"] == "Gja1") & (effects["set_size"] == 10)
    level = (effects["method"] == "greedy") & (effects["gene"] == "Flt1") & (effects["set_size"] == 10)
    grids = of(effects, "grids", 10).set_index("gene")["log_change"]
    effects.loc[better, "log_change"] = 1.5 * grids["Gja1"]
    effects.loc[level, "log_change"] = 1.009 * grids["Flt1"]
    figure = benchmark_tasks(effects)
    ((first,), (second,)) = (panels(figure)[f"L = {size}"][:1] for size in (10, 128))
    (mesh,) = (part for part in first.collections if part.get_label() == "_share")
    shares = mesh.get_array()
    tasks = sorted(make.TASKS[:5])
    row = tasks.index(("Astro", "Gja1"))
    assert_allclose(shares[:, 0], 100)
    assert_allclose(shares[row, 1], 150)
    assert shares.mask[tasks.index(("Astro", "Aqp4")), 2] and shares.mask.sum() == 1
    (outline,) = (patch for patch in first.patches if patch.get_label() == "_further")
    assert outline.get_xy() == (1, row)
    assert not [patch for patch in second.patches if patch.get_label() == "_further"]
    shown = [text.get_text() for text in first.texts]
    assert "150" in shown and decimals(grids["Gja1"], 1) in shown


def test_only_the_strongest_tasks_are_drawn_where_there_are_too_many(small):
    figure = benchmark_tasks(small["effects"], max_tasks=2)
    shown = "\n".join(texts(figure))
    assert "The 2 tasks with the strongest effect are shown, 3 more" in shown
    assert "Flt1" in shown and "Aldh1a1" not in shown


def test_tasks_that_grids_did_not_move_have_no_share():
    rows = [("grids", "A", -2.0), ("rival", "A", -1.0), ("grids", "B", 0.1), ("rival", "B", -1.0)]
    effects = pd.DataFrame(rows, columns=["method", "gene", "log_change"]).assign(
        surrogate="s", direction="silence", set_size=10, cell_type="T"
    )
    shares = shares_of_reference(effects)
    assert shares[["method", "gene", "share"]].to_numpy().tolist() == [
        ["grids", "A", 100],
        ["rival", "A", 50],
    ]
    opened = shares_of_reference(effects.assign(direction="activate"))
    assert_allclose(opened["share"], [100, -1000])


def test_places_stand_at_their_shares_beside_chance(small):
    figure = benchmark_locations(small["locations"])
    for size in (10, 128):
        hit, soft, same, closest = panels(figure)[f"L = {size}"]
        for row, method in enumerate(METHODS):
            own = of(small["locations"], method, size)
            for ax, name in ((hit, "hit"), (soft, "soft_hit")):
                assert lines(ax, name)[row].get_xydata().tolist() == [[100 * own[name].mean(), row]]
                chance = lines(ax, f"chance {name}")[row].get_xdata()
                assert_allclose(chance, 100 * own[f"expected_{name}"].mean())
            (interval,) = hit.collections[row].get_segments()
            wilson = binomtest(int(own["hit"].sum()), len(own)).proportion_ci(method="wilson")
            assert_allclose(interval[:, 0], [100 * wilson.low, 100 * wilson.high])
            means = lines(same, "same chromosome")[row].get_xdata()
            assert_allclose(means, 100 * own["share_same_chromosome"].mean())
        medians = {line.get_ydata()[0]: line.get_xdata()[0] for line in lines(closest, "closest")}
        for row, method in enumerate(METHODS):
            middle = np.median(of(small["locations"], method, size)["closest_bp"].fillna(np.inf))
            assert medians.get(row, np.inf) == middle


def test_own_and_other_types_of_a_set():
    rows = [
        ("A", "A", -2.0),
        ("A", "B", -1.0),
        ("A", "C", 0.5),
        ("B", "B", 0.0),
        ("B", "C", 1.0),
        ("C", "C", 1.0),
    ]
    applied = pd.DataFrame(rows, columns=["found_in", "applied_to", "log_change"]).assign(
        surrogate="s", method="grids", gene="G", direction="silence", set_size=10
    )
    sets = own_and_other_types(applied)
    assert sets["found_in"].tolist() == ["A", "B"]
    assert_allclose(sets[["own", "others", "kept"]], [[-2, -0.25, 0.125], [0, 1, np.nan]])
    figure = benchmark_specificity(applied)
    (ax,) = panels(figure)["L = 10"]
    assert_allclose(lines(ax, "own")[0].get_xdata(), -1)
    assert_allclose(lines(ax, "others")[0].get_xdata(), 0.375)
    assert "12 %" in texts(figure)


def test_lines_against_set_size_are_medians(small):
    effect, against = benchmark_set_size(small["effects"]).axes
    for method in METHODS:
        (line,) = lines(effect, method)
        medians = [of(small["effects"], method, size)["log_change"].median() for size in (10, 128)]
        assert_allclose(line.get_xydata(), np.c_[[10, 128], medians])
    (line,) = lines(against, "grids")
    assert_allclose(line.get_ydata(), 100)


def test_points_against_cost_are_medians_and_nothing_predicted_is_on_the_axis(small):
    figure = benchmark_cost(small["effects"], small["costs"])
    shares = shares_of_reference(small["effects"])
    for size in (10, 128):
        seconds, forward = panels(figure)[f"L = {size}"]
        for method in METHODS:
            own = of(shares, method, size)
            spent = of(small["costs"], method, size).merge(own, on=["cell_type", "gene"])
            (point,) = lines(seconds, method)
            assert_allclose(point.get_xydata(), [[spent["seconds"].median(), own["share"].median()]])
            assert lines(forward, method)[0].get_xdata()[0] == spent["n_forward"].median()
        assert lines(forward, "random")[0].get_xdata()[0] == 0 > forward.get_xlim()[0]


def test_every_method_has_a_look_of_its_own_that_stays():
    styles = looks([*make.METHODS, "mine", "yours"])
    assert len({(to_rgba(colour), marker) for colour, marker in styles.values()}) == len(make.METHODS) + 2
    assert looks(["sage", "mine"])["sage"] == styles["sage"]


def test_directions_and_surrogates_are_named_where_they_differ(small):
    effects = small["effects"]
    assert list(groups(effects)) == ["L = 10", "L = 128"]
    both = pd.concat([effects, effects.assign(direction="activate", log_change=-effects["log_change"])])
    titles = list(groups(both))
    assert len(titles) == 4 and titles[0] == "L = 10 · activate"
    assert "L = 128 · silence" in texts(benchmark_tasks(both))


RUNS = {
    "every method and task": lambda: make.cells(n_cells=6),
    "two methods, one size": lambda: make.cells(["grids", "sage"], make.TASKS[3:6], (10,), n_cells=6),
    "one task, opened": lambda: make.cells(METHODS, make.TASKS[8:9], (1, 2, 64), 6, "activate"),
    "nothing to compare with": lambda: make.cells(["grids"], make.TASKS[:2], (10,), n_cells=6),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_figures_that_fit_a_page_with_all_their_text(name):
    tables = run(RUNS[name]())
    for title, figure in draw(tables).items():
        with in_style():
            figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        assert width <= 7.2 and height <= 9.7, title
        page = figure.bbox.padded(1)
        ticks = {label for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())}
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
            if text.get_text().strip() and text not in ticks:
                box = text.get_window_extent()
                inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
                assert inside, (title, text.get_text())


def test_figures_are_written(small, tmp_path):
    save(benchmark_tasks(small["effects"]), tmp_path / "a.png", tmp_path / "a.pdf", tmp_path / "a.svg")
    assert (tmp_path / "a.png").stat().st_size > 10_000 and "Saliency" in (tmp_path / "a.svg").read_text()


def test_empty_tables_say_so(small):
    shown = [texts(figure)[0] for figure in draw({k: t.iloc[:0] for k, t in small.items()}).values()]
    assert all(any(word in text for word in ("no ", "No ")) for text in shown), shown
