"""The pages for users keep up with the code: every column of every table, links, Python that parses."""

import ast
import re
from pathlib import Path

import pytest

from benchmarks.evidence.agreement import METHOD_COLUMNS
from benchmarks.evidence.methods import SCORE_COLUMNS as EVIDENCE_SCORE_COLUMNS
from benchmarks.evidence.pairs import PAIR_COLUMNS
from benchmarks.explainers.comparisons import COMPARISON_COLUMNS
from benchmarks.explainers.single_cell import COST_COLUMNS
from benchmarks.mnist.benchmark import EFFECT_COLUMNS as DIGIT_EFFECT_COLUMNS
from benchmarks.mnist.benchmark import SET_COLUMNS as PIXEL_COLUMNS
from benchmarks.mnist.training import QUALITY_COLUMNS as CLASSIFIER_COLUMNS
from benchmarks.scale.benchmark import MEASUREMENT_COLUMNS
from benchmarks.scale.summary import COST_COLUMNS as SCALE_COST_COLUMNS
from benchmarks.scale.summary import EXPONENT_COLUMNS, RATIO_COLUMNS
from benchmarks.synthetic.benchmark import REPLICATE_COLUMNS
from benchmarks.synthetic.benchmark import SUMMARY_COLUMNS as SYNTHETIC_SUMMARY_COLUMNS
from benchmarks.truth.scores import SCORE_COLUMNS
from benchmarks.truth.stated import CREDIBLE_COLUMNS, INCLUSION_COLUMNS
from benchmarks.truth.summary import CALIBRATION_COLUMNS, CONFUSION_COLUMNS, POWER_COLUMNS
from benchmarks.truth.summary import SUMMARY_COLUMNS as TRUTH_SUMMARY_COLUMNS
from grids.analysis.contacts.measurement import (
    CONTACT_COLUMNS,
    CONTACT_MEMBER_COLUMNS,
    CONTACT_SUMMARY_COLUMNS,
)
from grids.analysis.effects import CELL_COLUMNS, LOCATION_COLUMNS, NULL_COLUMNS
from grids.analysis.gate import FEASIBILITY_COLUMNS, GATE_COLUMNS, TESTABLE_COLUMNS
from grids.analysis.links.calibration import CALIBRATION_COLUMNS as LINK_CALIBRATION_COLUMNS
from grids.analysis.links.calibration import COUNT_COLUMNS
from grids.analysis.links.collected import COLLECTED_COLUMNS
from grids.analysis.links.tables import WINDOW_TEST_COLUMNS
from grids.data.annotation import GENE_COLUMNS
from grids.data.cell_types import CLUSTER_COLUMNS
from grids.data.intervals import WINDOW_COLUMNS
from grids.data.quality_control import METRIC_COLUMNS, STEP_COLUMNS
from grids.data.simulation import TRUTH_COLUMNS
from grids.exports.summary import SUMMARY_COLUMNS as TASK_SUMMARY_COLUMNS
from grids.io.tables import (
    ALTERNATIVE_COLUMNS,
    ATLAS_COLUMNS,
    EFFECT_COLUMNS,
    EVIDENCE_COLUMNS,
    EVIDENCE_PAIR_COLUMNS,
    INTERACTION_COLUMNS,
    KNOCK_DOWN_COLUMNS,
    MEMBER_COLUMNS,
    REDUNDANCY_COLUMNS,
    SET_COLUMNS,
    SKIPPED_COLUMNS,
    SPECIFICITY_COLUMNS,
    STATE_COLUMNS,
    TASK_KEYS,
)
from grids.search.sets import SEARCH_COLUMNS
from grids.surrogates.cross_modality.latent import LATENT_COLUMNS
from grids.surrogates.cross_modality.stage import CURVE_COLUMNS
from grids.surrogates.quality import QUALITY_COLUMNS, SUMMARY_COLUMNS
from grids.surrogates.window.training import REGULARISATION_COLUMNS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "config/README.md",
    *sorted((ROOT / "workflow/docs").glob("*.md")),
    *sorted((ROOT / "workflow/benchmarks").glob("*/*.md")),
    ROOT / ".github/CONTRIBUTING.md",
]
SECTIONS = {
    part.split("\n", 1)[0]: part
    for part in re.split(r"^## ", (ROOT / "workflow/docs/tables.md").read_text(), flags=re.MULTILINE)[1:]
}
SECTIONS |= {
    path.parent.name: path.read_text().partition("\n## Tables\n")[2]
    for path in (ROOT / "workflow/benchmarks").glob("*/README.md")
}
COLUMNS = {
    "sets.tsv": [*SET_COLUMNS, "passed_gate"],
    "effects.tsv": [*EFFECT_COLUMNS, "passed_gate"],
    "locations.tsv": [*LOCATION_COLUMNS, "passed_gate"],
    "null.tsv.gz": [*NULL_COLUMNS, "passed_gate"],
    "cells.tsv.gz": [*CELL_COLUMNS, "passed_gate"],
    "searches.tsv": [*SEARCH_COLUMNS, "passed_gate"],
    "redundancy.tsv": [*REDUNDANCY_COLUMNS, "passed_gate"],
    "members.tsv": [*MEMBER_COLUMNS, "passed_gate"],
    "interactions.tsv": [*INTERACTION_COLUMNS, "passed_gate"],
    "knock_down.tsv": [*KNOCK_DOWN_COLUMNS, "passed_gate"],
    "alternative_sets.tsv": [*ALTERNATIVE_COLUMNS, "passed_gate"],
    "specificity.tsv": [*SPECIFICITY_COLUMNS, "passed_gate", "passed_gate_where_applied"],
    "state_redundancy.tsv": [*STATE_COLUMNS, "passed_gate"],
    "atlas_summary.tsv": ATLAS_COLUMNS,
    "summary.tsv": TASK_SUMMARY_COLUMNS,
    "feasibility.tsv": FEASIBILITY_COLUMNS,
    "testable_genes.tsv": TESTABLE_COLUMNS,
    "calibration.tsv": LINK_CALIBRATION_COLUMNS,
    "calibration_p_values.tsv.gz": COUNT_COLUMNS,
    "evidence.tsv": EVIDENCE_COLUMNS,
    "evidence_pairs.tsv.gz": EVIDENCE_PAIR_COLUMNS,
    "contacts.tsv": CONTACT_COLUMNS,
    "contact_members.tsv": CONTACT_MEMBER_COLUMNS,
    "contacts_summary.tsv": CONTACT_SUMMARY_COLUMNS,
    "gate.tsv": GATE_COLUMNS,
    "links.tsv.gz": COLLECTED_COLUMNS,
    "judged_windows.tsv.gz": [*WINDOW_TEST_COLUMNS, "q_value", "q_value_distal", "reason"],
    "tasks.tsv and skipped.tsv": [*SKIPPED_COLUMNS, "passed_gate"],
    "truth.tsv": TRUTH_COLUMNS,
    "windows.tsv.gz": WINDOW_COLUMNS,
    "genes.tsv.gz": GENE_COLUMNS,
    "quality_control/": [*STEP_COLUMNS, *METRIC_COLUMNS, *CLUSTER_COLUMNS],
    "surrogate/": [
        *QUALITY_COLUMNS, *SUMMARY_COLUMNS, *REGULARISATION_COLUMNS, *CURVE_COLUMNS, *LATENT_COLUMNS,
    ],
    "explainers": [*COST_COLUMNS, *COMPARISON_COLUMNS],
    "truth": [
        *SCORE_COLUMNS, *TRUTH_SUMMARY_COLUMNS, *CONFUSION_COLUMNS, *CALIBRATION_COLUMNS, *INCLUSION_COLUMNS,
        *CREDIBLE_COLUMNS, *POWER_COLUMNS,
    ],
    "mnist": [*DIGIT_EFFECT_COLUMNS, *CELL_COLUMNS, *PIXEL_COLUMNS, *CLASSIFIER_COLUMNS],
    "synthetic": [*REPLICATE_COLUMNS, *SYNTHETIC_SUMMARY_COLUMNS],
    "evidence": [*METHOD_COLUMNS, *PAIR_COLUMNS, *EVIDENCE_SCORE_COLUMNS],
    "scale": [*MEASUREMENT_COLUMNS, *SCALE_COST_COLUMNS, *RATIO_COLUMNS, *EXPONENT_COLUMNS],
}  # fmt: skip


@pytest.mark.parametrize("section", COLUMNS)
def test_every_column_is_explained(section):
    named = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", SECTIONS[section]))))
    if "the task" in SECTIONS[section]:
        named |= {*TASK_KEYS, "passed_gate"}
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
