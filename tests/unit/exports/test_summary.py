"""What came of every task: right outcomes, right numbers, and advice that the config takes."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from jsonschema import validate

from grids.analysis.gate import FEASIBILITY_COLUMNS, GATE_COLUMNS, TESTABLE_COLUMNS
from grids.exports.summary import MOST_TASKS, SUMMARY_COLUMNS, in_one_line, summarise_tasks, summary_page
from grids.io.levels import level_of

SCHEMA = yaml.safe_load((Path(__file__).parents[3] / "workflow/schemas/config.schema.yaml").read_text())
CONFIG = {
    "gate": {"q_value": 0.05, "force": False, "peaks": "all"},
    "quality_control": {"min_cells_per_peak": 10},
    "surrogate": {"model": "window"},
    "windows": {"window_bp": 500_000},
}
STEPS = pd.DataFrame({"step": ["min_cells_per_peak"], "n_dropped": [1234], "n_after": [5678]})
FEW = "cannot be told: 3.2 effective cells (expressed in 9 of 300 cells), at least 5 are needed"
DECOYS = "cannot be told: fewer than 100 windows on other chromosomes to compare with"
DOUBT = "undecided: q-value 0.01, but posterior chance 0.90 that no peak is a member"
TASKS = [
    ("Oligo", "Mobp", 40), ("Oligo", "Mog", 12), ("Oligo", "Mag", 12), ("Oligo", "Cnp", 30), ("Astro", "Gja1", 0),
    ("Astro", "Aqp4", 9), ("all types", "Mobp", 40), ("all types", "Mog", 12),
]  # fmt: skip


def feasibility(tasks=TASKS):
    rows = [[*task, 210, 30, 60, 150, 20, 50, "testable"] for task in tasks]
    return pd.DataFrame(rows, columns=FEASIBILITY_COLUMNS)


def judged(cell_type, gene, p=np.nan, q=np.nan, q_distal=np.nan, chance=np.nan, reason=np.nan, **more):
    row = dict.fromkeys(GATE_COLUMNS, np.nan)
    row |= {"cell_type": cell_type, "gene": gene, "p_value": p, "q_value": q, "q_value_distal": q_distal}
    row |= {"p_value_distal": q_distal / 2, "chance_of_no_member": chance, "passed_gate": reason is np.nan}
    row |= {"n_cells": 300, "n_expressing": 150, "n_effective_cells": 42.0, "level": level_of(cell_type)}
    return row | {"reason": reason} | more


# Mobp passes at both levels, Mog misses the q-value in Oligo and is contradicted across types, Mag cannot be told,
# Cnp is undecided, Aqp4 passes but has no set.
GATE = pd.DataFrame(
    [
        judged("Oligo", "Mobp", 1e-5, 4e-5, 0.3, 0.001, r=0.5, r_depth=0.1, r_permuted_window=0.2, skill=0.3),
        judged("Oligo", "Mog", 0.09, 0.12, 0.02, reason="q-value 0.12 above 0.05"),
        judged("Oligo", "Mag", reason=FEW, n_expressing=9, n_effective_cells=3.2),
        judged(
            "Oligo", "Cnp", 0.001, 0.01, 0.01, 0.9, DOUBT, r=0.1, r_depth=0.1, r_permuted_window=0, skill=0.01
        ),
        judged("Astro", "Aqp4", 1e-4, 2e-4, 2e-4, 0.02, r=0.4, r_depth=0.1, r_permuted_window=0.2, skill=0.3),
        judged(
            "all types", "Mobp", 1e-3, 2e-3, 2e-3, 0.0, r=0.6, r_depth=0.1, r_permuted_window=0.2, skill=0.3
        ),
        judged("all types", "Mog", 0.2, 0.2, 0.3, reason="q-value 0.2 above 0.05"),
        judged("Oligo", "Plp1", 1e-6, 1e-4, 1e-4),
        judged("Oligo", "Gad1", 0.5, 0.6, 0.6, reason="q-value 0.6 above 0.05"),
        judged("Oligo", "Rare", reason=FEW),
        judged("Astro", "Slc1a2", 0.02, 0.3, 0.3, reason="q-value 0.3 above 0.05"),
        judged("Astro", "Glul", 0.01, 0.3, 0.3, reason="q-value 0.3 above 0.05"),
        judged("all types", "Glul", 0.01, 0.03, 0.3),
    ],
    columns=GATE_COLUMNS,
)
SKIPPED = pd.DataFrame(
    [
        ["Oligo", "Mog", "does not pass the gate: q-value 0.12 above 0.05"],
        ["Oligo", "Mag", FEW],
        ["Oligo", "Cnp", f"does not pass the gate: {DOUBT}"],
        ["Astro", "Gja1", "no peak in its window"],
        ["Astro", "Aqp4", "closing peaks does nothing"],
        ["all types", "Mog", "does not pass the gate: q-value 0.2 above 0.05"],
    ],
    columns=["cell_type", "gene", "reason"],
)
REDUNDANCY = pd.DataFrame(
    {"cell_type": ["Oligo", "all types"], "gene": "Mobp", "set_size": 3, "class": ["redundant", "undecided"]}
    | {"passed_gate": True, "joint_log_effect": [-0.81, -0.5], "direction": "silence"}
    | {"joint_log_effect_low": [-0.9, -0.7], "joint_log_effect_high": [-0.7, -0.1]}
)
SETS = pd.DataFrame({"cell_type": ["Oligo"] * 3 + ["all types"] * 2, "gene": "Mobp", "peak": [*"abcab"]})
TESTABLE = pd.DataFrame(
    [
        ["Oligo", 210, 30, 60, 1574, 4, 1160, 410],
        ["Astro", 300, 40, 89, 1574, 4, 1149, 421],
        ["all types", 510, 70, 149, 1574, 4, 0, 1570],
    ],
    columns=TESTABLE_COLUMNS,
)


class Tables(HTMLParser):
    """Cells of the tables of a page, row by row, and all its text."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.text, self.missed, self.in_cell = [], "", [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.in_cell = True
            self.rows[-1].append("")
            if ("class", "missed") in attributes:
                self.missed.append((self.rows[-1][1], len(self.rows[-1]) - 1))

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, text):
        self.text += text
        if self.in_cell:
            self.rows[-1][-1] += text.strip()


def page_of(skipped=SKIPPED, redundancy=REDUNDANCY, sets=SETS, config=CONFIG, asked=None, gate=GATE):
    asked = feasibility() if asked is None else asked
    summary, page = summary_page(asked, TESTABLE, gate, skipped, redundancy, sets, STEPS, config)
    return summary, Tables(page)


def advice_in(page):
    return " ".join(page.text.partition("What would help")[2].split())


def test_every_task_has_its_level_outcome_reason_and_numbers():
    summary = summarise_tasks(feasibility(), GATE, SKIPPED, REDUNDANCY, SETS)
    assert list(summary.columns) == SUMMARY_COLUMNS
    assert summary[["cell_type", "gene"]].to_numpy().tolist() == [list(task[:2]) for task in TASKS]
    assert summary["level"].tolist() == ["within_type"] * 6 + ["across_types"] * 2
    assert summary["outcome"].tolist() == [
        "explained", "did not pass the gate", "cannot be told", "undecided", "cannot be told", "no set",
        "explained", "did not pass the gate",
    ]  # fmt: skip
    assert summary["reason"].dropna().tolist() == SKIPPED["reason"].tolist()
    rows = summary.set_index(["cell_type", "gene"])
    assert rows.loc[("Oligo", "Mobp"), ["n_members", "class", "joint_log_effect_low"]].tolist() == [
        3,
        "redundant",
        -0.9,
    ]
    assert rows.loc[("Oligo", "Mog"), ["n_expressing", "p_value", "q_value"]].tolist() == [150, 0.09, 0.12]
    assert rows["n_members"].tolist() == [3, 0, 0, 0, 0, 0, 2, 0]
    assert in_one_line(summary) == (
        "within types: 1 of 6 tasks explained, 1 undecided, 1 did not pass the gate, 2 cannot be told, 1 without a set"
        "; across types: 1 of 2 tasks explained, 1 did not pass the gate"
    )


def test_a_forced_task_is_explained_and_did_not_pass():
    skipped = SKIPPED[SKIPPED["gene"] == "Gja1"]
    forced = REDUNDANCY.iloc[:1].assign(gene="Mog", passed_gate=False)
    sets = pd.concat([SETS, SETS.assign(gene="Mog")])
    config = {**CONFIG, "gate": {**CONFIG["gate"], "force": True}}
    asked = feasibility([task for task in TASKS[:6] if task[1] in ("Mobp", "Mog", "Gja1")])
    summary, page = page_of(skipped, pd.concat([REDUNDANCY, forced]), sets, config, asked)
    assert summary["outcome"].tolist() == [
        "explained", "explained, did not pass the gate (forced)", "cannot be told",
    ]  # fmt: skip
    assert summary.loc[1, "reason"] == "q-value 0.12 above 0.05"
    assert (
        in_one_line(summary) == "within types: 2 of 3 tasks explained (1 of them by force), 1 cannot be told"
    )
    assert "1 did not pass the quality gate and is explained by gate.force" in page.text
    assert "gate.force: true" not in page.text  # it is already


def test_the_page_shows_by_level_how_near_each_task_was():
    _, page = page_of()
    rows = {row[1]: row for row in page.rows[1:7]}
    assert rows["Mobp"][2:7] == ["explained", "silence", "redundant", "−0.81 [−0.9, −0.7]", "3"]
    assert rows["Mobp"][7:] == ["4e−5", "1e−5", "0.3", "< 0.01", "0.3", "0.5", "150 of 300", "42"]
    assert rows["Gja1"][2] == "cannot be told: no peak in its window"
    assert rows["Mag"][2] == FEW and rows["Mag"][7:9] == ["", ""]
    assert rows["Cnp"][2] == "undecided"
    assert rows["Aqp4"][2] == "no set: closing peaks does nothing"
    assert page.rows[7][:3] == ["cell type", "gene", "outcome"]
    assert [row[:3] for row in page.rows[8:10]] == [
        ["all types", "Mobp", "explained"], ["all types", "Mog", "did not pass the gate"],
    ]  # fmt: skip
    # q of Mog, effective cells of Mag, the chance of Cnp; nothing known of Gja1
    assert page.missed[:3] == [("Mog", 7), ("Mag", 14), ("Cnp", 10)] and page.missed[-1] == ("Mog", 7)
    types = {row[1]: row for row in page.rows[11:]}
    assert types["Oligo"] == ["within types", "Oligo", "210", "30", "60", "1,574", "4", "2", "5", "3", "3"]
    assert types["all types"][0] == "across types" and types["all types"][-4:] == ["0", "3", "2", "1"]
    text = " ".join(page.text.split())
    for told in (
        "Within types: 1 of 6 tasks explained", "Across types: 1 of 2 tasks explained",
        "this locus tracks expression across types", "Oligo: 1 of 2 tested pass, first Plp1 (q 1e−4)",
        "Astro: none of 2 tested passes; the nearest Glul (q 0.3), Slc1a2 (q 0.3)",
        "Across types: 1 of 1 tested pass, first Glul (q 0.03)",
    ):  # fmt: skip
        assert told in text


def test_with_distal_peaks_their_test_decides():
    config = {**CONFIG, "gate": {**CONFIG["gate"], "peaks": "distal"}}
    gate = GATE.copy()
    gate.loc[0, "q_value"], gate.loc[0, "q_value_distal"] = 0.5, 0.02
    _, page = page_of(config=config, gate=gate)
    rows = {row[1]: row for row in page.rows[1:7]}
    assert page.rows[0][7:10] == ["q, distal(≤ 0.05)", "p", "q, all peaks"]
    assert rows["Mobp"][7:10] == ["0.02", "0.15", "0.5"] and ("Mobp", 7) not in page.missed


def test_advice_repeats_what_was_measured():
    told = advice_in(page_of()[1])
    for words in (
        "Too few cells to tell within types, where the test needs at least 5 effective cells",
        "Oligo, Mag: expressed in 9 of 300 cells, 3.2 effective",
        "(Astro, Gja1): none within windows.window_bp, 500,000 bp", "the 5,678 peaks",
        "1,234 are open in fewer cells than quality_control.min_cells_per_peak, 10", "Undecided (Oligo, Cnp)",
        "No sign within types that the window matters (Oligo, Mog)",
        "nearest is Oligo, Mog with p 0.09, q 0.12, expressed in 150 of 300 cells",
        "No sign across types that the window matters (all types, Mog)",
        "gate.peaks: distal asks another question, by which Oligo, Mog would pass", "listed above as passing",
    ):  # fmt: skip
        assert words in told
    assert "levels:" not in told  # both were asked
    assert told.index("gate.force") > told.index("listed above")  # never first


def test_a_level_that_was_not_asked_is_named_where_the_surrogate_has_it():
    words = "levels: [within_type, across_types] also asks across types"
    assert words in advice_in(page_of(asked=feasibility(TASKS[:6]))[1])
    other = {**CONFIG, "surrogate": {"model": "cross_modality"}}
    assert "levels:" not in advice_in(page_of(asked=feasibility(TASKS[:6]), config=other)[1])


def test_too_few_windows_to_compare_with_are_told_once():
    gate = GATE.copy()
    few = gate["cell_type"] == "all types"
    gate.loc[few, ["p_value", "q_value"]] = np.nan
    gate.loc[few, "passed_gate"], gate.loc[few, "reason"] = False, DECOYS
    skipped = SKIPPED.iloc[:0]
    sets = SETS[SETS["cell_type"] != "all types"]
    summary, page = page_of(skipped, REDUNDANCY.iloc[:1], sets, gate=gate)
    assert summary["outcome"].tolist()[-2:] == ["cannot be told"] * 2
    told = advice_in(page)
    assert told.count("windows on other chromosomes at least") == 1
    assert "Across types, 3 genes cannot be told" in told


def test_advice_names_only_keys_of_the_config_and_nothing_that_is_refused():
    told = advice_in(page_of(asked=feasibility(TASKS[:6]))[1])
    keys = [key for key in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", told) if not key.startswith("links.")]
    assert {"gate.q_value", "gate.force", "gate.peaks", "windows.window_bp"} <= set(keys)
    for key in keys:
        place = SCHEMA
        for part in key.split("."):
            place = place["properties"][part]
    levels = re.search(r"levels: \[([a-z_, ]+)\]", told)[1].split(", ")
    validate(levels, SCHEMA["properties"]["levels"])
    assert "search" not in told and "scope" not in told


def test_where_all_tasks_are_explained_there_is_no_advice():
    summary, page = page_of(SKIPPED.iloc[:0], asked=feasibility([TASKS[0], TASKS[6]]))
    assert (
        in_one_line(summary) == "within types: 1 of 1 tasks explained; across types: 1 of 1 tasks explained"
    )
    assert "What would help" not in page.text and page.missed == []


def test_nothing_is_explained():
    """Tables of effects with a header only, as they are read from files."""
    none = pd.DataFrame(columns=REDUNDANCY.columns, dtype=object)
    summary, page = page_of(
        SKIPPED.iloc[:4],
        none,
        pd.DataFrame(columns=SETS.columns, dtype=object),
        asked=feasibility(TASKS[1:5]),
    )
    words = "within types: 0 of 4 tasks explained, 1 undecided, 1 did not pass the gate, 2 cannot be told"
    assert in_one_line(summary) == words
    assert "members" not in page.rows[0] and len(page.rows[1]) == 11


def test_unpaired_cells_are_explained_without_being_judged():
    verdict = "not judged: cells are unpaired"
    gate = GATE.iloc[:1].assign(reason=verdict)
    gate[["p_value", "q_value", "q_value_distal", "chance_of_no_member", "r", "skill", "passed_gate"]] = (
        np.nan
    )
    asked = feasibility(TASKS[:1])
    summary, page = page_of(SKIPPED.iloc[:0], asked=asked, gate=gate)
    assert summary["outcome"].tolist() == ["explained"] and page.missed == []
    assert page.rows[3][-4:] == ["–"] * 4 and "tested pass" not in page.text
    assert "Chance of none" not in page.text


def test_names_cannot_steer_the_page_and_long_runs_show_the_nearest():
    name = '<script>alert("x")</script>'
    asked = feasibility([("Oligo", gene, 3) for gene in [*(f"g{i}" for i in range(MOST_TASKS)), name]])
    gate = [
        judged("Oligo", gene, 0.3, 0.3 + i / 1000, 0.5, reason="q-value 0.3 above 0.05")
        for i, gene in enumerate(asked["gene"])
    ]
    gate[-1] |= {"p_value": 0.06, "q_value": 0.06}
    skipped = asked[["cell_type", "gene"]].assign(reason="does not pass the gate: x")
    none = REDUNDANCY.iloc[:0], SETS.iloc[:0]
    summary, page = summary_page(asked, TESTABLE, pd.DataFrame(gate), skipped, *none, STEPS, CONFIG)
    assert "<script" not in page and "&lt;script&gt;" in page
    rows = Tables(page).rows
    assert rows[1][1] == name and "1 more tasks are in summary.tsv" in page
    assert len(summary) == MOST_TASKS + 1
