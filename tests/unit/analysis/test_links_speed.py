"""How many links are tested per second, at the size of a large sample; printed, not judged."""

import cProfile
import pstats
import resource
import time

import numpy as np
import pytest
from linked_cells import drawn
from scipy import sparse

from grids.analysis.links.linking import Windows, test_windows
from grids.analysis.links.score_test import TestedCells

test_windows.__test__ = False
N_CELLS, N_PEAKS = 10_000, 100


def of_size(n_genes: int) -> tuple[TestedCells, sparse.csc_matrix, np.ndarray, Windows]:
    """Peaks open in 2 to 5 % of the cells, twenty components of state, genes of 0.01 to 10 counts per cell."""
    rng = np.random.default_rng(0)
    data = drawn(N_CELLS, n_peaks=1, n_genes=n_genes, n_covariates=23)
    counts = rng.poisson(data.counts * np.exp(rng.uniform(np.log(0.01), np.log(5), n_genes))[None])
    n_open = rng.binomial(N_CELLS, rng.uniform(0.02, 0.05, n_genes * N_PEAKS))
    rows = np.repeat(np.arange(len(n_open)), n_open)
    place = rng.integers(0, N_CELLS, len(rows), dtype=np.int32)
    opened = sparse.csr_matrix((np.ones(len(rows), np.uint8), (place, rows)), (N_CELLS, len(n_open)))
    opened.data[:] = 1
    peaks = [np.arange(N_PEAKS * g, N_PEAKS * g + N_PEAKS) for g in range(n_genes)]
    windows = Windows(peaks, [np.arange(N_PEAKS) > 5] * n_genes, np.array(["chr1"] * n_genes))
    values = sparse.csc_matrix(counts.astype(float))
    return TestedCells(opened, data.covariates, data.depth), values, data.depth, windows


@pytest.mark.slow
def test_pairs_per_second_and_memory(capsys):
    told = []
    for n_genes in (250, 1000):
        cells, values, exposure, windows = of_size(n_genes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        profile, start = cProfile.Profile(), time.process_time()
        tested = profile.runcall(test_windows, cells, values, exposure, windows)
        seconds = time.process_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
        assert len(tested.gene) == n_genes * N_PEAKS and np.isfinite(tested.links["p_value"]).mean() > 0.5
        spent = {name: t for (_, _, name), (_, _, _, t, _) in pstats.Stats(profile).stats.items()}
        parts = ", ".join(
            f"{name} {spent[name] / sum(spent[x] for x in ('_test_block',)):.0%}"
            for name in ("fit_residuals", "links", "window_openness", "windows")
        )
        told.append(
            f"{n_genes} genes: {len(tested.gene) / seconds:,.0f} pairs per second ({parts}), +{grown:.0f} MB"
        )
    with capsys.disabled():
        print("", *told, sep="\n")
