from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from models import N_GENES, random_surrogate, toy_multiome
from scipy import sparse, stats
from toys import LinearToy

from grids.analysis import gate as gate_table
from grids.analysis.gate import choose_tasks, judge
from grids.data.normalisation import counts_and_exposure
from grids.io.cells import Modality, Multiome
from grids.surrogates.judged_windows import _moved, covariance_p_value
from grids.surrogates.quality import correlation
from grids.surrogates.window.model import WindowSurrogate

PEAKS = [3, 7, 9]


def test_cells(multiome, cell_type="A", split="test"):
    cells = {"cell_type": cell_type, "split": split}
    return multiome.rna.cells(**cells), multiome.atac.cells(**cells)


test_cells.__test__ = False


@pytest.fixture(scope="module")
def multiome():
    """Gene 0 follows the peaks 3, 7 and 9; gene 5 is seen in three test cells of type A."""
    multiome = toy_multiome(900)
    y = multiome.rna.X.toarray()
    y[:, 5] = 0
    obs = multiome.rna.obs
    y[np.flatnonzero((obs["split"] == "test") & (obs["cell_type"] == "A"))[:3], 5] = 1
    rna = Modality(sparse.csr_matrix(y), obs.assign(size_factor=0.5), multiome.rna.var)
    return Multiome(rna, multiome.atac, paired=True)


@pytest.fixture(scope="module")
def windows(multiome):
    peaks = multiome.atac.var.index
    pairs = [(peaks[i], "G0") for i in PEAKS] + [(peaks[12], "G2"), (peaks[13], "G2"), (peaks[0], "G5")]
    return pd.DataFrame(pairs, columns=["peak", "gene"])


class Windows:
    """A window surrogate: gene 0 follows whether any of its peaks is open, gene 2 nothing, gene 5 a constant."""

    judged_genes, judge_windows = WindowSurrogate.judged_genes, WindowSurrogate.judge_windows

    def __init__(self, multiome):
        self.peaks, self.genes = list(multiome.atac.var.index), ["G0", "G2", "G5"]

    def predict(self, opened, window_of=None):
        opened = opened if window_of is None else opened[window_of]
        predicted = torch.zeros(opened.shape[0], 3)
        predicted[:, 0] = torch.from_numpy(1.4 * opened[:, PEAKS].toarray().any(1)) + 0.2
        predicted[:, 1] = torch.from_numpy(opened[:, [12, 13]].toarray().sum(1))
        return predicted

    def predict_by_depth(self, opened):
        return torch.from_numpy(np.diff(opened.indptr).astype(np.float32))[:, None].expand(-1, 3)

    def local_control_p_values(self, opened, counts, exposure):
        self.given = counts, exposure
        return np.array([1e-6, 0.4, 0.01])


def test_windows_are_judged_on_test_cells(multiome, windows):
    surrogate = Windows(multiome)
    tasks = pd.DataFrame({"cell_type": ["A"], "gene": ["G0"]})
    gate = judge({"A": surrogate}, multiome, windows, tasks, 0.05, seed=1)
    assert list(gate.columns) == gate_table.GATE_COLUMNS
    rows = gate.set_index("gene")
    assert list(rows.index) == ["G0", "G2", "G5"]
    assert rows["n_peaks"].tolist() == [3, 2, 1]
    rna, atac = test_cells(multiome)
    assert (rows["n_cells"] == len(rna.obs)).all()
    y = rna.X[:, [0, 2, 5]].toarray()
    predicted = surrogate.predict(atac.X).numpy()
    assert rows["r"].to_numpy() == pytest.approx(correlation(predicted, y, 0))
    depth = np.diff(atac.X.indptr)
    assert rows["r_depth"].to_numpy() == pytest.approx([stats.pearsonr(depth, y[:, i])[0] for i in range(3)])
    # as many cells as there are: permuted windows say next to nothing
    assert abs(rows.loc["G0", "r_permuted_window"]) < 0.15 < rows.loc["G0", "r"]
    mean = test_cells(multiome, split="train")[0].X[:, 0].mean()
    expected = 1 - ((predicted[:, 0] - y[:, 0]) ** 2).mean() / ((mean - y[:, 0]) ** 2).mean()
    assert rows.loc["G0", "skill"] == pytest.approx(expected, rel=1e-5) and expected > 0.5
    numbers = ["r", "r_depth", "r_permuted_window", "skill", "p_value", "q_value"]
    assert (gate[numbers].dtypes.map(lambda dtype: dtype.kind) == "f").all()
    # Benjamini-Hochberg over the task and, apart from it, the only other gene that could be told
    assert rows["q_value"].tolist()[:2] == pytest.approx([1e-6, 0.4])
    assert rows.loc["G5", ["p_value", "q_value"]].isna().all()
    assert rows["passed_gate"].tolist() == [True, False, False]
    assert rows.loc["G0", "reason"] == ""
    assert rows.loc["G2", "reason"].startswith("q-value 0.4 above 0.05; ")
    assert rows.loc["G2", "reason"].endswith(f"skill {rows.loc['G2', 'skill']:.3f} not above 0")
    assert rows.loc["G5", "reason"] == f"expressed in 3 of {len(y)} test cells, too few to tell (at least 5)"
    counts, exposure = counts_and_exposure(rna)
    assert np.array_equal(surrogate.given[0], counts[:, [0, 2, 5]].toarray())
    assert surrogate.given[1].numpy() == pytest.approx(exposure, rel=1e-6)


@pytest.mark.parametrize("column", ["q_value", "r_depth", "r_permuted_window", "skill"])
def test_each_of_the_four_can_fail_a_gene(column):
    values = {"p_value": 0.01, "r": 0.3, "r_depth": 0.1, "r_permuted_window": 0.2, "skill": 0.01}
    failing = {"q_value": {"p_value": 0.06}, "r_depth": {"r_depth": 0.3}, "skill": {"skill": 0.0}}
    values |= failing.get(column, {"r_permuted_window": 0.4})
    row = pd.DataFrame([{**values, "q_value": np.nan, "reason": ""}])
    decided = gate_table._decide(row, np.array([True]), 0.05).iloc[0]
    words = {"q_value": "q-value 0.06 above 0.05", "r_depth": "r 0.300 not above 0.300 of depth"}
    words |= {"skill": "skill 0.000 not above 0"}
    assert not decided["passed_gate"]
    assert decided["reason"] == words.get(column, "r 0.300 not above 0.400 of permuted windows")


def test_what_counts_is_the_false_discovery_rate_over_the_tasks():
    values = {
        "r": 0.3,
        "r_depth": 0.1,
        "r_permuted_window": 0.2,
        "skill": 0.01,
        "q_value": np.nan,
        "reason": "",
    }
    p = np.array([0.001, 0.02, 0.04, 0.5, 0.6, 0.04])
    decided = gate_table._decide(pd.DataFrame([values] * 6).assign(p_value=p), np.arange(6) < 5, 0.05)
    assert decided["q_value"].tolist() == pytest.approx([0.005, 0.05, 0.2 / 3, 0.6, 0.6, 0.04])
    assert decided["passed_gate"].tolist() == [True, True, False, False, False, True]


@pytest.mark.parametrize(("n_cells", "is_told"), [(9, False), (10, True)])
def test_few_test_cells_tell_nothing_however_many_of_them_express_the_gene(
    multiome, windows, n_cells, is_told
):
    obs = multiome.atac.obs
    is_test = ((obs["split"] == "test") & (obs["cell_type"] == "A")).to_numpy()
    expressed = multiome.rna.X[:, 0].toarray().ravel() > 0
    kept = ~is_test
    kept[np.flatnonzero(is_test & expressed)[:6]] = True
    kept[np.flatnonzero(is_test & ~expressed)[: n_cells - 6]] = True
    some = Multiome(multiome.rna.cells(kept), multiome.atac.cells(kept), paired=True)
    tasks = pd.DataFrame({"cell_type": ["A"], "gene": ["G0"]})
    row = judge({"A": Windows(multiome)}, some, windows, tasks, 0.05, seed=1).set_index("gene").loc["G0"]
    assert row["n_cells"] == n_cells and pd.notna(row["p_value"]) == is_told
    assert is_told or row["reason"] == "9 test cells, too few to tell (at least 10)"


def test_a_surrogate_of_the_whole_genome_is_judged_by_permuting_the_window(multiome, windows, monkeypatch):
    weights = np.zeros((40, N_GENES), np.float32)
    weights[PEAKS, 0] = 0.5
    weights[25, 0] = 0.3
    weights[[12, 13, 25], 2] = 0.4
    toy = LinearToy(weights, bias=0.6, genes=list(multiome.rna.var.index))
    toy.name = "cross_modality"
    order = np.random.default_rng(5).permutation(len(test_cells(multiome)[0].obs))
    monkeypatch.setattr(gate_table, "N_PERMUTATIONS", 1)
    monkeypatch.setattr(gate_table, "generator", lambda *names: SimpleNamespace(permutation=lambda n: order))
    toy.peaks = list(multiome.atac.var.index)
    tasks = pd.DataFrame({"cell_type": ["A", "A", "B"], "gene": ["G2", "G0", "G1"]})
    gate = judge({"A": toy}, multiome, windows, tasks, 0.05, seed=1).set_index("gene")
    assert list(gate.index) == ["G2", "G0"]  # the tasks', in their order
    rna, atac = test_cells(multiome)
    shuffled = atac.X.toarray()
    shuffled[:, PEAKS] = shuffled[order][:, PEAKS]
    y = rna.X[:, 0].toarray().ravel()
    expected = stats.pearsonr(toy.predict(sparse.csr_matrix(shuffled))[:, 0], y)[0]
    assert gate.loc["G0", "r_permuted_window"] == pytest.approx(expected, rel=1e-4)
    assert gate.loc["G0", "r"] == pytest.approx(stats.pearsonr(toy.predict(atac.X)[:, 0], y)[0], rel=1e-5)
    known, known_atac = test_cells(multiome, split="train")
    x = np.log(np.maximum(np.diff(known_atac.X.indptr), 1))
    line = np.polyfit(x, known.X[:, 0].toarray().ravel(), 1)
    by_depth = np.polyval(line, np.log(np.maximum(np.diff(atac.X.indptr), 1)))
    assert gate.loc["G0", "r_depth"] == pytest.approx(stats.pearsonr(by_depth, y)[0], rel=1e-4)
    assert gate["passed_gate"].tolist() == [False, True]
    assert gate.loc["G0", "p_value"] < 1e-6 < 0.01 < gate.loc["G2", "p_value"]


def test_the_depth_of_a_cell_stays_when_its_window_is_permuted(multiome, windows):
    surrogate = random_surrogate("normalised")
    order = np.random.default_rng(0).permutation(30)
    opened = multiome.atac.X[:30]
    pooled = surrogate.pool(opened).detach()
    seen = opened[:, PEAKS].toarray().astype(np.float32)
    spread = surrogate.shift[PEAKS].detach()[:, None]
    moved = _moved(pooled, seen[order] - seen, spread)
    shuffled = opened.toarray()
    shuffled[:, PEAKS] = shuffled[order][:, PEAKS]
    expected = surrogate.pool(sparse.csr_matrix(shuffled)).detach()
    torch.testing.assert_close(moved[..., :-1], expected[..., :-1])
    assert torch.equal(moved[..., -1], pooled[..., -1])


def test_p_values_are_uniform_when_the_window_only_follows_the_covariates():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(600):
        state = rng.normal(size=120)
        covariates = np.stack([np.ones(120), state], 1)
        adds, observed = 0.7 * state + rng.normal(size=120), state + rng.gamma(1.0, size=120)
        p_values.append(covariance_p_value(adds, observed, covariates))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert covariance_p_value(adds, observed + adds, covariates) < 1e-6
    assert covariance_p_value(adds, observed - adds, covariates) > 1 - 1e-6  # one-sided
    assert covariance_p_value(np.zeros(120), observed, covariates) == 1
    assert covariance_p_value(2 * state + 1, observed, covariates) == 1


def test_a_gene_without_peaks_in_its_window_cannot_pass(multiome, windows):
    toy = LinearToy(np.eye(40, N_GENES), genes=list(multiome.rna.var.index))
    toy.name, toy.peaks = "cross_modality", list(multiome.atac.var.index)
    tasks = pd.DataFrame({"cell_type": ["A"], "gene": ["G1"]})
    row = judge({"A": toy}, multiome, windows, tasks, 0.05, seed=1).iloc[0]
    assert (row["n_peaks"], row["passed_gate"], row["reason"]) == (0, False, "no peak in its window")
    assert np.isnan(row["p_value"])
    assert row["r_permuted_window"] == pytest.approx(row["r"])


def test_tasks_that_fail_are_skipped_with_the_reason_unless_forced():
    gate = pd.DataFrame(
        {
            "cell_type": ["A", "A", "B", "B"],
            "gene": ["x", "y", "x", "y"],
            "p_value": [0.01, 0.02, 0.4, np.nan],
            "passed_gate": [True, False, False, False],
            "reason": [
                "",
                "skill -0.1 not above 0",
                "q-value 0.4 above 0.05",
                "expressed in 2 of 40 test cells",
            ],
        }
    )
    tasks = pd.DataFrame({"cell_type": ["B", "B", "A", "A", "A"], "gene": ["x", "y", "z", "y", "x"]})
    explained, skipped = choose_tasks(gate, tasks, force=False)
    assert explained.to_numpy().tolist() == [["A", "x", True]]
    assert skipped.to_numpy().tolist() == [
        ["B", "x", "does not pass the gate: q-value 0.4 above 0.05"],
        ["B", "y", "expressed in 2 of 40 test cells"],
        ["A", "z", "no peak in its window"],
        ["A", "y", "does not pass the gate: skill -0.1 not above 0"],
    ]
    explained, skipped = choose_tasks(gate, tasks, force=True)
    assert explained.to_numpy().tolist() == [
        ["B", "x", False], ["B", "y", False], ["A", "y", False], ["A", "x", True],
    ]  # fmt: skip
    assert list(explained.columns) == ["cell_type", "gene", "passed_gate"]
    assert skipped.to_numpy().tolist() == [["A", "z", "no peak in its window"]]


def test_unpaired_cells_are_not_judged_and_pass(windows):
    unpaired = toy_multiome(300, paired=False)
    toy = LinearToy(np.eye(40, N_GENES), genes=list(unpaired.rna.var.index))
    toy.name, toy.peaks = "cross_modality", list(unpaired.atac.var.index)
    tasks = pd.DataFrame({"cell_type": ["A", "A"], "gene": ["G1", "G0"]})
    gate = judge({"A": toy}, unpaired, windows, tasks, 0.05, seed=1)
    assert list(gate.columns) == gate_table.GATE_COLUMNS
    assert gate["n_peaks"].tolist() == [0, 3]
    assert (gate["reason"] == "not judged: cells are unpaired").all()
    assert gate[["r", "skill", "p_value", "q_value", "passed_gate"]].isna().all().all()
    explained, skipped = choose_tasks(gate, tasks, force=False)
    assert (
        explained[["cell_type", "gene"]].equals(tasks)
        and explained["passed_gate"].isna().all()
        and skipped.empty
    )
