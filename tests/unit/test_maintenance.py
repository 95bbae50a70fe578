"""What is said about the project is true of it."""

import re
from pathlib import Path

import pytest
import yaml

import grids

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
LIBRARY = ROOT / "workflow" / "scripts" / "grids"
BENCHMARKS = ROOT / "workflow" / "benchmarks"


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)$", (ROOT / "workflow/docs/changelog.md").read_text(), re.MULTILINE)[1]
    assert citation["version"] == newest == grids.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires


@pytest.mark.parametrize("path", sorted({*re.findall(r"`([\w./]+\.(?:py|smk|yaml|md|cff))`", CONTRIBUTING)}))
def test_files_of_the_walks_are_there(path):
    folders = [ROOT, LIBRARY, LIBRARY.parent, BENCHMARKS, BENCHMARKS / "explainers"]
    assert any((folder / path).is_file() for folder in folders)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("grids.surrogates.pooling", "PooledSurrogate"),
        ("grids.surrogates.storage", "_RESTORE"),
        ("grids.io.config", "search_scope"),
        ("benchmarks.explainers.run", "EXPLAINERS"),
        ("benchmarks.explainers.run", "DEPEND_ON_SET_SIZE"),
        ("benchmarks.explainers.jobs", "SLOW"),
        ("benchmarks.explainers.methods", "NAMES"),
        ("benchmarks.explainers.problem", "Problem"),
        ("grids.figures.style", "styled"),
        ("grids.figures.style", "empty_figure"),
    ],
)
def test_names_of_the_walks_are_there(module, name):
    assert name in CONTRIBUTING
    assert hasattr(__import__(module, fromlist=[name]), name)


def test_an_explainer_is_named_where_the_walk_says():
    from benchmarks.explainers.figures.benchmark_methods import LOOKS
    from benchmarks.explainers.methods import method_name
    from benchmarks.explainers.run import METHODS

    schema = yaml.safe_load((ROOT / "workflow/benchmarks/explainers/schema.yaml").read_text())["properties"]
    assert set(schema["benchmark"]["properties"]["methods"]["items"]["enum"]) == set(METHODS)
    assert set(METHODS) <= set(LOOKS)
    assert all(method_name(method) != method for method in METHODS if "_" in method)


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yaml")), ids=lambda path: path.name
)
def test_issues_ask_for_the_provenance(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    assert any(field.get("id") == "provenance" for field in form["body"])
