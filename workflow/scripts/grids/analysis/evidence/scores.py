"""What outside evidence is compared with: the effect of closing each peak of a gene's window alone."""

import pandas as pd
from scipy import sparse

from grids.search.task_cells import TaskCells
from grids.search.transitions import VALUE_OF_DIRECTION

PEAK_SCORE_COLUMNS = ["cell_type", "gene", "peak", "score"]


def score_peaks(
    surrogate, opened: sparse.csr_matrix, tasks: pd.DataFrame, windows: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Close every peak in the windows of the tasks' genes, one at a time.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
    opened : csr_matrix, shape (n_cells, n_peaks)
        Test cells of one type.
    tasks : DataFrame
        Columns ``cell_type, gene``; one cell type.
    windows : DataFrame
        Columns ``peak, gene``.
    seed : int

    Returns
    -------
    DataFrame
        :data:`PEAK_SCORE_COLUMNS`, `score` being minus the mean change of log-expression.
    """
    cells = TaskCells(surrogate, opened, VALUE_OF_DIRECTION["silence"], seed=seed, split="test")
    parts = [pd.DataFrame(columns=PEAK_SCORE_COLUMNS)]
    for cell_type, gene in tasks[["cell_type", "gene"]].itertuples(index=False):
        perturbed, column, peaks = cells.of(gene)
        position = cells.candidates(gene, windows)
        drop = perturbed.predict(column).mean() - perturbed.mean_of_sets(position[:, None], column)
        names = [peaks[i] for i in position.tolist()]
        scored = {"cell_type": cell_type, "gene": gene, "peak": names, "score": drop.cpu().numpy()}
        parts.append(pd.DataFrame(scored))
    return pd.concat(parts[1:] or parts, ignore_index=True)
