"""The window surrogate from the cells to the report, at both levels: planted genes are explained, others are not."""

import shutil

import numpy as np
import pytest
from browser import click_through, needs_chromium
from builders import write_h5mu
from numpy.testing import assert_allclose
from running import OF_SETS, marked, succeed, updated

from grids.analysis.gate import GATE_COLUMNS, OF_SURROGATE
from grids.analysis.links.calibration import CALIBRATION_COLUMNS, COUNT_COLUMNS
from grids.data.simulation import Design, simulate_multiome
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.levels import ALL_TYPES, level_of
from grids.surrogates import storage
from grids.surrogates.window.training import REGULARISATION_COLUMNS

pytestmark = pytest.mark.workflow

PLANTED = ["SINGLE1", "MULTI1", "REDUND1"]
CONFIG = {
    "run": "windows",
    "input": {"multiome": "cells.h5mu", "genes": "genes.bed"},
    "quality_control": {"min_fragments": 30, "min_genes": 10},
    "window_surrogate": {"member_penalties": [0.5, 2], "n_draws": 4, "n_components": 8},
    "tasks": {"Excitatory": [*PLANTED, "NONE1"], "Inhibitory": ["NONE2"]},
    "search": {"set_size": 3, "restarts": 1},
    "effects": {"n_null_sets": 50},
    "redundancy": {"n_bootstrap": 20, "n_stability": 2, "max_alternatives": 1, "gene_classes": "classes.tsv"},
    "states": [{"key": "depth", "bins": 2}],
    "evidence": [{"name": "planted", "path": "planted.tsv", "label": "is_member"}],
    "calibration": {"shuffles": 2, "decoys": 2},
}
TABLES = {
    "gate.tsv": GATE_COLUMNS,
    "surrogate/regularisation.tsv": REGULARISATION_COLUMNS,
    "effects.tsv": marked(tables.EFFECT_COLUMNS),
    **OF_SETS,
    "state_redundancy.tsv": marked(tables.STATE_COLUMNS),
    "calibration.tsv": CALIBRATION_COLUMNS,
    "calibration_p_values.tsv.gz": COUNT_COLUMNS,
    "evidence.tsv": tables.EVIDENCE_COLUMNS,
    "evidence_pairs.tsv.gz": tables.EVIDENCE_PAIR_COLUMNS,
}
FIGURES = [
    "quality_control", "regularisation_path", "surrogate_quality", "gate", "effect_against_null", "before_after",
    "effect_by_set_size", "member_locations", "redundancy_index", "member_effects", "knock_down", "interactions",
    "specificity", "state_trajectory", "atlas", "calibration", "evidence",
]  # fmt: skip


@pytest.fixture(scope="module")
def simulation():
    planted = {"n_candidates": 12, "coaccessibility": 0.3, "planted_mean_counts": 10.0}
    return simulate_multiome(Design(1600, 1200, 200, 2, detection=0.6, **planted), 1)


@pytest.fixture(scope="module")
def done(tmp_path_factory, simulation):
    folder = tmp_path_factory.mktemp("windows")
    write_h5mu(folder / "cells.h5mu", *(simulation.mdata[name].copy() for name in ("rna", "atac")))
    simulation.genes.to_csv(folder / "genes.bed", sep="\t", index=False, header=False)
    place = simulation.truth["peak"].str.extract(r"(?P<chromosome>.*):(?P<start>\d+)-(?P<end>\d+)")
    tables.write(simulation.truth.join(place), folder / "planted.tsv")
    classes = simulation.truth[["gene", "logic"]].drop_duplicates().rename(columns={"logic": "gene_class"})
    tables.write(classes, folder / "classes.tsv")
    return succeed(folder, CONFIG)


@pytest.fixture(scope="module")
def tasks(done):
    """Tasks that are explained: within a type, those planted; across types, what goes with its locus."""
    across = done.table("gate.tsv").query("cell_type == @ALL_TYPES and passed_gate")["gene"].tolist()
    found = [gene for gene in [*PLANTED, "NONE1", "NONE2"] if gene in across]
    assert {*PLANTED} & {*found}
    return [*(("Excitatory", gene) for gene in PLANTED), *((ALL_TYPES, gene) for gene in found)]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_there_with_its_columns(done, name):
    table = done.table(name)
    assert list(table.columns) == TABLES[name] and len(table)


def test_the_gate_lets_planted_genes_pass_and_no_others(done, tasks):
    gate = done.table("gate.tsv").set_index(["cell_type", "gene"])
    genes = done.table("windows.tsv.gz")["gene"].unique()
    assert sorted(gate.index.get_level_values("gene").unique()) == sorted(genes)
    planted = gate.index.get_level_values("gene").str.fullmatch(r"(SINGLE|MULTI|REDUND|SYNERG)\d")
    assert gate.loc[~planted, "passed_gate"].mean() < 0.02
    assert (gate["reason"].isna() == gate["passed_gate"]).all()
    assert gate.loc[[*tasks, ("Inhibitory", "SINGLE2")], "passed_gate"].all()
    asked = gate["r"].notna()  # what surrogates were asked
    assert gate.index[asked].isin(tasks).all() and (gate.loc[asked, "chance_of_no_member"] < 0.5).all()
    assert done.table("explained_tasks.tsv").to_numpy().tolist() == [[*task, True] for task in tasks]
    specificity = done.table("specificity.tsv")
    assert specificity["passed_gate"].all()
    there = gate["passed_gate"].loc[list(zip(specificity["applied_to"], specificity["gene"], strict=True))]
    assert specificity["passed_gate_where_applied"].tolist() == there.tolist()
    skipped = done.table("skipped.tsv")
    left = [(ALL_TYPES, gene) for gene in (*PLANTED, "NONE1", "NONE2") if (ALL_TYPES, gene) not in tasks]
    expected = [("Excitatory", "NONE1"), ("Inhibitory", "NONE2"), *left]
    assert list(zip(skipped["cell_type"], skipped["gene"], strict=True)) == expected
    assert skipped["reason"].str.startswith("does not pass the gate: q-value ").all()
    for name in ("sets.tsv", "effects.tsv", "redundancy.tsv", "members.tsv", "alternative_sets.tsv"):
        table = done.table(name)
        assert list(dict.fromkeys(zip(table.cell_type, table.gene, strict=True))) == tasks, name
        assert (table["surrogate"] == "window").all() and table["passed_gate"].all()
        assert table["level"].tolist() == [level_of(cell_type) for cell_type in table["cell_type"]], name


def test_a_set_across_types_is_measured_in_every_type(done, tasks):
    specificity = done.table("specificity.tsv")
    n_cells = read_multiome(done.folder / "preprocessed.h5mu").atac.obs.query("split == 'test'")["cell_type"]
    types = ["Excitatory", "Inhibitory"]
    of_task = specificity.groupby(["found_in", "gene"])
    for cell_type, gene in tasks:
        of_set = of_task.get_group((cell_type, gene)).set_index("applied_to")
        assert sorted(of_set.index) == types and (of_set["level"] == level_of(cell_type)).all()
        assert of_set["n_cells"].to_dict() == n_cells.value_counts()[types].to_dict()
        if cell_type == ALL_TYPES:
            sign = of_set["direction"].map({"silence": -1, "derepress": 1})
            assert (np.sign(of_set["log_change"]) == sign).all()


def test_the_first_page_says_what_came_of_every_task(done, tasks):
    summary, redundancy = (
        done.table(name).query("cell_type != @ALL_TYPES").set_index("gene")
        for name in ("summary.tsv", "redundancy.tsv")
    )
    failed = dict.fromkeys(["NONE1", "NONE2"], "did not pass the gate")
    assert summary["outcome"].to_dict() == dict.fromkeys(PLANTED, "explained") | failed
    n_members = done.table("sets.tsv").query("cell_type != @ALL_TYPES")["gene"].value_counts()
    for column, expected in (("n_members", n_members), ("joint_log_effect", redundancy["joint_log_effect"])):
        assert summary.loc[PLANTED, column].tolist() == expected[PLANTED].tolist()
    assert summary["reason"].notna().tolist() == [False] * 3 + [True] * 2
    told = "within types: 3 of 5 tasks explained, 2 did not pass the gate; across types: "
    across = sum(cell_type == ALL_TYPES for cell_type, _ in tasks)
    assert f"{told}{across} of 5 tasks explained" in done.told
    assert (
        "ithin types: 3 of 5 tasks explained, 2 did not pass the gate"
        in (done.folder / "report.html").read_text()
    )


def test_calibration_covers_both_levels_and_finds_the_planted_genes_only(done):
    table = done.table("calibration.tsv")
    assert table["cell_type"].fillna("").unique().tolist() == ["all types", "Excitatory", "Inhibitory", ""]
    repeats = {"none": 1, "shuffle": 2, "decoy": 2}
    of_one = table[table["cell_type"].notna()]
    assert (of_one["n_repeats"] == of_one["null"].map(repeats)).all()
    of_type = table[(table["cell_type"] == "Excitatory") & (table["what"] == "window")]
    small = of_type[of_type["threshold"] == 0.001].set_index("null")
    assert small.loc["none", "ratio"] > 10 and small.loc["none", "n_repeats_with_discoveries"] == 1
    assert (small.loc[["shuffle", "decoy"], "n_observed"] <= 3).all()


def test_quality_is_beside_the_baselines(done):
    quality, summary = done.table("surrogate/quality.tsv"), done.table("surrogate/quality_summary.tsv")
    models = ["window", "gene_mean", "cell_type_mean", "lsi_ridge", "lsi_neighbours"]
    assert quality["model"].unique().tolist() == summary["model"].tolist() == models
    # Sets are looked at in both types.
    assert quality["cell_type"].fillna("").unique().tolist() == ["", "Excitatory", "Inhibitory"]
    assert set(quality.loc[quality["cell_type"].notna(), "gene"]) == {*PLANTED}
    of_planted = quality[quality["gene"].isin(PLANTED) & (quality["cell_type"] == "Excitatory")]
    rmse = of_planted.groupby("model")["rmse"].mean()
    assert rmse["window"] < rmse.drop("window").min()
    chosen = done.table("surrogate/regularisation.tsv")
    assert chosen.groupby("cell_type")["chosen"].sum().tolist() == [1, 1, 1]


def test_sets_hold_the_planted_members(done, simulation):
    sets = done.table("sets.tsv")
    members = simulation.truth.query("is_member").groupby("gene")["peak"].agg(set)
    assert sets["in_window"].all() and not sets.duplicated(["cell_type", "gene", "peak"]).any()
    for gene in PLANTED:
        own = sets.query("gene == @gene and cell_type == 'Excitatory'")
        found = set(own["peak"].head(len(members[gene])))
        assert len(found & members[gene]) >= max(len(members[gene]) - 1, 1), gene
    effects, sets = (table.query("level == 'within_type'") for table in (done.table("effects.tsv"), sets))
    assert (effects["log_change"] < 0).all()
    full = (
        effects.sort_values("set_size")
        .groupby(["cell_type", "gene"])
        .tail(1)
        .set_index(["cell_type", "gene"])
    )
    assert full["p_value"].max() <= 0.05  # the smallest possible of a set of one among 20 peaks
    # up to three were asked for, and every member does something
    assert (
        sets.groupby(["cell_type", "gene"]).size().to_dict() == full["set_size"].to_dict()
        and full["set_size"].max() <= 3
    )
    assert (sets[["log_effect_alone", "log_effect_in_context"]].abs().max(axis=1) > 1e-5).all()


def test_members_planted_as_redundant_look_it(done):
    index = done.table("redundancy.tsv").set_index(["cell_type", "gene"])["redundancy_index"]["Excitatory"]
    assert index["REDUND1"] > index["MULTI1"]


def test_evidence_and_states_are_measured(done):
    evidence = done.table("evidence.tsv").set_index(["cell_type", "predictor"])
    assert (evidence["gene_scope"] == "tested").all()
    auprc = evidence.loc["Excitatory", "auprc"]
    assert auprc["grids"] > 0.7 > auprc["distance"]
    states = done.table("state_redundancy.tsv")
    assert (states.groupby(["cell_type", "gene"]).size() == 2).all()
    classes = done.table("atlas_summary.tsv").query("grouping == 'gene_class'")["group"]
    assert {"single", "multiplicative", "redundant"} <= set(classes)


def test_figures_tracks_and_report_are_made(done, tasks):
    for name in FIGURES:
        assert (done.folder / f"figures/{name}.png").stat().st_size > 5000, name
    assert not list(done.folder.glob("figures/latent_umap*"))
    drawn = sorted(path.stem for path in (done.folder / "figures/locus/Excitatory").glob("*.pdf"))
    assert drawn == sorted(PLANTED)
    drawn = sorted(path.stem for path in (done.folder / "figures/locus/all=20types").glob("*.pdf"))
    assert drawn == sorted(gene for cell_type, gene in tasks if cell_type == ALL_TYPES)
    assert (done.folder / "tracks/Excitatory.bedpe").is_file() and (done.folder / "explained.h5mu").is_file()
    report = (done.folder / "report.html").read_text()
    assert all(words in report for words in ("Genes judged by the quality gate", "6. Validation", "REDUND1"))


@needs_chromium
def test_everything_in_the_report_opens(done):
    seen = click_through(done.folder / "report.html", ["redundancy", "gate", "REDUND1"])
    assert "REDUND1, Excitatory" in seen["search REDUND1"]


def test_the_stored_surrogate_makes_the_predictions_of_the_gate(done):
    surrogate = storage.load(done.folder / "surrogate/Excitatory.safetensors")
    multiome = read_multiome(done.folder / "preprocessed.h5mu")
    cells = {"cell_type": "Excitatory", "split": "test"}
    predicted = surrogate.predict(multiome.atac.cells(**cells).X)[:, surrogate.genes.index("MULTI1")]
    column = multiome.rna.var.index.get_loc("MULTI1")
    observed = multiome.rna.cells(**cells).X[:, column].toarray().ravel()
    gate = done.table("gate.tsv").set_index(["cell_type", "gene"])
    r = np.corrcoef(predicted, observed)[0, 1]
    assert_allclose(r, gate.loc[("Excitatory", "MULTI1"), "r"], rtol=1e-4)


def test_forcing_the_gate_models_and_explains_every_task(done, tasks, tmp_path):
    copy = shutil.copytree(done.folder.parents[1], tmp_path / "copy")
    forced = updated(CONFIG, {"gate": {"force": True}})
    again = succeed(copy, forced, "explained_tasks.tsv")
    assert again.jobs == {"judge_windows": 1, "train_window_surrogate": 3, "apply_gate": 1}
    explained = again.table("explained_tasks.tsv")
    everything = [*PLANTED, "NONE1", "NONE2"]
    assert explained["gene"].tolist() == everything * 2
    assert explained["passed_gate"].tolist() == [
        task in tasks for task in zip(explained["cell_type"], explained["gene"], strict=True)
    ]
    # judged as before, by windows whose models were not asked for, and explained all the same
    judged, before = (one.table("gate.tsv") for one in (again, done))
    windows = [name for name in GATE_COLUMNS if name not in OF_SURROGATE]
    assert judged[windows].equals(before[windows])
    is_task = judged["gene"].isin(everything) & (judged["cell_type"] == ALL_TYPES)
    assert is_task.sum() == 5 and judged.loc[is_task, OF_SURROGATE].notna().all(axis=None)
    planned = succeed(copy, forced, "effects.tsv", options=["--dry-run"])
    assert planned.jobs == {"find_sets": 3, "measure_effects": 3, "collect_effects": 1}
