"""What genes' windows tell, on cells that a surrogate was not trained on: the part of the quality gate that asks it.

A surrogate of the whole genome has no test of a window of its own. What a window adds is the prediction less the mean
of predictions with windows of other cells, and :func:`covariance_p_value` asks whether that covaries with what is
observed.
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


def judge_by_permutation(
    surrogate,
    train: Multiome,
    test: Multiome,
    windows: pd.DataFrame,
    genes: list[str],
    orders: list[np.ndarray],
) -> JudgedWindows:
    """Judge genes of a surrogate of the whole genome.

    Parameters
    ----------
    surrogate : PooledSurrogate
    train, test : Multiome
        Cells of the type, in memory.
    windows : DataFrame
        Columns ``peak, gene``; peaks of the surrogate.
    genes : list of str
    orders : list of ndarray of int, shape (n_cells,)
        Permutations of the test cells: whose window each of them gets.
    """
    columns = test.rna.var.index.get_indexer(genes)
    known, observed = (part.rna.X[:, columns].toarray() for part in (train, test))
    opened = test.atac.X
    by_depth = _regress_on_depth(train.atac.X, known, opened)
    surrogate.eval()
    pooled, log_depth = surrogate.pool(opened).detach(), _log_depth(opened)
    peak_index, by_peak = pd.Index(surrogate.peaks), opened.tocsc()
    predicted = np.empty(observed.shape, np.float32)
    r_permuted, p_values = np.empty((len(orders), len(genes))), np.empty(len(genes))
    for i, gene in enumerate(tqdm(genes, desc="permuted windows", unit="gene")):
        column = torch.tensor([surrogate.genes.index(gene)], device=pooled.device)
        peaks = peak_index.get_indexer(windows.loc[windows["gene"] == gene, "peak"])
        seen = by_peak[:, peaks].toarray().astype(np.float32)
        spread = pooled.new_zeros(len(peaks), *pooled.shape[1:])
        spread[torch.arange(len(peaks)), surrogate.group_of_peak[peaks]] = surrogate.shift[peaks].detach()
        predicted[:, i] = _tail(surrogate, pooled, column)
        permuted = np.stack([
            _tail(surrogate, _moved(pooled, seen[order] - seen, spread), column) for order in orders
        ])  # fmt: skip
        r_permuted[:, i] = correlation(permuted.T, observed[:, [i]], 0)
        mean = permuted.mean(0)
        covariates = np.stack([np.ones_like(mean), mean, log_depth], 1)
        p_values[i] = covariance_p_value(predicted[:, i] - mean, observed[:, i], covariates)
    return JudgedWindows(predicted, by_depth, r_permuted, p_values)


def covariance_p_value(adds: np.ndarray, observed: np.ndarray, covariates: np.ndarray) -> float:
    """One-sided p-value that what the window adds does not covary with what is observed, given covariates.

    Both are reduced to residuals of linear regression on the covariates. Without a relation beyond these the mean
    of the residuals' products is zero; it is compared with its standard error (generalised covariance measure,
    Shah & Peters, Annals of Statistics 2020).

    Parameters
    ----------
    adds, observed : ndarray, shape (n_cells,)
    covariates : ndarray, shape (n_cells, n_covariates)
        With an intercept.

    Returns
    -------
    float
        1 where the window adds nothing that covariates do not tell.
    """
    both = np.stack([adds, observed], 1).astype(float)
    both -= covariates @ np.linalg.lstsq(covariates, both, rcond=None)[0]
    both[:, np.abs(both).max(0) <= 1e-6 * max(np.abs(adds).max(), 1e-6)] = 0
    product = both.prod(1)
    error = product.std(ddof=1) / np.sqrt(len(product))
    return float(stats.norm.sf(product.mean() / error)) if error > 0 else 1.0


def _moved(pooled: Tensor, change: np.ndarray, spread: Tensor) -> Tensor:
    """Pooled states after peaks have changed, shape of `pooled`; a cell's depth stays as it was measured."""
    return pooled + (torch.from_numpy(change).to(pooled) @ spread.flatten(1)).view_as(pooled)


@torch.no_grad()
def _tail(surrogate, pooled: Tensor, column: Tensor) -> np.ndarray:
    return surrogate.tail(pooled, column)[:, 0].cpu().numpy()


def _log_depth(opened: sparse.csr_matrix) -> np.ndarray:
    return np.log(np.maximum(np.diff(opened.indptr), 1))


def _regress_on_depth(
    train: sparse.csr_matrix, expression: np.ndarray, test: sparse.csr_matrix
) -> np.ndarray:
    """Expression of test cells by linear regression on the log number of open peaks, (n_cells, n_genes)."""
    known, asked = (np.stack([np.ones(x.shape[0]), _log_depth(x)], 1) for x in (train, test))
    return asked @ np.linalg.lstsq(known, expression, rcond=None)[0]
