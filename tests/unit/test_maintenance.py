"""What is said about the project is true of it."""

import re
from pathlib import Path

import pytest
import yaml

import grids

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
LIBRARY = ROOT / "workflow" / "scripts" / "grids"


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)$", (ROOT / "workflow/docs/changelog.md").read_text(), re.MULTILINE)[1]
    assert citation["version"] == newest == grids.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires


@pytest.mark.parametrize("path", sorted({*re.findall(r"`([\w./]+\.(?:py|smk|yaml|md|cff))`", CONTRIBUTING)}))
def test_files_of_the_walks_are_there(path):
    folders = [ROOT, LIBRARY, LIBRARY.parent, ROOT / "tests" / "unit"]
    assert any((folder / path).is_file() for folder in [*folders, LIBRARY.parent.parent])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("surrogates.pooling", "PooledSurrogate"),
        ("surrogates.storage", "_RESTORE"),
        ("config", "search_scope"),
        ("explainers.run", "EXPLAINERS"),
        ("explainers.run", "DEPEND_ON_SET_SIZE"),
        ("explainers.jobs", "SLOW"),
        ("benchmark.methods", "NAMES"),
        ("explainers.problem", "Problem"),
        ("figures.style", "styled"),
        ("figures.style", "empty_figure"),
    ],
)
def test_names_of_the_walks_are_there(module, name):
    assert name in CONTRIBUTING
    assert hasattr(__import__(f"grids.{module}", fromlist=[name]), name)


def test_an_explainer_is_named_where_the_walk_says():
    from grids.benchmark.methods import method_name
    from grids.explainers.run import METHODS
    from grids.figures.benchmark_methods import LOOKS

    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["properties"]
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
