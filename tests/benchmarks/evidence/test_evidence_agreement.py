"""Agreement with evidence: the area, blocks that are drawn as one, ties, and what cannot be measured."""

import itertools

import numpy as np
import pandas as pd
import pytest
from drawn import texts
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from benchmarks.evidence.agreement import ALL_GENES, METHOD_COLUMNS, blocks, measure_methods, top_hits
from benchmarks.evidence.figures.evidence_methods import evidence_methods
from benchmarks.evidence.methods import NAMES
from benchmarks.evidence.printed import printed
from grids.io.config import EvidenceTable

SETTINGS = {"min_open_share": 0.0, "block_bp": 10_000, "n_bootstrap": 400}
TABLE = EvidenceTable("screen", "screen.tsv")


def pairs_of(gene, is_positive, start, **columns):
    start = np.asarray(start)
    pairs = {"evidence": "screen", "gene": gene, "chromosome": "chr1", "start": start, "end": start + 500}
    pairs |= {"peak": [f"{gene}:{s}" for s in start], "distance_to_tss_bp": start, "open_share": 0.5}
    return pd.DataFrame(pairs | {"is_positive": np.asarray(is_positive, bool)} | columns)


def scores_of(pairs, method, score, cell_type=None):
    named = pairs[["gene", "peak"]]
    return named.assign(method=method, cell_type=cell_type, score=np.asarray(score, float))


def measured(pairs, *scores, **settings):
    table = measure_methods([TABLE], pairs, pd.concat(scores), SETTINGS | settings, seed=1)
    assert list(table.columns) == METHOD_COLUMNS
    return table.set_index(["gene", "method"])


@pytest.fixture
def random_pairs():
    rng = np.random.default_rng(0)
    is_positive = rng.random(60) < 0.3
    pairs = pairs_of("A", is_positive, 10_000 * np.arange(60))
    return pairs, np.round(is_positive + rng.normal(0, 1, 60), 1)


def test_the_area_is_the_average_precision_of_peaks_that_are_often_open(random_pairs):
    pairs, score = random_pairs
    pairs["open_share"] = np.where(np.arange(60) % 3, 0.02, 0.001)
    row = measured(pairs, scores_of(pairs, "distance", score), min_open_share=0.01).loc["A", "distance"]
    often = pairs["open_share"] > 0.01
    assert row["n_pairs"] == 40 and row["n_positive"] == pairs.loc[often, "is_positive"].sum()
    assert_allclose(row["auprc"], average_precision_score(pairs.loc[often, "is_positive"], score[often]))
    # The top is among all of them.
    assert row["top_5_hits"] == top_hits(pairs["is_positive"].to_numpy(), score)[0]


def test_a_block_is_drawn_as_one(random_pairs):
    """Peaks of a block that are copies of each other tell no more than one of them."""
    pairs, score = random_pairs
    copies = pd.concat(
        [pairs.assign(start=pairs["start"] + 100 * i, peak=pairs["peak"] + str(i)) for i in range(9)]
    )
    copies["end"] = copies["start"] + 50
    once, often = (
        measured(table, scores_of(table, "distance", values)).loc["A", "distance"]
        for table, values in ((pairs, score), (copies, np.tile(score, 9)))
    )
    ends = ["auprc", "auprc_low", "auprc_high"]
    assert_allclose(once[ends].astype(float), often[ends].astype(float))
    narrow = measured(copies, scores_of(copies, "distance", np.tile(score, 9)), block_bp=100)
    width = narrow.loc["A", "distance"][["auprc_low", "auprc_high"]].diff().iloc[-1]
    assert width < 0.6 * (once["auprc_high"] - once["auprc_low"])


def test_the_interval_holds_the_area_of_the_population():
    """Of 200 data sets with the same chances, about 95 in 100."""
    rng, held = np.random.default_rng(3), []
    n = 300
    truth = rng.random(100_000) < 0.3
    expected = average_precision_score(truth, truth + rng.normal(0, 1, len(truth)))
    for _ in range(200):
        is_positive = rng.random(n) < 0.3
        pairs = pairs_of("A", is_positive, 10_000 * np.arange(n))
        row = measured(pairs, scores_of(pairs, "inclusion", is_positive + rng.normal(0, 1, n))).loc[
            "A", "inclusion"
        ]
        held.append(row["auprc_low"] <= expected <= row["auprc_high"])
    assert 0.88 <= np.mean(held) <= 0.99


def test_blocks_are_stretches_of_a_gene_and_a_chromosome():
    pairs = pd.concat([pairs_of("A", [0] * 4, [0, 9_400, 9_600, 30_000]), pairs_of("B", [0] * 2, [0, 9_400])])
    # The middle of a peak counts: 9,850 lies in the second stretch of 9,800.
    assert blocks(pairs, 9_800).tolist() == [0, 0, 1, 2, 3, 3]
    pairs["chromosome"] = ["chr1", "chr2"] * 3
    assert len(set(blocks(pairs, 10**9))) == 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=7), st.integers(1, 5))
def test_ties_count_as_if_drawn(rows, n_top):
    is_positive, score = (np.array(column) for column in zip(*rows, strict=True))
    n_top = min(n_top, len(rows))
    found = []
    for order in itertools.permutations(range(len(rows))):
        top = sorted(order, key=lambda i: -score[i])[:n_top]
        found.append(is_positive[top].sum())
    hits, n = top_hits(is_positive, score, n_top)
    assert n == n_top
    assert_allclose(hits, np.mean(found))


def test_a_method_that_says_nothing_reaches_the_share_of_positives(random_pairs):
    pairs, _ = random_pairs
    row = measured(pairs, scores_of(pairs, "inclusion", np.zeros(60))).loc["A", "inclusion"]
    assert_allclose(row["auprc"], pairs["is_positive"].mean())
    assert_allclose(row["top_5_hits"], 5 * pairs["is_positive"].mean())


def test_a_gene_without_positives_and_all_genes_together(random_pairs):
    pairs, score = random_pairs
    both = pd.concat([pairs, pairs_of("B", [0, 0, 0], [0, 1_000, 2_000])], ignore_index=True)
    scores = scores_of(both, "inclusion", [*score, 9, 8, 7])
    table = measured(both, scores)
    nothing, everything = table.loc["B", "inclusion"], table.loc[ALL_GENES, "inclusion"]
    assert nothing[["auprc", "auprc_low", "auprc_high"]].isna().all() and nothing["n_positive"] == 0
    assert (nothing["top_5_hits"], nothing["top_5_pairs"]) == (0, 3)
    assert everything["top_5_pairs"] == 8
    assert everything["top_5_hits"] == table.loc["A", "inclusion"]["top_5_hits"]
    assert_allclose(everything["auprc"], average_precision_score(both["is_positive"], scores["score"]))


def test_one_block_has_no_interval_and_no_pair_no_row(random_pairs):
    pairs, score = random_pairs
    row = measured(pairs, scores_of(pairs, "inclusion", score), block_bp=10**9).loc["A", "inclusion"]
    assert np.isfinite(row["auprc"]) and np.isnan(row["auprc_low"])
    assert measured(pairs.head(0), scores_of(pairs, "inclusion", score)).empty
    assert measured(pairs, scores_of(pairs, "inclusion", score), min_open_share=0.9)["auprc"].isna().all()


def test_the_largest_score_of_the_types_that_may_speak_counts(random_pairs):
    pairs, score = random_pairs
    best, other = scores_of(pairs, "inclusion", score, "T"), scores_of(pairs, "inclusion", -score, "B")
    of_both, of_one = pairs.assign(evidence="both"), pairs.assign(evidence="one")
    tables = [EvidenceTable("both", "a.tsv"), EvidenceTable("one", "b.tsv", cell_types=["T"])]
    table = measure_methods(tables, pd.concat([of_both, of_one]), pd.concat([best, other]), SETTINGS)
    area = table.set_index("evidence")["auprc"]
    assert_allclose(area["both"], average_precision_score(pairs["is_positive"], np.abs(score)))
    assert_allclose(area["one"], average_precision_score(pairs["is_positive"], score))


def test_a_method_that_lacks_pairs_is_left_out(random_pairs):
    pairs, score = random_pairs
    table = measured(pairs, scores_of(pairs, "distance", score), scores_of(pairs.head(9), "susie", score[:9]))
    assert table.index.get_level_values("method").tolist() == ["distance"]


@pytest.fixture
def table(random_pairs):
    pairs, score = random_pairs
    both = pd.concat([pairs, pairs_of("B", [0, 1, 0], [0, 1_000, 2_000])], ignore_index=True)
    scores = [scores_of(both, name, [*np.roll(score, i), 1, 2, 3]) for i, name in enumerate(NAMES)]
    return measured(both, *scores).reset_index()


def test_the_printed_table_has_a_row_per_method_and_the_best_in_bold(table):
    ((caption, text, bold),) = printed(table)
    assert caption.startswith("screen: AUPRC") and text["method"].tolist() == list(NAMES.values())
    n_positive = table["n_positive"].max() - 1
    of_a = f"A ({n_positive} of 60)"
    assert list(text.columns)[1:] == [of_a, "B (1 of 3)", f"all genes ({n_positive + 1} of 63)", "top 5"]
    own = table[(table["gene"] == "A")].set_index("method")["auprc"]
    assert text[of_a].str.startswith(f"{own.max():.2f} [").to_numpy()[bold[:, 1]].all()
    assert bold[:, 1].sum() == 1 and not bold[:, 0].any()
    assert text.loc[0, "top 5"].endswith(" of 8")


def test_the_figure_shows_every_value_and_says_what_it_leaves_out(table):
    figure = evidence_methods(table)
    said = texts(figure)
    n_positive = table["n_positive"].max() - 1
    of_a = f"screen\nA, {n_positive} of 60"
    assert {f"screen\nall genes, {n_positive + 1} of 63", of_a, *NAMES.values()} <= {*said}
    drawn = [line for ax in figure.axes for line in ax.lines if line.get_marker() in ("o", "s")]
    shown = sorted(float(line.get_xdata()[0]) for line in drawn)
    assert_allclose(shown, sorted(table["auprc"]))
    few = texts(evidence_methods(table, max_panels=1))
    assert "2 panels with fewer positive pairs are not drawn" in few and of_a not in few
    assert any("no gene of the tasks" in text for text in texts(evidence_methods(table.head(0))))
