"""What a set does to each cell, in the eyes of the surrogate and of its refits, and bootstrap means of it."""

import numpy as np
import torch
from scipy import sparse

from grids.errors import InputError
from grids.perturbation.task_cells import TaskCells


class ReplicatedCells:
    """Cells of one type as the surrogate sees them, and as its refits on resampled training cells do.

    Parameters
    ----------
    surrogate : PooledSurrogate
        With or without replicates.
    opened : sparse matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open.
    value : {0, 1}
        What a perturbed peak is set to: 0 closed, 1 open.
    """

    def __init__(self, surrogate, opened: sparse.spmatrix, value: int):
        n_replicates = getattr(surrogate, "n_replicates", 0)
        versions = [surrogate, *(surrogate.replicate(b) for b in range(n_replicates))]
        self._versions = [TaskCells(version, opened, value) for version in versions]

    def changes(self, gene: str, members: list[str], alone: bool = False) -> np.ndarray:
        """Change of each cell's predicted log-expression when a set is perturbed.

        Parameters
        ----------
        gene : str
        members : list of str, length set_size
            Names of the set's peaks.
        alone : bool
            Also perturb each member alone.

        Returns
        -------
        ndarray, shape (1 + n_replicates, n_cells, 1 or 2)
            The surrogate itself comes first. Last axis: the change by all members together and, with `alone`,
            the sum over members of the change by this one only.

        Raises
        ------
        InputError
            When a member is not among the peaks that the surrogate has for the gene.
        """
        return np.stack([_changes(version, gene, members, alone) for version in self._versions])


def _changes(cells: TaskCells, gene: str, members: list[str], alone: bool) -> np.ndarray:
    perturbed, column, peaks = cells.of(gene)
    position = {peak: i for i, peak in enumerate(peaks)}
    missing = [peak for peak in members if peak not in position]
    if missing:
        raise InputError(
            f"sets: peak '{missing[0]}' is not among the {len(peaks)} peaks that the surrogate has for gene "
            f"'{gene}'; sets and surrogate belong to different runs, find the sets again"
        )
    sets = torch.tensor([[position[peak] for peak in members]])
    before = perturbed.predict(column).double()
    changes = [perturbed.predict_sets(sets, column)[0] - before]
    if alone:
        changes.append((perturbed.predict_sets(sets.T, column) - before).sum(0))
    return torch.stack(changes, dim=1).detach().cpu().numpy()


def bootstrap_means(changes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over resampled cells; draw `b` also takes replicate ``b % n_replicates`` where there are any.

    Parameters
    ----------
    changes : ndarray, shape (1 + n_replicates, n_cells, n_values)
        Of :meth:`ReplicatedCells.changes`.
    weights : ndarray, shape (n_draws, n_cells)
        Of :func:`grids.redundancy.subsets.bootstrap_weights`.

    Returns
    -------
    ndarray, shape (n_draws, n_values)
    """
    replicates = changes[1:] if len(changes) > 1 else changes
    means = np.empty((len(weights), changes.shape[2]))
    for first, replicate in enumerate(replicates):
        means[first :: len(replicates)] = weights[first :: len(replicates)] @ replicate
    return means
