"""Stages of explaining a gene, as they are measured: pooling, search, effects, redundancy."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
import torch

from benchmarks.scale import dense
from benchmarks.scale.measure import Work
from benchmarks.scale.question import cell_type_and_gene, most_open, paper_surrogate, tasks_of
from grids.analysis.effects import measure_effects
from grids.analysis.null_sets import Surroundings
from grids.analysis.redundancy.subsets import all_subsets, exact_shapley
from grids.data.preprocessing import accessibility
from grids.io import backed
from grids.io.backed import RunningMean
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Modality, Multiome, read_multiome
from grids.io.parallel import over_genes
from grids.io.seeds import generator
from grids.search.objective import PerturbedCells
from grids.search.search import Search
from grids.search.sets import FOUND_COLUMNS, Question, find_sets
from grids.surrogates import storage
from grids.surrogates.quality import evaluate

BATCH = 64
REDUNDANCY_SET_SIZE = 12
N_NULL_SETS = 100


def pooling(files: Mapping, point: Mapping, seed: int) -> Work:
    """All cells to pooled states; result: the states' mean size."""
    surrogate, opened = storage.load(files["surrogate"]), read_multiome(files["preprocessed"]).atac.X

    @torch.no_grad()
    def work() -> float:
        size = RunningMean()
        for _, block in backed.blocks(opened):
            size.add(float(surrogate.pool(block).abs().mean()), block.shape[0])
        return size.value

    return work


def quality(files: Mapping, point: Mapping, seed: int) -> Work:
    """The surrogate and its baselines on test cells; result: the surrogate's error (root mean square)."""
    surrogate, multiome = storage.load(files["surrogate"]), read_multiome(files["preprocessed"])
    return lambda: float(evaluate({}, multiome, seed, surrogate)[1]["rmse"][0])


def search_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """One step of the search; result, of this and the next two stages: the peak chosen in the first batch."""
    surrogate = storage.load(files["surrogate"])
    return _search_step(surrogate, read_multiome(files["preprocessed"]), point, seed)


def paper_search_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """One step of the search with the paper's encoder."""
    multiome = read_multiome(files["preprocessed"])
    return _search_step(paper_surrogate(multiome, seed), multiome, point, seed)


def dense_paper_search_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """The same, plain dense."""
    multiome = read_multiome(files["preprocessed"])
    surrogate = paper_surrogate(multiome, seed)
    cell_type, gene = cell_type_and_gene(multiome)
    opened = multiome.atac.cells(cell_type=cell_type, split="train", most=EXPLAINED_CELLS).X
    members = _members(opened.shape[1], point, seed)
    x = torch.from_numpy(opened[next(_batches(opened.shape[0], seed))].toarray()).long()
    column = surrogate.genes.index(gene)
    return lambda: dense.search_step(surrogate, x, members, 0, column, point["candidates"])


def search(files: Mapping, point: Mapping, seed: int) -> Work:
    """The search to convergence from the greedy start, all cells in every step; result: the set's log effect."""
    multiome = read_multiome(files["preprocessed"])
    tasks = tasks_of(multiome, multiome.rna.cell_types[0], 1)
    return _find_all(multiome, files, tasks, point | {"restarts": 1}, seed)


def all_tasks(files: Mapping, point: Mapping, seed: int) -> Work:
    """Sets of the genes most above the mean in each type, as the workflow finds them; result: the mean log effect."""
    multiome = read_multiome(files["preprocessed"])
    tasks = [tasks_of(multiome, cell_type, point["tasks_per_type"]) for cell_type in multiome.rna.cell_types]
    return _find_all(multiome, files, pd.concat(tasks), point, seed)


def many_genes(files: Mapping, point: Mapping, seed: int) -> Work:
    """Sets of many genes of the first type; result: the mean log effect."""
    multiome = read_multiome(files["preprocessed"])
    tasks = tasks_of(multiome, multiome.rna.cell_types[0], point["genes_of_one_type"])
    return _find_all(multiome, files, tasks, point, seed)


def effects(files: Mapping, point: Mapping, seed: int) -> Work:
    """Effect of a set and of its nested ones on test cells, against 100 random sets; result: its log effect."""
    multiome = read_multiome(files["preprocessed"])
    surrogate = storage.load(files["surrogate"])
    cell_type, gene = cell_type_and_gene(multiome)
    peaks, genes = multiome.atac.var, multiome.rna.var.rename_axis("gene").reset_index()
    surroundings = Surroundings(genes, peaks, accessibility(multiome.atac, peaks)[cell_type].to_numpy())
    test = multiome.cells(cell_type=cell_type, split="test", most=EXPLAINED_CELLS)
    members = peaks.index[most_open(test.atac.X, point["set_size"])]
    key = [surrogate.name, "grids", cell_type, gene, "silence", len(members)]
    rows = [[*key, rank, peak, 1.0] for rank, peak in enumerate(members, start=1)]
    sets = pd.DataFrame(rows, columns=FOUND_COLUMNS)

    def work() -> float:
        found = measure_effects(surrogate, test, sets, surroundings, n_null_sets=N_NULL_SETS, seed=seed)
        return float(found.effects["log_change"].iloc[-1])

    return work


def redundancy(files: Mapping, point: Mapping, seed: int) -> Work:
    """All 4,096 subsets of 12 peaks on test cells, and their Shapley values; result: the first one's."""
    multiome = read_multiome(files["preprocessed"])
    surrogate = storage.load(files["surrogate"])
    cell_type, gene = cell_type_and_gene(multiome)
    test: Modality = multiome.atac.cells(cell_type=cell_type, split="test", most=EXPLAINED_CELLS)
    members, column = most_open(test.X, REDUNDANCY_SET_SIZE), surrogate.genes.index(gene)
    subsets = torch.from_numpy(all_subsets(REDUNDANCY_SET_SIZE))

    def work() -> float:
        cells = PerturbedCells(surrogate, test.X, 0)
        values = cells.predict_subsets(members, subsets, column).mean(1).numpy()
        return float(exact_shapley(values.astype(np.float64))[0])

    return work


def _find_all(multiome: Multiome, files: Mapping, tasks: pd.DataFrame, point: Mapping, seed: int) -> Work:
    """Sets of all tasks, type by type; the work returns their mean log effect at convergence, over training cells."""
    surrogate = storage.load(files["surrogate"])
    question = {key: point[key] for key in ("set_size", "candidates", "restarts")} | {"fill": True}

    def work() -> float:
        effects = []
        for cell_type, of_type in tasks.groupby("cell_type", sort=False):
            opened = multiome.atac.cells(cell_type=cell_type, split="train", most=EXPLAINED_CELLS).X
            explain = partial(
                find_sets, surrogate, opened, windows=None, seed=seed, question=Question(**question)
            )
            _, searches, _ = over_genes(explain, of_type, torch.get_num_threads())
            change = searches["objective_after"] - searches["objective_before"]
            effects += change.groupby(searches["gene"], sort=False).min().tolist()
        return float(np.mean(effects))

    return work


def _search_step(surrogate, multiome: Multiome, point: Mapping, seed: int) -> Work:
    cell_type, gene = cell_type_and_gene(multiome)
    opened = multiome.atac.cells(cell_type=cell_type, split="train", most=EXPLAINED_CELLS).X
    cells = PerturbedCells(surrogate, opened, 0)
    column = surrogate.genes.index(gene)
    search_ = Search(cells, column, n_candidates=point["candidates"], batch_size=BATCH)
    members, batches = _members(cells.n_peaks, point, seed), _batches(len(cells), seed)
    return lambda: int(search_.step(cells.subset(next(batches)), members, 0))


def _batches(n_cells: int, seed: int) -> Iterator[np.ndarray]:
    """Cells of one step after the other, as a search draws them."""
    rng = generator(seed, "batches")
    while True:
        yield np.sort(rng.choice(n_cells, min(BATCH, n_cells), replace=False))


def _members(n_peaks: int, point: Mapping, seed: int) -> torch.Tensor:
    return torch.from_numpy(generator(seed, "members").choice(n_peaks, point["set_size"], replace=False))
