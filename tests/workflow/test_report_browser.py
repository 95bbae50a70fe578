"""Reports in a browser: every kind of run with stand-ins for its results; of real ones, the tests of each run."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from browser import click_through, needs_chromium
from running import ROOT, command, write_config

pytestmark = [pytest.mark.workflow, needs_chromium]

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="700pt" height="400pt"><text y="9">{}</text></svg>'
INPUTS = ["cells.h5mu", "genes.gtf", "map.mcool", "links.tsv", "classes.tsv"]
CONFIGS = {
    "study": {
        "input": {"multiome": "cells.h5mu", "genes": "genes.gtf"},
        "tasks": {"L2/3 {IT}": ["NKX2-1", "{x}"], "Oligo": ["NKX2-1"]},
        "states": [{"key": "time", "bins": 3}],
        "evidence": [{"name": "eQTL", "path": "links.tsv"}],
        "contacts": {"map": "map.mcool"},
        "redundancy": {"gene_classes": "classes.tsv"},
        "benchmark": {},
    },
    "truth": {
        "truth": {"n_cells": [300], "coaccessibility": [0.2], "n_replicates": 2, "methods": ["rivals"]}
    },
    "synthetic": {"synthetic": {"functions": ["switch"], "background": [0], "n_replicates": 2}},
    "mnist": yaml.safe_load((ROOT / "tests/benchmarks/mnist/mnist.yaml").read_text()),
    "scale": yaml.safe_load((ROOT / "tests/benchmarks/scale/scale.yaml").read_text()),
}


def snakemake(folder: Path, *options: str) -> str:
    told = subprocess.run(
        command("--cores", "1", "--configfile", "study.yaml", *options),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert told.returncode == 0, told.stdout[-5000:]
    return told.stdout


def stand_in(path: Path) -> None:
    """A file that a report can show; loci lie in folders, a figure per gene."""
    if not path.suffix:
        for gene in ("NKX2-1", "=7Bx=7D"):
            stand_in(path / f"{gene}.svg")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SVG.format(path.stem) if path.suffix == ".svg" else f"{path.stem}\n")


@pytest.fixture(scope="module")
def report_of(tmp_path_factory):
    """The report of a run that was only pretended, by the name of its config."""
    made = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            write_config(folder, CONFIGS[name])
            for path in INPUTS:
                (folder / path).touch()
            for path in re.findall(r"^(results/\S+)\t", snakemake(folder, "--summary"), re.MULTILINE):
                stand_in(folder / path)
            snakemake(folder, "--touch")
            snakemake(folder, "--report", "report.html")
            made[name] = folder / "report.html"
        return made[name]

    return make


@pytest.mark.parametrize("name", CONFIGS)
def test_everything_in_a_report_opens(report_of, name):
    seen = click_through(report_of(name), ["redundancy", "gate", "benchmark", "NKX2-1"])
    if name == "study":
        assert seen["3. Sets and effects/Loci, L2/3 (IT)"] == ["(x), L2/3 (IT)", "NKX2-1, L2/3 (IT)"]
        assert sorted(seen["search NKX2-1"]) == ["NKX2-1, L2/3 (IT)", "NKX2-1, Oligo", "NKX2-1, all types"]
    if name == "mnist":
        assert len(seen["Image benchmark/Other"]) == 4


def test_what_breaks_a_page_is_noticed(report_of, tmp_path):
    """A second label that half of the results share, and a figure that cannot be drawn."""
    text, broken = report_of("mnist").read_text(), tmp_path / "broken.html"
    broken.write_text(re.sub(r'("what": "[^"]*), (\w+)"', r'\1", "kind": "\2"', text))
    with pytest.raises(AssertionError, match="a white page"):
        click_through(broken, [])
    broken.write_text(re.sub(r"(data:image/svg\+xml[^,]*,)", r"\1 no figure", text))
    with pytest.raises(AssertionError, match="EncodingError"):
        click_through(broken, [])
