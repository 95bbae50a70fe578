import pandas as pd
import pytest

from grids import tables


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


def test_the_cell_types_of_a_run_are_columns_of_its_accessibility(tmp_path):
    row = {"peak": ["chr1:1-2"], "chromosome": ["chr1"], "start": [1], "end": [2], "L2/3": [0.5], "1": [0.0]}
    tables.write(pd.DataFrame(row), tmp_path / "accessibility.tsv.gz")
    assert tables.read_cell_types(tmp_path / "accessibility.tsv.gz") == ["L2/3", "1"]
