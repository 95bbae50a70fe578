"""Questions to explainers, about toys and small surrogates."""

import numpy as np
import torch
from models import N_PEAKS
from scipy import sparse

from benchmarks.explainers.problem import Problem
from grids.search.objective import PerturbedCells


def ask(surrogate, opened, value=0, gene=0, allowed=None, set_size=3, seed=0) -> Problem:
    """Which peaks to perturb; all are candidates by default."""
    cells = PerturbedCells(surrogate, opened, value)
    allowed = torch.arange(cells.n_peaks) if allowed is None else torch.as_tensor(allowed)
    return Problem(cells, gene, allowed, set_size, np.random.default_rng(seed))


def all_alike(n_cells: int, state: int, n_peaks: int = N_PEAKS) -> sparse.csr_matrix:
    """Cells with every peak open, or none."""
    return sparse.csr_matrix(np.full((n_cells, n_peaks), state, dtype=np.uint8))
