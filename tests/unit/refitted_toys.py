"""Linear surrogates that have refits, or a part for each gene, as the window surrogate does."""

import numpy as np
import torch
from toys import LinearToy

from grids.surrogates.window.cell_state import CellState
from grids.surrogates.window.model import WindowSurrogate
from grids.surrogates.window.openness import MAX_LOG_ODDS


class ReplicatedToy(LinearToy):
    """With refits of other weights."""

    def __init__(self, weights, replicates):
        super().__init__(weights)
        self.replicates = [LinearToy(w) for w in replicates]
        self.n_replicates = len(replicates)

    def replicate(self, b):
        return self.replicates[b]


class WindowToy(LinearToy):
    """Each gene sees the peaks of its window only, in the window's order, with the same weights.

    Refits are at each of `scales` times the weights. `n_prepared` counts how often cells were prepared.
    """

    def __init__(self, weights, windows, scales=()):
        super().__init__(weights, genes=list(windows))
        self.weights, self.windows, self.scales = list(weights), windows, scales
        self.n_replicates, self.n_prepared, self.cell_type = len(scales), 0, "A"

    def replicate(self, b):
        return WindowToy([self.scales[b] * w for w in self.weights], self.windows)

    def for_gene(self, gene):
        columns = self.windows[gene]
        part = LinearToy([self.weights[i] for i in columns], genes=[gene])
        part.peaks = [self.peaks[i] for i in columns]
        return part

    def observe(self, opened, seed, split):
        self.n_prepared += 1
        return lambda gene: (opened[:, self.windows[gene]], None)


def window_surrogate():
    """Two genes with windows of 2 and 3 of 4 peaks; effects multiply; two draws, at half and 1.5 times the weights.

    Detection is as good as it gets and peaks are hardly ever open, so what is not seen is closed.
    """
    peaks = LinearToy(np.ones(4)).peaks
    weights = torch.tensor([0.1, 0.4, 0.2, 0.8, 1.6])
    tensors = {
        "first_pair": torch.tensor([0, 2, 5]),
        "peak_of_pair": torch.tensor([0, 2, 1, 2, 3]),
        "intercept": torch.full((5,), -MAX_LOG_ODDS),
        "deviation": torch.zeros(5, 1),
        "direction": torch.zeros(2, 1),
        "centre": torch.tensor([[0.0, 1.0]]).repeat(2, 1),
        "shared": torch.zeros(2, 3),
        "weights": torch.stack([weights / 2, weights * 3 / 2], 1),
        "size": torch.ones(2, 2),
        "state_effect": torch.zeros(2, 2),
    }
    of_component, line = torch.zeros(2, 0), torch.tensor([1.0, 0.0, 1.0])
    state = CellState(
        1.0, torch.zeros(4), torch.zeros(4, 0), of_component, of_component, torch.zeros(0), line
    )
    return WindowSurrogate(peaks, ["G0", "G1"], ["Oligo/OPC"], state, tensors, "Oligo/OPC")
