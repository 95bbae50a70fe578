"""Benchmarks are guests: the study does without them."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import command

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "workflow" / "scripts" / "grids"
RULES = {
    path.parent.name: {*re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)}
    for path in (ROOT / "workflow" / "benchmarks").glob("*/rules.smk")
}
TEXTS = {".py", ".smk", ".yaml", ".rst", ".css"}
NAMED = re.compile(r"\b(mnist|explainers?|(truth|image|synthetic|scale) benchmark)\b", re.IGNORECASE)


def imported(path: Path) -> set[str]:
    """Top packages that a module imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_the_library_imports_no_benchmark():
    modules = [*LIBRARY.rglob("*.py"), *LIBRARY.parent.glob("*.py")]
    assert len(modules) > 100 and any("grids" in imported(path) for path in modules)
    assert [path for path in modules if "benchmarks" in imported(path)] == []


def test_what_the_study_is_made_of_speaks_of_no_benchmark():
    """The hook in `common.smk` and `exports/provenance.py` says benchmark, and no guest's name."""
    folders = ("scripts", "rules", "schemas", "report")
    paths = [
        path for name in folders for path in (ROOT / "workflow" / name).rglob("*.*") if path.suffix in TEXTS
    ]
    assert {path.suffix for path in paths} == TEXTS
    assert [path for path in paths if NAMED.search(path.read_text())] == []


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The repository without its benchmarks."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("workflow", "config", "envs", "resources"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("benchmarks", "__pycache__")
        )
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


@pytest.mark.parametrize("asked", ["--list-rules", "--dry-run"])
def test_a_study_reads_nothing_of_a_benchmark(alone, asked):
    """Neither rules nor schemas, figures or captions: they are not there."""
    told = subprocess.run(
        [sys.executable, "-m", "snakemake", asked], cwd=alone, capture_output=True, text=True
    )
    assert told.returncode == 0 and "find_sets" in told.stdout, told.stdout + told.stderr
    assert not (alone / "workflow" / "benchmarks").exists()


def test_a_study_has_no_rule_of_a_benchmark():
    told = subprocess.run(command("--list-rules"), cwd=ROOT, capture_output=True, text=True, check=True)
    rules = {*told.stdout.split()}
    assert "find_sets" in rules and set(RULES) == {
        "explainers", "truth", "mnist", "synthetic", "scale", "evidence"
    }  # fmt: skip
    for guest, of_guest in RULES.items():
        assert of_guest and not of_guest & rules, guest
