"""Cells as the training loop reads them: sparse, by split, in batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from grids.cells import Multiome


@dataclass(frozen=True)
class TrainingCells:
    """One split of the cells as the training loop reads it: sparse, with cell types as codes."""

    atac: sparse.csr_matrix
    atac_type: np.ndarray
    rna: sparse.csr_matrix
    rna_type: np.ndarray
    paired: bool

    @classmethod
    def of(
        cls, multiome: Multiome, split: str, cell_types: list[str], cell_type: str | None = None
    ) -> "TrainingCells":
        """The cells of a split (and cell type), with types as positions in `cell_types`."""
        atac = multiome.atac.cells(split=split, cell_type=cell_type)
        rna = multiome.rna.cells(split=split, cell_type=cell_type)
        codes = pd.Index(cell_types)
        return cls(
            atac.X,
            codes.get_indexer(atac.obs["cell_type"]),
            rna.X,
            codes.get_indexer(rna.obs["cell_type"]),
            multiome.paired,
        )

    def type_means(self, n_types: int) -> np.ndarray:
        """Mean expression of each cell type, shape (n_types, n_genes); of all cells where a type has none."""
        means = np.tile(np.asarray(self.rna.mean(0), dtype=np.float32), (n_types, 1))
        for code in np.unique(self.rna_type):
            means[code] = self.rna[self.rna_type == code].mean(0)
        return means

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator["TrainingCells"]:
        """Batches of both modalities, shuffled when `rng` is given; of the same cells when they are paired."""
        n_atac, n_rna = self.atac.shape[0], self.rna.shape[0]
        n = max(n_atac, n_rna)
        atac_order = np.arange(n) % n_atac if rng is None else _shuffled(n_atac, n, rng)
        rna_order = (
            atac_order if self.paired else np.arange(n) % n_rna if rng is None else _shuffled(n_rna, n, rng)
        )
        for start in range(0, n, batch_size):
            i, j = atac_order[start : start + batch_size], rna_order[start : start + batch_size]
            if len(i) > 1 or n == 1:  # batch normalisation needs two cells
                yield TrainingCells(
                    self.atac[i], self.atac_type[i], self.rna[j], self.rna_type[j], self.paired
                )


def _shuffled(n_cells: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` cells in random order, each as often as the others (up to one)."""
    return np.concatenate([rng.permutation(n_cells) for _ in range(-(-n // n_cells))])[:n]
