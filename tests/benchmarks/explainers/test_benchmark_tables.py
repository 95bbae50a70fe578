"""The tables of results: their numbers, and that Markdown and LaTeX keep rows, names and bold as they should."""

import re

import benchmark_tables as make
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from benchmarks.explainers.comparisons import compare
from benchmarks.explainers.tables import (
    RESULT_COLUMNS,
    best,
    by_task,
    decimals,
    printed_summaries,
    printed_tasks,
    probability,
    significant,
    summarise,
    to_latex,
    to_markdown,
)
from grids.io import tables

METHODS = ["grids", "greedy", "saliency", "cxplain_16", "correlation", "random"]


@pytest.fixture(scope="module")
def results():
    cells = make.cells(METHODS, n_cells=15)
    cells = cells[~((cells["method"] == "saliency") & (cells["gene"] == "Mobp"))]
    effects = make.effects(cells)
    return effects, compare(cells, n_bootstrap=20), make.costs(effects)


@pytest.fixture(scope="module")
def summary(results):
    return summarise(*results)


def test_numbers_over_tasks(results, summary):
    effects, comparisons, costs = results
    assert list(summary.columns) == RESULT_COLUMNS
    assert summary["method"].tolist() == 2 * METHODS
    for row in summary.itertuples():
        own = effects[(effects["method"] == row.method) & (effects["set_size"] == row.set_size)]
        assert row.n_tasks == len(own) == 16 - (row.method == "saliency")
        low, middle, high = np.quantile(own["relative_change"], [0.25, 0.5, 0.75])
        assert_allclose(
            [
                row.lower_quartile_relative_change,
                row.median_relative_change,
                row.upper_quartile_relative_change,
            ],
            [low, middle, high],
        )
        assert_allclose(row.median_absolute_change, own["absolute_change"].median())
        spent = costs[(costs["method"] == row.method) & (costs["set_size"] == row.set_size)]
        assert_allclose(row.seconds_per_task, spent["seconds"].median())
        assert_allclose(row.n_forward_per_task, spent["n_forward"].median())
        test = comparisons[
            (comparisons["method"] == row.method)
            & (comparisons["set_size"] == row.set_size)
            & comparisons["gene"].isna()
            & (comparisons["measure"] == "log_change")
        ]
        if row.method == "grids":
            assert pd.isna(row.wins) and np.isnan(row.task_p_value)
        else:
            assert (row.wins, row.ties, row.losses) == tuple(test[["wins", "ties", "losses"]].iloc[0])
            assert_allclose(row.task_p_value, test["task_p_value"].iloc[0])


def test_tables_survive_being_written_and_read(results, summary, tmp_path):
    effects, comparisons, costs = results
    for name, table in {"effects": effects, "comparisons": comparisons, "costs": costs}.items():
        tables.write(table, tmp_path / f"{name}.tsv")
    again = summarise(
        *(tables.read(tmp_path / f"{name}.tsv") for name in ("effects", "comparisons", "costs"))
    )
    pd.testing.assert_frame_equal(again, summary, check_exact=False, rtol=1e-4)
    tables.write(summary, tmp_path / "table.tsv")
    assert len(printed_summaries(tables.read(tmp_path / "table.tsv"))) == 2


def test_a_run_without_tasks_has_tables_with_a_header(results, tmp_path):
    """As they are read from files: columns of a table without rows have no type."""
    read = []
    for i, table in enumerate(results):
        tables.write(table.iloc[:0], tmp_path / f"{i}.tsv")
        read.append(tables.read(tmp_path / f"{i}.tsv"))
    empty = summarise(*read)
    assert list(empty.columns) == RESULT_COLUMNS and empty.empty and by_task(read[0]).empty
    assert printed_summaries(empty) == [] and to_markdown([]) == ""


def test_one_column_per_method_and_one_row_per_task(results):
    effects, *_ = results
    wide = by_task(effects)
    assert wide.columns.tolist()[5:] == METHODS and len(wide) == 32
    row = wide[(wide["gene"] == "Mobp") & (wide["set_size"] == 10)].iloc[0]
    assert np.isnan(row["saliency"])
    own = effects[(effects["gene"] == "Mobp") & (effects["set_size"] == 10)].set_index("method")
    assert row["greedy"] == own.loc["greedy", "relative_change"]


def test_a_method_alone_still_has_a_table():
    cells = make.cells(["grids"], make.TASKS[:1], set_sizes=(10,), n_cells=5)
    effects = make.effects(cells)
    table = summarise(effects, compare(cells), make.costs(effects))
    assert table["wins"].isna().all() and table["median_log_change"].notna().all()
    assert "| GRIDS | **−" in to_markdown(printed_summaries(table))


def markdown_rows(text):
    """Cells of each line of Markdown tables, split at pipes that are not escaped."""
    lines = [line for line in text.split("\n") if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]] for line in lines]


def latex_rows(text):
    """Cells of each line of LaTeX tables, split at ampersands that are not escaped."""
    lines = [line.removesuffix(r" \\") for line in text.split("\n") if line.endswith(r" \\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]


def test_markdown_and_latex_hold_the_same(summary):
    parts = printed_summaries(summary)
    markdown = [row for row in markdown_rows(to_markdown(parts)) if not row[0].startswith("---")]
    latex = latex_rows(to_latex(parts))
    assert len(markdown) == len(latex) == 2 * (1 + len(METHODS))
    for one, two in zip(markdown, latex, strict=True):
        assert len(one) == len(two) == 9
        plain = [re.sub(r"\*\*|\\(?=[|])", "", cell) for cell in one]
        undone = [re.sub(r"\\textbf{(.*)}", r"\1", c).replace("$-$", "−").replace("--", "–") for c in two]
        undone = [cell.replace(r"\textbar{}", "|") for cell in undone]
        assert [cell.replace("\\%", "%") for cell in undone] == plain
    text = to_latex(parts)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\end{table}") == 2
    assert "%" not in re.sub(r"\\%", "", text.split("\n", 1)[1])


def test_only_the_best_is_bold(summary):
    first, second = printed_summaries(summary)
    for _, text, bold in (first, second):
        assert bold[:, 1:3].any(axis=0).all() and not bold[:, [0, *range(3, 9)]].any()
        assert not bold[text["method"].isin(["Saliency", "random"]).to_numpy()].any()
        assert bold[0, 1] and bold[0, 2]
    assert to_latex([first]).count(r"\textbf{") == first[2].sum()
    assert to_markdown([first]).count("**") == 2 * first[2].sum()


def test_names_are_escaped(results):
    effects, *_ = results
    parts = printed_tasks(by_task(effects))
    markdown, latex = to_markdown(parts), to_latex(parts, n_labels=2)
    assert r"| SST & 50%\|x | Gad1 |" in markdown and r"\|correlation\|" in markdown
    assert r"SST \& 50\%\textbar{}x & Gad1 &" in latex
    assert r"a\_gene\_name\_of\_30\_characters\_x" in latex and "CD8+ T/é" in latex
    assert {len(row) for row in markdown_rows(markdown) + latex_rows(latex)} == {2 + len(METHODS)}
    assert "rotatebox" not in latex


@settings(max_examples=60)
@example("\\|")
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12))
def test_any_name_stays_in_its_cell(name):
    name = name if name != "method" else "other"
    text = pd.DataFrame([[name, "−1.0"], ["other", "−2.0"]], columns=["method", name])
    parts = [("caption", text, np.array([[False, False], [False, True]]))]
    assert [len(row) for row in markdown_rows(to_markdown(parts))] == [2] * 4
    latex = to_latex(parts)
    assert [len(row) for row in latex_rows(latex)] == [2] * 3
    # No character that LaTeX would act upon is left: what remains open is closed again.
    plain = re.sub(r"\\[\\{}&%$#_]", "", latex)
    assert plain.count("{") == plain.count("}") and not set("|<>−") & set(latex)


def test_many_columns_are_turned():
    effects = make.effects(make.cells(tasks=make.TASKS[:2], set_sizes=(10,), n_cells=4))
    latex = to_latex(printed_tasks(by_task(effects)), n_labels=2)
    assert latex.count(r"\rotatebox{90}{") == len(make.METHODS)
    assert r"\rotatebox{90}{distance to TSS}" in latex
    assert {len(row) for row in latex_rows(latex)} == {19}


def test_best_is_the_furthest_in_the_direction_asked():
    values = np.array([-0.5, -0.9, np.nan, -0.8999, 0.95])
    assert best(values, "silence").tolist() == [False, True, False, True, False]
    assert best(values, "activate").tolist() == [False, False, False, False, True]
    assert not best(np.array([np.nan, np.nan]), "silence").any()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (decimals(-78.35, 1), "−78.3"),
        (decimals(-0.04, 1), "0.0"),
        (decimals(np.nan, 1), "–"),
        (significant(28_722_019, 2), "29,000,000"),
        (significant(-14.04, 3), "−14.0"),
        (significant(0.0123, 2), "0.012"),
        (significant(0.0, 2), "0"),
        (significant(99.6, 2), "100"),
        (significant(np.nan, 2), "–"),
        (probability(3.14e-5), "3.1e−5"),
        (probability(0.0312), "0.031"),
        (probability(np.nan), "–"),
    ],
)
def test_numbers_as_text(text, expected):
    assert text == expected
