"""The workflow as a Snakemake module of another one: to the report, beside rules of its user."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from running import OPTIONS, ROOT

pytestmark = pytest.mark.workflow

STUDY = {
    "run": "tiny",
    "input": {"simulation": {"n_cells": 400, "n_peaks": 600, "n_genes": 40, "n_cell_types": 2}},
    "quality_control": {"min_fragments": 1, "min_genes": 1, "min_tss_enrichment": 0},
    "tasks": {"Excitatory": ["SINGLE1"]},
    "window_surrogate": {"member_penalties": [1.0], "n_draws": 4, "n_components": 8},
    "levels": ["within_type"],
    "gate": {"force": True},
    "search": {"set_size": 2, "restarts": 1},
    "effects": {"n_null_sets": 50},
    "redundancy": {"n_bootstrap": 20, "n_stability": 2, "max_alternatives": 1},
}
OUTER = """
configfile: "outer.yaml"

module grids:
    snakefile: "{root}/Snakefile"
    config: config["grids"]
    {option}

use rule * from grids {names}

rule mine:
    input: {input}
    output: "mine.txt"
    default_target: True
    shell: "cut -f 5 {{input}} > {{output}}"
"""


def snakemake(folder: Path, names: str, input: str, *arguments: str, option: str = "") -> str:
    """What another workflow tells that uses this one."""
    folder.mkdir(exist_ok=True)
    (folder / "Snakefile").write_text(OUTER.format(root=ROOT, names=names, input=input, option=option))
    (folder / "outer.yaml").write_text(yaml.safe_dump({"grids": STUDY, "samples": ["of the other workflow"]}))
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, *OPTIONS],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    return result.stdout


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("module")
    return snakemake(folder, "as grids_*", "'results/tiny/sets.tsv'", "mine", "grids_all"), folder


def test_a_study_runs_to_its_report_beside_a_rule_of_the_user(done):
    told, folder = done
    assert "rule mine:" in told and "rule grids_find_sets:" in told
    assert set((folder / "mine.txt").read_text().splitlines()[1:]) == {"SINGLE1"}
    results = folder / "results/tiny"
    provenance = yaml.safe_load((results / "provenance.yaml").read_text())
    assert (
        provenance["config"]["run"] == "tiny" and provenance["packages"]["torch"] and provenance["revision"]
    )
    report = (results / "report.html").read_text()
    assert "<strong>tiny</strong>" in report and "up to 2 peaks" in report
    for words in (
        "1. Data",
        "7. Provenance",
        "SINGLE1, Excitatory",
        "Effect by set size, figure",
        "zoom: 1.7",
    ):
        assert words in report, words
    # nothing of this workflow lies elsewhere
    made = {path.name for path in folder.iterdir()}
    assert made == {"Snakefile", "outer.yaml", "mine.txt", "results", ".snakemake"}


def test_rules_may_keep_their_names(done, tmp_path):
    folder = shutil.copytree(done[1], tmp_path / "plain")
    (folder / "mine.txt").unlink()
    (folder / "results/tiny/report.html").unlink()
    told = snakemake(folder, "", "'results/tiny/report.html'")
    assert "localrule make_report:" in told and "2 of 2 steps" in told


def test_paths_may_get_a_prefix(tmp_path):
    told = snakemake(tmp_path, "as grids_*", "rules.grids_all.input", "--dry-run", option="prefix: 'below'")
    assert "below/results/tiny/report.html" in told and " results/tiny" not in told


def test_a_mistake_in_the_config_is_one_line_with_its_file(tmp_path):
    config = {"grids": {**STUDY, "serach": {}}}
    (tmp_path / "Snakefile").write_text(OUTER.format(root=ROOT, names="", input="'x'", option=""))
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump(config))
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", *OPTIONS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    told = (result.stdout + result.stderr).strip()
    assert result.returncode == 1 and "\n" not in told
    assert told.startswith("error: outer.yaml: unknown key 'serach' at the top level. Did you mean 'search'?")
