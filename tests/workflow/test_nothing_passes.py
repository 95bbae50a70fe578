"""Runs in which no task is explained: every table, every figure, and a report whose first page says why."""

import mudata
import pybigtools
import pytest
from builders import multiome, write_genes, write_h5mu
from running import OF_SETS, marked, succeed
from test_contacts_demo import CONFIG as CONTACTS
from test_contacts_demo import write_inputs

from grids.analysis.contacts.measurement import (
    CONTACT_COLUMNS,
    CONTACT_MEMBER_COLUMNS,
    CONTACT_SUMMARY_COLUMNS,
)
from grids.analysis.effects import LOCATION_COLUMNS
from grids.io import tables
from grids.io.levels import ALL_TYPES, level_of
from grids.search.sets import SEARCH_COLUMNS
from grids.surrogates import storage

pytestmark = pytest.mark.workflow

CONFIG = {
    **CONTACTS,
    "run": "nothing",
    "levels": None,
    "gate": {},
    "tasks": {"Excitatory": ["NONE1"], "Inhibitory": ["NONE2"]},
    "redundancy": {"n_bootstrap": 20, "n_stability": 0, "max_alternatives": 1, "gene_classes": "classes.tsv"},
    "states": [{"key": "depth", "bins": 2}],
    "evidence": [{"name": "planted", "path": "planted.tsv", "label": "is_member"}],
}
TABLES = {
    "sets.tsv": marked(tables.SET_COLUMNS),
    "effects.tsv": marked(tables.EFFECT_COLUMNS),
    "locations.tsv": marked(LOCATION_COLUMNS),
    "searches.tsv": marked(SEARCH_COLUMNS),
    **OF_SETS,
    "state_redundancy.tsv": marked(tables.STATE_COLUMNS),
    "evidence.tsv": tables.EVIDENCE_COLUMNS,
    "contacts.tsv": CONTACT_COLUMNS,
    "contact_members.tsv": CONTACT_MEMBER_COLUMNS,
    "contacts_summary.tsv": CONTACT_SUMMARY_COLUMNS,
}
EMPTY_FIGURES = [
    "effect_against_null", "before_after", "effect_by_set_size", "member_locations", "redundancy_index",
    "member_effects", "knock_down", "interactions", "specificity", "state_trajectory", "atlas", "evidence", "contacts",
]  # fmt: skip
TASKS = [
    ("Excitatory", "NONE1"),
    ("Inhibitory", "NONE2"),
    (ALL_TYPES, "NONE1"),
    (ALL_TYPES, "NONE2"),
]
WHY = "ithin types: 0 of 2 tasks explained, 2 did not pass the gate"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nothing")
    planted = write_inputs(folder).truth
    place = planted["peak"].str.extract(r"(?P<chromosome>.*):(?P<start>\d+)-(?P<end>\d+)")
    tables.write(planted.join(place), folder / "planted.tsv")
    classes = planted[["gene", "logic"]].drop_duplicates().rename(columns={"logic": "gene_class"})
    tables.write(classes, folder / "classes.tsv")
    return succeed(folder, CONFIG, options=["--cores", "2"])


def test_the_terminal_says_what_can_be_tested_before_training_and_what_came_of_it_last(done):
    lines = done.told.splitlines()
    trained = min(i for i, line in enumerate(lines) if line.endswith("rule train_window_surrogate:"))
    before = "\n".join(lines[:trained])
    assert "Excitatory, NONE1: can be tested (" in before and "Inhibitory, NONE2: can be tested (" in before
    assert "genes can be tested (" in before
    assert any(WHY in line and line.endswith(" (why: results/nothing/report.html)") for line in lines[-6:])


def test_every_task_has_its_reason(done):
    too_few = "cannot be told: fewer than 100 windows on other chromosomes to compare with"
    for name in ("skipped.tsv", "summary.tsv"):
        table = done.table(name)
        assert list(zip(table["cell_type"], table["gene"], strict=True)) == TASKS
        assert (
            table["reason"].str.startswith("does not pass the gate: q-value ").tolist()
            == [True] * 2 + [False] * 2
        )
        assert (table["reason"][2:] == too_few).all()
    assert (done.table("feasibility.tsv")["verdict"] == "testable").all()


def test_without_promising_tasks_surrogates_are_empty(done):
    assert done.table("promising_tasks.tsv").empty and done.table("explained_tasks.tsv").empty
    for name in ("Excitatory", "Inhibitory", "all=20types"):
        assert storage.load(done.folder / f"surrogate/{name}.safetensors").genes == []
    for name in ("quality", "quality_summary"):
        assert done.table(f"surrogate/{name}.tsv").empty
    assert done.table("surrogate/regularisation.tsv")["cell_type"].unique().tolist() == [
        "Excitatory", "Inhibitory", ALL_TYPES,
    ]  # fmt: skip
    gate = done.table("gate.tsv")
    assert gate["r"].isna().all() and set(gate["cell_type"]) == {name for name, _ in TASKS}
    assert gate["level"].tolist() == [level_of(name) for name in gate["cell_type"]]


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_effects_are_there_with_a_header_only(done, name):
    table = done.table(name)
    assert list(table.columns) == TABLES[name] and table.empty


@pytest.mark.parametrize("name", EMPTY_FIGURES)
def test_figures_say_why_they_are_empty(done, name):
    svg = (done.folder / f"figures/{name}.svg").read_text()
    assert "no " in svg and svg.count("<text") == 1
    assert (done.folder / f"figures/{name}.pdf").stat().st_size > 1000


def test_tracks_are_valid_and_empty(done):
    for cell_type in ("Excitatory", "Inhibitory", "all=20types"):
        for kind in ("bed", "bedpe", "interact"):
            lines = (done.folder / f"tracks/{cell_type}.{kind}").read_text().splitlines()
            assert all(line.startswith(("track ", "#")) for line in lines) and lines
        with pybigtools.open(str(done.folder / f"tracks/{cell_type}.accessibility.bw")) as track:
            assert track.chroms()


def test_the_multiome_has_the_tables_and_opens(done):
    explained = mudata.read_h5mu(done.folder / "explained.h5mu")
    assert list(explained["atac"].uns["grids"]["sets"].columns) == TABLES["sets.tsv"]
    assert (explained["rna"].var["n_sets"] == 0).all() and explained["rna"].var[
        "max_redundancy_index"
    ].isna().all()


def test_the_report_says_why_on_its_first_page(done):
    report = (done.folder / "report.html").read_text()
    assert WHY in report and "What would help" in report
    assert (done.folder / "provenance.yaml").is_file()


def test_a_surrogate_of_the_whole_genome_and_too_few_test_cells(tmp_path):
    write_h5mu(tmp_path / "cells.h5mu", *multiome())
    write_genes(tmp_path / "genes.bed")
    none = dict.fromkeys(("min_fragments", "min_genes", "min_cells_per_gene", "min_cells_per_peak"), 1)
    study = {
        "run": "few",
        "input": {"multiome": "cells.h5mu", "genes": "genes.bed"},
        "quality_control": {**none, "min_cells_per_type": 3},
        "surrogate": {
            "model": "cross_modality",
            "max_epochs": dict.fromkeys(("atac", "rna", "mapping", "specialisation"), 0),
        },
        "tasks": {"Oligo": ["G2"]},
    }
    ended = succeed(
        tmp_path, study, "summary.html", "skipped.tsv", "figures/gate.png", "figures/latent_umap.png"
    )
    reason = "4 test cells, too few to tell (at least 10)"
    assert f"Oligo, G2: cannot be tested: {reason}" in ended.told
    # The test of the window has the cells of all splits.
    gate = ended.table("gate.tsv").set_index("gene").loc["G2"]
    assert gate["n_cells"] == 20 and not gate["passed_gate"]
    for name in ("skipped.tsv", "summary.tsv"):
        assert ended.table(name)["reason"].tolist() == [f"does not pass the gate: {gate['reason']}"]
