"""How a surrogate's predictions of genes depend on their windows, on cells that it was not trained on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse
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
    """

    predicted: np.ndarray
    by_depth: np.ndarray
    r_permuted: np.ndarray


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
    pooled = surrogate.pool(opened)
    peak_index, by_peak = pd.Index(surrogate.peaks), opened.tocsc()
    predicted = np.empty(observed.shape, np.float32)
    r_permuted = np.empty((len(orders), len(genes)))

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
    return JudgedWindows(predicted, by_depth, r_permuted)


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
