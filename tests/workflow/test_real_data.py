"""The whole workflow on real multiome data, with the settings of ``config/`` reduced to minutes."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from running import ROOT, succeed, updated

DATA = ROOT.parent / "shared" / "data"

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.real_data,
    pytest.mark.skipif(
        not DATA.is_dir(), reason=f"real multiome data are not beside the repository ({DATA})"
    ),
]

MAX_EPOCHS = {"atac": 1, "rna": 2, "mapping": 8, "specialisation": 2}
REDUNDANCY = {"n_bootstrap": 50, "n_stability": 2, "max_alternatives": 1}
CORTEX = {
    # Half of the cells and the peaks that are open in many of them: seconds per epoch, not a minute.
    "quality_control": {"min_fragments": 60, "min_cells_per_peak": 40},
    "preprocessing": {"n_variable_genes": 300},
    "tasks": {"Oligo": ["Mobp", "Mog"], "Astro": ["Gja1"]},
    "surrogate": {"width": 32, "rna_hidden": [128], "max_epochs": MAX_EPOCHS},
    "search": {"set_size": 4, "restarts": 1},
    "effects": {"n_null_sets": 100},
    "redundancy": REDUNDANCY,
}
# What depends on members all over the genome.
CORTEX_TARGETS = [
    "effects.tsv",
    "redundancy.tsv",
    "surrogate/quality.tsv",
    "figures/locus/Oligo",
    "tracks/Oligo.bedpe",
]
BLOOD = {
    "quality_control": {"min_fragments": 60},
    "surrogate": {"width": 16, "rna_hidden": [32], "max_epochs": MAX_EPOCHS},
    "search": {"set_size": 4, "restarts": 2},
    "effects": {"n_null_sets": 100},
    "redundancy": REDUNDANCY,
}

BLOOD_TARGETS = ["effects.tsv", "redundancy.tsv", "surrogate/quality.tsv", "figures/locus/B=20cells"]


def config(name: str, changes: dict) -> dict:
    """A config of ``config/`` with other values, and paths that hold from any folder."""
    full = yaml.safe_load((Path(__file__).parent / "config" / f"{name}.yaml").read_text())
    places = {key: str(DATA / Path(full["input"][key]).name) for key in ("multiome", "genes")}
    return updated(updated(full, {"input": places}), changes)


def tasks_of(config: dict) -> list[tuple[str, str]]:
    return [(cell_type, gene) for cell_type, genes in config["tasks"].items() for gene in genes]


def check_tables(run, config: dict) -> None:
    """Every task has whole sets, and effects that lower expression on test cells."""
    set_size, n_null_sets = config["search"]["set_size"], config["effects"]["n_null_sets"]
    assert run.table("skipped.tsv").empty
    sets, effects = run.table("sets.tsv"), run.table("effects.tsv")
    for table, n_rows in ((sets, set_size), (effects, set_size)):
        found = list(zip(table["cell_type"], table["gene"], strict=True))
        assert found == [task for task in tasks_of(config) for _ in range(n_rows)]
    assert sets["rank"].tolist() == list(range(1, set_size + 1)) * len(tasks_of(config))
    assert not sets.duplicated(["cell_type", "gene", "peak"]).any()
    assert effects.drop(columns="q_value").notna().all().all()
    assert effects["p_value"].between(1 / (1 + n_null_sets) - 1e-6, 1).all()
    assert (effects["q_value"] >= effects["p_value"]).all()
    whole = effects[effects["set_size"] == set_size]
    # A set chosen in training cells moves test cells the same way, further than matched random sets do.
    assert (whole["log_change"] < 0).all()
    assert (whole["log_change"] < whole["null_mean"]).all()
    assert (whole["p_value"] < 0.05).mean() > 0.7
    searches = run.table("searches.tsv")
    assert (searches["objective_after"] <= searches["objective_before"]).all() and searches["converged"].all()


def check_quality(run, beaten=("gene_mean",)) -> None:
    """The surrogate's errors on test cells are smaller than those of the models named."""
    quality = run.table("surrogate/quality_summary.tsv").set_index("model")
    models = ["cross_modality", "gene_mean", "cell_type_mean", "lsi_ridge", "lsi_neighbours"]
    assert quality.index.tolist() == models
    for model in beaten:
        assert quality.loc["cross_modality", "rmse"] < quality.loc[model, "rmse"], model
    assert quality.loc["cross_modality", "mean_r_per_gene"] > 0.05
    assert abs(quality.loc["gene_mean", "mean_r_per_gene"]) < 1e-3


def test_mouse_cortex_over_the_whole_genome(tmp_path):
    cortex = succeed(tmp_path, config("mouse_cortex", CORTEX), *CORTEX_TARGETS)
    check_tables(cortex, config("mouse_cortex", CORTEX))
    check_quality(cortex, beaten=["gene_mean", "lsi_neighbours"])
    sets = cortex.table("sets.tsv")
    assert sets["distance_to_tss_bp"].isna().any()  # members on other chromosomes
    share = cortex.table("quality_control/harmonisation.tsv").set_index("what")["share_matched"]
    assert share["peaks on annotated chromosomes"] == 1 and share["RNA genes in the annotation"] > 0.95
    assert {path.stem for path in cortex.folder.glob("figures/locus/Oligo/*.svg")} == {"Mobp", "Mog"}
    arcs = (cortex.folder / "tracks/Oligo.bedpe").read_text().splitlines()
    between = [arc for arc in (line.split("\t") for line in arcs if "|" in line) if arc[0] != arc[3]]
    assert between
    # each type's own training improves on what was learned from all
    curves = cortex.table("surrogate/curves.tsv").query("stage == 'specialisation' and split == 'validation'")
    values = curves.pivot(index="cell_type", columns="epoch", values="value")
    assert set(values.index) == {"Oligo", "Astro"}
    assert (values[2] < values[0]).all()


@pytest.mark.slow
def test_human_blood_with_normalised_values(tmp_path):
    reduced = config("pbmc_three_genes", BLOOD)
    run = succeed(tmp_path, reduced, *BLOOD_TARGETS)
    check_tables(run, reduced)
    assert (run.folder / "figures/locus/B=20cells/HLA-DQB1.png").stat().st_size > 5000
    check_quality(run, beaten=["gene_mean"])
    sets = run.table("sets.tsv")
    assert sets["in_window"].all() and set(sets["chromosome"]) == {"chr17", "chr2", "chr6"}
    assert set(run.table("surrogate/quality.tsv")["gene"]) == {"CCR7", "ZEB2", "HLA-DQB1"}
    assert (run.folder / "surrogate/CD14+=20Monocytes.safetensors").is_file()


def test_human_blood_annotated_with_markers(tmp_path):
    study = {
        "run": "blood",
        "input": {
            "multiome": str(DATA / "pbmc_45_genes.h5mu"),
            "genes": str(DATA / "genes.hg38.bed.gz"),
            "markers": "human_blood",
        },
        "quality_control": {"min_fragments": 0, "min_genes": 1},
        "tasks": {"CD14+ monocyte": ["VCAN"], "B": ["MS4A1"]},
    }
    run = succeed(tmp_path, study, "tasks.tsv", "windows.tsv.gz", "figures/quality_control.png")
    clusters = run.table("quality_control/annotation.tsv")
    assert {"CD14+ monocyte", "B", "NK"} <= set(clusters["cell_type"]) and set(clusters["modality"]) == {
        "rna", "atac",
    }  # fmt: skip
    assert clusters.groupby("modality")["n_cells"].sum().le(1000).all()
    metrics = run.table("quality_control/metrics.tsv.gz")
    assert len(metrics) == 1000 and metrics.loc[metrics["kept"], "cell_type"].notna().all()
    steps = run.table("quality_control/cells.tsv").set_index("step")
    assert steps.loc["min_cells_per_type", "n_after"] == metrics["kept"].sum() > 800
    windows = run.table("windows.tsv.gz")
    assert {"VCAN", "MS4A1"} <= set(windows["gene"])
    accessibility = run.table("accessibility.tsv.gz")
    # the promoter of a B cell's gene is open in B cells
    promoter = windows[(windows["gene"] == "MS4A1") & windows["is_promoter"]]["peak"]
    shares = accessibility.set_index("peak").loc[promoter].iloc[:, 3:].to_numpy(float)
    assert np.argmax(shares.max(0)) == list(accessibility.columns[4:]).index("B")


def test_mouse_cortex_in_which_nothing_passes(tmp_path):
    """Too few cells: a result, which the report explains."""
    study = {
        "run": "cortex",
        "input": {"multiome": str(DATA / "mouse_cortex.h5mu"), "genes": str(DATA / "genes.mm10.bed.gz")},
        "quality_control": {"min_fragments": 10, "min_genes": 10},
        "preprocessing": {"n_variable_genes": 30},
        "window_surrogate": {"member_penalties": [1], "n_draws": 2, "n_components": 5},
        "tasks": {"Oligo": ["Mobp", "Mog"], "Astro": ["Gja1"]},
    }
    run = succeed(tmp_path, study)
    summary = run.table("summary.tsv")
    within, across = (
        summary[summary["level"] == level].set_index("gene") for level in ("within_type", "across_types")
    )
    failed = "did not pass the gate"
    assert within["outcome"].to_dict() == {"Mobp": failed, "Mog": failed, "Gja1": "cannot be told"}
    assert (across["outcome"] == "cannot be told").all()
    assert across.loc["Mobp", "reason"].endswith(
        "fewer than 100 windows on other chromosomes to compare with"
    )
    assert re.search(r"4\.\d effective cells .* at least 5 are needed", across.loc["Mog", "reason"])
    skipped = run.table("skipped.tsv")
    of_types = list(zip(skipped["cell_type"], skipped["gene"], strict=True))
    assert of_types == tasks_of(study) + [("all types", gene) for gene in ("Mobp", "Mog", "Gja1")]
    assert (
        skipped["reason"][:2].str.contains("does not pass the gate: q-value .* above 0.05", regex=True).all()
    )
    assert skipped["reason"][2] == "no peak in its window"
    assert "Astro, Gja1: cannot be tested: no peak in its window" in run.told
    assert "within types: 0 of 3 tasks explained" in run.told and "across types: 0 of 3" in run.told
    report = (run.folder / "report.html").read_text()
    assert "0 of 3 tasks explained" in report and "none within windows.window_bp, 500,000 bp" in report
    assert run.table("effects.tsv").empty and run.table("sets.tsv").empty
