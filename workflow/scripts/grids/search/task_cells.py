"""Cells ready to be perturbed, gene by gene: what a task's gene depends on in a surrogate of many genes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from grids.io.errors import InputError
from grids.io.seeds import generator
from grids.search.objective import PerturbedCells


class TaskCells:
    """The cells of one type as each gene's part of the surrogate sees them.

    A surrogate with a part for each gene is looked at through it: ``for_gene(gene)`` is a pooled surrogate, and
    ``cells(opened).of(gene, rng)`` what it is evaluated on, openness drawn for the cells and a term of the last
    column of the pooled state. Any other surrogate is looked at whole.

    The draw depends on seed, split, cell type and gene only: every step of a run that looks at the same cells sees the
    same openness, and what was drawn for the cells that sets are found in is independent of what they are measured on.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
        Its refits on resampled training cells, if it has any, are ``replicate(0)`` to
        ``replicate(n_replicates - 1)``.
    opened : sparse matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open; columns in the order of ``surrogate.peaks``.
    value : {0, 1}
        What a perturbed peak is set to: 0 closed, 1 open.
    seed : int
        The run's.
    split : str
        That of the cells.
    """

    def __init__(self, surrogate, opened: sparse.spmatrix, value: int, *, seed: int, split: str):
        self.surrogate, self.value, self.seed, self.split = surrogate, value, seed, split
        self._windows = surrogate.window_cells(opened) if hasattr(surrogate, "window_cells") else None
        self._opened, self._by_state = opened, None
        self._gene = self._cells = self._refits = None

    def of(self, gene: str) -> tuple[PerturbedCells, int, list[str]]:
        """What is to be perturbed to explain a gene.

        Returns
        -------
        cells : PerturbedCells
        column : int
            The gene's output.
        peaks : list of str
            Names of the peaks that the cells' peak indices count.
        """
        if self._cells is None or (self._windows is not None and gene != self._gene):
            if self._windows is not None:
                rng = generator(self.seed, "openness", self.split, self.surrogate.cell_type, gene)
                self._opened, self._by_state = self._windows.of(gene, rng)
            self._gene, self._refits = gene, None
            self._cells = self._seen_by(self.surrogate)
            self._position = pd.Index(self._cells.surrogate.peaks)
        view = self._cells.surrogate
        return self._cells, view.genes.index(gene), view.peaks

    def refits(self, gene: str) -> list[PerturbedCells]:
        """The same cells in the eyes of each refit of the surrogate; column and peaks are those of :meth:`of`."""
        self.of(gene)
        if self._refits is None:
            n_refits = getattr(self.surrogate, "n_replicates", 0)
            self._refits = [self._seen_by(self.surrogate.replicate(b)) for b in range(n_refits)]
        return self._refits

    def _seen_by(self, surrogate) -> PerturbedCells:
        if self._windows is None:
            return PerturbedCells(surrogate, self._opened, self.value)
        cells = PerturbedCells(surrogate.for_gene(self._gene), self._opened, self.value)
        cells.pooled[:, 0, -1] += self._by_state.to(cells.device)
        return cells

    def members(self, gene: str, peaks: Sequence[str], where: str = "sets") -> Tensor:
        """Indices of named peaks, shape (n,), on the cells' device.

        Raises
        ------
        InputError
            When the surrogate does not see one of them for the gene; the message begins with `where`.
        """
        self.of(gene)
        members = self._position.get_indexer(list(peaks))
        if (members < 0).any():
            raise InputError(
                f"{where}: peak '{list(peaks)[int(np.argmin(members))]}' is not among the {len(self._position)} "
                f"peaks that the surrogate sees for gene '{gene}'"
            )
        return torch.from_numpy(members).to(self._cells.device)

    def candidates(self, gene: str, windows: pd.DataFrame | None = None) -> Tensor:
        """Indices of the peaks that a search may choose from: all, or those that `windows` has for the gene; on the
        cells' device.

        Parameters
        ----------
        gene : str
        windows : DataFrame, optional
            Columns ``peak, gene``; peaks that the surrogate does not see are passed over.
        """
        self.of(gene)
        if windows is None:
            return torch.arange(len(self._position), device=self._cells.device)
        inside = self._position.get_indexer(windows.loc[windows["gene"] == gene, "peak"])
        return torch.from_numpy(np.unique(inside[inside >= 0])).to(self._cells.device)
