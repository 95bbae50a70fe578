"""What came of every task: right outcomes, right numbers, and advice that the config takes."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from grids.analysis.gate import FEASIBILITY_COLUMNS, TESTABLE_COLUMNS
from grids.exports.summary import MOST_TASKS, SUMMARY_COLUMNS, in_one_line, summarise_tasks, summary_page

SCHEMA = yaml.safe_load((Path(__file__).parents[3] / "workflow/schemas/config.schema.yaml").read_text())
CONFIG = {
    "gate": {"q_value": 0.05, "force": False},
    "preprocessing": {"split": {"train": 0.7, "validation": 0.1, "test": 0.2}},
    "quality_control": {"min_cells_per_peak": 10},
    "windows": {"window_bp": 500_000},
}
STEPS = pd.DataFrame({"step": ["min_cells_per_peak"], "n_dropped": [1234], "n_after": [5678]})
FEW = "expressed in 3 of 60 test cells, too few to tell (at least 5)"
TASKS = [
    ("Oligo", "Mobp", 40, 50, "testable"),
    ("Oligo", "Mog", 12, 9, "testable"),
    ("Oligo", "Mag", 12, 3, FEW),
    ("Oligo", "Cnp", 30, 20, "testable"),
    ("Astro", "Gja1", 0, 30, "no peak in its window"),
    ("Astro", "Aqp4", 9, 30, "testable"),
]


def feasibility(tasks=TASKS):
    rows = [
        [cell_type, gene, n_peaks, 210, 30, 60, 3 * n, n, n, verdict]
        for cell_type, gene, n_peaks, n, verdict in tasks
    ]
    return pd.DataFrame(rows, columns=FEASIBILITY_COLUMNS)


def gate_rows(*rows):
    columns = [
        "cell_type",
        "gene",
        "p_value",
        "q_value",
        "r",
        "r_depth",
        "r_permuted_window",
        "skill",
        "passed_gate",
    ]
    return pd.DataFrame(rows, columns=[*columns, "reason"])


# Mobp passes, Mog misses the q-value, Cnp the depth and the mean, Aqp4 passes but has no set.
GATE = gate_rows(
    ["Oligo", "Mobp", 1e-5, 4e-5, 0.5, 0.1, 0.2, 0.3, True, np.nan],
    ["Oligo", "Mog", 0.09, 0.12, 0.2, 0.1, 0.05, 0.01, False, "q-value 0.12 above 0.05"],
    ["Oligo", "Mag", np.nan, np.nan, 0.2, 0.1, 0.05, 0.01, False, FEW],
    [
        "Oligo",
        "Cnp",
        0.001,
        0.002,
        0.1,
        0.15,
        0.05,
        -0.01,
        False,
        "r 0.100 not above 0.150 of depth; skill ...",
    ],
    ["Astro", "Aqp4", 1e-4, 2e-4, 0.4, 0.1, 0.2, 0.3, True, np.nan],
    ["Oligo", "Plp1", 1e-6, 1e-4, 0.5, 0.1, 0.2, 0.3, True, np.nan],
    ["Oligo", "Gad1", 0.5, 0.6, 0.5, 0.1, 0.2, 0.3, False, "q-value 0.6 above 0.05"],
    ["Oligo", "Rare", np.nan, np.nan, 0.5, 0.1, 0.2, 0.3, False, FEW],
    ["Astro", "Slc1a2", 0.02, 0.3, 0.5, 0.1, 0.2, 0.3, False, "q-value 0.3 above 0.05"],
    ["Astro", "Glul", 0.01, 0.3, 0.5, 0.1, 0.2, 0.3, False, "q-value 0.3 above 0.05"],
)
SKIPPED = pd.DataFrame(
    [
        ["Oligo", "Mog", "does not pass the gate: q-value 0.12 above 0.05"],
        ["Oligo", "Mag", FEW],
        ["Oligo", "Cnp", "does not pass the gate: r 0.100 not above 0.150 of depth; skill ..."],
        ["Astro", "Gja1", "no peak in its window"],
        ["Astro", "Aqp4", "closing peaks does nothing"],
    ],
    columns=["cell_type", "gene", "reason"],
)
REDUNDANCY = pd.DataFrame(
    {"cell_type": ["Oligo"], "gene": ["Mobp"], "set_size": [3], "class": ["redundant"], "passed_gate": [True]}
    | {"joint_log_effect": [-0.81], "joint_log_effect_low": [-0.9], "joint_log_effect_high": [-0.7]}
)
SETS = pd.DataFrame({"cell_type": "Oligo", "gene": "Mobp", "peak": ["a", "b", "c"]})
TESTABLE = pd.DataFrame(
    [["Oligo", 210, 30, 60, 1574, 4, 1160, 410], ["Astro", 300, 40, 89, 1574, 4, 1149, 421]],
    columns=TESTABLE_COLUMNS,
)


class Tables(HTMLParser):
    """Cells of the tables of a page, row by row, and all its text."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.text, self.missed = [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            if ("class", "missed") in attributes:
                self.missed.append((self.rows[-1][1], len(self.rows[-1]) - 1))

    def handle_data(self, text):
        self.text += text
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += text.strip()


def page_of(skipped=SKIPPED, redundancy=REDUNDANCY, sets=SETS, config=CONFIG, asked=None, gate=GATE):
    asked = feasibility() if asked is None else asked
    summary, page = summary_page(asked, TESTABLE, gate, skipped, redundancy, sets, STEPS, config)
    return summary, Tables(page)


def advice_in(page):
    return " ".join(page.text.partition("What would help")[2].split())


def test_every_task_has_its_outcome_reason_and_numbers():
    summary = summarise_tasks(feasibility(), GATE, SKIPPED, REDUNDANCY, SETS)
    assert list(summary.columns) == SUMMARY_COLUMNS
    assert summary["gene"].tolist() == [task[1] for task in TASKS]
    assert summary["outcome"].tolist() == [
        "explained", "did not pass the gate", "cannot be tested", "did not pass the gate", "cannot be tested", "no set",
    ]  # fmt: skip
    reasons = dict(zip(SKIPPED["gene"], SKIPPED["reason"], strict=True))
    rows = summary.set_index("gene")
    assert rows["reason"].dropna().to_dict() == reasons
    assert rows.loc["Mobp", ["n_members", "class", "joint_log_effect_low"]].tolist() == [3, "redundant", -0.9]
    assert rows.loc["Mog", ["n_expressing_test", "p_value", "q_value"]].tolist() == [9, 0.09, 0.12]
    assert rows["n_members"].tolist() == [3, 0, 0, 0, 0, 0]
    told = "1 of 6 tasks explained, 2 did not pass the gate, 2 cannot be tested, 1 without a set"
    assert in_one_line(summary) == told


def test_a_forced_task_is_explained_and_did_not_pass():
    skipped = SKIPPED[SKIPPED["gene"] == "Gja1"]
    forced = REDUNDANCY.assign(gene="Mog", passed_gate=False)
    sets = pd.concat([SETS, SETS.assign(gene="Mog")])
    config = {**CONFIG, "gate": {"q_value": 0.05, "force": True}}
    asked = feasibility([task for task in TASKS if task[1] in ("Mobp", "Mog", "Gja1")])
    summary, page = page_of(skipped, pd.concat([REDUNDANCY, forced]), sets, config, asked)
    assert summary["outcome"].tolist() == [
        "explained", "explained, did not pass the gate (forced)", "cannot be tested",
    ]  # fmt: skip
    assert summary.loc[1, "reason"] == "q-value 0.12 above 0.05"
    assert in_one_line(summary) == "2 of 3 tasks explained (1 of them by force), 1 cannot be tested"
    assert "1 did not pass the quality gate and is explained by gate.force" in page.text
    assert "gate.force: true" not in page.text  # it is already


def test_the_page_shows_how_near_each_task_was():
    _, page = page_of()
    rows = {row[1]: row for row in page.rows[1:7]}
    assert rows["Mobp"][2:6] == ["explained", "redundant", "−0.81 [−0.9, −0.7]", "3"]
    assert rows["Mobp"][6:] == ["4e−5", "1e−5", "0.3", "0.5", "0.1", "0.2", "50 of 60"]
    assert rows["Gja1"][2] == "cannot be tested: no peak in its window"
    assert rows["Aqp4"][2] == "no set: closing peaks does nothing"
    # q of Mog; skill and the r of depth of Cnp; nothing of what was not tested
    assert page.missed == [("Mog", 6), ("Cnp", 8), ("Cnp", 10)]
    types = {row[0]: row[1:] for row in page.rows[8:]}
    assert types["Oligo"] == ["210", "30", "60", "1,574", "4", "1,160", "410", "5", "2"]
    text = " ".join(page.text.split())
    assert "Oligo: 1 of 2 judged pass, first Plp1 (q 1e−4)" in text
    assert "Astro: none of 2 judged passes; the nearest Glul (q 0.3), Slc1a2 (q 0.3)" in text


def test_advice_repeats_what_was_measured():
    told = advice_in(page_of()[1])
    # 15 of 300 cells, a fifth of which are for the test: 5 / 0.05 / 0.2
    assert (
        "Oligo, Mag: in 15 of 300 cells of the type; at this share 5 test cells are expected of about 500 cells"
        in told
    )
    assert "(Astro, Gja1): none within windows.window_bp, 500,000 bp" in told and "the 5,678 peaks" in told
    assert "1,234 are open in fewer cells than quality_control.min_cells_per_peak, 10" in told
    assert "No sign that the window matters (Oligo, Mog)" in told
    assert "nearest is Oligo, Mog with p 0.09, q 0.12, expressed in 9 of 60 test cells" in told
    assert "permuted window (Oligo, Cnp)" in told
    assert "listed above as passing" in told


def test_too_few_test_cells_and_genes_that_no_cell_shows():
    few = feasibility([("Oligo", "Mag", 12, 0, FEW)])
    assert "Oligo, Mag: in none of 300 cells of the type" in advice_in(page_of(asked=few)[1])
    few["n_cells_test"] = 7
    assert "needs 10 of the type, which are in 50 cells with preprocessing.split.test: 0.2" in advice_in(
        page_of(asked=few)[1]
    )


def test_advice_names_only_keys_of_the_config_and_nothing_that_is_refused():
    told = advice_in(page_of()[1])
    keys = re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", told)
    assert {"gate.q_value", "gate.force", "windows.window_bp", "preprocessing.split.test"} <= set(keys)
    for key in keys:
        place = SCHEMA
        for part in key.split("."):
            place = place["properties"][part]
    assert "search" not in told and "scope" not in told


def test_where_all_tasks_are_explained_there_is_no_advice():
    asked = feasibility(TASKS[:1])
    summary, page = page_of(SKIPPED.iloc[:0], asked=asked)
    assert in_one_line(summary) == "1 of 1 tasks explained"
    assert "What would help" not in page.text and page.missed == []


def test_nothing_is_explained():
    """Tables of effects with a header only, as they are read from files."""
    none = pd.DataFrame(columns=REDUNDANCY.columns, dtype=object)
    asked = feasibility(TASKS[1:5])
    summary, page = page_of(
        SKIPPED.iloc[:4], none, pd.DataFrame(columns=SETS.columns, dtype=object), asked=asked
    )
    assert in_one_line(summary) == "0 of 4 tasks explained, 2 did not pass the gate, 2 cannot be tested"
    assert "members" not in page.rows[0] and len(page.rows[1]) == 10


def test_unpaired_cells_are_explained_without_being_judged():
    verdict = "not judged: cells are unpaired"
    asked = feasibility([("Oligo", "Mobp", 40, 50, verdict)])
    gate = GATE.iloc[:1].assign(reason=verdict)
    gate[["p_value", "q_value", "r", "r_depth", "r_permuted_window", "skill", "passed_gate"]] = np.nan
    summary, page = page_of(SKIPPED.iloc[:0], asked=asked, gate=gate)
    assert summary["outcome"].tolist() == ["explained"] and page.missed == []
    assert page.rows[3][-4:] == ["–"] * 4 and "judged pass" not in page.text


def test_names_cannot_steer_the_page_and_long_runs_show_the_nearest():
    name = '<script>alert("x")</script>'
    many = [("Oligo", f"g{i}", 3, 20, "testable") for i in range(MOST_TASKS)]
    asked = feasibility([*many, ("Oligo", name, 3, 20, "testable")])
    failed = [
        ["Oligo", gene, 0.3, 0.3 + i / 1000, 0.2, 0.1, 0.1, 0.1, False, "x"]
        for i, gene in enumerate(asked["gene"])
    ]
    failed[-1][2:4] = [0.06, 0.06]
    skipped = asked[["cell_type", "gene"]].assign(reason="does not pass the gate: x")
    summary, page = summary_page(
        asked, TESTABLE, gate_rows(*failed), skipped, REDUNDANCY.iloc[:0], SETS.iloc[:0], STEPS, CONFIG
    )
    assert "<script" not in page and "&lt;script&gt;" in page
    rows = Tables(page).rows
    assert rows[1][1] == name and "1 more tasks are in summary.tsv" in page
    assert len(summary) == MOST_TASKS + 1
