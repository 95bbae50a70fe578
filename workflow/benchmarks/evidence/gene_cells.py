"""The cells as one gene sees them: what a rival may look at."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.evidence.metacells import metacells
from grids.data.normalisation import counts_and_exposure
from grids.io.cells import Multiome
from grids.surrogates.window.cell_state import CellState

# Of the state in which cells are neighbours: as many as the window surrogate takes by default.
N_COMPONENTS = 20


@dataclass(frozen=True)
class GeneCells:
    """Paired cells, with the peaks of one gene's window.

    Attributes
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks), float64
        1 where the peak is seen open.
    expression, counts, exposure : ndarray, shape (n_cells,)
        Log-normalised expression; ``counts = exposure * normalised counts``.
    cell_type, split, metacell : ndarray, shape (n_cells,)
    """

    opened: sparse.csr_matrix
    expression: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray
    cell_type: np.ndarray
    split: np.ndarray
    metacell: np.ndarray

    def cells(self, mask: np.ndarray) -> "GeneCells":
        """Some of the cells, by a mask of shape (n_cells,)."""
        return GeneCells(**{name: values[mask] for name, values in vars(self).items()})

    def in_metacells(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of open cells, (n_metacells, n_peaks), and log1p of normalised summed counts, (n_metacells,)."""
        size = np.bincount(self.metacell)
        of_cell = sparse.csr_matrix(
            (np.ones(len(self.metacell)), (self.metacell, np.arange(len(self.metacell))))
        )
        counts, exposure = (np.bincount(self.metacell, values) for values in (self.counts, self.exposure))
        return (of_cell @ self.opened).toarray() / size[:, None], np.log1p(counts / exposure)


class AllGenes:
    """Cells of a multiome, cut into metacells once, from which each gene's are taken.

    Parameters
    ----------
    multiome : Multiome
        Paired cells in memory, with known counts.
    cells_per_metacell : int
    seed : int
    """

    def __init__(self, multiome: Multiome, cells_per_metacell: int, seed: int):
        atac, rna = multiome.atac, multiome.rna
        counts, self._exposure = counts_and_exposure(rna)
        self._counts, self._expression = counts.tocsc(), rna.X.tocsc()
        self._column, self._peak = rna.var.index, atac.var.index
        opened = (atac.X != 0).astype(np.float32).tocsr()
        state = CellState.fit(opened, atac.obs["detection"].to_numpy(), N_COMPONENTS, seed)
        self._cell_type, self._split = (atac.obs[name].to_numpy() for name in ("cell_type", "split"))
        self._metacell = metacells(state(opened)[1].numpy(), self._cell_type, cells_per_metacell)
        self._opened = opened.tocsc()

    def __contains__(self, gene: str) -> bool:
        return gene in self._column

    def of(self, gene: str, peaks: pd.Series) -> GeneCells:
        """The cells with expression of one gene and these peaks."""
        column = self._column.get_loc(gene)
        expression, counts = (
            matrix[:, [column]].toarray().ravel().astype(float) for matrix in (self._expression, self._counts)
        )
        opened = self._opened[:, self._peak.get_indexer(peaks)].astype(float).tocsr()
        of_cells = self._exposure, self._cell_type, self._split, self._metacell
        return GeneCells(opened, expression, counts, *of_cells)
