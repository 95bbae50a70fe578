"""Scores that need no surrogate."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.explainers.problem import Problem
from grids.io.errors import InputError


def correlation(problem: Problem) -> Tensor:
    """Absolute Pearson correlation, over the cells, of a peak's openness with the gene's measured log-expression.

    Parameters
    ----------
    problem : Problem
        With `observed`.

    Returns
    -------
    Tensor, shape (n_peaks,)
        0 to 1; 0 for peaks that are open in no cell or in all, and where the gene does not vary.

    Raises
    ------
    InputError
        When the gene was not measured in these cells.
    """
    if problem.observed is None:
        raise InputError(
            "explainer correlation: the gene's expression was not measured in these cells; "
            "give paired data or leave correlation out of the methods"
        )
    opened = problem.cells.opened
    share = np.asarray(opened.mean(0), dtype=np.float64).ravel()
    deviation = np.asarray(problem.observed, dtype=np.float64) - np.mean(problem.observed, dtype=np.float64)
    covariance = opened.T @ deviation / len(deviation)
    scale = np.sqrt(share * (1 - share)) * deviation.std()
    scores = np.divide(np.abs(covariance), scale, out=np.zeros_like(scale), where=scale > 0)
    return torch.from_numpy(scores).to(problem.cells.device)


def distance(problem: Problem) -> Tensor:
    """Minus the distance to the gene's TSS in bp, shape (n_peaks,); -inf on other chromosomes.

    Raises
    ------
    InputError
        When the problem has no distances.
    """
    if problem.distance_bp is None:
        raise InputError("explainer distance: expected the peaks' distances to the TSS, got none")
    scores = -np.nan_to_num(np.abs(np.asarray(problem.distance_bp, float)), nan=np.inf)
    return torch.from_numpy(scores).to(problem.cells.device)


def random(problem: Problem) -> Tensor:
    """Random scores, uniform from 0 to 1, shape (n_peaks,): a random set of the candidates."""
    return torch.from_numpy(problem.rng.random(problem.cells.n_peaks)).to(problem.cells.device)
