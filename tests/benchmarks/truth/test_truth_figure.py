"""The figure of the truth benchmark shows the tables' values."""

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from benchmarks.truth.figures.truth_benchmark import FACTORS, along, method_styles, truth_benchmark, varied
from grids.figures.save import save

MIDDLE = {
    "n_cells": 5000, "open_peaks": 1000, "loss": 0.6, "coaccessibility": 0.5, "detection": 0.3, "strength": "equal",
    "direction": "silence",
}  # fmt: skip
OTHERS = [{}, {"n_cells": 1500}, {"loss": 0.15}, {"loss": 0.88}, {"strength": "unequal"}]
STAR = [{**MIDDLE, **other} for other in OTHERS]
LOGICS = ["single", "multiplicative", "redundant", "synergistic"]


def summary(levels=STAR, methods=("oracle_hidden", "correlation", "my_method"), score="f1"):
    rows = itertools.product(levels, LOGICS, methods)
    table = pd.DataFrame([{**level, "logic": logic, "method": method} for level, logic, method in rows])
    return table.assign(score=score, mean=np.linspace(0.1, 0.9, len(table)), standard_error=0.02, n_genes=280)


def confusion(method="oracle_hidden"):
    table = pd.DataFrame(
        itertools.product(range(3), LOGICS, LOGICS), columns=["level", "logic", "logic_call"]
    )
    table["n_genes"] = np.where(table["logic"] == table["logic_call"], 3, 0)
    first = (table["logic"] == "redundant") & (table["logic_call"] == "single")
    table.loc[first, "n_genes"] = [1, 1, 1]
    return table.assign(method=method)


def inclusion():
    bins = pd.DataFrame({"inclusion_low": [0.0, 0.5, 0.0, 0.5], "n_peaks": [30, 10, 10, 10]})
    return bins.assign(method="my_method", mean_stated=[0.1, 0.6, 0.3, 0.8], share_members=[0, 0.5, 0.4, 0.7])


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def axes_of(figure):
    """Panels by logic or, below, by title; of each logic those of its factors, from left to right."""
    parts = [
        part for outer in figure.subfigs for part in [outer, *outer.subfigs]
    ]  # the styled figure's own parts
    return [ax for part in parts for ax in part.axes]


def test_every_mean_stands_at_its_value_with_its_error():
    table = summary()
    axes = axes_of(truth_benchmark(table, confusion(), inclusion()))
    n_factors = 3  # loss, cells and members are varied
    for row, logic in enumerate(LOGICS):
        of_loss = axes[row * n_factors]
        assert of_loss.get_title(loc="left") == logic
        drawn = {bar.get_label(): bar for bar in of_loss.containers}
        for method in ("oracle_hidden", "correlation", "my_method"):
            own = (
                along(table[table["logic"] == logic], "loss", MIDDLE)
                .query("method == @method")
                .sort_values("loss")
            )
            assert own["loss"].tolist() == [0.15, 0.6, 0.88]
            points, _, (errors,) = drawn[f"_{method}"]
            assert_allclose(points.get_ydata().astype(float), own["mean"])
            assert np.round(points.get_xdata().astype(float)).tolist() == [0, 1, 2]
            assert_allclose([np.ptp(s[:, 1]) for s in errors.get_segments()], 0.04)


def test_the_inclusion_panel_adds_levels_by_their_peaks():
    axes = axes_of(truth_benchmark(summary(), confusion(), inclusion()))
    (panel,) = [ax for ax in axes if ax.get_xlabel() == "stated inclusion"]
    ((points, _, _),) = panel.containers
    assert_allclose(points.get_xdata().astype(float), [(3 + 3) / 40, (6 + 8) / 20])
    assert_allclose(points.get_ydata().astype(float), [4 / 40, (5 + 7) / 20])


def test_the_interval_panel_shows_coverage_by_loss_of_genes_called():
    covered = summary(methods=("grids_window",), score="called_effect_covered")
    axes = axes_of(truth_benchmark(pd.concat([summary(), covered]), confusion(), inclusion()))
    (panel,) = [ax for ax in axes if ax.get_xlabel() == "joint loss (%)"]
    single = {bar.get_label(): bar[0] for bar in panel.containers}["single"]
    expected = along(covered, "loss", MIDDLE).query("logic == 'single'").sort_values("loss")
    assert_allclose(single.get_xdata().astype(float), [15, 60, 88])
    assert_allclose(single.get_ydata().astype(float), expected["mean"])


def test_the_confusion_adds_levels_and_gives_shares():
    shown = texts(truth_benchmark(summary(), confusion(), inclusion()))
    assert shown.count("100") == 3
    assert {"75", "25", "undecided"} <= set(shown)
    assert "logic called:\noracle, hidden openness" in shown


def test_methods_that_are_told_the_members_stand_beside_the_logic_only():
    methods = ("oracle_hidden", "grids_window_told", "grids_window_told_logic")
    figure = truth_benchmark(summary(methods=methods), confusion("grids_window_told"), inclusion().iloc[:0])
    drawn = {bar.get_label() for ax in axes_of(figure) for bar in ax.containers}
    assert drawn - {*LOGICS} == {"_oracle_hidden"}
    shown = texts(figure)
    assert "logic called:\nGRIDS, told members" in shown and "GRIDS, told logic" not in shown


def test_a_star_is_read_along_one_factor_at_a_time():
    table = summary()
    assert list(varied(table)) == list(FACTORS)
    assert varied(table)["n_cells"] == [1500, 5000] and varied(table)["strength"] == ["equal", "unequal"]
    assert set(along(table, "n_cells", MIDDLE)["n_cells"]) == {5000, 1500}
    assert set(along(table, "n_cells", MIDDLE)["loss"]) == {0.6}
    # Of a grid, too, the levels around the first.
    grid = [{**MIDDLE, "loss": loss, "n_cells": n} for loss, n in itertools.product([0.6, 0.3], [5000, 1500])]
    assert len(along(summary(grid), "loss", MIDDLE).drop_duplicates(["loss", "n_cells"])) == 2


def test_methods_keep_their_look_and_unknown_ones_get_their_own():
    styles = method_styles(pd.Series(["new", "correlation", "other", "grids_window"]))
    assert list(styles) == ["grids_window", "correlation", "new", "other"]
    assert len(set(styles.values())) == 4
    assert styles["correlation"] == method_styles(pd.Series(["correlation"]))["correlation"]


@pytest.mark.parametrize("levels", [STAR, STAR[:1]], ids=["star", "one level"])
def test_tables_without_calls_or_inclusion_still_give_a_figure(tmp_path, levels):
    no_calls, nothing = confusion().iloc[:0], inclusion().iloc[:0]
    save(truth_benchmark(summary(levels), no_calls, nothing), tmp_path / "a.png", tmp_path / "a.pdf")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    empty = truth_benchmark(summary().iloc[:0], no_calls, nothing)
    assert "no method was scored on planted members" in texts(empty)
