"""Levels of evidence: which jobs a config plans, and a study across types alone."""

import pytest
from running import OF_SETS, marked, succeed, updated

from grids.analysis.effects import LOCATION_COLUMNS
from grids.io import tables
from grids.io.levels import ALL_TYPES
from grids.surrogates import storage

pytestmark = pytest.mark.workflow

STUDY = {
    "run": "across",
    "input": {"simulation": {"n_cells": 400, "n_peaks": 600, "n_genes": 40, "n_cell_types": 2}},
    "quality_control": {"min_fragments": 1, "min_genes": 1, "min_tss_enrichment": 0},
    "levels": ["across_types"],
    "tasks": {"Excitatory": ["SINGLE1", "MULTI1"], "Inhibitory": ["MULTI1"]},
    "window_surrogate": {
        "member_penalties": [1.0],
        "n_draws": 4,
        "n_components": 8,
        "metacell_sizes_across_types": [1],
    },
    "gate": {"force": True, "peaks": "distal"},
    "search": {"set_size": 2, "restarts": 1},
    "effects": {"n_null_sets": 20},
    "redundancy": {"n_bootstrap": 20, "n_stability": 0, "max_alternatives": 0},
}
CROSS_MODALITY = {
    "surrogate": {
        "model": "cross_modality",
        "max_epochs": dict.fromkeys(("atac", "rna", "mapping", "specialisation"), 0),
    },
    "gate": {"force": True, "peaks": "all"},
    "search": {"scope": "window"},
}
TABLES = {
    "sets.tsv": marked(tables.SET_COLUMNS),
    "effects.tsv": marked(tables.EFFECT_COLUMNS),
    "locations.tsv": marked(LOCATION_COLUMNS),
    **{name: columns for name, columns in OF_SETS.items() if columns[0] == "level"},
}


@pytest.mark.parametrize(
    ("changes", "trained", "n"),
    [
        ({"levels": None}, "train_window_surrogate", 3),
        ({}, "train_window_surrogate", 1),
        ({"levels": ["within_type"]}, "train_window_surrogate", 2),
        ({"levels": None, "tasks": {ALL_TYPES: ["SINGLE1"]}}, "train_window_surrogate", 1),
        ({"levels": None, **CROSS_MODALITY}, "specialise_surrogate", 2),
    ],
    ids=["by default both", "across types", "within types", "asked of all types", "the other surrogate"],
)
def test_every_level_has_its_jobs(tmp_path, changes, trained, n):
    planned = succeed(tmp_path, updated(STUDY, changes), "gate.tsv", options=["--dry-run"])
    assert (planned.jobs[trained], planned.jobs["link_peaks"], planned.jobs["judge_windows"]) == (n, n, 1)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return succeed(tmp_path_factory.mktemp("across"), STUDY)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_of_tasks_tells_the_level(done, name):
    table = done.table(name)
    assert list(table.columns) == TABLES[name] and (table["level"] == "across_types").all()
    assert len(table) or name == "alternative_sets.tsv"


def test_genes_of_any_type_are_asked_once(done):
    assert done.table("tasks.tsv").to_numpy().tolist() == [[ALL_TYPES, "SINGLE1"], [ALL_TYPES, "MULTI1"]]
    genes = ["MULTI1", "SINGLE1"]  # in the order of the data
    assert storage.load(done.folder / "surrogate/all=20types.safetensors").genes == genes
    gate = done.table("gate.tsv")
    assert (gate["level"] == "across_types").all() and not gate["passed_gate"].any()
    assert gate.set_index("gene")["r"].dropna().index.tolist() == genes
    assert gate["reason"].str.startswith(("cannot be told: ", "no distal peak")).all()


def test_members_are_distal(done):
    links = done.table("links/all=20types.tsv.gz").set_index(["gene", "peak"])["class"]
    sets = done.table("sets.tsv")
    assert (links.loc[list(zip(sets["gene"], sets["peak"], strict=True))] == "distal").all()


def test_sets_are_measured_in_every_type(done):
    specificity = done.table("specificity.tsv")
    assert (specificity["found_in"] == ALL_TYPES).all()
    types = specificity.groupby("gene")["applied_to"].agg(sorted)
    assert types.tolist() == [["Excitatory", "Inhibitory"]] * specificity["gene"].nunique() and len(types)


def test_the_report_is_made(done):
    report = (done.folder / "report.html").read_text()
    assert f"SINGLE1, {ALL_TYPES}" in report and "Loci" in report
