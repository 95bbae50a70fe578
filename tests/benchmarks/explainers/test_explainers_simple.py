"""Scores that need no surrogate, against numpy on dense peaks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from models import N_PEAKS, open_peaks, random_surrogate
from scipy.stats import kstest

from benchmarks.explainers.problem import Problem
from benchmarks.explainers.simple import correlation, distance, random
from grids.io.errors import InputError
from grids.search.objective import PerturbedCells

N_CELLS = 60
OPENED = open_peaks(N_CELLS)
OBSERVED = np.random.default_rng(3).gamma(1.0, size=N_CELLS).astype(np.float32) + 5


def ask(encoder="paper", value=0, **kwargs):
    cells = PerturbedCells(random_surrogate(encoder), OPENED, value)
    problem = Problem(cells, 0, torch.arange(N_PEAKS), 3, np.random.default_rng(0))
    return replace(problem, **kwargs)


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
@pytest.mark.parametrize("value", [0, 1])
def test_correlation_is_that_of_dense_peaks(encoder, value):
    x = OPENED.toarray()
    expected = [abs(np.corrcoef(x[:, j], OBSERVED)[0, 1]) for j in range(N_PEAKS)]
    np.testing.assert_allclose(correlation(ask(encoder, value, observed=OBSERVED)), expected, atol=1e-9)


def test_correlation_of_a_subset_of_the_cells():
    cells = np.array([3, 8, 9, 21, 40, 41, 50])
    problem = ask(observed=OBSERVED[cells])
    problem = replace(problem, cells=problem.cells.subset(cells))
    x = OPENED[cells].toarray()
    expected = [
        abs(np.corrcoef(x[:, j], OBSERVED[cells])[0, 1]) if 0 < x[:, j].sum() < 7 else 0
        for j in range(N_PEAKS)
    ]
    np.testing.assert_allclose(correlation(problem), expected, atol=1e-9)
    assert 0 in expected  # some are open in none or in all of them


def test_a_gene_that_does_not_vary_correlates_with_nothing():
    assert not correlation(ask(observed=np.full(N_CELLS, 2.5))).any()


def test_correlation_needs_measured_expression():
    with pytest.raises(InputError, match="not measured"):
        correlation(ask())


def test_the_closest_peaks_come_first_and_other_chromosomes_last():
    far = np.array([-200.0, np.nan, 10.0, 0.0, 4e7, -30.0])
    assert distance(ask(distance_bp=far)).argsort(descending=True).tolist() == [3, 2, 5, 0, 4, 1]
    with pytest.raises(InputError, match="distances"):
        distance(ask())


def test_random_scores_are_uniform_and_follow_the_generator():
    scores = np.concatenate([random(ask(rng=np.random.default_rng(seed))) for seed in range(50)])
    assert kstest(scores, "uniform").pvalue > 0.01
    torch.testing.assert_close(random(ask()), random(ask()), rtol=0, atol=0)
    assert not torch.equal(random(ask()), random(ask(rng=np.random.default_rng(1))))
