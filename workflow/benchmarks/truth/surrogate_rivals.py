"""What a surrogate says without a search for sets: the effect of each candidate alone, and its gradient."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.truth.dataset import Candidates
from grids.search.objective import PerturbedCells
from grids.search.task_cells import TaskCells


def single_peak_scan(task_cells: TaskCells, candidates: Candidates) -> np.ndarray:
    """Absolute change of mean predicted log-expression when each candidate alone is perturbed.

    Parameters
    ----------
    task_cells : TaskCells
        Cells of the one type, their surrogate, and what a perturbed peak is set to.
    candidates : Candidates

    Returns
    -------
    ndarray, shape (n_genes, n_candidates)
        Natural log; 0 for a candidate that the surrogate does not see.
    """
    return _per_gene(task_cells, candidates, _effect_alone)


def gradient_saliency(task_cells: TaskCells, candidates: Candidates) -> np.ndarray:
    """Absolute mean gradient of predicted log-expression with respect to each candidate's openness.

    Simonyan et al., ICLR workshop 2014, averaged over cells. The gradient with respect to a peak is the one
    with respect to the pooled state times what the peak adds to it.

    Parameters, returns: as :func:`single_peak_scan`.
    """
    return _per_gene(task_cells, candidates, _mean_gradient)


def _per_gene(task_cells: TaskCells, candidates: Candidates, score) -> np.ndarray:
    scores = np.zeros(candidates.peaks.shape)
    for row, gene in enumerate(candidates.genes):
        cells, column, peaks = task_cells.of(gene)
        position = {peak: index for index, peak in enumerate(peaks)}
        seen = [slot for slot, peak in enumerate(candidates.peaks[row]) if peak in position]
        indices = torch.tensor([position[peak] for peak in candidates.peaks[row, seen]], dtype=torch.long)
        scores[row, seen] = score(cells, column, indices).abs().cpu().numpy()
    return scores


def _effect_alone(cells: PerturbedCells, column: int, peaks: Tensor) -> Tensor:
    return cells.mean_of_sets(peaks[:, None], column) - cells.predict(column).mean()


def _mean_gradient(cells: PerturbedCells, column: int, peaks: Tensor) -> Tensor:
    gradient = cells.gradient(column, cells.pooled).mean(0)
    return (gradient[cells.group_of_peak[peaks]] * cells.shift[peaks]).sum(1)
