"""Which pairs are judged: links of the genes asked for, without their promoters."""

import logging

import numpy as np
import pandas as pd
import pytest

from benchmarks.evidence.pairs import PAIR_COLUMNS, evidence_pairs
from grids.io.config import EvidenceTable

START = np.arange(0, 10_000, 1_000)
PEAKS = pd.DataFrame(
    {"peak": [f"p{s}" for s in START], "chromosome": "chr1", "start": START, "end": START + 500}
)
WINDOWS = pd.concat(
    PEAKS.assign(gene=gene, distance_to_tss_bp=START - tss, is_promoter=tss == START)
    for gene, tss in (("A", 4_000), ("B", 7_000))
)
SHARE = pd.Series(np.linspace(0, 0.9, 10), index=PEAKS["peak"])
TASKS = pd.DataFrame({"cell_type": ["T", "B"], "gene": ["A", "B"]})


def links(*rows):
    named = pd.DataFrame(rows, columns=["start", "end", "gene", "is_positive"]).astype({"is_positive": bool})
    return named.assign(chromosome="chr1")


def judged(*tables, tasks=TASKS):
    pairs = evidence_pairs(tables, WINDOWS, SHARE, tasks)
    assert list(pairs.columns) == PAIR_COLUMNS
    return pairs


def test_a_listed_link_makes_a_positive_of_the_peak_that_it_meets():
    listed = links((4_100, 4_200, "A", True), (5_100, 5_200, "A", True), (9_600, 9_700, "A", True))
    pairs = judged((EvidenceTable("x", "x.tsv"), listed))
    assert pairs["gene"].unique().tolist() == ["A"]
    # All of the window but A's own promoter, which the first link meets.
    assert pairs["peak"].tolist() == [f"p{s}" for s in START if s != 4_000]
    assert pairs.loc[pairs["is_positive"], "peak"].tolist() == ["p5000"]
    assert pairs["open_share"].tolist() == SHARE[pairs["peak"]].tolist()


def test_of_a_table_that_tells_negatives_only_tested_pairs_are_judged():
    tested = links((5_100, 5_200, "A", True), (6_100, 6_200, "A", False), (0, 10, "B", False))
    pairs = judged((EvidenceTable("x", "x.tsv"), tested))
    assert list(zip(pairs["gene"], pairs["peak"], pairs["is_positive"], strict=True)) == [
        ("A", "p5000", True),
        ("A", "p6000", False),
        ("B", "p0", False),
    ]


@pytest.mark.parametrize(
    ("table", "tasks"),
    [
        (EvidenceTable("x", "x.tsv"), TASKS[TASKS["gene"] == "B"]),
        (EvidenceTable("x", "x.tsv", cell_types=["B"]), TASKS),
    ],
)
def test_genes_that_were_not_asked_for_are_not_judged(table, tasks, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    assert judged((table, links((5_100, 5_200, "A", True))), tasks=tasks).empty
    assert "nothing to measure" in caplog.text


def test_genes_of_the_evidence_without_a_window_change_nothing():
    of_a = (5_100, 5_200, "A", True)
    one, both = (
        judged((EvidenceTable("x", "x.tsv"), links(*rows)))
        for rows in ([of_a], [of_a, (5_100, 5_200, "C", True)])
    )
    pd.testing.assert_frame_equal(one, both)
    two = judged((EvidenceTable("x", "x.tsv"), links(of_a)), (EvidenceTable("y", "y.tsv"), links(of_a)))
    assert two["evidence"].value_counts().to_dict() == {"x": 9, "y": 9}
