"""What is said of tasks before anything is trained."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import N_GENES, toy_multiome
from scipy import sparse

from grids.analysis.gate import (
    FEASIBILITY_COLUMNS,
    MOST_LINES,
    TESTABLE_COLUMNS,
    announce,
    check_feasibility,
    why_untestable,
)
from grids.io.cells import Modality, Multiome
from grids.io.levels import ALL_TYPES

FEW = "expressed in {} of 60 test cells, too few to tell (at least 5)"
DROPPED = pd.DataFrame({"cell_type": ["B"], "gene": ["silent"], "reason": ["gene is zero in every cell"]})
TASKS = pd.DataFrame({"cell_type": ["A", "A", "A", "B"], "gene": ["G2", "G0", "G5", "G4"]})


@pytest.fixture(scope="module")
def multiome():
    """Type A has 60 test cells; 4 of them express G4, 5 express G5."""
    toy = toy_multiome(600)
    y, obs = toy.rna.X.toarray(), toy.rna.obs
    test = np.flatnonzero((obs["split"] == "test") & (obs["cell_type"] == "A"))
    for gene, n in ((4, 4), (5, 5)):
        y[:, gene] = 0
        y[test[:n], gene] = 1
    return Multiome(Modality(sparse.csr_matrix(y), obs, toy.rna.var), toy.atac, paired=True)


@pytest.fixture(scope="module")
def windows(multiome):
    """G2 and G3 have no peak; one peak of G0's window is not among the cells'."""
    peaks = list(multiome.atac.var.index)
    pairs = [(peaks[3], "G0"), (peaks[7], "G0"), ("chr9:1-2", "G0"), (peaks[9], "silent")]
    pairs += [(peaks[i], f"G{i}") for i in range(4, N_GENES)] + [(peaks[1], "G1")]
    return pd.DataFrame(pairs, columns=["peak", "gene"])


def test_every_task_has_its_counts_and_a_verdict(multiome, windows):
    feasibility, testable = check_feasibility(multiome, windows, TASKS, DROPPED, ["A", "B"])
    assert list(feasibility.columns) == FEASIBILITY_COLUMNS and list(testable.columns) == TESTABLE_COLUMNS
    rows = feasibility.set_index("gene")
    assert list(rows.index) == ["G2", "G0", "G5", "G4", "silent"]
    assert rows["cell_type"].tolist() == ["A", "A", "A", "B", "B"]
    assert rows["n_peaks"].tolist() == [0, 2, 1, 1, 1]
    assert (rows[["n_cells_train", "n_cells_validation", "n_cells_test"]] == [210, 30, 60]).all(axis=None)
    obs = multiome.rna.obs
    for split in ("train", "validation", "test"):
        here = multiome.rna.X.toarray()[(obs["split"] == split) & (obs["cell_type"] == "A"), 0]
        assert rows.loc["G0", f"n_expressing_{split}"] == (here > 0).sum() > 0
    assert rows["verdict"].tolist() == [
        "no peak in its window", "testable", "testable", FEW.format(0), "gene is zero in every cell",
    ]  # fmt: skip
    of_a = testable.set_index("cell_type").loc["A"]
    assert of_a[["n_cells_train", "n_cells_validation", "n_cells_test"]].tolist() == [210, 30, 60]
    assert of_a[["n_genes", "n_no_peak", "n_too_few_cells", "n_testable"]].tolist() == [
        N_GENES,
        2,
        1,
        N_GENES - 3,
    ]


def test_unpaired_cells_are_not_judged(windows):
    unpaired = toy_multiome(300, paired=False)
    feasibility, testable = check_feasibility(unpaired, windows, TASKS, DROPPED, ["A", "B"])
    assert feasibility["verdict"].tolist()[:3] == [
        "no peak in its window",
        *["not judged: cells are unpaired"] * 2,
    ]
    assert testable[["n_too_few_cells", "n_testable"]].to_numpy().sum() == 0


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 3))
def test_a_gene_is_testable_with_a_peak_ten_test_cells_and_five_that_express_it(n_cells, n, n_peaks):
    n = min(n, n_cells)
    reason = why_untestable(np.array([n_peaks]), np.array([n]), n_cells)[0]
    assert (reason == "") == (n_peaks > 0 and n_cells >= 10 and n >= 5)
    if n_peaks and n_cells < 10:
        assert reason == f"{n_cells} test cells, too few to tell (at least 10)"


def test_tasks_are_announced_one_by_one_or_counted(multiome, windows, caplog):
    caplog.set_level(logging.INFO, "grids")
    announce(*check_feasibility(multiome, windows, TASKS, DROPPED, ["A", "B"]))
    told = [record.getMessage() for record in caplog.records if getattr(record, "told", False)]
    n = N_GENES - 3
    assert told[0] == "A, G2: cannot be tested: no peak in its window"
    assert told[2] == "A, G5: can be tested (1 peak in its window, expressed in 5 of 60 test cells)"
    assert told[3] == f"A: {n} of {N_GENES} genes can be tested (210 training, 30 validation, 60 test cells)"
    assert told[5] == "B, silent: cannot be tested: gene is zero in every cell"
    caplog.clear()
    many = pd.DataFrame({"cell_type": "A", "gene": ["G0"] * MOST_LINES + ["G4", "G2"]})
    announce(*check_feasibility(multiome, windows, many, DROPPED.iloc[:0], ["A"]))
    assert caplog.records[0].getMessage() == (
        f"A: {MOST_LINES + 2} tasks: {MOST_LINES} testable; 1 expressed in few test cells, too few to tell "
        "(at least 5); 1 no peak in its window"
    )


def test_of_all_types_every_cell_counts(multiome, windows):
    tasks = pd.DataFrame({"cell_type": [ALL_TYPES], "gene": ["G0"]})
    feasibility, testable = check_feasibility(multiome, windows, tasks, DROPPED.iloc[:0], [ALL_TYPES])
    split = multiome.rna.obs["split"]
    expressed = multiome.rna.X[:, 0].toarray().ravel() > 0
    for part in ("train", "validation", "test"):
        assert (
            feasibility[f"n_cells_{part}"].item()
            == testable[f"n_cells_{part}"].item()
            == (split == part).sum()
        )
        assert feasibility[f"n_expressing_{part}"].item() == (expressed & (split == part)).sum()
    assert feasibility["verdict"].tolist() == ["testable"]
