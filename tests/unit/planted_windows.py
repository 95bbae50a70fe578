"""Multiome cells with planted states, detection, sets and logics, for tests of the window surrogate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from grids.io.cells import Modality, Multiome

WINDOW_SIZE = 8
# Members among the peaks of each gene's window, logic, and ratio of expression with all members open to none.
CONTROL = {
    "single": ([2], "any", 5.0),
    "or_of_three": ([0, 3, 6], "any", 6.0),
    "and_of_two": ([1, 5], "all", 8.0),
    "multiplicative": ([2, 7], "product", 6.0),
    "nothing": ([], "any", 1.0),
    "state": ([], "any", 1.0),
}
# Genes that go up when their members are closed.
SILENCERS = {
    "silencer": ([2], "any", 1 / 4),
    "any_of_two_silencers": ([1, 5], "any", 1 / 4),
    "two_silencers_together": ([1, 5], "all", 1 / 4),
    "silencers_that_multiply": ([2, 7], "product", 1 / 4),
}


def kind(gene: str) -> str:
    """What controls a gene: a key of :data:`CONTROL` or :data:`SILENCERS`."""
    return gene.rstrip("0123456789")


@dataclass
class Planted:
    """Cells and what is behind them.

    Attributes
    ----------
    multiome : Multiome
    windows : DataFrame
        Columns ``peak, gene``.
    is_open : ndarray of bool, shape (n_cells, n_peaks)
        Seen or not.
    chance, state : ndarray, shape (n_cells,)
        Of detection; standard normal.
    counts : ndarray, shape (n_cells, n_genes)
    exposure : ndarray, shape (n_cells,)
    """

    multiome: Multiome
    windows: pd.DataFrame
    is_open: np.ndarray
    chance: np.ndarray
    state: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray

    @property
    def is_test(self) -> np.ndarray:
        """Whether each cell is a test cell."""
        return (self.multiome.atac.obs["split"] == "test").to_numpy()


def activity(is_open: np.ndarray, logic: str, ratio: float) -> np.ndarray:
    """What the members do to expression: 1 with none open, `ratio` with all."""
    size = is_open.shape[1]
    if size == 0:
        return np.ones(len(is_open))
    n_open = is_open.sum(1)
    if logic == "product":
        return ratio ** (n_open / size)
    return np.where(n_open > 0 if logic == "any" else n_open == size, ratio, 1.0)


def planted(
    n_cells: int = 1500,
    n_repeats: int = 1,
    control: Sequence[str] = tuple(CONTROL),
    cell_types: str = "A",
    n_background: int = 200,
    seed: int = 0,
) -> Planted:
    """One component of state that opens most peaks and moves gene ``state``; cells of the types in turn.

    Each gene of `control` is there `n_repeats` times, each with its own window, ``single0, single1, ...``;
    genes without a window make sure that each cell has a gene with one count. Types differ in their peaks.
    """
    rng = np.random.default_rng(seed)
    state = rng.standard_normal(n_cells)
    chance = np.clip(np.exp(rng.normal(np.log(0.5), 0.3, n_cells)), 0.05, 0.9)
    genes = [f"{name}{i}" for name in control for i in range(n_repeats)]
    n_peaks = WINDOW_SIZE * len(genes) + n_background
    log_odds = rng.normal(-0.6, 0.4, n_peaks) + state[:, None] * rng.normal(0.5, 0.5, n_peaks)
    cell_type = np.array(list(cell_types))[np.arange(n_cells) % len(cell_types)]
    log_odds += (
        rng.normal(0, 0.7, (len(cell_types) - 1, n_peaks + 1))[:, 1:].sum(0) * (cell_type != "A")[:, None]
    )
    is_open = rng.random((n_cells, n_peaks)) < 1 / (1 + np.exp(-log_odds))
    seen = is_open & (rng.random(is_open.shape) < chance[:, None])
    exposure = rng.uniform(0.5, 1.5, n_cells)
    mean = np.full((n_cells, len(genes) + 40), 0.5)
    for g, gene in enumerate(genes):
        members, logic, ratio = (CONTROL | SILENCERS)[kind(gene)]
        by_state = 0.5 * state if gene.startswith("state") else 0.2 * state
        of_members = is_open[:, [WINDOW_SIZE * g + m for m in members]]
        mean[:, g] = 1.5 / min(ratio, 1) * np.exp(by_state) * activity(of_members, logic, ratio)
    mean *= exposure[:, None]
    counts = rng.poisson(mean * rng.gamma(5.0, 1 / 5.0, mean.shape))
    peaks = [f"chr1:{1000 * j}-{1000 * j + 500}" for j in range(n_peaks)]
    cells = [f"cell{i}" for i in range(n_cells)]
    split = np.asarray(["train"] * 6 + ["validation"] + ["test"] * 3)[
        np.arange(n_cells) // len(cell_types) % 10
    ]
    obs = {"cell_type": cell_type, "split": split, "detection": chance, "size_factor": exposure}
    obs = pd.DataFrame(obs, index=cells)
    expression = np.log1p(counts / exposure[:, None]).astype(np.float32)
    names = [*genes, *(f"other{i}" for i in range(40))]
    multiome = Multiome(
        rna=Modality(sparse.csr_matrix(expression), obs.drop(columns="detection"), pd.DataFrame(index=names)),
        atac=Modality(sparse.csr_matrix(seen.astype(np.uint8)), obs, pd.DataFrame(index=peaks)),
        paired=True,
    )
    of_genes = np.arange(WINDOW_SIZE * len(genes))
    windows = pd.DataFrame(
        {"peak": [peaks[j] for j in of_genes], "gene": [genes[j // WINDOW_SIZE] for j in of_genes]}
    )
    return Planted(multiome, windows, is_open, chance, state, counts, exposure)
