"""What closing (or opening) a found set does to held-out cells, and to matched random sets.

A p-value here says how often random sets, matched in accessibility and in distance to the gene, move *the
surrogate's prediction* at least as far as the found set does, on cells the surrogate was not trained on. It
is conditional on the surrogate and on these cells: it does not say whether the surrogate has the biology
right.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd
import torch

from grids.data.intervals import distance_to_tss, locate
from grids.io.caps import NULL_CELLS
from grids.io.cells import Multiome
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import EFFECT_COLUMNS, SET_COLUMNS, TASK_KEYS, stack
from grids.search.objective import PerturbedCells
from grids.search.task_cells import TaskCells
from grids.search.transitions import VALUE_OF_DIRECTION

LOCATION_COLUMNS = [
    *TASK_KEYS, "set_size", "hit", "soft_hit", "n_same_chromosome", "share_same_chromosome", "n_in_window",
    "closest_bp", "expected_hit", "expected_soft_hit", "expected_share_same_chromosome",
]  # fmt: skip
NULL_COLUMNS = [*TASK_KEYS, "set_size", "draw", "log_change"]
CELL_COLUMNS = [*TASK_KEYS, "set_size", "cell", "before", "after", "observed"]
DISTANCE_CLASSES = ("promoter", "within 10 kb", "in window", "same chromosome", "other chromosome")
NEAR_BP = 10_000
SOFT_HIT_BP = 10_000_000
N_ACCESSIBILITY_BINS = 20
MIN_STRATUM = 20
# With fewer sets to be drawn no p-value could be below 0.05.
MIN_NULL_SETS = 19
# Predictions within this are ties, which count against the found set.
TIE = 1e-6


@dataclass(frozen=True)
class Effects:
    """Tables of :func:`measure_effects`; columns: ``*_COLUMNS`` here and in :mod:`grids.io.tables`."""

    effects: pd.DataFrame
    sets: pd.DataFrame
    locations: pd.DataFrame
    null: pd.DataFrame
    cells: pd.DataFrame


def reported_sizes(set_size: int) -> list[int]:
    """Nested sizes that are measured: 1 to 10, then doubling, and the full size.

    >>> reported_sizes(50)
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 40, 50]
    """
    sizes = list(range(1, min(set_size, 10) + 1))
    while sizes and 2 * sizes[-1] <= set_size and set_size > 10:
        sizes.append(2 * sizes[-1])
    return sizes if not sizes or sizes[-1] == set_size else [*sizes, set_size]


def measure_effects(
    surrogate,
    multiome: Multiome,
    sets: pd.DataFrame,
    genes: pd.DataFrame,
    peaks: pd.DataFrame,
    accessibility: np.ndarray,
    *,
    n_null_sets: int = 1000,
    max_null_cells: int = NULL_CELLS,
    seed: int = 0,
    searches: pd.DataFrame | None = None,
    sizes: Iterable[int] | None = None,
    window_bp: int = 500_000,
    promoter_upstream_bp: int = 1_000,
    promoter_downstream_bp: int = 100,
) -> Effects:
    """Measure found sets on held-out cells of one type.

    The set of size `k` is the first `k` ranks of a task's set. Effects follow Liu et al. (ACML 2024), with
    `b` and `a` a cell's predicted log-expression before and after: `absolute_change` is the mean of
    ``exp(a) - exp(b)``, `relative_change` of ``(exp(a) - exp(b)) / exp(b)``, `log_change` of ``a - b``.
    The p-value is ``(1 + n_extreme) / (1 + n_different)``, where `n_extreme` of the `n_different` different sets
    among those of :func:`draw_null_sets` change log-expression at least as far in the direction asked. It is
    missing where the peaks that the surrogate sees for the gene, beside the members, make up fewer than 19 sets of
    the size (or than `n_null_sets`), and where the whole set has more members than there are such peaks.

    Parameters
    ----------
    surrogate : PooledSurrogate or WindowSurrogate
    multiome : Multiome
        The cells to measure on: test split, one cell type.
    sets : DataFrame
        One row per member: `surrogate method cell_type gene direction set_size rank peak`, and what else
        :data:`grids.io.tables.SET_COLUMNS` lists; one cell type.
    genes : DataFrame
        `gene chromosome start end strand tss`.
    peaks : DataFrame, n_peaks rows, indexed by peak name
        `chromosome start end`, in the surrogate's order.
    accessibility : ndarray, shape (n_peaks,)
        Share of the type's cells in which each peak is open.
    n_null_sets : int
        Random sets drawn per task, from the peaks that the surrogate sees for the gene. 0: p-values missing.
    max_null_cells : int
        A larger type is compared with its null on this many random cells, the same for found and random sets.
    seed : int
    searches : DataFrame, optional
        One row per restart of a search; `seconds`, summed over restarts, becomes `objective_seconds`.
    sizes : iterable of int, optional
        Nested sizes to report, by default :func:`reported_sizes`; the full size is always among them.
    window_bp, promoter_upstream_bp, promoter_downstream_bp : int
        Bounds of the distance classes, around the TSS.

    Returns
    -------
    Effects
        `effects`: one row per task and size, `q_value` missing until :func:`collect`. `sets`: as given, with
        `log_effect_alone` (change when only this member is perturbed), `log_effect_in_context` (change by the
        set minus change by the set without it) and the members' places. `locations`: one row per task and
        size, with what as many random peaks would give (`expected_*`). `null`: one row per task, size and
        different random set. `cells`: one row per task and cell for the full set; `observed` is missing unless paired.

    Raises
    ------
    InputError
        No cells; peaks, genes or cell types that do not belong together.
    """
    _check(surrogate, multiome, sets, genes, peaks, accessibility)
    opened = multiome.atac.X
    observed = _observed(multiome)
    gene_rows = genes.drop_duplicates("gene").set_index("gene", drop=False)
    seconds = _seconds_of_task(searches)
    null_cells = _null_cells(multiome, max_null_cells, seed)
    task_cells = {
        direction: TaskCells(surrogate, opened, VALUE_OF_DIRECTION[direction], seed=seed, split="test")
        for direction in pd.unique(sets["direction"])
    }
    bins = accessibility_bins(accessibility)
    found = {name: [] for name in ("effects", "sets", "locations", "null", "cells")}
    for task, rows in sets.groupby([*TASK_KEYS, "set_size"], sort=False, dropna=False):
        rows = rows.sort_values("rank")
        labels = dict(zip(TASK_KEYS, task[:-1], strict=True))
        gene_row = gene_rows.loc[labels["gene"]]
        cells, column, names = task_cells[labels["direction"]].of(labels["gene"])
        # Members and random sets count the peaks that the surrogate sees for the gene.
        members = task_cells[labels["direction"]].members(labels["gene"], rows["peak"]).cpu().numpy()
        seen = peaks.index.get_indexer(names)
        place = seen[members]
        n_beside = len(names) - len(members)
        of_task, of_null = (_Evaluator(part, column) for part in (cells, cells.subset(null_cells)))

        distance = distance_to_tss(peaks, gene_row)
        classes = distance_classes(distance, window_bp, promoter_upstream_bp, promoter_downstream_bp)
        rng = generator(seed, "effects", *task)
        null_sets = draw_null_sets(members, bins[seen], classes[seen], n_null_sets, rng)
        sizes_without_p = []
        chance = _expected_by_chance(peaks, gene_row, distance)
        wanted = reported_sizes(len(members)) if sizes is None else sizes
        for size in sorted({*(int(k) for k in wanted if 0 < k <= len(members)), len(members)}):
            after = of_task.predicted(members[:size])
            draws = _first_of_each(null_sets[:, :size])
            null = of_null.log_changes(null_sets[draws, :size])
            found_there = of_null.log_changes(members[None, :size])[0]
            p_value = permutation_p_value(found_there, null, labels["direction"])
            if comb(n_beside, size) < min(MIN_NULL_SETS, n_null_sets):
                p_value = np.nan
            if n_null_sets and np.isnan(p_value):
                sizes_without_p.append(size)
            change = summarise_change(of_task.before, after)
            found["effects"].append(
                {
                    **labels,
                    "set_size": size,
                    "n_cells": opened.shape[0],
                    **change,
                    "null_mean": null.mean() if len(null) else np.nan,
                    "null_sd": null.std(ddof=1) if len(null) > 1 else np.nan,
                    "p_value": p_value,
                    "q_value": np.nan,
                    "objective_seconds": seconds.get(task, np.nan),
                }
            )
            found["locations"].append(
                {
                    **labels,
                    "set_size": size,
                    **locate(peaks.iloc[place[:size]], gene_row, window_bp, SOFT_HIT_BP),
                    **{name: share(size) for name, share in chance.items()},
                }
            )
            found["null"].append(
                pd.DataFrame({**labels, "set_size": size, "draw": draws, "log_change": null})
            )
        found["cells"].append(
            pd.DataFrame(
                {
                    **labels,
                    "set_size": len(members),
                    "cell": multiome.atac.obs.index,
                    "before": of_task.before,
                    "after": after,
                    "observed": observed(labels["gene"]),
                }
            )
        )
        if sizes_without_p:
            log.warning(
                "%s, %s: no p-value for set sizes %s: %d peaks that the surrogate sees for the gene beside the "
                "members are too few to draw random sets from",
                labels["cell_type"], labels["gene"], listing(sizes_without_p), n_beside,
            )  # fmt: skip
        alone, in_context = member_effects(of_task, members)
        found["sets"].append(
            rows.assign(
                **{name: peaks[name].to_numpy()[place] for name in ("chromosome", "start", "end")},
                distance_to_tss_bp=pd.array(distance[place], dtype="Int64"),
                in_window=np.abs(distance[place]) <= window_bp,
                log_effect_alone=alone,
                log_effect_in_context=in_context,
            )
        )
    return Effects(
        effects=pd.DataFrame(found["effects"], columns=EFFECT_COLUMNS),
        sets=stack(found["sets"], SET_COLUMNS),
        locations=pd.DataFrame(found["locations"], columns=LOCATION_COLUMNS).astype({"closest_bp": "Int64"}),
        null=stack(found["null"], NULL_COLUMNS),
        cells=stack(found["cells"], CELL_COLUMNS),
    )


class _Evaluator:
    """Predictions of one task: cells and gene fixed, sets vary."""

    def __init__(self, perturbed: PerturbedCells, gene: int):
        self.perturbed, self.gene = perturbed, gene
        self.before = _numpy(perturbed.predict(gene))

    def predicted(self, members: np.ndarray) -> np.ndarray:
        """Predicted log-expression of each cell with `members` perturbed, shape (n_cells,)."""
        return _numpy(self.perturbed.predict_sets(self._sets(members[None]), self.gene))[0]

    def log_changes(self, sets: np.ndarray) -> np.ndarray:
        """Mean change of log-expression by each set, shape (n_sets,)."""
        return (
            _numpy(self.perturbed.predict_sets(self._sets(sets), self.gene)).mean(axis=1) - self.before.mean()
        )

    def _sets(self, sets: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(sets), dtype=torch.long, device=self.perturbed.device)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def summarise_change(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Means over cells of predicted log-expression and of its changes.

    Parameters
    ----------
    before, after : ndarray, shape (n_cells,)
        Predicted log-expression (natural log).

    Returns
    -------
    dict
        `mean_before mean_after absolute_change relative_change log_change`. The relative change is
        computed as ``exp(a - b) - 1``, so that no denominator can vanish.
    """
    return {
        "mean_before": before.mean(),
        "mean_after": after.mean(),
        "absolute_change": (np.exp(after) - np.exp(before)).mean(),
        "relative_change": np.expm1(after - before).mean(),
        "log_change": (after - before).mean(),
    }


def member_effects(of_task: _Evaluator, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change of mean log-expression by each member alone, and by adding it to the rest of the set."""
    size = len(members)
    alone = of_task.log_changes(members[:, None])
    without = np.stack([np.delete(members, i) for i in range(size)])
    return alone, of_task.log_changes(members[None])[0] - of_task.log_changes(without)


def permutation_p_value(observed: float, null: np.ndarray, direction: str) -> float:
    """``(1 + n at least as extreme) / (1 + n)``; ties count as extreme. NaN without null sets.

    Parameters
    ----------
    observed : float
        The found set's change of log-expression.
    null : ndarray, shape (n_null_sets,)
    direction : {"silence", "activate"}
        Extreme is low, or high.
    """
    if not len(null):
        return np.nan
    sign = 1 if direction == "silence" else -1
    return (1 + int((sign * null <= sign * observed + TIE).sum())) / (1 + len(null))


def accessibility_bins(accessibility: np.ndarray, n_bins: int = N_ACCESSIBILITY_BINS) -> np.ndarray:
    """Quantile bin of each peak's open share, shape (n_peaks,); equal shares are in one bin."""
    accessibility = np.asarray(accessibility, dtype=float)
    edges = np.unique(np.quantile(accessibility, np.arange(1, n_bins) / n_bins))
    return np.searchsorted(edges, accessibility, side="right")


def distance_classes(
    distance: np.ndarray,
    window_bp: int = 500_000,
    promoter_upstream_bp: int = 1_000,
    promoter_downstream_bp: int = 100,
) -> np.ndarray:
    """Index into ``DISTANCE_CLASSES`` from signed distances to a TSS (NaN: other chromosome)."""
    far = np.abs(distance)
    promoter = (distance >= -promoter_upstream_bp) & (distance <= promoter_downstream_bp)
    conditions = [promoter, far <= NEAR_BP, far <= window_bp, np.isfinite(distance)]
    return np.select(conditions, [0, 1, 2, 3], default=4)


def draw_null_sets(
    members: np.ndarray, bins: np.ndarray, classes: np.ndarray, n_sets: int, rng: np.random.Generator
) -> np.ndarray:
    """Random sets that resemble a found set, member by member.

    Column `i` holds a random peak of the accessibility bin and the distance class of member `i`, outside the
    found set; a set holds distinct peaks. Where fewer than ``max(MIN_STRATUM, set_size)`` such peaks exist,
    bins on both sides are added, one step at a time, within the class; if the class itself is too small,
    the next farther classes (then the nearer ones) are added, nearest bins first. With fewer peaks outside the
    found set than it has members there are no null sets. The prefix of a null set is a null set of the prefix.

    Parameters
    ----------
    members : ndarray of int, shape (set_size,)
    bins, classes : ndarray of int, shape (n_peaks,)
        See :func:`accessibility_bins` and :func:`distance_classes`.
    n_sets : int
    rng : numpy Generator

    Returns
    -------
    ndarray of int, shape (n_sets, set_size), or (0, set_size)
        Columns of the peaks.
    """
    available = np.ones(len(bins), dtype=bool)
    available[members] = False
    size = len(members)
    needed = max(MIN_STRATUM, size)
    if available.sum() < size:
        return np.empty((0, size), dtype=np.int64)
    pools = {}
    drawn = np.empty((n_sets, size), dtype=np.int64)
    for column, stratum in enumerate(zip(bins[members], classes[members], strict=True)):
        if stratum not in pools:
            pools[stratum] = _pool(*stratum, bins, classes, available, needed)
        pool = pools[stratum]
        open_rows = np.arange(n_sets)
        while len(open_rows):
            drawn[open_rows, column] = pool[rng.integers(0, len(pool), len(open_rows))]
            clash = (drawn[open_rows, :column] == drawn[open_rows, column, None]).any(axis=1)
            open_rows = open_rows[clash]
    return drawn


def _first_of_each(sets: np.ndarray) -> np.ndarray:
    """Rows of the first occurrence of each different set, whatever the order of its members."""
    return np.sort(np.unique(np.sort(sets, axis=1), axis=0, return_index=True)[1])


def _pool(bin_: int, class_: int, bins, classes, available, needed: int) -> np.ndarray:
    """Available peaks of a stratum, widened until there are `needed` of them (or all there are)."""
    step_of_bin = np.abs(bins - bin_)
    step_of_class = np.empty(len(DISTANCE_CLASSES), dtype=int)
    step_of_class[[*range(class_, len(DISTANCE_CLASSES)), *range(class_ - 1, -1, -1)]] = range(
        len(DISTANCE_CLASSES)
    )
    for n_classes in range(len(DISTANCE_CLASSES)):
        eligible = available & (step_of_class[classes] <= n_classes)
        if eligible.sum() >= needed:
            break
    for step in range(int(step_of_bin.max())):
        pool = np.flatnonzero(eligible & (step_of_bin <= step))
        if len(pool) >= needed:
            return pool
    return np.flatnonzero(eligible)


def _expected_by_chance(peaks: pd.DataFrame, gene_row: pd.Series, distance: np.ndarray) -> dict:
    """What `size` peaks drawn from all candidate peaks would show, each a function of `size`.

    Hits follow the hypergeometric distribution; the share on the gene's chromosome is that of all peaks.
    """
    from scipy.stats import hypergeom  # here: a second of a job's start

    same = (peaks["chromosome"].astype(str) == str(gene_row.chromosome)).to_numpy()
    hit = same & (peaks["start"] < gene_row.end).to_numpy() & (peaks["end"] > gene_row.start).to_numpy()
    soft = hit | (np.abs(distance) <= SOFT_HIT_BP)
    return {
        "expected_hit": lambda size: float(hypergeom.sf(0, len(peaks), hit.sum(), size)),
        "expected_soft_hit": lambda size: float(hypergeom.sf(0, len(peaks), soft.sum(), size)),
        "expected_share_same_chromosome": lambda size: float(same.mean()),
    }


def _observed(multiome: Multiome):
    """A function from a gene's name to the cells' measured log-expression; missing unless paired."""
    rna = multiome.rna
    column_of = {gene: column for column, gene in enumerate(rna.var.index)} if multiome.paired else {}

    def of_gene(gene: str) -> np.ndarray:
        if gene not in column_of:
            return np.full(multiome.atac.X.shape[0], np.nan)
        return rna.X[:, [column_of[gene]]].toarray().ravel().astype(np.float64)

    return of_gene


def _null_cells(multiome: Multiome, most: int, seed: int) -> np.ndarray:
    """Rows of the cells on which random sets are evaluated, sorted."""
    n_cells = multiome.atac.X.shape[0]
    if n_cells <= most:
        return np.arange(n_cells)
    rng = generator(seed, "effects", "null cells", multiome.atac.obs["cell_type"].iloc[0])
    return np.sort(rng.choice(n_cells, most, replace=False))


def _seconds_of_task(searches: pd.DataFrame | None) -> dict:
    if searches is None or not len(searches):
        return {}
    return searches.groupby([*TASK_KEYS, "set_size"], dropna=False)["seconds"].sum().to_dict()


def _check(surrogate, multiome: Multiome, sets, genes, peaks, accessibility) -> None:
    """Refuse inputs that do not belong together."""
    cell_types = pd.unique(sets["cell_type"])
    if len(cell_types) > 1:
        raise InputError(f"sets: expected one cell type per call, got {', '.join(map(str, cell_types))}")
    if len(sets) and multiome.atac.X.shape[0] == 0:
        raise InputError(
            f"cell type '{cell_types[0]}' has no test cells to measure on; "
            "raise preprocessing.split.test or leave the type out of tasks"
        )
    if list(surrogate.peaks) != list(peaks.index) or multiome.atac.X.shape[1] != len(peaks):
        raise InputError("the surrogate was trained on other peaks than the multiome holds; train it again")
    if len(accessibility) != len(peaks):
        raise InputError(f"accessibility: expected {len(peaks)} peaks, got {len(accessibility)}")
    if multiome.paired and list(multiome.rna.obs.index) != list(multiome.atac.obs.index):
        raise InputError("multiome: declared paired, but RNA and ATAC hold different cells or another order")
    for where, known in (("the surrogate's genes", surrogate.genes), ("the gene annotation", genes["gene"])):
        missing = sorted(set(sets["gene"]) - set(known))
        if missing:
            raise InputError(f"sets: gene '{missing[0]}' is not in {where}.{did_you_mean(missing[0], known)}")
    for direction in pd.unique(sets["direction"]):
        if direction not in VALUE_OF_DIRECTION:
            raise InputError(f"sets: direction '{direction}' is unknown; expected silence or activate")
    if sets.duplicated([*TASK_KEYS, "set_size", "peak"]).any():
        raise InputError("sets: a set names the same peak twice; expected distinct members")
