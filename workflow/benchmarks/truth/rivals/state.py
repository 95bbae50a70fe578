"""What rivals regress out of expression and peaks: an intercept, or the cells' state and depths too."""

import numpy as np
import torch

from benchmarks.truth.dataset import LEARNED, Dataset
from grids.surrogates.window.cell_state import CellState
from grids.surrogates.window.data import CELLS_PER_COMPONENT
from grids.surrogates.window.model import covariates
from grids.surrogates.window.training import WindowSettings


def intercept(n_cells: int) -> np.ndarray:
    """An orthonormal basis of the constant, shape (n_cells, 1)."""
    return np.full((n_cells, 1), n_cells**-0.5)


def state_and_depth(dataset: Dataset, seed: int) -> np.ndarray:
    """An orthonormal basis of the state and depths of the training and validation cells, (n_cells, n_covariates).

    Intercept, log detection chance and state components are the covariates of the window surrogate; the log of the
    RNA depth is added, for which that surrogate has an offset.
    """
    atac = dataset.multiome.atac.cells(split=list(LEARNED))
    n_components = min(WindowSettings().n_components, atac.X.shape[0] // CELLS_PER_COMPONENT)
    state = CellState.fit(atac.X, atac.obs["detection"].to_numpy(np.float64), n_components, seed)
    chance, components = state(atac.X)
    of_state = covariates(chance, components, torch.zeros(len(chance), dtype=torch.long), 1)
    log_depth = np.log(np.maximum(dataset.candidates.of_splits(*LEARNED).depth, 1e-9))
    return np.linalg.qr(np.column_stack([of_state.numpy().astype(np.float64), log_depth]))[0]
