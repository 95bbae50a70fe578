"""The benchmark on outside evidence from the cells to the figure, and the published rivals on real blood cells."""

import pandas as pd
import pytest
from builders import write_h5mu
from numpy.testing import assert_allclose
from running import ROOT, run, succeed

from benchmarks.evidence.agreement import ALL_GENES, METHOD_COLUMNS, measure_methods
from benchmarks.evidence.methods import NAMES
from grids.data.simulation import Design, simulate_multiome
from grids.io import tables
from grids.io.config import EvidenceTable

pytestmark = pytest.mark.workflow

DATA, EVIDENCE = (ROOT.parent / "shared" / name for name in ("data", "evidence"))
PLANTED = ["SINGLE1", "MULTI1", "REDUND1"]
SIMULATED = {
    "run": "simulated",
    "input": {"multiome": "cells.h5mu", "genes": "genes.bed"},
    "quality_control": {"min_fragments": 30, "min_genes": 10},
    "window_surrogate": {"member_penalties": [1], "n_draws": 4, "n_components": 8},
    "tasks": {"Excitatory": [*PLANTED, "NONE1"], "Inhibitory": ["SINGLE1"]},
    "search": {"set_size": 3, "restarts": 1},
    "effects": {"n_null_sets": 20},
    "evidence": [{"name": "planted", "path": "planted.tsv", "label": "is_member"}],
    "evidence_benchmark": {"n_bootstrap": 100},
}
BLOOD = {
    "run": "blood",
    "seed": 1,
    "input": {"assembly": "hg38", "cell_type_key": "cell_type"}
    | {"multiome": str(DATA / "pbmc_three_genes_counts.h5mu"), "genes": str(DATA / "genes.hg38.bed.gz")},
    "quality_control": {"min_fragments": 0, "min_genes": 1, "min_tss_enrichment": 0},
    "tasks": {"CD4 Naive": ["CCR7"], "CD14+ Monocytes": ["ZEB2"], "B cells": ["HLA-DQB1"]},
    "evidence": [{"name": name, "path": f"{name}.tsv"} for name in ("FANTOM5", "4DGenome")],
    "evidence_benchmark": {},
}
# Area for ZEB2 in FANTOM5 and for CCR7 in 4DGenome, and hits among the top 5, as measured with another code.
MEASURED = {
    "distance": (0.17, 0.23, 0, 0),
    "accessibility": (0.39, 0.12, 4, 2),
    "accessibility_over_distance": (0.22, 0.20, 1, 0),
    "correlation_all_cells": (0.72, 0.37, 12, 5),
    "correlation_within_type": (0.23, 0.16, 1, 1),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    planted = {"n_candidates": 12, "coaccessibility": 0.3, "planted_mean_counts": 10.0}
    simulation = simulate_multiome(Design(1600, 900, 80, 2, detection=0.6, **planted), 1)
    write_h5mu(folder / "cells.h5mu", *(simulation.mdata[name].copy() for name in ("rna", "atac")))
    simulation.genes.to_csv(folder / "genes.bed", sep="\t", index=False, header=False)
    place = simulation.truth["peak"].str.extract(r"(?P<chromosome>.*):(?P<start>\d+)-(?P<end>\d+)")
    tables.write(simulation.truth.join(place), folder / "planted.tsv")
    return succeed(folder, SIMULATED, "evidence_methods.tsv", "figures/evidence_methods.png")


def test_every_method_is_in_the_table(done):
    table = done.table("evidence_methods.tsv")
    assert list(table.columns) == METHOD_COLUMNS
    of_all = table[table["gene"] == ALL_GENES].set_index("method")
    assert of_all.index.tolist() == list(NAMES)
    assert set(table["gene"]) == {*PLANTED, "NONE1", ALL_GENES}
    assert of_all["n_pairs"].nunique() == 1 and (of_all["n_positive"] == 7).all()
    # Planted members are open where the gene is high, whatever their distance.
    assert of_all.loc[["inclusion", "sets_within_type", "links_within_type"], "auprc"].min() > 0.8
    assert of_all.loc["links_across_types", "auprc"] > of_all.loc["distance", "auprc"] + 0.2
    assert of_all.loc["correlation_all_cells", "auprc"] > of_all.loc["distance", "auprc"] + 0.2
    assert of_all.loc["inclusion", "top_5_hits"] > of_all.loc["distance", "top_5_hits"]
    none = table[table["gene"] == "NONE1"]
    assert none["auprc"].isna().all() and (none["top_5_hits"] == 0).all()
    assert "GRIDS inclusion" in (done.folder / "evidence_methods.md").read_text()


def test_without_evidence_one_line_says_what_to_write(tmp_path):
    config = {**SIMULATED, "evidence": [], "input": {"simulation": {}}, "tasks": {"Excitatory": ["SINGLE1"]}}
    told = run(tmp_path, config, options=["--dry-run"])
    assert told.status != 0
    assert "evidence_benchmark compares methods with the tables of evidence, and there are none" in told.told


@pytest.mark.real_data
@pytest.mark.skipif(
    not (DATA.is_dir() and EVIDENCE.is_dir()),
    reason=f"real cells and links are not beside the repository ({DATA})",
)
def test_rivals_reach_on_blood_cells_what_others_have_measured(tmp_path):
    links = pd.read_csv(EVIDENCE / "links_three_genes_hg38.tsv", sep="\t")
    for name, rows in links.groupby("source"):
        rows.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    scored = succeed(tmp_path, BLOOD, "evidence_benchmark/scores_of_rivals.tsv.gz")
    pairs, scores = (
        scored.table(f"evidence_benchmark/{name}.tsv.gz") for name in ("pairs", "scores_of_rivals")
    )
    settings = {"min_open_share": 0.01, "block_bp": 10_000, "n_bootstrap": 1_000}
    evidence = [EvidenceTable(**entry) for entry in BLOOD["evidence"]]
    table = measure_methods(evidence, pairs, scores, settings, seed=1)
    table = table.set_index(["evidence", "gene", "method"])
    for method, (zeb2, ccr7, *hits) in MEASURED.items():
        found = [table.loc[("FANTOM5", "ZEB2", method)], table.loc[("4DGenome", "CCR7", method)]]
        assert_allclose([row["auprc"] for row in found], [zeb2, ccr7], atol=0.015, err_msg=method)
        tops = [table.loc[(name, ALL_GENES, method), "top_5_hits"] for name in ("FANTOM5", "4DGenome")]
        assert_allclose(tops, hits, atol=1, err_msg=method)
    widest = table.loc[("FANTOM5", "ZEB2", "correlation_all_cells")]
    assert_allclose(widest[["auprc_low", "auprc_high"]].astype(float), [0.52, 0.85], atol=0.05)
