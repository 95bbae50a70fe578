"""Cells gene by gene: looked at whole, or through each gene's window on openness drawn given what was seen."""

import numpy as np
import pandas as pd
import pytest
import torch
from refitted_toys import ReplicatedToy, WindowToy, window_surrogate
from scipy import sparse
from toys import LinearToy

from benchmarks.explainers.single_cell import Wanted, explain_tasks
from grids.analysis.effects import measure_effects
from grids.analysis.null_sets import Surroundings
from grids.analysis.redundancy.analysis import analyse_sets
from grids.analysis.redundancy.searches import RedundancySettings
from grids.analysis.set_changes import score_peaks
from grids.analysis.specificity import measure_specificity
from grids.analysis.states import measure_states
from grids.io.cells import Modality, Multiome
from grids.io.errors import InputError
from grids.io.seeds import generator
from grids.search.sets import Question, find_sets
from grids.search.task_cells import TaskCells


def test_a_surrogate_that_is_looked_at_whole_is_pooled_once():
    task_cells = TaskCells(
        LinearToy(np.ones((4, 2))), sparse.csr_matrix(np.ones((3, 4))), 1, seed=0, split="test"
    )
    (first, column_of_first, peaks), (second, column_of_second, _) = task_cells.of("G0"), task_cells.of("G1")
    assert first is second and (column_of_first, column_of_second) == (0, 1)
    assert peaks == task_cells.surrogate.peaks and first.value == 1
    assert task_cells.refits("G0") == []


def test_refits_of_a_surrogate_that_is_looked_at_whole():
    surrogate = ReplicatedToy([1.0, 3.0], replicates=[[2.0, 0.0], [4.0, 1.0]])
    task_cells = TaskCells(surrogate, sparse.csr_matrix(np.ones((3, 2))), 0, seed=0, split="test")
    refits = task_cells.refits("G0")
    assert [float(cells.predict(0)[0]) for cells in refits] == [2.0, 5.0]
    assert task_cells.refits("G0") is refits


def test_each_gene_is_seen_through_its_window():
    surrogate = WindowToy([0.5, 1.0, 0.25], {"G0": [1, 0], "G1": [2, 1]}, scales=[2.0, 4.0])
    task_cells = TaskCells(
        surrogate, sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]])), 0, seed=0, split="test"
    )
    for gene, columns, before in (("G0", [1, 0], [1.5, 1.0]), ("G1", [2, 1], [1.0, 1.25])):
        cells, column, peaks = task_cells.of(gene)
        assert peaks == [surrogate.peaks[i] for i in columns]
        assert cells.predict(column).tolist() == before
        for scale, refit in zip((2.0, 4.0), task_cells.refits(gene), strict=True):
            assert refit.predict(column).tolist() == [scale * value for value in before]
    assert surrogate.n_prepared == 1


def test_names_become_indices():
    surrogate = WindowToy(np.ones(4), {"G0": [3, 1]})
    task_cells, peaks = (
        TaskCells(surrogate, sparse.csr_matrix(np.ones((2, 4))), 0, seed=0, split="test"),
        surrogate.peaks,
    )
    assert task_cells.members("G0", [peaks[1], peaks[3]]).tolist() == [1, 0]
    with pytest.raises(InputError, match=r"sets: peak 'chr1:0-500' is not among the 2 peaks .* gene 'G0'"):
        task_cells.members("G0", [peaks[1], peaks[0]])
    windows = pd.DataFrame({"peak": [peaks[1], peaks[0], peaks[3]], "gene": ["G0", "G0", "G1"]})
    assert task_cells.candidates("G0", windows).tolist() == [1]
    assert task_cells.candidates("G0").tolist() == [0, 1]


def test_the_window_surrogate_equals_dense_evaluation_on_the_drawn_openness():
    surrogate, gene = window_surrogate(), "G1"
    rng = np.random.default_rng(0)
    surrogate.state_effect = torch.from_numpy(rng.normal(size=surrogate.state_effect.shape)).float()
    surrogate.intercept = torch.zeros(5)
    surrogate.state.chance_line = torch.tensor([0.1, 0.0, 1.0])  # many an open peak is missed
    opened = sparse.csr_matrix((rng.random((400, 4)) < 0.4).astype(np.uint8))
    drawn, by_state = surrogate.window_cells(opened).draw(
        gene, generator(0, "openness", "test", "Oligo/OPC", gene)
    )
    z = drawn.toarray().astype(bool)
    assert by_state.std() > 0.01 and z.sum() > opened[:, surrogate.window(gene).numpy()].sum()
    task_cells = TaskCells(surrogate, opened, 0, seed=0, split="test")
    cells, column, _ = task_cells.of(gene)
    versions = [
        (cells, surrogate),
        *((c, surrogate.replicate(b)) for b, c in enumerate(task_cells.refits(gene))),
    ]
    assert len(versions) == 3
    for members in ([], [1], [2, 0], [0, 1, 2]):
        kept = z.copy()
        kept[:, members] = False
        for perturbed, version in versions:
            view = version.for_gene(gene)
            index = kept @ view.shift[:, :-1].double().numpy()
            size = view.size.double().numpy()
            expected = by_state.double().numpy() + np.log1p(size * np.expm1(index)).mean(1)
            actual = perturbed.predict_sets(torch.tensor([members], dtype=torch.long), column)[0]
            np.testing.assert_allclose(actual, expected, atol=2e-5)


def hidden_windows():
    """Two genes whose peaks are open in half the cells, and nearly always missed."""
    surrogate = window_surrogate()
    surrogate.intercept = torch.zeros(5)
    surrogate.state.chance_line = torch.tensor([0.1, 0.0, 1.0])
    return surrogate


def drawn(gene="G1", *, cell_type="A", seed=0, split="test", n_cells=3000, before=()):
    """Openness that a task sees of cells of which no peak was seen, shape (n_cells, n_window_peaks)."""
    surrogate = hidden_windows()
    surrogate.cell_type, surrogate.cell_types = cell_type, [cell_type]
    cells = TaskCells(surrogate, sparse.csr_matrix((n_cells, 4), dtype=np.uint8), 0, seed=seed, split=split)
    for other in before:
        cells.of(other)
    return cells.of(gene)[0].opened.toarray()


def test_the_same_cells_are_drawn_alike_in_every_step_of_a_run():
    expected = drawn()
    assert 0.3 < expected.mean() < 0.7
    np.testing.assert_array_equal(drawn(), expected)
    np.testing.assert_array_equal(drawn(before=["G0", "G1", "G0"]), expected)


@pytest.mark.parametrize("other", [{"split": "train"}, {"seed": 1}, {"cell_type": "B"}])
def test_draws_of_other_cells_and_other_seeds_are_independent(other):
    one, another = drawn(), drawn(**other)
    for peak in range(3):
        assert abs(np.corrcoef(one[:, peak], another[:, peak])[0, 1]) < 4 / np.sqrt(3000)


def test_genes_are_drawn_independently():
    shared = 2  # the peak that both windows hold, the second of each
    one, another = drawn("G0")[:, 1], drawn("G1")[:, 1]
    assert hidden_windows().window("G0")[1] == hidden_windows().window("G1")[1] == shared
    assert abs(np.corrcoef(one, another)[0, 1]) < 4 / np.sqrt(3000)


def test_sets_are_found_in_draws_of_training_cells_and_measured_in_those_of_test_cells(monkeypatch):
    """Every step names the cells it looks at, by the same seed."""
    seen = []
    real = TaskCells.__init__

    def noted(self, surrogate, opened, value, **stream):
        seen.append((stream["seed"], stream["split"], opened.shape[0]))
        real(self, surrogate, opened, value, **stream)

    monkeypatch.setattr(TaskCells, "__init__", noted)
    train, test = (multiome_of(n) for n in (40, 30))
    surrogate = hidden_windows()
    tasks = pd.DataFrame({"cell_type": ["A"], "gene": ["G1"]})
    peaks = test.atac.var
    genes = pd.DataFrame(
        {"gene": ["G0", "G1"], "chromosome": "chr1", "start": 0, "end": 900, "strand": "+", "tss": 0}
    )
    windows = pd.DataFrame({"peak": surrogate.peaks, "gene": "G1"})
    sets, _, _ = find_sets(surrogate, train.atac.X, tasks, windows, 7, Question(set_size=2))
    surroundings = Surroundings(genes, peaks, np.full(4, 0.5))
    measure_effects(surrogate, test, sets, surroundings, n_null_sets=0, seed=7)
    settings = RedundancySettings(Question(set_size=2), n_bootstrap=20, n_stability=0)
    analyse_sets(surrogate, test, train.atac.X, sets, windows, settings, seed=7)
    measure_specificity(surrogate, test.atac, "A", sets, n_bootstrap=20, seed=7)
    measure_states(surrogate, test, "A", sets, [{"key": "split"}], n_bootstrap=20, seed=7)
    score_peaks(surrogate, test.atac.X, tasks, windows, 7)
    explain_tasks(surrogate, train, tasks, windows, genes, {"knock_out": {}}, Wanted([2]), 7)
    assert len(seen) == 8
    assert set(seen) == {(7, "train", 40), (7, "test", 30)}


def multiome_of(n_cells):
    opened = sparse.csr_matrix((n_cells, 4), dtype=np.uint8)
    obs = pd.DataFrame({"cell_type": "A", "split": "x"}, index=[f"c{i}" for i in range(n_cells)])
    surrogate = window_surrogate()
    starts = [int(name.split(":")[1].split("-")[0]) for name in surrogate.peaks]
    var = pd.DataFrame(
        {"chromosome": "chr1", "start": starts, "end": np.array(starts) + 500}, index=surrogate.peaks
    )
    rna = Modality(
        sparse.csr_matrix(np.ones((n_cells, 2), np.float32)), obs, pd.DataFrame(index=["G0", "G1"])
    )
    return Multiome(rna, Modality(opened, obs, var), paired=True)
