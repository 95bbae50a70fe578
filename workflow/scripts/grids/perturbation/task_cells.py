"""Cells ready to be perturbed, gene by gene: what a task's gene depends on in a surrogate of many genes."""

from scipy import sparse

from grids.perturbation.objective import PerturbedCells
from grids.surrogates.pooling import PooledSurrogate
from grids.surrogates.window import WindowSurrogate


class TaskCells:
    """The cells of one type as each gene's part of the surrogate sees them.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
        The latter is looked at through the window of the gene, and on openness drawn given what was seen.
    opened : sparse matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open; columns in the order of ``surrogate.peaks``.
    value : {0, 1}
        What a perturbed peak is set to: 0 closed, 1 open.
    """

    def __init__(self, surrogate: PooledSurrogate | WindowSurrogate, opened: sparse.spmatrix, value: int):
        self.surrogate, self.value = surrogate, value
        self._windows = surrogate.cells(opened) if isinstance(surrogate, WindowSurrogate) else None
        self._whole = None if self._windows else PerturbedCells(surrogate, opened.tocsr(), value)
        self._gene, self._cells = None, None

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
        if self._whole is not None:
            return self._whole, self.surrogate.genes.index(gene), self.surrogate.peaks
        if gene != self._gene:
            view = self.surrogate.for_gene(gene)
            opened, by_state = self._windows.of(gene)
            cells = PerturbedCells(view, opened, self.value)
            cells.pooled[:, 0, -1] = by_state
            self._gene, self._cells = gene, cells
        return self._cells, 0, self._cells.surrogate.peaks
