"""LIME: the coefficients of a linear model fitted to random neighbours of each cell."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.explainers.moves import changed_peaks
from benchmarks.explainers.problem import Problem
from grids.search.objective import PerturbedCells
from grids.search.transitions import addition_gain


def lime(
    problem: Problem,
    n_cells: int = 64,
    n_neighbours: int = 1024,
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    max_features: int = 8192,
) -> Tensor:
    """Mean over cells of LIME's explanation of each cell (Ribeiro et al., KDD 2016).

    A cell's features are the candidates that perturbing changes in it. Each of its neighbours has a random half
    of them perturbed, and a ridge regression of the prediction on what is left unperturbed, weighted by how close
    the neighbour is (:func:`coefficients`), gives the effect of each feature.

    Parameters
    ----------
    problem : Problem
    n_cells : int
        Cells that are explained, drawn at random where there are more.
    n_neighbours : int
        Random neighbours of each cell; 1,024 in the GRIDS paper.
    kernel_width : float
        Of the cosine distance; 0.25 is what LIME takes for images.
    alpha : float
        Ridge penalty; LIME's default.
    max_features : int
        Where more candidates can change (opening: nearly every peak is closed), only those with the largest
        first-order gain over all cells are features; the others score 0.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Change of the mean log-expression in the sought direction, as the linear models have it: a cell that a
        peak's perturbing does not change counts as 0.
    """
    cells, allowed = problem.cells, problem.allowed
    explained = np.arange(len(cells))
    if n_cells < len(cells):
        explained = np.sort(problem.rng.choice(len(cells), n_cells, replace=False))
    if _n_changed(cells, explained, allowed) > max_features:
        gain = addition_gain(cells, problem.gene, cells.pooled)[allowed]
        allowed = allowed[gain.topk(max_features).indices.sort().values]
    total = cells.shift.new_zeros(cells.n_peaks)
    for cell in explained:
        peaks = changed_peaks(cells, cell, allowed)
        kept = problem.rng.random((n_neighbours, len(peaks)), dtype=np.float32) < 0.5
        kept = torch.from_numpy(kept).to(cells.device)
        states = neighbour_states(cells, cell, peaks, kept)
        total[peaks] += coefficients(kept, cells.predict(problem.gene, states), kernel_width, alpha)
    # A coefficient is what keeping a feature does, the score what giving it up does.
    return -cells.sign * total / len(explained)


def _n_changed(cells: PerturbedCells, explained: np.ndarray, allowed: Tensor) -> int:
    """The most features that one of the cells would have."""
    return max(len(changed_peaks(cells, cell, allowed)) for cell in explained)


def neighbour_states(cells: PerturbedCells, cell: int, peaks: Tensor, kept: Tensor) -> Tensor:
    """Pooled states of a cell's neighbours.

    Parameters
    ----------
    cells : PerturbedCells
    cell : int
    peaks : LongTensor, shape (n_features,)
        Peaks that perturbing changes in the cell.
    kept : Tensor, shape (n_neighbours, n_features), bool
        False where a neighbour has the peak perturbed.

    Returns
    -------
    Tensor, shape (n_neighbours, n_groups, width)
    """
    states = cells.pooled[cell].repeat(len(kept), 1, 1)
    step = cells.sign * cells.shift[peaks]
    group_of_feature = cells.group_of_peak[peaks]
    for group in group_of_feature.unique():
        inside = group_of_feature == group
        states[:, group] += (~kept[:, inside]).to(step) @ step[inside]
    return states


def coefficients(kept: Tensor, predicted: Tensor, kernel_width: float, alpha: float) -> Tensor:
    """LIME's linear model of one cell: ridge regression on its neighbours, weighted by their similarity.

    A neighbour at cosine distance ``d`` from the cell, both as vectors of kept features, weighs
    ``sqrt(exp(-d^2 / kernel_width^2))`` as in the package `lime`; captum writes the same as
    ``exp(-d^2 / (2 kernel_width^2))``. The cell itself keeps every feature, so a neighbour that keeps `k` of `n`
    is at distance ``1 - sqrt(k / n)``.

    Parameters
    ----------
    kept : Tensor, shape (n_neighbours, n_features), bool
    predicted : Tensor, shape (n_neighbours,)
    kernel_width, alpha : float

    Returns
    -------
    Tensor, shape (n_features,)
        What keeping each feature adds to the prediction.
    """
    from sklearn.linear_model import Ridge

    if kept.shape[1] == 0:
        return predicted.new_zeros(0)
    features = kept.to(predicted)
    distance = 1 - features.mean(1).sqrt()
    weight = torch.exp(-((distance / kernel_width) ** 2) / 2)
    ridge = Ridge(alpha=alpha, solver="cholesky")  # in the dual where there are more features than neighbours
    ridge.fit(*(part.cpu().numpy() for part in (features, predicted, weight)))
    return torch.from_numpy(ridge.coef_).to(predicted)
