"""Genes in several processes: the same tables, log lines and errors as in one."""

import logging
import os
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from models import open_peaks, random_surrogate

from grids.io import parallel
from grids.io.checkpoints import KeptTables
from grids.io.errors import InputError
from grids.search.sets import Question, find_sets


@dataclass(frozen=True)
class Explained:
    values: pd.DataFrame
    never: pd.DataFrame


def explain(table: pd.DataFrame) -> Explained:
    logging.getLogger("grids").info("%d rows, first %s", len(table), table["gene"].iloc[0])
    if "WARN" in set(table["gene"]):
        warnings.warn("this gene is odd", stacklevel=1)
    if "BAD" in set(table["gene"]):
        raise InputError("BAD: no such gene")
    values = table.assign(double=2 * table["value"], process=os.getpid(), threads=torch.get_num_threads())
    return Explained(values[table["gene"] != "EMPTY"], values.iloc[:0])


@pytest.fixture
def table():
    genes = ["B", "A", "A", *(f"G{i}" for i in range(6)), "EMPTY"]
    return pd.DataFrame({"gene": genes, "value": range(len(genes))})


@pytest.fixture
def seen(caplog, monkeypatch):
    """Log records of the library and of warnings."""
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("py.warnings"), "propagate", True)
    caplog.set_level(logging.INFO)
    return caplog


def test_tables_are_those_of_one_process(table):
    one, two = (parallel.over_genes(explain, table, n) for n in (1, 2))
    computed = ["process", "threads"]
    pd.testing.assert_frame_equal(
        one.values.drop(columns=computed), two.values.drop(columns=computed).astype(one.values.dtypes[:3])
    )
    assert list(two.never) == list(one.never) and not len(two.never)
    assert set(one.values["process"]) == {os.getpid()}
    assert os.getpid() not in set(two.values["process"])
    assert (two.values["threads"] == 1).all() and (one.values["threads"] == 1).all()


def test_rows_of_a_gene_stay_together(table):
    found = parallel.over_genes(lambda part: (part.assign(n=len(part[part["gene"] == "A"])),), table, 2)[0]
    assert (found.loc[found["gene"] == "A", "n"] == 2).all()


def test_few_genes_are_not_worth_a_process(table):
    found = parallel.over_genes(explain, table[table["gene"].isin(["A", "B"])], 8)
    assert set(found.values["process"]) == {os.getpid()}


def test_threads_are_as_they_were(table):
    before = torch.get_num_threads()
    parallel.over_genes(explain, table.iloc[:1], 1)
    assert torch.get_num_threads() == before


def test_log_lines_and_warnings_come_through(table, seen):
    table.loc[0, "gene"] = "WARN"
    parallel.over_genes(explain, table, 2)
    lines = [record.getMessage() for record in seen.records]
    assert any(line.endswith("rows, first WARN") for line in lines)
    assert sum("rows, first" in line for line in lines) > 1
    assert sum("this gene is odd" in line for line in lines) == 1


def test_bad_input_is_told_as_in_one_process(table):
    table.loc[len(table) - 1, "gene"] = "BAD"
    with pytest.raises(InputError, match="BAD: no such gene"):
        parallel.over_genes(explain, table, 2)


@pytest.mark.parametrize("encoder", ["normalised", "paper"])
def test_searches_find_the_same_in_one_process_and_in_two(encoder, monkeypatch):
    monkeypatch.setattr(parallel, "GENES_PER_WORKER", 1)
    surrogate, opened = random_surrogate(encoder), open_peaks(80)
    tasks = pd.DataFrame({"cell_type": "A", "gene": surrogate.genes})
    one, two = (
        parallel.over_genes(
            lambda part: find_sets(
                surrogate, opened, part, None, 1, Question(set_size=3, candidates=8, restarts=3)
            ),
            tasks,
            n_workers,
        )
        for n_workers in (1, 2)
    )
    assert len(one[0]) == 3 * len(tasks)
    for a, b in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(
            a.drop(columns="seconds", errors="ignore"),
            b.drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_search_that_was_killed_goes_on_with_the_parts_that_are_left(
    tmp_path, seen, monkeypatch, n_workers
):
    monkeypatch.setattr(parallel, "MOST_GENES_LOST", 2)
    table = pd.DataFrame({"gene": [f"G{k}" for k in range(20)], "value": np.random.default_rng(0).random(20)})
    called, spared = tmp_path / "called", tmp_path / "spared"

    def search(part):
        if "G13" in set(part["gene"]) and not spared.exists():
            raise KeyboardInterrupt
        with called.open("a") as file:
            file.write(" ".join(part["gene"]) + " ")
        names = part["gene"].where(part["value"] > 0.3)
        return part.assign(third=part["value"] / 3, name=names, found=part["value"] > 0.5), part.iloc[:0]

    kept = KeptTables(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        parallel.over_genes(search, table, 1, kept)
    assert called.read_text().split() == [f"G{k}" for k in range(12)]
    spared.touch()
    called.unlink()
    resumed = parallel.over_genes(search, table, n_workers, kept)
    assert sorted(called.read_text().split()) == sorted(f"G{k}" for k in range(12, 20))
    assert "resumed: 6 of 10 parts" in seen.text
    for mine, expected in zip(resumed, search(table), strict=True):
        pd.testing.assert_frame_equal(mine, expected, check_exact=True)


def test_a_damaged_part_is_told(tmp_path):
    kept = KeptTables(tmp_path)
    kept.save(["A"], [pd.DataFrame({"a": [0.1]})])
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-5])
    with pytest.raises(InputError, match=r"this checkpoint cannot be read .*delete it"):
        kept.load(["A"])
