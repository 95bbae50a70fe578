"""The one question that every explainer is asked."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from grids.search.objective import PerturbedCells


@dataclass(frozen=True)
class Problem:
    """Which peaks, perturbed together in all cells of a type, move a gene most?

    An explainer is a function ``explainer(problem, **settings)`` that returns a score for every peak, Tensor of
    shape (n_peaks,): the larger, the sooner the peak is put into the set. Scores of peaks that are no candidates
    are not read. It predicts through `cells` only, which counts what that costs (``cells.evaluations``).

    Attributes
    ----------
    cells : PerturbedCells
        Training cells of the type; ``cells.value`` says whether peaks are closed or opened, ``cells.sign`` whether to
        lower the gene or to raise it.
    gene : int
        Column of the explained gene.
    allowed : LongTensor, shape (n_candidates,)
        Candidate peaks.
    set_size : int
        Members that the set will have.
    rng : Generator
        The only source of randomness.
    distance_bp : ndarray, shape (n_peaks,), optional
        Signed distance of each peak to the gene's TSS; NaN on another chromosome.
    observed : ndarray, shape (n_cells,), optional
        Measured log-expression of the gene, where the cells are paired.
    """

    cells: PerturbedCells
    gene: int
    allowed: Tensor
    set_size: int
    rng: np.random.Generator
    distance_bp: np.ndarray | None = None
    observed: np.ndarray | None = None
