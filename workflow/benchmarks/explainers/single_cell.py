"""Every explainer on the tasks of one cell type: which sets it finds, what that costs, and what they do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.explainers.problem import Problem
from benchmarks.explainers.run import explain
from grids.analysis.null_sets import Surroundings, draw_null_sets
from grids.data.intervals import distance_to_tss
from grids.io.cells import Multiome
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import SET_KEYS, SKIPPED_COLUMNS
from grids.search.directions import DIRECTIONS
from grids.search.sets import FOUND_COLUMNS
from grids.search.task_cells import TaskCells

COST_COLUMNS = [
    *SET_KEYS, "n_candidates", "n_train_cells", "seconds", "n_forward", "n_backward",
    "mean_train_before", "mean_train_after",
]  # fmt: skip
MATCHED = "random_matched"


@dataclass(frozen=True)
class Wanted:
    """Which sets the methods look for.

    Attributes
    ----------
    set_sizes : iterable of int
    scope : {"genome", "window"}
        Candidates: every peak that the surrogate sees for the gene, or those in the gene's window.
    direction : {"silence", "derepress", "activate"}
    """

    set_sizes: Iterable[int]
    scope: str = "genome"
    direction: str = "silence"


def explain_tasks(
    surrogate,
    multiome: Multiome,
    tasks: pd.DataFrame,
    windows: pd.DataFrame,
    genes: pd.DataFrame,
    methods: Mapping[str, Mapping],
    wanted: Wanted,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Let methods find sets of each size, for all tasks of one cell type.

    Parameters
    ----------
    surrogate : Surrogate
    multiome : Multiome
        Training cells of the type.
    tasks : DataFrame
        Columns ``cell_type, gene``; one cell type.
    windows : DataFrame
        Columns ``peak, gene``; read with the scope ``window`` only.
    genes : DataFrame
        `gene chromosome start end strand tss`.
    methods : mapping of str to mapping
        Those to run, among :data:`benchmarks.explainers.run.METHODS`: the keywords of each, beside its defaults.
    wanted : Wanted
    seed : int

    Returns
    -------
    sets : DataFrame
        :data:`~grids.search.sets.FOUND_COLUMNS`; a row per member, the first to be perturbed in front.
    costs : DataFrame
        :data:`COST_COLUMNS`; a row per set. `n_forward`, `n_backward`: cells predicted, and gradients of a
        prediction. `mean_train_*`: mean predicted log-expression of the training cells, before and after.
    skipped : DataFrame
        ``cell_type, gene, reason``.
    """
    value, sign = DIRECTIONS[wanted.direction].value, DIRECTIONS[wanted.direction].sign
    task_cells = TaskCells(surrogate, multiome.atac.X, value, seed=seed, split="train", sign=sign)
    gene_rows = genes.drop_duplicates("gene").set_index("gene", drop=False)
    place = multiome.atac.var[["chromosome", "start", "end"]]
    if "correlation" in methods and not multiome.paired:
        log.warning("correlation is left out: it needs RNA and ATAC of the same cells")
        methods = {name: settings for name, settings in methods.items() if name != "correlation"}
    sets, costs, skipped = [], [], []
    for cell_type, gene in tqdm(tasks[["cell_type", "gene"]].to_numpy(), unit="gene"):
        if gene not in surrogate.genes:
            skipped.append([cell_type, gene, f"not among the genes of the {surrogate.name} surrogate"])
            continue
        cells, column, names = task_cells.of(gene)
        allowed = task_cells.candidates(gene, windows if wanted.scope == "window" else None)
        sizes = [size for size in wanted.set_sizes if size <= len(allowed)]
        for size in sorted(set(wanted.set_sizes) - set(sizes)):
            reason = f"{len(allowed)} candidate peaks ({wanted.scope}), benchmark.set_sizes has {size}"
            skipped.append([cell_type, gene, reason])
        if not sizes:
            continue
        distance_bp = distance_to_tss(place.loc[names], gene_rows.loc[gene])
        observed = _observed(multiome, gene)
        before = float(cells.predict(column).mean())
        for method, settings in methods.items():
            rng = generator(seed, "explain", method, cell_type, gene)
            problem = Problem(cells, column, allowed, max(sizes), rng, distance_bp, observed)
            for size, found in explain(problem, method, settings, sizes).items():
                key = [surrogate.name, method, cell_type, gene, wanted.direction, size]
                after = float(cells.mean_of_sets(found.members[None], column)[0])
                cost = [found.seconds, found.n_forward, found.n_backward]
                costs.append([*key, len(allowed), len(cells), *cost, before, after])
                for rank, member in enumerate(found.members.tolist(), start=1):
                    sets.append([*key, rank, names[member], np.nan])
                log.info(
                    "%s, %s, %s, %d peaks: mean log-expression %.4f -> %.4f in %.1f s",
                    cell_type, gene, method, size, before, after, found.seconds,
                )  # fmt: skip
    return (
        pd.DataFrame(sets, columns=FOUND_COLUMNS),
        pd.DataFrame(costs, columns=COST_COLUMNS),
        pd.DataFrame(skipped, columns=SKIPPED_COLUMNS),
    )


def _observed(multiome: Multiome, gene: str) -> np.ndarray | None:
    if not multiome.paired:
        return None
    column = multiome.rna.var.index.get_loc(gene)
    return multiome.rna.X[:, [column]].toarray().ravel().astype(np.float64)


def matched_random_sets(
    surrogate,
    sets: pd.DataFrame,
    surroundings: Surroundings,
    seed: int,
    like: str = "grids",
) -> pd.DataFrame:
    """A random set for each set of one method, its members matched in accessibility and distance to the gene.

    Parameters
    ----------
    surrogate : Surrogate
    sets : DataFrame
        :data:`FOUND_COLUMNS`.
    surroundings : Surroundings
        What the random sets are matched in.
    seed : int
    like : str
        The method whose sets are imitated.

    Returns
    -------
    DataFrame
        :data:`FOUND_COLUMNS`, method :data:`MATCHED`.
    """
    drawn = []
    for key, rows in sets[sets["method"] == like].groupby(SET_KEYS, sort=False):
        gene = key[SET_KEYS.index("gene")]
        view = surrogate.for_gene(gene)
        seen = surroundings.peaks.index.get_indexer(view.peaks)
        members = pd.Index(view.peaks).get_indexer(rows.sort_values("rank")["peak"])
        bins, classes = surroundings.bins[seen], surroundings.distance_classes(gene)[seen]
        random = draw_null_sets(members, bins, classes, 1, generator(seed, MATCHED, *key))
        if len(random):
            names = [view.peaks[peak] for peak in random[0]]
            drawn.append(rows.sort_values("rank").assign(method=MATCHED, peak=names))
    return pd.concat(drawn, ignore_index=True) if drawn else sets.iloc[:0]
