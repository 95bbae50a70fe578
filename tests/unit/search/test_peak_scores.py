import numpy as np
import pandas as pd
import pytest
from models import open_peaks, small_window_surrogate
from scipy import sparse
from toys import LinearToy

from grids.analysis.set_changes import PEAK_SCORE_COLUMNS, score_peaks
from grids.io.seeds import generator


def test_the_score_of_a_peak_is_the_drop_when_it_alone_is_closed():
    weights = np.random.default_rng(0).normal(size=(40, 2))
    toy, opened = LinearToy(weights), open_peaks(50)
    windows = pd.DataFrame(
        [(toy.peaks[i], gene) for gene, peaks in (("G0", [4, 9]), ("G1", [9])) for i in peaks]
        + [("chr9:1-2", "G0")],  # not kept
        columns=["peak", "gene"],
    )
    tasks = pd.DataFrame({"cell_type": "A", "gene": ["G1", "G0"]})
    scores = score_peaks(toy, opened, tasks, windows, seed=1)
    assert list(scores.columns) == PEAK_SCORE_COLUMNS
    expected = [["A", "G1", toy.peaks[9]], ["A", "G0", toy.peaks[4]], ["A", "G0", toy.peaks[9]]]
    assert scores[["cell_type", "gene", "peak"]].to_numpy().tolist() == expected
    share = np.asarray(opened.mean(0)).ravel()
    values = [share[9] * weights[9, 1], share[4] * weights[4, 0], share[9] * weights[9, 0]]
    assert scores["score"].tolist() == pytest.approx(values, rel=1e-4)


def test_the_score_follows_what_is_sought():
    toy = LinearToy([1.0, -2.0, 0.0])
    windows = pd.DataFrame({"peak": toy.peaks, "gene": "G0"})
    tasks = pd.DataFrame({"cell_type": ["A"], "gene": ["G0"]})
    opened = sparse.csr_matrix(np.ones((4, 3), np.uint8))
    for direction, expected in [
        ("silence", [1, -2, 0]),
        ("activate", [1, -2, 0]),
        ("derepress", [-1, 2, 0]),
        ("change", [1, 2, 0]),
    ]:
        scores = score_peaks(toy, opened, tasks, windows, 1, direction)
        assert scores["score"].tolist() == pytest.approx(expected)


def test_a_window_surrogate_is_scored_on_openness_that_was_seen_or_missed():
    surrogate, opened = small_window_surrogate(), open_peaks(50)
    view = surrogate.for_gene("G3")
    windows = pd.DataFrame({"peak": view.peaks, "gene": "G3"})
    tasks = pd.DataFrame({"cell_type": ["A"], "gene": ["G3"]})
    scores = score_peaks(surrogate, opened, tasks, windows, seed=5)
    rng = generator(5, "openness", "test", "L2/3", "G3")
    drawn, _ = surrogate.window_cells(opened).draw("G3", rng)
    before = view.predict(drawn).mean()
    for peak, score in zip(scores["peak"], scores["score"], strict=True):
        closed = drawn.toarray()
        closed[:, view.peaks.index(peak)] = 0
        expected = before - view.predict(sparse.csr_matrix(closed)).mean()
        assert score == pytest.approx(float(expected), abs=1e-6)
    assert scores["score"].abs().min() > 1e-4


def test_without_tasks_the_table_is_empty():
    tasks = pd.DataFrame(columns=["cell_type", "gene"])
    windows = pd.DataFrame(columns=["peak", "gene"])
    scores = score_peaks(LinearToy(np.eye(3)), open_peaks(5, 3), tasks, windows, seed=1)
    assert scores.empty and list(scores.columns) == PEAK_SCORE_COLUMNS
