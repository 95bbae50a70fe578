import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grids.data.multiome import RESERVED
from grids.io import tables
from grids.io.names import check_names


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_names_stay_text_and_numbers_stay_numbers(tmp_path, name):
    table = pd.DataFrame(
        {"cell_type": ["1", "2"], "gene": ["NA", "nan"], "chromosome": ["1", "X"], "rank": [1, 2]}
    )
    tables.write(table, tmp_path / "deep" / name)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "deep" / name), table)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [name]


def test_equal_tables_are_equal_bytes(tmp_path):
    table = pd.DataFrame({"gene": ["A"], "log_change": [0.1 + 0.2]})
    for name in ("a.tsv.gz", "b.tsv.gz"):
        tables.write(table, tmp_path / name)
    assert (tmp_path / "a.tsv.gz").read_bytes() == (tmp_path / "b.tsv.gz").read_bytes()


def test_exons_are_lists_where_every_gene_has_one(tmp_path):
    table = pd.DataFrame({"gene": ["A", "B"], "exon_starts": ["100", np.nan], "exon_ends": ["200", np.nan]})
    tables.write(table, tmp_path / "genes.tsv.gz")
    pd.testing.assert_frame_equal(tables.read(tmp_path / "genes.tsv.gz"), table)


def test_the_cell_types_of_a_run_are_columns_of_its_accessibility(tmp_path):
    row = {"peak": ["chr1:1-2"], "chromosome": ["chr1"], "start": [1], "end": [2], "L2/3": [0.5], "1": [0.0]}
    tables.write(pd.DataFrame(row), tmp_path / "accessibility.tsv.gz")
    assert tables.read_cell_types(tmp_path / "accessibility.tsv.gz") == ["L2/3", "1"]


def test_whole_numbers_keep_every_digit_where_some_are_missing(tmp_path):
    table = pd.DataFrame(
        {
            "tss": [19_730_231.0, np.nan, 2.0**31],
            "n_cells": pd.array([1_234_567, None, 10**15], "Int64"),
            "seconds": [1_234_567.5, -0.0, 1e300],
            "count": np.array([16_777_215, 1, 0.1], np.float32),
        }
    )
    tables.write(table, tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_text() == (
        "tss\tn_cells\tseconds\tcount\n"
        "19730231\t1234567\t1.23457e+06\t16777215\n"
        "\t\t0\t1\n"
        "2147483648\t1000000000000000\t1e+300\t0.1\n"
    )


@given(st.lists(st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), st.none()), min_size=1))
def test_any_whole_number_is_read_as_it_was_written(values):
    column = pd.Series(values, dtype=float)
    assert [None if pd.isna(v) else int(tables.number(v)) for v in column] == values


# Words that tables, pandas, YAML or the figures have a meaning of their own for.
WORDS = [
    *tables.NAME_COLUMNS, *tables.SET_COLUMNS, "all", "joint", "kept", "split", "grids", "index", "value", "self",
    "nan", "NaN", "NA", "N/A", "None", "null", "inf", "-inf", "True", "false", "0", "1", "1.0", "1e5", "007", "-0",
    "1_000", " a", "a ", '"', 'a"b', "'", ",", "#a", "Unnamed: 0", "a.1", "\\", "$x$", "é",
]  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(WORDS),
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8
    ),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=1, max_size=6, unique=True), st.sampled_from([".tsv", ".tsv.gz"]))
def test_any_name_is_read_as_it_was_written(tmp_path, names, suffix):
    check_names(names, "test")
    table = pd.DataFrame({column: list(names) for column in tables.NAME_COLUMNS} | {"log_change": 0.5})
    tables.write(table, tmp_path / f"a{suffix}")
    pd.testing.assert_frame_equal(tables.read(tmp_path / f"a{suffix}"), table)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES.filter(lambda name: name not in RESERVED), min_size=1, max_size=6, unique=True))
def test_a_cell_type_of_any_name_has_a_column_of_numbers(tmp_path, names):
    place = {"peak": ["NA", "1"], "chromosome": ["1", "X"], "start": [1, 30_000_000], "end": [2, 30_000_001]}
    table = pd.DataFrame(place | {name: [0.25, 1.0] for name in names})
    tables.write(table, tmp_path / "accessibility.tsv.gz")
    pd.testing.assert_frame_equal(tables.read_accessibility(tmp_path / "accessibility.tsv.gz"), table)
    assert tables.read_cell_types(tmp_path / "accessibility.tsv.gz") == names
