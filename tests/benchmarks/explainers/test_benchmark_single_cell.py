"""The benchmark of explainers on single cells: sets, costs, matched random sets."""

import numpy as np
import pandas as pd
import pytest
from models import N_PEAKS, small_window_surrogate, toy_multiome
from toys import AnyOfToy

from benchmarks.explainers.single_cell import (
    COST_COLUMNS,
    FOUND_COLUMNS,
    MATCHED,
    Wanted,
    explain_tasks,
    matched_random_sets,
)
from grids.analysis.null_sets import Surroundings
from grids.io.cells import Multiome

MEMBERS = [3, 7, 9]


def surrogate_of(multiome: Multiome) -> AnyOfToy:
    toy = AnyOfToy(N_PEAKS, MEMBERS)
    toy.peaks, toy.genes, toy.name = list(multiome.atac.var.index), ["G0"], "toy"
    return toy


def inputs(paired: bool = True):
    multiome = toy_multiome(paired=paired)
    place = multiome.atac.var.index.str.extract(r"(?P<chromosome>.+):(?P<start>\d+)-(?P<end>\d+)")
    place.index = multiome.atac.var.index
    multiome.atac.var[["start", "end"]] = place[["start", "end"]].astype(int)
    genes = pd.DataFrame(
        {"gene": ["G0", "G5"], "chromosome": "chr1", "start": 900, "end": 1000, "strand": "+", "tss": 900}
    )
    tasks = pd.DataFrame({"cell_type": "A", "gene": ["G0"]})
    windows = pd.DataFrame({"gene": "G0", "peak": multiome.atac.var.index[:12]})
    cells = {"cell_type": "A", "split": "train"}
    train = Multiome(multiome.rna.cells(**cells), multiome.atac.cells(**cells), paired)
    return train, tasks, windows, genes


def run(methods, sizes=(3,), paired=True, tasks=None, settings=None, **wanted):
    train, all_tasks, windows, genes = inputs(paired)
    tasks = all_tasks if tasks is None else tasks
    methods = {method: (settings or {}).get(method, {}) for method in methods}
    asked = Wanted(sizes, **wanted)
    return explain_tasks(surrogate_of(train), train, tasks, windows, genes, methods, asked, 1)


def test_grids_finds_the_planted_set_and_closing_it_takes_everything():
    sets, costs, skipped = run(["grids"], settings={"grids": {"restarts": 2}})
    assert list(sets.columns) == FOUND_COLUMNS and list(costs.columns) == COST_COLUMNS
    peaks = inputs()[0].atac.var.index
    assert set(sets["peak"]) == set(peaks[MEMBERS])
    assert sets["rank"].tolist() == [1, 2, 3]
    row = costs.iloc[0]
    assert row["mean_train_after"] == pytest.approx(0, abs=1e-6)
    assert row["mean_train_before"] > 0.5
    assert row["n_forward"] > row["n_train_cells"] == len(inputs()[0].atac.obs)
    assert skipped.empty


def test_each_method_and_size_is_a_set():
    sets, _, _ = run(["knock_out", "distance", "random"], sizes=(2, 5))
    assert sets.groupby(["method", "set_size"]).size().to_dict() == {
        (method, size): size for method in ("knock_out", "distance", "random") for size in (2, 5)
    }
    assert not sets.duplicated(["method", "set_size", "peak"]).any()
    closest = sets[(sets["method"] == "distance") & (sets["set_size"] == 2)]["peak"].tolist()
    assert closest[0] == inputs()[0].atac.var.index[9]  # chr1:900-950 covers the TSS


def test_a_window_limits_the_candidates_and_sets_that_do_not_fit_are_skipped():
    sets, _, skipped = run(["random"], sizes=(12, 13), scope="window")
    assert set(sets["peak"]) == set(inputs()[2]["peak"])
    assert skipped.to_numpy().tolist() == [
        ["A", "G0", "12 candidate peaks (window), benchmark.set_sizes has 13"]
    ]


def test_a_gene_that_the_surrogate_does_not_have_is_skipped():
    tasks = pd.DataFrame({"cell_type": "A", "gene": ["G5"]})
    sets, costs, skipped = run(["random", "grids"], tasks=tasks)
    assert sets.empty and costs.empty
    assert skipped["reason"].tolist() == ["not among the genes of the toy surrogate"]


def test_correlation_needs_paired_cells_and_is_left_out_without():
    assert set(run(["correlation", "random"])[1]["method"]) == {"correlation", "random"}
    assert set(run(["correlation", "random"], paired=False)[1]["method"]) == {"random"}


def test_correlation_sees_the_expression_of_the_cells():
    sets, _, _ = run(["correlation"])
    # G0 is high where any of the three is open.
    assert set(sets["peak"]) == set(inputs()[0].atac.var.index[MEMBERS])


def test_the_window_surrogate_is_explained_on_its_own_window():
    surrogate = small_window_surrogate()
    train, _, windows, genes = inputs()
    peaks = dict(zip(train.atac.var.index, surrogate.peaks, strict=True))
    train.atac.var.index = train.atac.var.index.map(peaks)
    tasks = pd.DataFrame({"cell_type": "A", "gene": ["G0"]})
    methods = {method: {} for method in ("grids", "saliency", "distance")}
    sets, _, _ = explain_tasks(surrogate, train, tasks, windows, genes, methods, Wanted([2]), 1)
    assert sets.groupby("method").size().to_dict() == dict.fromkeys(methods, 2)
    assert set(sets["peak"]) <= {surrogate.peaks[i] for i in surrogate.window("G0").tolist()}


def test_matched_random_sets_resemble_but_avoid_the_sets():
    train, *_, genes = inputs()
    sets, _, _ = run(["grids", "random"], sizes=(1, 3))
    surroundings = Surroundings(genes, train.atac.var, np.asarray(train.atac.X.mean(0)).ravel())
    drawn = matched_random_sets(surrogate_of(train), sets, surroundings, 1)
    assert list(drawn.columns) == FOUND_COLUMNS and set(drawn["method"]) == {MATCHED}
    assert drawn.groupby("set_size").size().to_dict() == {1: 1, 3: 3}
    for size, rows in drawn.groupby("set_size"):
        found = sets[(sets["method"] == "grids") & (sets["set_size"] == size)]
        assert not set(rows["peak"]) & set(found["peak"])
        assert rows["peak"].is_unique
