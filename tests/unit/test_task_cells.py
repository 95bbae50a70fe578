"""Cells gene by gene: looked at whole, or through each gene's window on openness drawn given what was seen."""

import numpy as np
import pandas as pd
import pytest
import torch
from refitted_toys import ReplicatedToy, WindowToy, window_surrogate
from scipy import sparse
from toys import LinearToy

from grids.errors import InputError
from grids.perturbation.task_cells import TaskCells


def test_a_surrogate_that_is_looked_at_whole_is_pooled_once():
    task_cells = TaskCells(LinearToy(np.ones((4, 2))), sparse.csr_matrix(np.ones((3, 4))), 1)
    (first, column_of_first, peaks), (second, column_of_second, _) = task_cells.of("G0"), task_cells.of("G1")
    assert first is second and (column_of_first, column_of_second) == (0, 1)
    assert peaks == task_cells.surrogate.peaks and first.value == 1
    assert task_cells.refits("G0") == []


def test_refits_of_a_surrogate_that_is_looked_at_whole():
    surrogate = ReplicatedToy([1.0, 3.0], replicates=[[2.0, 0.0], [4.0, 1.0]])
    task_cells = TaskCells(surrogate, sparse.csr_matrix(np.ones((3, 2))), 0)
    refits = task_cells.refits("G0")
    assert [float(cells.predict(0)[0]) for cells in refits] == [2.0, 5.0]
    assert task_cells.refits("G0") is refits


def test_each_gene_is_seen_through_its_window():
    surrogate = WindowToy([0.5, 1.0, 0.25], {"G0": [1, 0], "G1": [2, 1]}, scales=[2.0, 4.0])
    task_cells = TaskCells(surrogate, sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]])), 0)
    for gene, columns, before in (("G0", [1, 0], [1.5, 1.0]), ("G1", [2, 1], [1.0, 1.25])):
        cells, column, peaks = task_cells.of(gene)
        assert peaks == [surrogate.peaks[i] for i in columns]
        assert cells.predict(column).tolist() == before
        for scale, refit in zip((2.0, 4.0), task_cells.refits(gene), strict=True):
            assert refit.predict(column).tolist() == [scale * value for value in before]
    assert surrogate.n_prepared == 1


def test_names_become_indices():
    surrogate = WindowToy(np.ones(4), {"G0": [3, 1]})
    task_cells, peaks = TaskCells(surrogate, sparse.csr_matrix(np.ones((2, 4))), 0), surrogate.peaks
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
    drawn, by_state = surrogate.cells(opened).of(gene)
    z = drawn.toarray().astype(bool)
    assert by_state.std() > 0.01 and z.sum() > opened[:, surrogate.window(gene).numpy()].sum()
    task_cells = TaskCells(surrogate, opened, 0)
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
