"""The pages for users keep up with the code: every column of every table, links, Python that parses."""

import ast
import re
from pathlib import Path

import pytest

from grids.effects import CELL_COLUMNS, LOCATION_COLUMNS, NULL_COLUMNS, TASK_KEYS
from grids.intervals import WINDOW_COLUMNS
from grids.perturbation.search import SEARCH_COLUMNS
from grids.preprocessing import ANNOTATION_COLUMNS, GENE_COLUMNS
from grids.quality_control import METRIC_COLUMNS, STEP_COLUMNS
from grids.simulate import TRUTH_COLUMNS
from grids.surrogates.latent import LATENT_COLUMNS
from grids.surrogates.quality import QUALITY_COLUMNS, SUMMARY_COLUMNS
from grids.surrogates.stage import CURVE_COLUMNS
from grids.tables import EFFECT_COLUMNS, SET_COLUMNS, SKIPPED_COLUMNS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "workflow/docs").glob("*.md"))]
SECTIONS = {
    part.split("\n", 1)[0]: part
    for part in re.split(r"^## ", (ROOT / "workflow/docs/tables.md").read_text(), flags=re.MULTILINE)[1:]
}
COLUMNS = {
    "sets.tsv": SET_COLUMNS,
    "effects.tsv": EFFECT_COLUMNS,
    "locations.tsv": LOCATION_COLUMNS,
    "null.tsv.gz": NULL_COLUMNS,
    "cells.tsv.gz": CELL_COLUMNS,
    "searches.tsv": SEARCH_COLUMNS,
    "tasks.tsv and skipped.tsv": SKIPPED_COLUMNS,
    "truth.tsv": TRUTH_COLUMNS,
    "windows.tsv.gz": WINDOW_COLUMNS,
    "genes.tsv.gz": GENE_COLUMNS,
    "quality_control/": [*STEP_COLUMNS, *METRIC_COLUMNS, *ANNOTATION_COLUMNS],
    "surrogate/": [*QUALITY_COLUMNS, *SUMMARY_COLUMNS, *CURVE_COLUMNS, *LATENT_COLUMNS],
}


@pytest.mark.parametrize("section", COLUMNS)
def test_every_column_is_explained(section):
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", SECTIONS[section]))))
    if "the task" in SECTIONS[section]:
        named |= set(TASK_KEYS)
    assert set(COLUMNS[section]) <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_python_parses(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(block)
