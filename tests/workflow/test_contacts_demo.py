"""A contact map and TADs in a run: asked for they are measured and drawn, otherwise no rule knows of them."""

import re
import subprocess

import contact_maps as maps
import numpy as np
import pytest
from builders import write_h5mu
from running import command, run, succeed, updated, write_config

from grids.analysis.contacts.measurement import (
    CONTACT_COLUMNS,
    CONTACT_MEMBER_COLUMNS,
    CONTACT_SUMMARY_COLUMNS,
)
from grids.data.simulation import Design, simulate_multiome

pytestmark = pytest.mark.workflow

CONFIG = {
    "run": "contacts",
    "input": {"multiome": "cells.h5mu", "genes": "genes.bed"},
    "quality_control": {"min_fragments": 1, "min_genes": 1, "min_cells_per_peak": 1},
    "preprocessing": {"n_variable_genes": 50},
    "window_surrogate": {"member_penalties": [1], "n_draws": 2, "n_components": 5},
    "levels": ["within_type"],
    "gate": {"force": True},
    "tasks": {"Excitatory": ["MULTI1", "REDUND1"]},
    "search": {"set_size": 4, "restarts": 1},
    "effects": {"n_null_sets": 20},
    "redundancy": {"n_bootstrap": 20, "n_stability": 0, "max_alternatives": 0},
    "contacts": {"map": "map.mcool", "resolution_bp": 20_000, "tads": "tads.bed"},
}
TARGETS = ["contacts.tsv", "contact_members.tsv", "contacts_summary.tsv", "figures/contacts.png"]
LOCUS = "figures/locus/Excitatory"


def write_inputs(folder):
    """Simulated cells; a map of their chromosomes, named without ``chr``, and TADs around every gene."""
    simulation = simulate_multiome(Design(450, 600, 60, 3), 3)
    write_h5mu(folder / "cells.h5mu", *(simulation.mdata[name].copy() for name in ("rna", "atac")))
    genes = simulation.genes
    genes.to_csv(folder / "genes.bed", sep="\t", index=False, header=False)
    peaks = simulation.mdata["atac"].var_names.str.extract(r"chr(?P<chromosome>.*):\d+-(?P<end>\d+)")
    last = peaks.astype({"end": int}).groupby("chromosome")["end"].max()
    sizes = {name: int(-(-end // 10**6) * 10**6) for name, end in last.items()}
    n_bins = maps.bins_of(sizes)["chrom"].value_counts()
    counts = {name: maps.decaying_counts(n_bins[name]) for name in sizes}
    maps.write_mcool(
        folder / "map.mcool", maps.write_cool(folder / "map.cool", counts, sizes), [10_000, 20_000]
    )
    tads = np.column_stack(
        [genes["chromosome"], np.maximum(genes["start"] - 200_000, 0), genes["end"] + 10**5]
    )
    np.savetxt(folder / "tads.bed", tads, fmt="%s", delimiter="\t")
    return simulation


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contacts")
    write_inputs(folder)
    return succeed(folder, CONFIG, *TARGETS, LOCUS)


def test_tables_are_there_with_their_columns(done):
    tables = {name: done.table(name) for name in TARGETS[:3]}
    columns = [CONTACT_COLUMNS, CONTACT_MEMBER_COLUMNS, CONTACT_SUMMARY_COLUMNS]
    assert [list(table.columns) for table in tables.values()] == columns
    tasks, members = tables["contacts.tsv"], tables["contact_members.tsv"]
    assert tasks["gene"].tolist() == ["MULTI1", "REDUND1"]
    assert members["peak"].tolist() == done.table("sets.tsv")["peak"].tolist()
    counts = tasks[["n_measured", "n_same_bin", "n_other_chromosome", "n_not_usable"]].sum(axis=1)
    assert (counts == tasks["set_size"]).all() and (tasks["n_measured"] > 0).all()
    assert members["observed_over_expected"].gt(0).any() and members["in_tad"].any()
    assert tables["contacts_summary.tsv"]["measure"].tolist() == ["observed_over_expected", "share_in_tad"]


def test_figures_are_drawn_and_the_log_says_what_was_read(done):
    assert (done.folder / "figures/contacts.png").stat().st_size > 5_000
    assert sorted(path.stem for path in (done.folder / LOCUS).glob("*.svg")) == ["MULTI1", "REDUND1"]
    locus = (done.folder / LOCUS / "MULTI1.svg").read_text()
    assert "raw contact counts" in locus and "20-kb bins" in locus and "TADs" in locus
    log = (done.folder / "logs/measure_contacts.log").read_text()
    assert "resolution 20000 bp, raw contact counts" in log and "run `cooler balance`" in log


def test_without_a_map_the_tads_are_measured(done):
    folder = done.folder.parents[1]
    changed = updated(CONFIG, {"contacts": {"map": None, "resolution_bp": None}})
    again = succeed(folder, changed, "contacts.tsv", LOCUS)
    assert set(again.jobs) == {"measure_contacts", "figure_locus"}
    table = again.table("contacts.tsv")
    assert table["observed_over_expected"].isna().all() and table["share_in_tad"].notna().all()
    assert "contact counts" not in (again.folder / LOCUS / "MULTI1.svg").read_text()


@pytest.mark.parametrize(
    ("contacts", "message"),
    [
        ({"resolution_bp": 5_000}, "resolution_bp 5000 is not among its resolutions; it has: 10000, 20000"),
        (
            {"map": "genes.bed", "resolution_bp": None},
            "this is no contact map; expected a .cool or .mcool file",
        ),
    ],
)
def test_a_map_that_cannot_be_used_is_one_last_line(done, contacts, message):
    failed = run(done.folder.parents[1], updated(CONFIG, {"contacts": contacts}), "contacts.tsv")
    assert failed.status == 1
    assert re.fullmatch(
        rf".*measure_contacts\.log: contacts\.map \(\S+\): .*{re.escape(message)}.*", failed.last_line
    )


def test_memory_does_not_grow_with_the_map(done):
    folder = done.folder.parents[1]
    with (folder / "large.mcool").open("wb") as file:
        file.truncate(20 * 2**30)  # takes no room on the disk
    config = updated(CONFIG, {"contacts": {"map": "large.mcool"}})
    planned = run(folder, config, "contacts.tsv", LOCUS, options=["--dry-run"])
    assert planned.status == 0, planned.told
    wanted = [int(mb) for mb in re.findall(r"mem_mb=(\d+)", planned.told)]
    assert len(wanted) >= 2 and max(wanted) < 10_000


def planned(folder, contacts):
    """Rules of the jobs that a run of everything would have, and their resources."""
    for name in ("cells.h5mu", "genes.bed"):
        (folder / name).touch()
    config = {key: value for key, value in CONFIG.items() if key != "contacts"} | contacts
    path = write_config(folder, config)
    result = subprocess.run(
        command("--dry-run", "--configfile", path.name), cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return set(re.findall(r"^rule (\w+):$", result.stdout, re.MULTILINE)), result.stdout


def test_only_what_is_asked_for_is_planned(tmp_path):
    rules, told = planned(tmp_path, {})
    assert "figure_locus" in rules and not {"measure_contacts", "figure_contacts"} & rules
    (tmp_path / "tads.bed").touch()
    rules, told = planned(tmp_path, {"contacts": {"tads": "tads.bed"}})
    assert {"measure_contacts", "figure_contacts"} <= rules
    assert "results/contacts/contacts_summary.tsv" in told and "results/contacts/figures/contacts.pdf" in told
