"""What analyses of sets share: checks, the cells of each direction, what a set or a single peak does to them."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from grids.io.errors import InputError, did_you_mean, listing
from grids.io.tables import SET_KEYS, stack
from grids.search.directions import DIRECTIONS
from grids.search.task_cells import TaskCells


def check_sets(surrogate, opened: sparse.csr_matrix, peaks: Sequence[str], sets: pd.DataFrame) -> None:
    """Refuse sets of several cell types, or that belong to another surrogate or other cells.

    Parameters
    ----------
    surrogate : Surrogate
    opened : csr_matrix, shape (n_cells, n_peaks)
        The test cells to measure on; `peaks` are the names of its columns.
    sets : DataFrame
        One row per member: `surrogate method cell_type gene direction set_size peak`.

    Raises
    ------
    InputError
    """
    cell_types = pd.unique(sets["cell_type"])
    if len(cell_types) > 1:
        raise InputError(f"sets: expected one cell type per call, got {', '.join(map(str, cell_types))}")
    if len(sets):
        check_cells(opened, cell_types[0], "test")
    if list(surrogate.peaks) != list(peaks) or opened.shape[1] != len(peaks):
        raise InputError("the surrogate was trained on other peaks than the multiome holds; train it again")
    check_genes(sets, surrogate.genes, "the surrogate's genes")
    for direction in pd.unique(sets["direction"]):
        if direction not in DIRECTIONS:
            raise InputError(f"sets: direction '{direction}' is unknown; expected {listing(DIRECTIONS)}")
    if sets.duplicated([*SET_KEYS, "peak"]).any():
        raise InputError("sets: a set names the same peak twice; expected distinct members")


def check_cells(opened: sparse.csr_matrix, cell_type: str, split: str) -> None:
    """Refuse a cell type without cells in a split."""
    if opened.shape[0] == 0:
        raise InputError(
            f"cell type '{cell_type}' has no {split} cells to look at; raise preprocessing.split.{split} "
            "or leave the type out of tasks"
        )


def check_genes(sets: pd.DataFrame, known: Collection[str], where: str) -> None:
    """Refuse sets of genes that are not known."""
    missing = sorted(set(sets["gene"]) - set(known))
    if missing:
        raise InputError(f"sets: gene '{missing[0]}' is not in {where}.{did_you_mean(missing[0], known)}")


def some_rows(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """All of `n` rows or, of more than `most`, that many drawn at random; in their order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def cells_by_direction(
    surrogate, opened: sparse.csr_matrix, sets: pd.DataFrame, *, seed: int, split: str
) -> dict[str, TaskCells]:
    """The cells ready to be perturbed in each direction that the sets ask for; parameters as of TaskCells."""
    cells = {}
    for name in pd.unique(sets["direction"]):
        direction = DIRECTIONS[name]
        cells[name] = TaskCells(
            surrogate, opened, direction.value, seed=seed, split=split, sign=direction.sign
        )
    return cells


def changes_by_set(cells: TaskCells, gene: str, members: Sequence[str], alone: bool = False) -> np.ndarray:
    """Change of each cell's predicted log-expression when a set is perturbed.

    `members` are names of peaks; with `alone`, each of them is perturbed alone as well.

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
    size = len(positions)
    subsets = torch.cat([torch.zeros(1, size), torch.ones(1, size), torch.eye(size if alone else 0, size)])
    subsets = subsets.to(positions.device, torch.bool)
    changes = []
    for version in (of_surrogate, *cells.refits(gene)):
        before, together, *singly = version.predict_subsets(positions, subsets, column).cpu().double()
        summed = [sum(one - before for one in singly)] if alone else []
        changes.append(torch.stack([together - before, *summed], 1))
    return torch.stack(changes).numpy()


def bootstrap_means(changes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over resampled cells, shape (n_draws, n_values); draw `b` takes replicate ``b % n_replicates``, if any.

    `changes`, shape (1 + n_replicates, n_cells, n_values), are of :func:`changes_by_set`; `weights`, shape
    (n_draws, n_cells), of :func:`grids.analysis.statistics.bootstrap_weights`.
    """
    replicates = changes[1:] if len(changes) > 1 else changes
    means = np.empty((len(weights), changes.shape[2]))
    for first, replicate in enumerate(replicates):
        means[first :: len(replicates)] = weights[first :: len(replicates)] @ replicate
    return means


PEAK_SCORE_COLUMNS = ["cell_type", "gene", "peak", "score"]
_SCORE_OF_DROP = {"change": np.abs, "derepress": np.negative}


def score_peaks(
    surrogate,
    opened: sparse.csr_matrix,
    tasks: pd.DataFrame,
    windows: pd.DataFrame,
    seed: int,
    direction: str = "silence",
) -> pd.DataFrame:
    """Close every peak in the windows of the tasks' genes, one at a time: what outside evidence is compared with.

    Parameters
    ----------
    surrogate : Surrogate
    opened : csr_matrix, shape (n_cells, n_peaks)
        Test cells of one type.
    tasks : DataFrame
        Columns ``cell_type, gene``; one cell type.
    windows : DataFrame
        Columns ``peak, gene``.
    direction : {"change", "silence", "derepress", "activate"}
        What sets are searched for, see :class:`~grids.search.sets.Question`.

    Returns
    -------
    DataFrame
        :data:`PEAK_SCORE_COLUMNS`. With the mean change of log-expression by closing the peak, `score` is its size
        for `change`, the change itself for `derepress`, and minus the change for the others.
    """
    score_of_drop = _SCORE_OF_DROP.get(direction, lambda drop: drop)
    cells = TaskCells(surrogate, opened, DIRECTIONS["silence"].value, seed=seed, split="test")
    parts = []
    for cell_type, gene in tasks[["cell_type", "gene"]].itertuples(index=False):
        perturbed, column, peaks = cells.of(gene)
        position = cells.candidates(gene, windows)
        drop = perturbed.predict(column).mean() - perturbed.mean_of_sets(position[:, None], column)
        names = [peaks[i] for i in position.tolist()]
        scored = {
            "cell_type": cell_type,
            "gene": gene,
            "peak": names,
            "score": score_of_drop(drop.cpu().numpy()),
        }
        parts.append(pd.DataFrame(scored))
    return stack(parts, PEAK_SCORE_COLUMNS)
