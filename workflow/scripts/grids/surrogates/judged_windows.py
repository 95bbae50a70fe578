"""What genes' windows tell, on cells that a surrogate was not trained on: the part of the quality gate that asks it.

Both tests are of a generalised covariance measure (Shah & Peters, Annals of Statistics 2020): does what the window adds
covary with what is observed, beyond what the rest of the cell tells? A surrogate of the whole genome has no test of a
window of its own; what a window adds is the prediction less the mean of predictions with windows of other cells
(:func:`covariance_p_value`). The window surrogate models counts, and weighs cells by their precision
(:func:`local_control_p_value`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse, stats
from torch import Tensor
from tqdm import tqdm

from grids.io.cells import Multiome
from grids.surrogates.quality import correlation

RIDGE = 1e-2


@dataclass(frozen=True)
class JudgedWindows:
    """Genes and their windows on test cells.

    Attributes
    ----------
    predicted, by_depth : ndarray, shape (n_cells, n_genes)
        Log-expression predicted by the surrogate, and by the cells' depth alone.
    r_permuted : ndarray, shape (n_permutations, n_genes)
        Correlation of predictions with the windows of other cells with what is observed.
    p_value : ndarray, shape (n_genes,)
        One-sided, that the window tells nothing about the gene that the rest of the cell does not.
    """

    predicted: np.ndarray
    by_depth: np.ndarray
    r_permuted: np.ndarray
    p_value: np.ndarray


@torch.no_grad()
def judge_by_permutation(
    surrogate,
    train: Multiome,
    test: Multiome,
    windows: pd.DataFrame,
    genes: list[str],
    orders: list[np.ndarray],
) -> JudgedWindows:
    """Judge genes of a surrogate of the whole genome, on cells of the type in memory.

    Peaks of `windows` (columns ``peak, gene``) are the surrogate's. Each of `orders`, (n_cells,), is a permutation of
    the test cells: whose window each of them gets.
    """
    columns = test.rna.var.index.get_indexer(genes)
    known, observed = (part.rna.X[:, columns].toarray() for part in (train, test))
    opened = test.atac.X
    by_depth = _regress_on_depth(train.atac.X, known, opened)
    surrogate.eval()
    pooled, log_depth = surrogate.pool(opened), _log_depth(opened)
    peak_index, by_peak = pd.Index(surrogate.peaks), opened.tocsc()
    predicted = np.empty(observed.shape, np.float32)
    r_permuted, p_values = np.empty((len(orders), len(genes))), np.empty(len(genes))

    def tail(states: Tensor, column: Tensor) -> np.ndarray:
        return surrogate.tail(states, column)[:, 0].cpu().numpy()

    for i, gene in enumerate(tqdm(genes, desc="permuted windows", unit="gene")):
        column = torch.tensor([surrogate.genes.index(gene)], device=pooled.device)
        peaks = peak_index.get_indexer(windows.loc[windows["gene"] == gene, "peak"])
        seen = by_peak[:, peaks].toarray().astype(np.float32)
        spread = pooled.new_zeros(len(peaks), *pooled.shape[1:])
        spread[torch.arange(len(peaks)), surrogate.group_of_peak[peaks]] = surrogate.shift[peaks]
        predicted[:, i] = tail(pooled, column)
        permuted = np.stack([tail(_moved(pooled, seen[order] - seen, spread), column) for order in orders])
        r_permuted[:, i] = correlation(permuted.T, observed[:, [i]], 0)
        mean = permuted.mean(0)
        covariates = np.stack([np.ones_like(mean), mean, log_depth], 1)
        p_values[i] = covariance_p_value(predicted[:, i] - mean, observed[:, i], covariates)
    return JudgedWindows(predicted, by_depth, r_permuted, p_values)


def covariance_p_value(adds: np.ndarray, observed: np.ndarray, covariates: np.ndarray) -> float:
    """One-sided p-value that what the window adds does not covary with what is observed, given covariates.

    Both are reduced to residuals of linear regression on the covariates. Without a relation beyond these the mean
    of the residuals' products is zero; it is compared with its standard error. 1 where the window adds nothing that
    covariates, (n_cells, n_covariates) with an intercept, do not tell.
    """
    both = np.stack([adds, observed], 1).astype(float)
    both -= covariates @ np.linalg.lstsq(covariates, both, rcond=None)[0]
    both[:, np.abs(both).max(0) <= 1e-6 * max(np.abs(adds).max(), 1e-6)] = 0
    product = both.prod(1)
    error = product.std(ddof=1) / np.sqrt(len(product))
    return float(stats.norm.sf(product.mean() / error)) if error > 0 else 1.0


def local_control_p_value(*moments: np.ndarray) -> float:
    """One-sided p-value that a window tells nothing beyond the cells' state, on cells it was not fitted to.

    A weighted covariance of residuals: what the window adds beyond the state, and what is observed beyond the
    prediction by state, are multiplied cell by cell. Without local control the products have mean zero, whatever was
    learned. Groups of cells may be judged by different fits as long as none was made with cells of its own or of a
    later group: their sums are then martingale differences, and add up. (Were each half judged by a fit to the other,
    both would see the same noise.) 1 where the window adds the same in all cells. The moments are those of
    :func:`local_control_moments`, (3,) for each group of cells.
    """
    n, total, squares = np.stack(moments).astype(np.float64).T
    variance = (n * squares / np.maximum(n - 1, 1))[n > 1].sum()
    return float(stats.norm.sf(total.sum() / np.sqrt(variance))) if variance > 0 else 1.0


def local_control_moments(
    counts: Tensor, expected: Tensor, activity: Tensor, covariates: Tensor, dispersion: float
) -> np.ndarray:
    """Number, sum, and sum of squares around the mean of the products in :func:`local_control_p_value`.

    Zeros where the window adds the same in all cells.

    Parameters
    ----------
    counts : Tensor, shape (n_cells,)
    expected : Tensor, shape (n_cells,)
        Counts expected by the state alone.
    activity : Tensor, shape (n_cells,)
        What the window adds to the log of the expected counts.
    covariates : Tensor, shape (n_cells, n_covariates)
        The state; intercept first.
    dispersion : float
        ``variance = mean + dispersion * mean**2``.
    """
    if len(activity) < 2 or bool(activity.max() - activity.min() < 1e-6):
        return np.zeros(3)
    noise = 1 + dispersion * expected
    weight = expected / noise
    gram = (covariates * weight[:, None]).T @ covariates + RIDGE * torch.eye(covariates.shape[1])
    by_state = torch.linalg.solve(gram, covariates.T @ (weight * activity))
    product = ((activity - covariates @ by_state) * (counts - expected) / noise).double().numpy()
    return np.array([len(product), product.sum(), ((product - product.mean()) ** 2).sum()])


def _moved(pooled: Tensor, change: np.ndarray, spread: Tensor) -> Tensor:
    """Pooled states after peaks have changed, shape of `pooled`; a cell's depth stays as it was measured."""
    return pooled + (torch.from_numpy(change).to(pooled) @ spread.flatten(1)).view_as(pooled)


def _log_depth(opened: sparse.csr_matrix) -> np.ndarray:
    return np.log(np.maximum(np.diff(opened.indptr), 1))


def _regress_on_depth(
    train: sparse.csr_matrix, expression: np.ndarray, test: sparse.csr_matrix
) -> np.ndarray:
    """Expression of test cells by linear regression on the log number of open peaks, (n_cells, n_genes)."""
    known, asked = (np.stack([np.ones(x.shape[0]), _log_depth(x)], 1) for x in (train, test))
    return asked @ np.linalg.lstsq(known, expression, rcond=None)[0]
