"""Surrogates with closed-form answers, for tests."""

import numpy as np
import torch

from grids.surrogates.pooling import PooledSurrogate


class LinearToy(PooledSurrogate):
    """Log-expression is a bias plus the sum of the open peaks' weights.

    Closing a set changes a cell by minus the weights of its open members: effects are additive.
    """

    def __init__(self, weights: np.ndarray, bias: float = 0.0, genes: list[str] | None = None):
        super().__init__()
        weights = np.asarray(weights, dtype=np.float32).reshape(len(weights), -1)
        self.peaks = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(len(weights))]
        self.genes = genes or [f"G{i}" for i in range(weights.shape[1])]
        self.register_buffer("shift", torch.from_numpy(weights))
        self.register_buffer("group_of_peak", torch.zeros(len(weights), dtype=torch.long))
        self.n_groups = 1
        self.bias = bias

    def tail(self, pooled, genes=None):
        predicted = self.bias + pooled[:, 0]
        return predicted if genes is None else predicted[:, genes]


class SaturatingToy(LinearToy):
    """Log-expression of the only gene is ``tanh`` of the sum of the open peaks' weights: what goes far is cut off."""

    def tail(self, pooled, genes=None):
        predicted = torch.tanh(pooled[:, 0])
        return predicted if genes is None else predicted[:, genes]


class AllOfToy(LinearToy):
    """Log-expression of the only gene is `height` while all of the members are open, else 0 (an AND gate)."""

    def __init__(self, n_peaks: int, members: list[int], height: float = 1.0):
        super().__init__(np.isin(np.arange(n_peaks), members).astype(np.float32))
        self.height, self.n_members = height, len(members)

    def tail(self, pooled, genes=None):
        predicted = self.height * (pooled[:, 0] - self.n_members + 1).clamp(min=0.0)
        return predicted if genes is None else predicted[:, genes]


class AnyOfToy(LinearToy):
    """Log-expression of the only gene is `height` while any of the members is open, else 0 (an OR gate)."""

    def __init__(self, n_peaks: int, members: list[int], height: float = 1.0):
        super().__init__(np.isin(np.arange(n_peaks), members).astype(np.float32))
        self.height = height

    def tail(self, pooled, genes=None):
        predicted = self.height * pooled[:, 0].clamp(max=1.0)
        return predicted if genes is None else predicted[:, genes]
