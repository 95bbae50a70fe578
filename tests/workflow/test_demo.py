"""A smaller demo from the first command to the report: what comes out, again, elsewhere, and otherwise."""

import base64
import gzip
import os
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import matplotlib.image
import mudata
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from browser import click_through, needs_chromium
from numpy.testing import assert_allclose, assert_array_equal
from running import OF_SETS, OPTIONS, command, run, succeed, updated, write_config
from track_formats import read_bed, read_bedpe, read_bigwig, read_interact

import grids
from grids.analysis.gate import GATE_COLUMNS
from grids.io import tables
from grids.io.cells import read_multiome
from grids.surrogates import storage

pytestmark = pytest.mark.workflow

# GENE066 has one peak in so small a window.
CONFIG = {
    "run": "small",
    "seed": 1,
    "input": {"simulation": {"n_cells": 600, "n_peaks": 1500, "n_genes": 120, "n_cell_types": 4}},
    "quality_control": {"min_fragments": 30, "min_genes": 10, "min_tss_enrichment": 0},
    "windows": {"window_bp": 50_000},
    "tasks": {"Excitatory": ["SINGLE1", "NONE1"], "Oligo/OPC": ["MULTI1", "GENE066"]},
    "surrogate": {
        "model": "cross_modality",
        "max_epochs": {"atac": 1, "rna": 1, "mapping": 6, "specialisation": 3},
    },
    "gate": {"force": True},
    "search": {"scope": "window", "set_size": 3, "restarts": 2},
    "effects": {"n_null_sets": 50},
    "redundancy": {"n_bootstrap": 20, "n_stability": 2, "max_alternatives": 1},
}
FOUND = [("Excitatory", "SINGLE1"), ("Excitatory", "NONE1"), ("Oligo/OPC", "MULTI1")]
FILE_OF_TYPE = {"Excitatory": "Excitatory", "Oligo/OPC": "Oligo=2FOPC"}
N_NULL_SETS = 50

TASK = ["level", "surrogate", "method", "cell_type", "gene", "direction"]
COLUMNS = {
    "tasks.tsv": ["cell_type", "gene"],
    "skipped.tsv": ["cell_type", "gene", "reason"],
    "genes.tsv.gz": ["gene", "chromosome", "start", "end", "strand", "tss", "exon_starts", "exon_ends"],
    "windows.tsv.gz": ["peak", "chromosome", "start", "end", "gene", "distance_to_tss_bp", "is_promoter"],
    "accessibility.tsv.gz": [
        "peak", "chromosome", "start", "end", "Astrocyte", "Excitatory", "Inhibitory", "Oligo/OPC",
    ],
    "sets.tsv": [
        *TASK, "passed_gate", "set_size", "rank", "chromosome", "start", "end", "peak", "distance_to_tss_bp",
        "in_window", "log_effect_alone", "log_effect_in_context", "share_of_restarts",
    ],
    "effects.tsv": [
        *TASK, "passed_gate", "set_size", "n_cells", "mean_before", "mean_after", "absolute_change", "relative_change",
        "log_change", "null_mean", "null_sd", "p_value", "q_value", "objective_seconds",
    ],
    "locations.tsv": [
        *TASK, "passed_gate", "set_size", "hit", "soft_hit", "n_same_chromosome", "share_same_chromosome",
        "n_in_window", "closest_bp", "expected_hit", "expected_soft_hit", "expected_share_same_chromosome",
    ],
    "null.tsv.gz": [*TASK, "passed_gate", "set_size", "draw", "log_change"],
    "cells.tsv.gz": [*TASK, "passed_gate", "set_size", "cell", "before", "after", "observed"],
    "searches.tsv": [
        *TASK, "passed_gate", "set_size", "start", "objective_before", "objective_after", "n_rounds", "n_steps",
        "n_evaluations", "converged", "seconds",
    ],
    **OF_SETS,
    "gate.tsv": GATE_COLUMNS,
    "truth.tsv": [
        "gene", "cell_type", "logic", "peak", "is_member", "log_effect_alone", "joint_log_effect",
    ],
    "surrogate/quality.tsv": [
        "model", "cell_type", "gene", "n_cells", "pearson_r", "spearman_r", "rmse", "beats_type_mean",
    ],
    "surrogate/quality_summary.tsv": [
        "model", "rmse", "mean_r_per_cell", "mean_r_per_gene", "n_cells", "n_genes",
    ],
    "surrogate/curves.tsv": ["stage", "cell_type", "epoch", "loss", "split", "value"],
    "surrogate/latent.tsv.gz": ["cell", "modality", "mapping", "cell_type", "umap_1", "umap_2"],
    "quality_control/cells.tsv": [
        "what", "modality", "step", "n_before", "n_dropped", "n_after", "reason",
    ],
    "quality_control/metrics.tsv.gz": [
        "cell", "modality", "cell_type", "n_fragments", "n_genes", "n_counts", "tss_enrichment", "kept",
        "reason",
    ],
    "quality_control/harmonisation.tsv": ["what", "n_total", "n_matched", "share_matched"],
}  # fmt: skip
FIGURES = [
    "quality_control", "training_curves", "surrogate_quality", "latent_umap", "gate", "effect_against_null",
    "before_after", "effect_by_set_size", "member_locations", "set_recovery", "redundancy_index",
    "member_effects", "knock_down", "interactions", "specificity", "atlas",
    "locus/Excitatory/SINGLE1", "locus/Excitatory/NONE1", "locus/Oligo=2FOPC/MULTI1",
]  # fmt: skip
# What has to be the same wherever and however often the run is made.
REPRODUCED = [
    "windows.tsv.gz", "accessibility.tsv.gz", "tasks.tsv", "gate.tsv", "surrogate/curves/joint.tsv",
    "sets/Excitatory.tsv", "skipped/Excitatory.tsv",
    *(f"effects/Excitatory/{name}" for name in (
        "effects.tsv", "sets.tsv", "locations.tsv", "null.tsv.gz", "cells.tsv.gz",
    )),
    *(f"redundancy/Excitatory/{name}.tsv" for name in (
        "redundancy", "members", "interactions", "knock_down", "alternative_sets",
    )),
]  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return succeed(tmp_path_factory.mktemp("demo"), CONFIG, options=["--cores", "2"])


@pytest.fixture
def copy(demo, tmp_path):
    """The folder of the finished demo again, with what Snakemake remembers of it."""
    return shutil.copytree(demo.folder.parents[1], tmp_path / "copy")


# Tables


@pytest.mark.parametrize("name", COLUMNS)
def test_every_table_is_there_with_its_columns(demo, name):
    table = demo.table(name)
    assert list(table.columns) == COLUMNS[name]
    assert len(table)


def test_tasks_are_either_run_or_skipped_with_a_reason(demo):
    tasks = [(cell_type, gene) for cell_type, genes in CONFIG["tasks"].items() for gene in genes]
    assert list(demo.table("tasks.tsv").itertuples(index=False, name=None)) == tasks
    reason = "1 candidate peaks (window), search.set_size is 3"
    assert demo.table("skipped.tsv").to_numpy().tolist() == [["Oligo/OPC", "GENE066", reason]]
    log = (demo.folder / "logs/find_sets/Oligo=2FOPC.log").read_text()
    assert f"WARNING Oligo/OPC, GENE066 skipped: {reason}" in log
    for name in ("sets.tsv", "effects.tsv", "locations.tsv", "null.tsv.gz", "cells.tsv.gz", "searches.tsv"):
        table = demo.table(name)
        assert list(dict.fromkeys(zip(table.cell_type, table.gene, strict=True))) == FOUND, name
        named = table[["surrogate", "method", "direction"]].drop_duplicates().to_numpy().tolist()
        assert named == [["cross_modality", "grids", "silence"]], name


def test_sets_hold_distinct_peaks_of_the_window(demo):
    sets, windows = demo.table("sets.tsv"), demo.table("windows.tsv.gz")
    for (_, gene), members in sets.groupby(["cell_type", "gene"]):
        assert members["rank"].tolist() == [1, 2, 3] and (members["set_size"] == 3).all()
        assert members["peak"].is_unique
        place = windows[windows["gene"] == gene].set_index("peak").loc[members["peak"]]
        same = ["chromosome", "start", "end", "distance_to_tss_bp"]
        assert members[same].to_numpy().tolist() == place[same].to_numpy().tolist()
        assert members["in_window"].all()
    names = sets["chromosome"] + ":" + sets["start"].astype(str) + "-" + sets["end"].astype(str)
    assert names.tolist() == sets["peak"].tolist()
    assert sets["share_of_restarts"].isin([0.0, 0.5, 1.0]).all()


def test_windows_reach_as_far_as_asked(demo):
    windows = demo.table("windows.tsv.gz")
    distance = windows["distance_to_tss_bp"]
    assert distance.abs().max() <= 50_000 and distance.min() < -30_000 and distance.max() > 30_000
    assert_array_equal(windows["is_promoter"], distance.between(-1000, 100))
    assert not windows.duplicated(["peak", "gene"]).any()
    assert windows["gene"].nunique() == 120


def test_effects_are_of_nested_sets_on_test_cells(demo):
    effects, sets, cells = (demo.table(name) for name in ("effects.tsv", "sets.tsv", "cells.tsv.gz"))
    atac = read_multiome(demo.folder / "preprocessed.h5mu").atac
    for (cell_type, gene), rows in effects.groupby(["cell_type", "gene"]):
        assert rows["set_size"].tolist() == [1, 2, 3]
        of_task = (sets["cell_type"] == cell_type) & (sets["gene"] == gene)
        members, rows = sets[of_task].set_index("rank"), rows.set_index("set_size")
        test = atac.cells(cell_type=cell_type, split="test").obs.index
        assert (rows["n_cells"] == len(test)).all()
        assert rows["mean_before"].nunique() == 1
        # the set of size k is the first k ranks of the largest one
        change = rows["log_change"]
        assert_allclose(change[1], members.loc[1, "log_effect_alone"], atol=1e-6)
        assert_allclose(change[3] - members.loc[3, "log_effect_in_context"], change[2], atol=1e-6)
        assert change[3] < 0 and change[3] == change.min()
        of_task = cells[(cells["cell_type"] == cell_type) & (cells["gene"] == gene)]
        assert_array_equal(of_task["cell"], test)
        assert_allclose((of_task["after"] - of_task["before"]).mean(), change[3], atol=1e-5)
    # tables hold six significant digits
    assert_allclose(effects["mean_after"] - effects["mean_before"], effects["log_change"], atol=2e-5)
    assert_array_equal(np.sign(effects["absolute_change"]), np.sign(effects["log_change"]))
    assert (effects["relative_change"] > -1).all() and (effects["objective_seconds"] > 0).all()


def test_p_values_count_the_matched_sets(demo):
    effects, null = demo.table("effects.tsv"), demo.table("null.tsv.gz")
    for row in effects.itertuples():
        of_set = (null["gene"] == row.gene) & (null["set_size"] == row.set_size)
        changes = null.loc[of_set & (null["cell_type"] == row.cell_type), "log_change"]
        # The different ones among those drawn: of single peaks out of 20 or more, about 18 in 50 draws.
        assert 12 <= len(changes) <= N_NULL_SETS
        assert_allclose([row.null_mean, row.null_sd], [changes.mean(), changes.std()], rtol=1e-3, atol=1e-8)
        expected = (1 + (changes <= row.log_change + 1e-6).sum()) / (1 + len(changes))
        assert_allclose(row.p_value, expected, rtol=1e-5)
    assert (effects["q_value"] >= effects["p_value"]).all() and effects["q_value"].le(1).all()


def test_the_stored_surrogate_makes_the_predictions_of_the_tables(demo):
    surrogate = storage.load(demo.folder / "surrogate/Oligo=2FOPC.safetensors")
    atac = read_multiome(demo.folder / "preprocessed.h5mu").atac
    assert list(surrogate.peaks) == list(atac.var.index)
    predicted = surrogate.predict(atac.cells(cell_type="Oligo/OPC", split="test").X).detach().numpy()
    before = demo.table("effects.tsv").set_index("gene").loc["MULTI1", "mean_before"].iloc[0]
    assert_allclose(predicted[:, list(surrogate.genes).index("MULTI1")].mean(), before, rtol=1e-4)
    metadata = storage.read_metadata(demo.folder / "surrogate/Oligo=2FOPC.safetensors")
    assert metadata["cell_type"] == "Oligo/OPC" and isinstance(metadata["seed"], int)


def test_quality_compares_every_model_on_every_gene_and_type(demo):
    quality, summary = demo.table("surrogate/quality.tsv"), demo.table("surrogate/quality_summary.tsv")
    models = ["cross_modality", "gene_mean", "cell_type_mean", "lsi_ridge", "lsi_neighbours"]
    types = ["", "Astrocyte", "Excitatory", "Inhibitory", "Oligo/OPC"]
    assert list(quality["model"].unique()) == list(summary["model"]) == models
    assert list(quality["cell_type"].fillna("").unique()) == types
    genes = quality["gene"].unique()
    assert {gene for _, gene in FOUND} <= set(genes)
    assert len(quality) == len(models) * len(types) * len(genes)
    assert quality[["pearson_r", "spearman_r"]].abs().max().max() <= 1 and (quality["rmse"] >= 0).all()
    assert (quality.groupby(["cell_type", "gene"], dropna=False)["beats_type_mean"].nunique() == 1).all()
    # the errors of genes and the error over everything are of the same predictions
    squares = quality[quality["cell_type"].isna()].assign(square=lambda t: t["rmse"] ** 2)
    together = squares.groupby("model")["square"].mean() ** 0.5
    summary = summary.set_index("model")
    assert_allclose(summary["rmse"], together[summary.index], rtol=1e-4)
    assert summary.loc["cross_modality", "rmse"] < summary.loc["gene_mean", "rmse"]


def test_the_gate_judges_the_tasks_and_is_overruled(demo):
    gate = demo.table("gate.tsv")
    tasks = [
        ("Excitatory", "SINGLE1"),
        ("Excitatory", "NONE1"),
        ("Oligo/OPC", "MULTI1"),
        ("Oligo/OPC", "GENE066"),
    ]
    # All genes of a type are judged, and the surrogate is asked about the tasks.
    assert (gate["reason"].isna() == gate["passed_gate"]).all()
    assert len(gate) > 2 * len(tasks) and gate["level"].eq("within_type").all()
    gate = gate[gate["r"].notna()]
    assert sorted(zip(gate["cell_type"], gate["gene"], strict=True)) == sorted(tasks)
    assert gate.set_index("gene").loc["GENE066", "n_peaks"] == 1 and not gate["passed_gate"].all()
    explained = demo.table("explained_tasks.tsv")
    assert explained[["cell_type", "gene"]].equals(demo.table("tasks.tsv"))
    verdicts = gate.set_index(["cell_type", "gene"])["passed_gate"]
    for name in ("explained_tasks.tsv", "sets.tsv", "redundancy.tsv", "null.tsv.gz"):
        table = demo.table(name)
        told = verdicts.loc[list(zip(table["cell_type"], table["gene"], strict=True))]
        assert table["passed_gate"].tolist() == told.tolist(), name
    quality = demo.table("surrogate/quality.tsv").query("model == 'cross_modality'")
    both = gate.merge(quality, on=["cell_type", "gene"])
    assert_allclose(both["r"], both["pearson_r"], atol=1e-4)
    mean = demo.table("surrogate/quality.tsv").query("model == 'cell_type_mean'")
    both = both.merge(mean, on=["cell_type", "gene"], suffixes=("", "_of_mean"))
    assert_allclose(both["skill"], 1 - (both["rmse"] / both["rmse_of_mean"]) ** 2, atol=1e-4)


def test_curves_tell_of_every_stage(demo):
    curves = demo.table("surrogate/curves.tsv")
    judged = curves[curves["split"] == "validation"]
    epochs = {"atac": 1, "rna": 1, "mapping": 6}
    for stage, n in epochs.items():
        assert judged.loc[judged["stage"] == stage, "epoch"].tolist() == list(range(n + 1))
    special = judged[judged["stage"] == "specialisation"]
    assert set(special["cell_type"]) == set(CONFIG["tasks"])
    mapping = judged.loc[judged["stage"] == "mapping", "value"].to_numpy()
    assert mapping[-1] < 0.9 * mapping[0]


def test_preprocessed_multiome(demo):
    with mudata.set_options(pull_on_update=False):
        data = mudata.read_h5mu(demo.folder / "preprocessed.h5mu")
    rna, atac = data["rna"], data["atac"]
    assert_array_equal(rna.obs_names, atac.obs_names)
    assert_array_equal(rna.obs["split"], atac.obs["split"])
    share = rna.obs["split"].value_counts(normalize=True)
    assert_allclose(share[["train", "validation", "test"]], [0.7, 0.1, 0.2], atol=0.02)
    assert atac.X.dtype == np.uint8 and set(np.unique(atac.X.data)) == {1}
    counts = rna.layers["counts"]
    assert_array_equal(counts.data, counts.data.round())
    assert_array_equal(rna.X.indices, counts.indices)
    position = atac.var[["chromosome", "start"]].astype({"chromosome": str})
    assert position.equals(position.sort_values(["chromosome", "start"]))
    # what the effects call observed is the log-expression of the same cells
    cells = demo.table("cells.tsv.gz")
    cells = cells[cells["gene"] == "MULTI1"]
    stored = rna[cells["cell"].to_numpy(), "MULTI1"].X.toarray().ravel()
    assert_allclose(cells["observed"], stored, rtol=1e-4)


def test_quality_control_counts_add_up(demo):
    steps, metrics = demo.table("quality_control/cells.tsv"), demo.table("quality_control/metrics.tsv.gz")
    assert_array_equal(steps["n_before"] - steps["n_dropped"], steps["n_after"])
    cells = steps[steps["what"] == "cells"]
    assert cells["n_before"].iloc[0] == len(metrics) == 600
    assert cells["n_after"].iloc[-1] == metrics["kept"].sum()
    dropped = metrics[~metrics["kept"]]
    assert cells["n_dropped"].sum() == len(dropped) > 0
    assert (dropped["n_fragments"] < 30).all() and (dropped["reason"] == "min_fragments").all()


# Figures, report, tracks


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn(demo, name):
    path = demo.folder / "figures" / name
    pixels = matplotlib.image.imread(path.with_suffix(".png"))[::3, ::3, :3]
    colours, times = np.unique(pixels.reshape(-1, 3).round(2), axis=0, return_counts=True)
    assert min(pixels.shape[:2]) > 100
    assert len(colours) > 10 and times.max() < 0.995 * times.sum()
    pdf = path.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    root = ElementTree.parse(path.with_suffix(".svg")).getroot()
    drawn = root.findall(".//{http://www.w3.org/2000/svg}path") + root.findall(
        ".//{http://www.w3.org/2000/svg}use"
    )
    assert root.tag.endswith("svg") and len(drawn) > 20


def test_the_report_is_one_file_with_captions_and_labels(demo):
    text = (demo.folder / "report.html").read_text()
    assert not re.search(r"<(script|img|iframe)[^>]+src=[\"']?(https?:)?//", text)
    assert not re.search(r"<link[^>]+href=[\"']?(https?:)?//", text)
    for words in (
        "1. Data", "2. Surrogate", "3. Sets and effects", "4. Redundancy", "5. Across types and states",
        "7. Provenance", "All tasks", "Loci, Oligo/OPC",  # categories and their parts
        "Effect against matched random sets", "Latent states", "Training curves", "Tasks not run",  # labels
        "Oligo/OPC", "MULTI1", "NONE1",  # loci
        "conditional on the surrogate", "up to 3 peaks",  # captions
    ):  # fmt: skip
        assert words in text, words
    for figure in FIGURES:
        assert f"data:image/svg+xml;charset=utf8;filename={figure.rpartition('/')[2]}.svg;base64," in text


@needs_chromium
def test_everything_in_the_report_opens(demo):
    seen = click_through(demo.folder / "report.html", ["redundancy", "gate", "MULTI1"])
    assert seen["3. Sets and effects/Loci, Oligo/OPC"] == ["MULTI1, Oligo/OPC"]


def test_tracks_can_be_read_by_browsers(demo):
    sets, accessibility = (
        demo.table("sets.tsv"),
        tables.read_accessibility(demo.folder / "accessibility.tsv.gz"),
    )
    genes = demo.table("genes.tsv.gz")[["gene", "chromosome", "tss", "strand"]]
    for cell_type, name in FILE_OF_TYPE.items():
        members = sets[sets["cell_type"] == cell_type].merge(genes, on="gene", suffixes=("", "_of_tss"))
        tracks = demo.folder / "tracks"
        bed = read_bed(tracks / f"{name}.bed", n_columns=9)
        places = members[["chromosome", "start", "end"]].itertuples(index=False, name=None)
        assert list(bed.iloc[:, :3].itertuples(index=False, name=None)) == sorted(places)
        columns = ["chromosome", "start", "end", "chromosome_of_tss", "tss", "strand", "gene", "rank"]
        expected = sorted(
            members[columns].astype({"tss": int, "rank": str}).itertuples(index=False, name=None)
        )
        bedpe = read_bedpe(tracks / f"{name}.bedpe")
        columns = ["chrom1", "start1", "end1", "chrom2", "start2", "strand2", "gene", "rank"]
        assert sorted(bedpe[columns].itertuples(index=False, name=None)) == expected
        interact = read_interact(tracks / f"{name}.interact").query("chrom == sourceChrom")
        columns = ["sourceChrom", "sourceStart", "sourceEnd", "targetChrom", "targetStart", "targetStrand"]
        arcs = sorted(interact[columns].itertuples(index=False, name=None))
        assert arcs == [row[:-2] for row in expected]
        sizes, intervals = read_bigwig(tracks / f"{name}.accessibility.bw")
        assert set(sizes) == set(genes["chromosome"])
        shares = accessibility.set_index(["chromosome", "start", "end"])[cell_type]
        assert len(intervals) == len(shares)  # the demo's peaks do not overlap
        expected = shares.loc[[tuple(place) for *place, _ in intervals]]
        assert_allclose([value for *_, value in intervals], expected, rtol=1e-4)


def test_provenance_holds_what_is_needed_to_run_it_again(demo):
    provenance = yaml.safe_load((demo.folder / "provenance.yaml").read_text())
    assert provenance["seed"] == 1 and "--configfile study.yaml" in provenance["command"]
    assert provenance["packages"]["torch"] and provenance["python"]
    assert provenance["grids"] == grids.__version__ and provenance["inputs"] == {}  # simulated
    page = base64.b64encode((demo.folder / "provenance.html").read_bytes()).decode()
    assert page in (demo.folder / "report.html").read_text()
    assert provenance["config"]["search"]["set_size"] == 3
    assert provenance["config"]["search"]["candidates"] == 32  # a default


def test_every_job_leaves_a_log_and_a_benchmark(demo):
    logs = {path.relative_to(demo.folder / "logs").with_suffix("") for path in demo.folder.rglob("*.log")}
    benchmarks = demo.folder / "benchmarks"
    assert logs == {path.relative_to(benchmarks).with_suffix("") for path in benchmarks.rglob("*.tsv")}
    assert len(logs) == demo.jobs.total() - 1  # rule all does nothing
    for name in logs:
        assert " INFO done: " in (demo.folder / "logs" / f"{name}.log").read_text().splitlines()[-1]
    assert demo.last_line.startswith("Elapsed time") or "report.html" in demo.told


# Again, elsewhere, otherwise


def test_a_second_run_does_nothing_wherever_it_is_started(demo, tmp_path):
    folder = demo.folder.parents[1]
    again = subprocess.run(
        command(*OPTIONS, "--directory", folder, "--configfile", folder / "study.yaml"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
    assert not list(tmp_path.iterdir())


def test_other_search_settings_keep_the_surrogate(copy):
    config = updated(CONFIG, {"search": {"direction": "activate", "scope": "genome", "restarts": 1}})
    again = succeed(copy, config, "effects.tsv", "surrogate/quality.tsv")
    assert again.jobs == {"find_sets": 2, "measure_effects": 2, "collect_effects": 1}
    sets, effects = again.table("sets.tsv"), again.table("effects.tsv")
    assert (sets["direction"] == "activate").all() and not sets["in_window"].all()
    assert sets["distance_to_tss_bp"].isna().any()  # on another chromosome
    assert (effects.loc[effects["set_size"] == 3, "log_change"] > 0).all()
    # with the whole genome to choose from, the gene without peaks in its window is no longer skipped
    assert again.table("skipped.tsv").empty
    assert ("Oligo/OPC", "GENE066") in set(zip(sets["cell_type"], sets["gene"], strict=True))
    assert not sets.duplicated(["cell_type", "gene", "peak"]).any()
    searches = again.table("searches.tsv")
    assert (searches["objective_after"] > searches["objective_before"]).all()


def test_the_papers_settings_run_and_need_no_new_data(copy):
    changes = {
        "surrogate": {
            "encoder": "paper",
            "supervised": False,
            "width": 16,
            "max_epochs": {"mapping": 2, "specialisation": 0},
        },
        "search": {"scope": "genome", "batch_size": 64, "start": "random", "restarts": 1, "max_rounds": 3},
    }
    again = succeed(copy, updated(CONFIG, changes), "effects/Excitatory/effects.tsv")
    assert again.jobs == {
        "train_surrogate": 1,
        "specialise_surrogate": 2,
        "apply_gate": 1,
        "find_sets": 1,
        "measure_effects": 1,
    }
    # without specialisation, every type has the joint surrogate
    joint, special = (
        storage.load(again.folder / f"surrogate/{name}.safetensors").state_dict()
        for name in ("joint", "Oligo=2FOPC")
    )
    assert all((value == special[name]).all() for name, value in joint.items())
    losses = set(again.table("surrogate/curves/joint.tsv")["loss"])
    assert "supervised" not in losses and {"cycle_atac", "cycle_rna"} <= losses
    effects = again.table("effects/Excitatory/effects.tsv")
    assert len(effects) == 6 and np.isfinite(effects["log_change"]).all()
    assert (again.table("searches/Excitatory.tsv")["start"] == "random").all()


def _started(folder, *targets):
    """The workflow in the background, writing to ``told``."""
    path = write_config(folder, CONFIG)
    with (folder / "told").open("w") as told:
        return subprocess.Popen(
            command(*(f"results/small/{target}" for target in targets), *OPTIONS, "--configfile", path.name),
            cwd=folder,
            stdout=told,
            stderr=subprocess.STDOUT,
        )


def _wait_for(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None and time.monotonic() < end, (
            "the workflow ended before it could be killed"
        )
        time.sleep(0.005)
    return found


def test_killed_training_resumes_and_ends_in_the_same_tables(demo, tmp_path):
    """In another folder, the job is killed in mid-training, then Snakemake and all it started.

    The run that ends has one core, and its jobs another order: tables depend on neither.
    """
    folder, results = tmp_path, tmp_path / "results/small"
    targets = [f"{step}/Excitatory/{step}.tsv" for step in ("redundancy", "effects")]

    def checkpoint():
        """That of the last of three stages."""
        # Hidden ones are being written.
        found = results.glob("surrogate/joint.safetensors.checkpoints/*/[!.]*.pt")
        kept = sorted(found, key=os.path.getmtime)
        return kept[-1] if len(kept) == 3 else None

    def training_job(process):
        for child in psutil.Process(process.pid).children(recursive=True):
            if any("train_surrogate.py" in word for word in child.cmdline()) and not child.children():
                return child

    process = _started(folder, *targets)
    _wait_for(checkpoint, process)
    training_job(process).kill()
    assert process.wait() == 1
    last = (folder / "told").read_text().rstrip().splitlines()[-1]
    assert re.fullmatch(r".*logs/train_surrogate.log: ended without a message.*", last)
    assert not (results / "surrogate/joint.safetensors").exists()

    first = checkpoint().stat().st_mtime_ns
    process = _started(folder, *targets)
    _wait_for(lambda: checkpoint().stat().st_mtime_ns > first, process)
    assert "resumed after epoch" in (results / "logs/train_surrogate.log").read_text()
    for doomed in [*psutil.Process(process.pid).children(recursive=True), process]:
        doomed.kill()
    process.wait()

    # A Snakemake that could not clean up has left its lock, and says how to lift it.
    assert "--unlock" in run(folder, CONFIG, *targets).last_line
    succeed(folder, CONFIG, options=["--unlock"])
    options = ["--scheduler", "greedy", "--prioritize", f"results/small/{targets[0]}"]
    resumed = succeed(folder, CONFIG, *targets, options=options)
    log = (results / "logs/train_surrogate.log").read_text()
    assert "mapping (all): resumed after epoch" in log
    assert resumed.jobs["train_surrogate"] == 1 and not {"simulate", "preprocess"} & set(resumed.jobs)
    assert not list(results.rglob("*.checkpoints"))
    for name in REPRODUCED:
        assert _content(resumed.folder / name) == _content(demo.folder / name), name


def _content(path):
    """A table's bytes; without the time that searches took, which no seed fixes."""
    if path.name != "effects.tsv":
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return pd.read_csv(path, sep="\t", dtype=str).drop(columns="objective_seconds").to_csv()
