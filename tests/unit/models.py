"""Small surrogates and cells for tests."""

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from grids.io.cells import Modality, Multiome
from grids.surrogates.cross_modality.model import CrossModalitySurrogate
from grids.surrogates.window.cell_state import CellState
from grids.surrogates.window.model import WindowSurrogate

N_PEAKS, N_GENES = 40, 6
CHROMOSOMES = np.repeat([0, 1, 2], [15, 5, 20])


def open_peaks(n_cells: int, n_peaks: int = N_PEAKS, share: float = 0.4, seed: int = 0) -> sparse.csr_matrix:
    """Random open peaks; the first cell has none."""
    dense = np.random.default_rng(seed).random((n_cells, n_peaks)) < share
    dense[0] = False
    return sparse.csr_matrix(dense.astype(np.uint8))


def random_surrogate(encoder: str, seed: int = 0) -> CrossModalitySurrogate:
    """An untrained model whose batch normalisations have seen data, so that nothing in it is trivial."""
    torch.manual_seed(seed)
    model = CrossModalitySurrogate(
        [f"chr{c + 1}:{100 * i}-{100 * i + 50}" for i, c in enumerate(CHROMOSOMES)],
        [f"G{i}" for i in range(N_GENES)],
        ["A", "B"],
        CHROMOSOMES,
        encoder=encoder,
        n_latent=6,
        width=5,
        n_hidden=7,
        rna_hidden=(12, 9),
        dropout=0.0,
    )
    with torch.no_grad():
        model.rna_decoder[-1].bias.fill_(2.0)
        model.train()
        for _ in range(20):
            model.tail(model.pool(open_peaks(60, seed=seed + 1)))
    return model.eval()


def small_window_surrogate() -> WindowSurrogate:
    """Four genes that share twelve of forty peaks, two components of state, three drawn models."""
    torch.manual_seed(0)
    n_components, n_slopes, n_draws, n_genes, n_pairs = (
        2,
        4,
        3,
        4,
        12,
    )  # slopes: depth, state and the second type
    state = CellState(
        n_open=40.0,
        share=torch.rand(N_PEAKS),
        loadings=torch.randn(N_PEAKS, n_components) / 20,
        centre=torch.zeros(2, n_components),
        signal=torch.ones(2, n_components),
        n_open_slope=torch.tensor([0.2, -0.1]),
        chance_line=torch.tensor([1.1, 0.4, 0.8]),
    )
    tensors = {
        "first_pair": torch.tensor([0, 3, 7, 8, 12]),
        "peak_of_pair": torch.randperm(N_PEAKS)[:n_pairs],
        "intercept": torch.randn(n_pairs),
        "deviation": torch.randn(n_pairs, n_slopes) / 4,
        "direction": torch.randn(n_genes, n_slopes),
        "centre": torch.tensor([[0.0, 1.0]]).repeat(n_genes, 1),
        "shared": torch.randn(n_genes, n_slopes + 2) / 2,
        "weights": torch.rand(n_pairs, n_draws),
        "size": torch.rand(n_genes, n_draws),
        "state_effect": torch.randn(n_genes, n_slopes + 1),
        "inclusion": torch.rand(n_pairs),
        "form": torch.softmax(torch.randn(n_genes, 5), 1),
        "depth_only": torch.randn(n_genes, 2),
        "calibration": torch.rand(n_genes, 2),
    }
    peaks = [f"chr1:{100 * i}-{100 * i + 50}" for i in range(N_PEAKS)]
    genes = ["G0", "HLA-DQB1", "G2", "G3"]
    return WindowSurrogate(peaks, genes, ["CD8+ T/é", "L2/3"], state, tensors, "L2/3")


def toy_multiome(n_cells: int = 300, paired: bool = True, seed: int = 0) -> Multiome:
    """Two cell types; gene 0 is high where any of the peaks 3, 7 and 9 is open, gene 1 follows the type."""
    rng = np.random.default_rng(seed)
    cell_type = np.where(np.arange(n_cells) % 2, "A", "B")
    share = np.full((n_cells, N_PEAKS), 0.35)
    share[:, 10:20] = np.where(cell_type[:, None] == "A", 0.7, 0.1)
    share[:, 20:30] = np.where(cell_type[:, None] == "A", 0.1, 0.7)
    opened = (rng.random((n_cells, N_PEAKS)) < share).astype(np.uint8)
    y = rng.gamma(2.0, 0.1, (n_cells, N_GENES)) * (rng.random((n_cells, N_GENES)) < 0.7)
    y[:, 0] += 1.5 * opened[:, [3, 7, 9]].any(1)
    y[:, 1] += 1.0 * (cell_type == "A")
    split = np.asarray(["train"] * 7 + ["validation"] + ["test"] * 2)[np.arange(n_cells) // 2 % 10]
    names = [f"cell{i}" for i in range(n_cells)]
    obs = pd.DataFrame({"cell_type": cell_type, "split": split}, index=names)
    order = np.arange(n_cells) if paired else rng.permutation(n_cells)
    peaks = [f"chr{c + 1}:{100 * i}-{100 * i + 50}" for i, c in enumerate(CHROMOSOMES)]
    genes = pd.DataFrame(index=[f"G{i}" for i in range(N_GENES)])
    chromosomes = pd.DataFrame({"chromosome": [f"chr{c + 1}" for c in CHROMOSOMES]}, index=peaks)
    return Multiome(
        rna=Modality(sparse.csr_matrix(y[order].astype(np.float32)), obs.iloc[order], genes),
        atac=Modality(sparse.csr_matrix(opened), obs, chromosomes),
        paired=paired,
    )
