"""Cells ready to be perturbed, gene by gene: what a task's gene depends on in a surrogate of many genes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from grids.io.errors import InputError
from grids.search.objective import PerturbedCells
from grids.surrogates.pooling import PooledSurrogate, Surrogate


class TaskCells:
    """The cells of one type as each gene's part of the surrogate sees them.

    Each gene is looked at through ``surrogate.for_gene(gene)``, evaluated on what ``surrogate.observe`` shows it of
    the cells: openness drawn for them, or the cells as they are.

    The draw depends on seed, split, cell type and gene only: every step of a run that looks at the same cells sees the
    same openness, and what was drawn for the cells that sets are found in is independent of what they are measured on.

    Parameters
    ----------
    surrogate : Surrogate
    opened : sparse matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open; columns in the order of ``surrogate.peaks``.
    value : {0, 1}
        What a perturbed peak is set to: 0 closed, 1 open.
    seed : int
        The run's.
    split : str
        That of the cells.
    sign : {-1, 1}, optional
        As of :class:`~grids.search.objective.PerturbedCells`.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        opened: sparse.spmatrix,
        value: int,
        *,
        seed: int,
        split: str,
        sign: int | None = None,
    ):
        self.surrogate, self.value, self.sign = surrogate, value, sign
        self._observe = surrogate.observe(opened, seed, split)
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
        if gene != self._gene:
            view, self._gene = self.surrogate.for_gene(gene), gene
            # A surrogate that is its own view shows every gene the same cells.
            if self._cells is None or view is not self.surrogate:
                self._observed, self._refits = self._observe(gene), None
                self._cells = self._seen_by(view)
                self._position = pd.Index(view.peaks)
        view = self._cells.surrogate
        return self._cells, view.genes.index(gene), view.peaks

    def refits(self, gene: str) -> list[PerturbedCells]:
        """The same cells in the eyes of each refit of the surrogate; column and peaks are those of :meth:`of`."""
        self.of(gene)
        if self._refits is None:
            views = (self.surrogate.replicate(b).for_gene(gene) for b in range(self.surrogate.n_replicates))
            self._refits = [self._seen_by(view) for view in views]
        return self._refits

    def _seen_by(self, view: PooledSurrogate) -> PerturbedCells:
        opened, by_state = self._observed
        return PerturbedCells(view, opened, self.value, by_state, self.sign)

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
        """Indices of the peaks that a search may choose from, on the cells' device: all, or those in the gene's window.

        Peaks of `windows` (columns ``peak, gene``) that the surrogate does not see are passed over.
        """
        self.of(gene)
        if windows is None:
            return torch.arange(len(self._position), device=self._cells.device)
        inside = self._position.get_indexer(windows.loc[windows["gene"] == gene, "peak"])
        return torch.from_numpy(np.unique(inside[inside >= 0])).to(self._cells.device)
