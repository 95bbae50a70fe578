"""The quality gate: windows are tested first, and of those that tell something the surrogate has to agree."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from models import N_GENES, toy_multiome
from scipy import sparse, stats
from toys import LinearToy

from grids.analysis import gate
from grids.analysis.gate import GATE_COLUMNS, choose_tasks, judge, judge_windows, unjudged
from grids.analysis.links.decoys import LEAST_DECOYS
from grids.analysis.links.linking import LEAST_EXPRESSING
from grids.analysis.links.score_test import LEAST_EFFECTIVE_CELLS
from grids.analysis.links.tables import WINDOW_TEST_COLUMNS
from grids.io.levels import ALL_TYPES, level_of
from grids.surrogates.quality import correlation
from grids.surrogates.window.model import WindowSurrogate

PEAKS = [3, 7, 9]
NO_TASKS = pd.DataFrame({"cell_type": [], "gene": []}, dtype=str)


def windows_of(genes, cell_type="A", **columns) -> pd.DataFrame:
    """Tests of windows as the links tell them, with a few columns of one's own."""
    table = {
        "level": level_of(cell_type),
        "cell_type": cell_type,
        "gene": genes,
        "n_peaks": 3,
        "n_cells": 400,
    }
    table |= {"n_expressing": 90, "n_effective_cells": 80.0, "z": 4.0, "p_value": 1e-4}
    table |= {"n_distal_peaks": 2, "p_value_distal": 0.3}
    return pd.DataFrame(table | columns)[WINDOW_TEST_COLUMNS]


def tasks_of(*pairs) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["cell_type", "gene"])


def tests_of(genes, cell_type="A", **columns) -> pd.DataFrame:
    """Tests of windows that have been judged."""
    return judge_windows(windows_of(genes, cell_type, **columns), NO_TASKS, "all", 0.05)[0]


tests_of.__test__ = False


def test_q_values_are_over_the_tasks_of_a_level_and_apart_from_them_over_its_other_genes():
    p = np.array([0.001, 0.02, 0.04, 0.5, 0.6, 0.04])
    of_a = windows_of(list("uvwxyz"), "A", p_value=p, p_value_distal=p[::-1])
    of_b = windows_of(["u"], "B", p_value=0.003, p_value_distal=np.nan)
    of_all = windows_of(["u", "v"], ALL_TYPES, p_value=[0.04, 0.001], p_value_distal=[0.5, np.nan])
    tests = pd.concat([of_a, of_b, of_all], ignore_index=True)
    tasks = tasks_of(*(("A", gene) for gene in "uvwxy"), ("B", "u"), (ALL_TYPES, "u"))
    judged, promising = judge_windows(tests, tasks, "all", 0.05)
    asked = stats.false_discovery_control([*p[:5], 0.003])  # of both types
    assert judged["q_value"].tolist() == pytest.approx([*asked[:5], 0.04, asked[5], 0.04, 0.001])
    distal = stats.false_discovery_control([0.04, 0.6, 0.5, 0.04, 0.02])  # what is missing does not count
    assert judged["q_value_distal"].tolist() == pytest.approx(
        [*distal, 0.001, np.nan, 0.5, np.nan], nan_ok=True
    )
    assert (judged["reason"] == "").tolist() == [q <= 0.05 for q in judged["q_value"]]
    assert promising.to_numpy().tolist() == [["A", "u"], ["A", "v"], ["B", "u"], [ALL_TYPES, "u"]]
    assert judged[WINDOW_TEST_COLUMNS].equals(tests)


def test_why_a_window_does_not_pass_is_told_with_the_numbers():
    missing = {"p_value": np.nan, "p_value_distal": np.nan}
    tests = pd.concat(
        [
            windows_of(["above"], p_value=0.4),
            windows_of(["few"], n_effective_cells=4.25, n_expressing=9, **missing),
            windows_of(["odd"], ALL_TYPES, n_effective_cells=4.25, **missing),
            windows_of(["silent"], ALL_TYPES, n_expressing=LEAST_EXPRESSING - 1, **missing),
            windows_of(["alone"], ALL_TYPES, **missing),
        ],
        ignore_index=True,
    )
    judged, promising = judge_windows(tests, tasks_of(("A", "above")), "all", 0.05)
    assert promising.empty and list(promising.columns) == ["cell_type", "gene"]
    assert judged["reason"].tolist() == [
        "q-value 0.4 above 0.05",
        *(
            f"cannot be told: 4.2 effective cells (expressed in {n} of 400 cells), at least "
            f"{LEAST_EFFECTIVE_CELLS:g} are needed"
            for n in (9, 90)
        ),
        f"cannot be told: expressed in {LEAST_EXPRESSING - 1} of 400 cells, at least {LEAST_EXPRESSING} are needed",
        f"cannot be told: fewer than {LEAST_DECOYS} windows on other chromosomes to compare with",
    ]


def test_distal_peaks_alone_can_be_asked():
    tests = windows_of(
        ["both", "near", "none", "far"],
        p_value=[1e-4, 1e-4, 1e-4, 0.9],
        p_value_distal=[1e-3, 0.7, np.nan, 1e-3],
        n_distal_peaks=[2, 2, 0, 1],
    )
    tasks = tasks_of(*(("A", gene) for gene in tests["gene"]))
    assert judge_windows(tests, tasks, "all", 0.05)[1]["gene"].tolist() == ["both", "near", "none"]
    judged, promising = judge_windows(tests, tasks, "distal", 0.05)
    assert promising["gene"].tolist() == ["both", "far"]
    reason = judged.set_index("gene")["reason"]
    assert reason[["near", "none"]].tolist() == ["q-value 0.7 above 0.05", "no distal peak in its window"]


def test_without_tests_of_windows_nothing_is_promising():
    empty = pd.DataFrame(columns=WINDOW_TEST_COLUMNS).astype({"p_value": float, "p_value_distal": float})
    judged, promising = judge_windows(empty, tasks_of(("A", "G0")), "all", 0.05)
    assert judged.empty and promising.empty and "reason" in judged


@pytest.fixture(scope="module")
def multiome():
    """Gene 0 follows the peaks 3, 7 and 9."""
    return toy_multiome(900)


@pytest.fixture(scope="module")
def windows(multiome):
    peaks = multiome.atac.var.index
    pairs = [(peaks[i], "G0") for i in PEAKS] + [(peaks[12], "G2"), (peaks[13], "G2"), (peaks[0], "G5")]
    return pd.DataFrame(pairs, columns=["peak", "gene"])


def cells_of(multiome, split="test"):
    cells = {"cell_type": "A", "split": split}
    return multiome.rna.cells(**cells), multiome.atac.cells(**cells)


class Windows:
    """A window surrogate: gene 0 follows whether any of its peaks is open, gene 2 the number of its open peaks."""

    judge_windows = WindowSurrogate.judge_windows

    def __init__(self, multiome, **chance_of_no_member):
        self.peaks, self.genes = list(multiome.atac.var.index), ["G2", "G0"]
        self.chance_of_no_member = chance_of_no_member.get

    def _column(self, gene):
        return self.genes.index(gene)

    def predict(self, opened, window_of=None):
        opened = opened if window_of is None else opened[window_of]
        of_0 = 1.4 * opened[:, PEAKS].toarray().any(1) + 0.2
        of_2 = opened[:, [12, 13]].toarray().sum(1)
        return torch.from_numpy(np.stack([of_2, of_0], 1)).float()

    def predict_by_depth(self, opened):
        return torch.from_numpy(np.diff(opened.indptr).astype(np.float32))[:, None].expand(-1, 2)


def test_the_surrogate_is_asked_about_tasks_on_test_cells(multiome, windows):
    surrogate = Windows(multiome, G0=0.01, G2=0.3)
    tests = tests_of(["G0", "G1", "G2", "G5"])
    tasks = tasks_of(("A", "G0"), ("A", "G5"), ("A", "G1"))
    judged = judge({"A": surrogate}, multiome, windows, tests, tasks, seed=1)
    assert list(judged.columns) == GATE_COLUMNS
    rows = judged.set_index("gene")
    assert list(rows.index) == ["G0", "G1", "G2", "G5"]
    rna, atac = cells_of(multiome)
    y = rna.X[:, [0]].toarray()
    predicted = surrogate.predict(atac.X).numpy()[:, [1]]
    assert rows.loc["G0", "r"] == pytest.approx(correlation(predicted, y, 0)[0]) and rows.loc["G0", "r"] > 0.5
    depth = np.diff(atac.X.indptr)
    assert rows.loc["G0", "r_depth"] == pytest.approx(stats.pearsonr(depth, y[:, 0])[0])
    # as many cells as there are: permuted windows say next to nothing
    assert abs(rows.loc["G0", "r_permuted_window"]) < 0.15
    mean = cells_of(multiome, split="train")[0].X[:, 0].mean()
    expected = 1 - ((predicted - y) ** 2).mean() / ((mean - y) ** 2).mean()
    assert rows.loc["G0", "skill"] == pytest.approx(expected, rel=1e-5) and expected > 0.5
    assert rows.loc["G0", "chance_of_no_member"] == 0.01
    # what is no task, and what has no model, is told by the test of its window alone
    others = rows.loc[["G1", "G2", "G5"]]
    assert others[gate.OF_SURROGATE].isna().all(axis=None)
    assert rows["passed_gate"].tolist() == [True] * 4 and (rows["reason"] == "").all()


def test_a_window_that_does_not_pass_fails_whatever_the_surrogate_says(multiome, windows):
    tests = tests_of(["G0", "G2"], p_value=[0.4, 1e-4])
    surrogate = Windows(multiome, G0=0.0, G2=0.2)
    judged = judge({"A": surrogate}, multiome, windows, tests, tasks_of(("A", "G0"), ("A", "G2")), seed=1)
    assert judged["passed_gate"].tolist() == [False, True]
    assert judged["reason"].tolist() == ["q-value 0.4 above 0.05", ""]
    assert judged["chance_of_no_member"].tolist() == [0.0, 0.2]


@pytest.mark.parametrize(("chance", "passes"), [(0.0, True), (0.499, True), (0.5, False), (0.97, False)])
def test_the_posterior_has_to_agree(multiome, windows, chance, passes):
    surrogate = Windows(multiome, G2=chance)  # its prediction is worthless, which a posterior knows by itself
    judged = judge({"A": surrogate}, multiome, windows, tests_of(["G2"]), tasks_of(("A", "G2")), seed=1)
    row = judged.iloc[0]
    assert row["skill"] < 0 and row["passed_gate"] == passes
    told = f"undecided: q-value 0.0001, but posterior chance {chance:.2f} that no peak is a member"
    assert row["reason"] == ("" if passes else told)


def test_a_level_is_judged_by_its_own_surrogate(multiome, windows):
    surrogates = {
        ALL_TYPES: Windows(multiome, G0=0.1),
        "A": Windows(multiome, G0=0.9),
        "B": Windows(multiome),
    }
    tests = pd.concat([tests_of(["G0"], cell_type) for cell_type in ("A", "B", ALL_TYPES)], ignore_index=True)
    tasks = tasks_of(("A", "G0"), (ALL_TYPES, "G0"))
    judged = judge(surrogates, multiome, windows, tests, tasks, seed=1).set_index("cell_type")
    assert judged["level"].to_dict() == {ALL_TYPES: "across_types", "A": "within_type", "B": "within_type"}
    assert judged["passed_gate"].to_dict() == {ALL_TYPES: True, "A": False, "B": True}
    y = multiome.rna.cells(split="test").X[:, 0].toarray().ravel()
    predicted = surrogates["A"].predict(multiome.atac.cells(split="test").X)[:, 1]
    assert judged.loc[ALL_TYPES, "r"] == pytest.approx(stats.pearsonr(predicted, y)[0], rel=1e-5)


def test_without_surrogates_the_gate_is_empty(multiome, windows):
    judged = judge({}, multiome, windows, tests_of(["G0"]), tasks_of(("A", "G0")), seed=1)
    assert judged.empty and list(judged.columns) == GATE_COLUMNS


def test_a_surrogate_without_genes_leaves_the_windows_tests(multiome, windows):
    surrogate = Windows(multiome)
    surrogate.genes = []
    tests = tests_of(["G0"], p_value=0.4)
    judged = judge({"A": surrogate}, multiome, windows, tests, tasks_of(("A", "G0")), seed=1)
    assert judged["reason"].tolist() == ["q-value 0.4 above 0.05"] and judged["r"].isna().all()


@pytest.mark.parametrize(
    ("worse", "told"),
    [
        ({"r_depth": 0.3}, "r 0.300 not above 0.300 of depth"),
        ({"r_permuted_window": 0.4}, "r 0.300 not above 0.400 of permuted windows"),
        ({"skill": 0.0}, "skill 0.000 not above 0"),
        ({"skill": np.nan}, "skill nan not above 0"),
        ({"r_depth": 0.4, "skill": -1.0}, "r 0.300 not above 0.400 of depth; skill -1.000 not above 0"),
        ({}, ""),
    ],
)
def test_a_surrogate_without_a_posterior_has_to_predict_the_gene(worse, told):
    row = {"chance_of_no_member": np.nan, "r": 0.3, "r_depth": 0.1, "r_permuted_window": 0.2, "skill": 0.01}
    assert gate._why_surrogate_disagrees(row | worse) == told


def test_a_surrogate_of_the_whole_genome_is_judged_by_permuting_the_window(multiome, windows, monkeypatch):
    weights = np.zeros((40, N_GENES), np.float32)
    weights[PEAKS, 0] = 0.5
    weights[25, 0] = 0.3
    weights[[12, 13, 25], 2] = 0.4
    toy = LinearToy(weights, bias=0.6, genes=list(multiome.rna.var.index))
    toy.name = "cross_modality"
    order = np.random.default_rng(5).permutation(len(cells_of(multiome)[0].obs))
    monkeypatch.setattr(gate, "N_PERMUTATIONS", 1)
    monkeypatch.setattr(gate, "generator", lambda *names: SimpleNamespace(permutation=lambda n: order))
    toy.peaks = list(multiome.atac.var.index)
    tasks = pd.DataFrame({"cell_type": ["A", "A", "B"], "gene": ["G2", "G0", "G1"]})
    judged = judge({"A": toy}, multiome, windows, tests_of(["G2", "G0"]), tasks, seed=1).set_index("gene")
    rna, atac = cells_of(multiome)
    shuffled = atac.X.toarray()
    shuffled[:, PEAKS] = shuffled[order][:, PEAKS]
    y = rna.X[:, 0].toarray().ravel()
    expected = stats.pearsonr(toy.predict(sparse.csr_matrix(shuffled))[:, 0], y)[0]
    assert judged.loc["G0", "r_permuted_window"] == pytest.approx(expected, rel=1e-4)
    assert judged.loc["G0", "r"] == pytest.approx(stats.pearsonr(toy.predict(atac.X)[:, 0], y)[0], rel=1e-5)
    known, known_atac = cells_of(multiome, split="train")
    x = np.log(np.maximum(np.diff(known_atac.X.indptr), 1))
    line = np.polyfit(x, known.X[:, 0].toarray().ravel(), 1)
    by_depth = np.polyval(line, np.log(np.maximum(np.diff(atac.X.indptr), 1)))
    assert judged.loc["G0", "r_depth"] == pytest.approx(stats.pearsonr(by_depth, y)[0], rel=1e-4)
    assert judged["passed_gate"].tolist() == [False, True]
    assert judged["chance_of_no_member"].isna().all()
    assert judged.loc["G2", "reason"].endswith(f"skill {judged.loc['G2', 'skill']:.3f} not above 0")


def test_tasks_that_fail_are_skipped_with_the_reason_unless_forced():
    judged = tests_of(["x", "y"]).assign(passed_gate=[True, False], reason=["", "undecided: and why"])
    judged = pd.concat([judged, tests_of(["x", "y"], "B", p_value=[0.4, np.nan])], ignore_index=True)
    judged["passed_gate"] = judged["passed_gate"].eq(True)
    tasks = tasks_of(("B", "x"), ("B", "y"), ("A", "z"), ("A", "y"), ("A", "x"))
    explained, skipped = choose_tasks(judged, tasks, force=False)
    assert explained.to_numpy().tolist() == [["A", "x", True]]
    assert skipped.to_numpy().tolist() == [
        ["B", "x", "does not pass the gate: q-value 0.4 above 0.05"],
        ["B", "y", judged["reason"].iloc[3]],
        ["A", "z", "no peak in its window"],
        ["A", "y", "does not pass the gate: undecided: and why"],
    ]
    assert judged["reason"].iloc[3].startswith("cannot be told: ")
    explained, skipped = choose_tasks(judged, tasks, force=True)
    assert explained.to_numpy().tolist() == [
        ["B", "x", False], ["B", "y", False], ["A", "y", False], ["A", "x", True],
    ]  # fmt: skip
    assert list(explained.columns) == ["cell_type", "gene", "passed_gate"]
    assert skipped.to_numpy().tolist() == [["A", "z", "no peak in its window"]]


def test_unpaired_cells_are_not_judged_and_pass(windows):
    tasks = tasks_of(("A", "G0"), (ALL_TYPES, "G2"), ("A", "G1"))
    judged = unjudged(tasks, windows)
    assert list(judged.columns) == GATE_COLUMNS
    assert judged["gene"].tolist() == ["G0", "G2"] and judged["n_peaks"].tolist() == [3, 2]
    assert judged["level"].tolist() == ["within_type", "across_types"]
    assert (judged["reason"] == "not judged: cells are unpaired").all()
    assert judged[["r", "skill", "p_value", "q_value", "passed_gate"]].isna().all(axis=None)
    explained, skipped = choose_tasks(judged, tasks, force=False)
    assert explained[["cell_type", "gene"]].equals(tasks[:2]) and explained["passed_gate"].isna().all()
    assert skipped.to_numpy().tolist() == [["A", "G1", "no peak in its window"]]
