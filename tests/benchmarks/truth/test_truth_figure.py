"""The figure of the truth benchmark shows the tables' values."""

import itertools

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from benchmarks.truth.figures.truth_benchmark import level_names, method_styles, truth_benchmark
from grids.figures.save import save

STAR = [(5000, 0.5, 0.3), (1500, 0.5, 0.3), (5000, 0.8, 0.3)]
LOGICS = ["single", "multiplicative", "redundant", "synergistic"]


def summary(levels=STAR, methods=("oracle_hidden", "correlation", "my_method")):
    rows = itertools.product(levels, LOGICS, methods)
    table = pd.DataFrame(
        [(*level, logic, method, "f1") for level, logic, method in rows],
        columns=["n_cells", "coaccessibility", "detection", "logic", "method", "score"],
    )
    return table.assign(mean=np.linspace(0.1, 0.9, len(table)), standard_error=0.02, n_genes=280)


def confusion(method="oracle_hidden"):
    table = pd.DataFrame(itertools.product(STAR, LOGICS, LOGICS), columns=["level", "logic", "logic_call"])
    table["n_genes"] = np.where(table["logic"] == table["logic_call"], 3, 0)
    first = (table["logic"] == "redundant") & (table["logic_call"] == "single")
    table.loc[first, "n_genes"] = [1, 1, 1]
    return table.assign(method=method)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_every_mean_stands_at_its_value_with_its_error():
    table = summary()
    figure = truth_benchmark(table, confusion())
    axes = {ax.get_title(loc="left"): ax for ax in figure.axes}
    for logic in LOGICS:
        drawn = {bar.get_label(): bar for bar in axes[logic].containers}
        for method in ("oracle_hidden", "correlation", "my_method"):
            own = table[(table["logic"] == logic) & (table["method"] == method)]
            points, _, (errors,) = drawn[f"_{method}"]
            assert_allclose(points.get_xdata().astype(float), own["mean"])
            rows = np.round(points.get_ydata())
            assert rows.tolist() == [0, 1, 2]
            assert_allclose([np.ptp(s[:, 0]) for s in errors.get_segments()], 0.04)


def test_the_confusion_adds_levels_and_gives_shares():
    shown = texts(truth_benchmark(summary(), confusion()))
    assert shown.count("100") == 3
    assert {"75", "25"} <= set(shown)
    assert "logic called:\noracle, hidden openness" in shown


def test_methods_that_are_told_the_members_stand_beside_the_logic_only():
    methods = ("oracle_hidden", "grids_window_told", "grids_window_told_logic")
    figure = truth_benchmark(summary(methods=methods), confusion("grids_window_told"))
    drawn = {bar.get_label() for ax in figure.axes for bar in ax.containers}
    assert drawn == {"_oracle_hidden"}
    shown = texts(figure)
    assert "logic called:\nGRIDS, told members" in shown and "GRIDS, told logic" not in shown


def test_levels_of_a_star_are_named_by_what_sets_them_apart():
    names = level_names(summary())
    assert list(names.values())[1:] == ["1,500 cells", "co-access. 0.8"]
    grid = list(itertools.product([5000, 1500], [0.5, 0.2], [0.3]))
    assert len(set(level_names(summary(grid)).values())) == 4


def test_methods_keep_their_look_and_unknown_ones_get_their_own():
    styles = method_styles(pd.Series(["new", "correlation", "other", "grids_window"]))
    assert list(styles) == ["grids_window", "correlation", "new", "other"]
    assert len(set(styles.values())) == 4
    assert styles["correlation"] == method_styles(pd.Series(["correlation"]))["correlation"]


def test_tables_without_calls_or_without_scores_still_give_a_figure(tmp_path):
    no_calls = confusion().iloc[:0]
    save(truth_benchmark(summary(), no_calls), tmp_path / "a.png", tmp_path / "a.pdf")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert "no method was scored on planted members" in texts(truth_benchmark(summary().iloc[:0], no_calls))
