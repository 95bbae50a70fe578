"""What a set does to each cell, in the eyes of the surrogate and of its refits, and bootstrap means of it."""

from collections.abc import Sequence

import numpy as np
import torch

from grids.search.task_cells import TaskCells


def changes_by_set(cells: TaskCells, gene: str, members: Sequence[str], alone: bool = False) -> np.ndarray:
    """Change of each cell's predicted log-expression when a set is perturbed.

    Parameters
    ----------
    cells : TaskCells
    gene : str
    members : sequence of str, length set_size
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
    of_surrogate, column, _ = cells.of(gene)
    positions = cells.members(gene, members)
    none_and_all = torch.tensor([[False], [True]], device=positions.device).expand(2, len(positions))
    one = torch.eye(len(positions), dtype=torch.bool, device=positions.device)
    subsets = torch.cat([none_and_all, one]) if alone else none_and_all
    changes = []
    for version in (of_surrogate, *cells.refits(gene)):
        before, together, *singly = version.predict_subsets(positions, subsets, column).cpu().double()
        changes.append(
            torch.stack([together - before, *([sum(s - before for s in singly)] if alone else [])], 1)
        )
    return torch.stack(changes).numpy()


def bootstrap_means(changes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over resampled cells; draw `b` also takes replicate ``b % n_replicates`` where there are any.

    Parameters
    ----------
    changes : ndarray, shape (1 + n_replicates, n_cells, n_values)
        Of :func:`changes_by_set`.
    weights : ndarray, shape (n_draws, n_cells)
        Of :func:`grids.analysis.statistics.bootstrap_weights`.

    Returns
    -------
    ndarray, shape (n_draws, n_values)
    """
    replicates = changes[1:] if len(changes) > 1 else changes
    means = np.empty((len(weights), changes.shape[2]))
    for first, replicate in enumerate(replicates):
        means[first :: len(replicates)] = weights[first :: len(replicates)] @ replicate
    return means
