"""The plain dense way to compute what the library computes in pooled form: slow, obvious, for comparison."""

import numpy as np
import torch

from grids.surrogates.cross_modality.model import CrossModalitySurrogate
from grids.surrogates.pooling import PooledSurrogate


def dense_predict(surrogate: PooledSurrogate, x: np.ndarray, depth: np.ndarray, gene: int) -> torch.Tensor:
    """Predicted log-expression of dense cells (n_cells, n_peaks), their measured depth held fixed."""
    x = torch.as_tensor(x, dtype=torch.float32)
    shift = surrogate.shift.detach()
    state = torch.zeros(len(x), surrogate.n_groups, shift.shape[1])
    for group in range(surrogate.n_groups):
        here = surrogate.group_of_peak == group
        state[:, group] = x[:, here] @ shift[here]
    if isinstance(surrogate, CrossModalitySurrogate):
        state = state + surrogate.atac_encoder.context(torch.as_tensor(depth, dtype=torch.float32))
    with torch.no_grad():
        return surrogate.tail(state, torch.tensor([gene]))[:, 0]


def dense_set_effect(surrogate, x: np.ndarray, members, value: int, gene: int) -> torch.Tensor:
    """The same after the peaks of a set are set to `value` in every cell."""
    perturbed = x.copy()
    perturbed[:, list(members)] = value
    return dense_predict(surrogate, perturbed, x.sum(1), gene)
