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

from grids.analysis.null_sets import Surroundings, draw_null_sets, permutation_p_value
from grids.analysis.set_changes import cells_by_direction, check_genes, check_sets, some_rows
from grids.data.intervals import locate
from grids.io.caps import NULL_CELLS
from grids.io.cells import Multiome
from grids.io.errors import InputError, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import EFFECT_COLUMNS, SET_COLUMNS, SET_KEYS, stack
from grids.search.objective import PerturbedCells

LOCATION_COLUMNS = [
    *SET_KEYS, "hit", "soft_hit", "n_same_chromosome", "share_same_chromosome", "n_in_window",
    "closest_bp", "expected_hit", "expected_soft_hit", "expected_share_same_chromosome",
]  # fmt: skip
NULL_COLUMNS = [*SET_KEYS, "draw", "log_change"]
CELL_COLUMNS = [*SET_KEYS, "cell", "before", "after", "observed"]
_SEARCHED = ["surrogate", "method", "cell_type", "gene"]
SOFT_HIT_BP = 10_000_000
# With fewer sets to be drawn no p-value could be below 0.05.
MIN_NULL_SETS = 19


@dataclass(frozen=True)
class Effects:
    """Tables of :func:`measure_effects`; columns: ``*_COLUMNS`` here and in :mod:`grids.io.tables`."""

    effects: pd.DataFrame
    sets: pd.DataFrame
    locations: pd.DataFrame
    null: pd.DataFrame
    cells: pd.DataFrame


COLUMNS = {
    "effects": EFFECT_COLUMNS,
    "sets": SET_COLUMNS,
    "locations": LOCATION_COLUMNS,
    "null": NULL_COLUMNS,
    "cells": CELL_COLUMNS,
}


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
    surroundings: Surroundings,
    *,
    n_null_sets: int = 1000,
    seed: int = 0,
    searches: pd.DataFrame | None = None,
    sizes: Iterable[int] | None = None,
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
    surrogate : Surrogate
    multiome : Multiome
        The cells to measure on: test split, one cell type.
    sets : DataFrame
        One row per member: `surrogate method cell_type gene direction set_size rank peak`, and what else
        :data:`grids.io.tables.SET_COLUMNS` lists; one cell type.
    surroundings : Surroundings
        Peaks in the surrogate's order; random sets are matched in it.
    n_null_sets : int
        Random sets drawn per task, from the peaks that the surrogate sees for the gene. 0: p-values missing. They are
        held against the found set on :data:`~grids.io.caps.NULL_CELLS` random cells at most, the same for all.
    searches : DataFrame, optional
        One row per restart of a search; `seconds`, summed over a task's restarts in all directions that were searched,
        becomes `objective_seconds`.
    sizes : iterable of int, optional
        Nested sizes to report, by default :func:`reported_sizes`; the full size is always among them.

    Returns
    -------
    Effects
        `effects`: one row per task and size, `q_value` missing until all are collected. `sets`: as given, with
        `log_effect_alone` (change when only this member is perturbed), `log_effect_in_context` (change by the
        set minus change by the set without it) and the members' places. `locations`: one row per task and
        size, with what as many random peaks would give (`expected_*`). `null`: one row per task, size and
        different random set. `cells`: one row per task and cell for the full set; `observed` is missing unless paired.

    Raises
    ------
    InputError
        No cells; peaks, genes or cell types that do not belong together.
    """
    _check(surrogate, multiome, sets, surroundings)
    seconds = {}
    if searches is not None and len(searches):
        seconds = searches.groupby(_SEARCHED, dropna=False)["seconds"].sum().to_dict()
    rng = generator(seed, "effects", "null cells", *multiome.atac.obs["cell_type"].iloc[:1])
    null_cells = some_rows(multiome.atac.X.shape[0], NULL_CELLS, rng)
    cells_of = cells_by_direction(surrogate, multiome.atac.X, sets, seed=seed, split="test")
    measured = []
    for key, rows in sets.groupby(SET_KEYS, sort=False, dropna=False):
        labels, rows = dict(zip(SET_KEYS, key, strict=True)), rows.sort_values("rank")
        cells, column, seen = cells_of[labels["direction"]].of(labels["gene"])
        members = cells_of[labels["direction"]].members(labels["gene"], rows["peak"]).cpu().numpy()
        found = _FoundSet(labels, rows, members, surroundings.peaks.index.get_indexer(seen))
        on_all, on_some = (_Evaluator(part, column) for part in (cells, cells.subset(null_cells)))
        asked = reported_sizes(len(members)) if sizes is None else sizes
        reported = sorted({*(int(size) for size in asked if 0 < size <= len(members)), len(members)})
        rng = generator(seed, "effects", *key)
        effects, null, after = _effects(found, on_all, on_some, surroundings, reported, n_null_sets, rng)
        measured.append(
            Effects(
                effects=effects.assign(
                    objective_seconds=seconds.get(tuple(labels[name] for name in _SEARCHED), np.nan)
                ),
                sets=_members(found, surroundings, on_all),
                locations=_locations(found, surroundings, reported),
                null=null,
                cells=_cells(found, multiome, on_all.before, after),
            )
        )
    tables = {
        name: stack((getattr(one, name) for one in measured), columns) for name, columns in COLUMNS.items()
    }
    return Effects(**tables | {"locations": tables["locations"].astype({"closest_bp": "Int64"})})


@dataclass(frozen=True)
class _FoundSet:
    """A found set. The surrogate sees some of all peaks for a gene, in an order of its own.

    *Seen* peaks are what members and random sets are numbered by; *rows* are those of the table of all peaks.

    Attributes
    ----------
    labels : dict
        Values of :data:`~grids.io.tables.SET_KEYS`.
    table : DataFrame
        The set's rows of ``sets.tsv``, by rank.
    members : ndarray of int, shape (set_size,)
        Positions among the seen peaks.
    row_of_seen : ndarray of int, shape (n_seen,)
    """

    labels: dict
    table: pd.DataFrame
    members: np.ndarray
    row_of_seen: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The members' rows, shape (set_size,)."""
        return self.row_of_seen[self.members]


class _Evaluator:
    """Predicted log-expression in one task: cells and gene fixed, sets of seen peaks vary."""

    def __init__(self, perturbed: PerturbedCells, gene: int):
        self.perturbed, self.gene = perturbed, gene
        self.before = _numpy(perturbed.predict(gene))

    def log_changes(self, sets: np.ndarray) -> np.ndarray:
        """Mean change by each set, shape (n_sets,)."""
        return self.after(sets).mean(axis=1) - self.before.mean()

    def after(self, sets: np.ndarray) -> np.ndarray:
        """Of each cell with each set perturbed, shape (n_sets, n_cells)."""
        sets = torch.as_tensor(np.ascontiguousarray(sets), dtype=torch.long, device=self.perturbed.device)
        return _numpy(self.perturbed.predict_sets(sets, self.gene))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _effects(
    found: _FoundSet,
    cells: _Evaluator,
    null_cells: _Evaluator,
    surroundings: Surroundings,
    sizes: list[int],
    n_null_sets: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """One row per size, one per size and different random set, and each cell's prediction after the largest size."""
    gene, members = found.labels["gene"], found.members
    strata = (surroundings.bins, surroundings.distance_classes(gene))
    null_sets = draw_null_sets(members, *(stratum[found.row_of_seen] for stratum in strata), n_null_sets, rng)
    n_beside = len(found.row_of_seen) - len(members)
    rows, null = [], []
    for size in sizes:
        labels = found.labels | {"set_size": size}
        after = cells.after(members[None, :size])[0]
        # The first of each different set, whatever the order of its members.
        in_order = np.sort(null_sets[:, :size], axis=1)
        draws = np.sort(np.unique(in_order, axis=0, return_index=True)[1])
        of_null = null_cells.log_changes(null_sets[draws, :size])
        null.append(pd.DataFrame({**labels, "draw": draws, "log_change": of_null}))
        of_found = null_cells.log_changes(members[None, :size])[0]
        is_possible = comb(n_beside, size) >= min(MIN_NULL_SETS, n_null_sets)
        p_value = permutation_p_value(of_found, of_null, found.labels["direction"])
        rows.append(
            {
                **labels,
                "n_cells": len(after),
                "mean_before": cells.before.mean(),
                "mean_after": after.mean(),
                "absolute_change": (np.exp(after) - np.exp(cells.before)).mean(),
                # exp(a - b) - 1 has no denominator that could vanish.
                "relative_change": np.expm1(after - cells.before).mean(),
                "log_change": (after - cells.before).mean(),
                "null_mean": of_null.mean() if len(of_null) else np.nan,
                "null_sd": of_null.std(ddof=1) if len(of_null) > 1 else np.nan,
                "p_value": p_value if is_possible else np.nan,
            }
        )
    without = [row["set_size"] for row in rows if np.isnan(row["p_value"])]
    if n_null_sets and without:
        log.warning(
            "%s, %s: no p-value for set sizes %s: %d peaks that the surrogate sees for the gene beside the "
            "members are too few to draw random sets from",
            *(found.labels["cell_type"], gene, listing(without), n_beside),
        )
    return pd.DataFrame(rows), pd.concat(null), after


def _members(found: _FoundSet, surroundings: Surroundings, cells: _Evaluator) -> pd.DataFrame:
    """The set's rows with the members' places, and what each does alone and added to the rest of the set."""
    members = found.members
    distance = surroundings.distance_to(found.labels["gene"])[found.rows]
    without = np.stack([np.delete(members, i) for i in range(len(members))])
    return found.table.assign(
        **{name: surroundings.peaks[name].to_numpy()[found.rows] for name in ("chromosome", "start", "end")},
        distance_to_tss_bp=pd.array(distance, dtype="Int64"),
        in_window=np.abs(distance) <= surroundings.window_bp,
        log_effect_alone=cells.log_changes(members[:, None]),
        log_effect_in_context=cells.log_changes(members[None])[0] - cells.log_changes(without),
    )


def _locations(found: _FoundSet, surroundings: Surroundings, sizes: list[int]) -> pd.DataFrame:
    """One row per size: where its members lie, and what as many of all peaks, drawn at random, would show.

    Hits follow the hypergeometric distribution; the share on the gene's chromosome is that of all peaks.
    """
    from scipy.stats import hypergeom  # here: a second of a job's start

    peaks, gene = surroundings.peaks, surroundings.gene(found.labels["gene"])
    same = (peaks["chromosome"].astype(str) == str(gene.chromosome)).to_numpy()
    hit = same & (peaks["start"] < gene.end).to_numpy() & (peaks["end"] > gene.start).to_numpy()
    soft_hit = hit | (np.abs(surroundings.distance_to(gene.gene)) <= SOFT_HIT_BP)
    places, window_bp = peaks.iloc[found.rows], surroundings.window_bp
    located = [locate(places.head(size), gene, window_bp, SOFT_HIT_BP) for size in sizes]
    return pd.DataFrame(located).assign(
        **found.labels | {"set_size": sizes},
        expected_hit=hypergeom.sf(0, len(peaks), hit.sum(), sizes),
        expected_soft_hit=hypergeom.sf(0, len(peaks), soft_hit.sum(), sizes),
        expected_share_same_chromosome=same.mean(),
    )


def _cells(found: _FoundSet, multiome: Multiome, before: np.ndarray, after: np.ndarray) -> pd.DataFrame:
    """One row per cell; measured log-expression is missing unless paired."""
    rna, observed = multiome.rna, np.full(len(before), np.nan)
    if multiome.paired and found.labels["gene"] in rna.var.index:
        column = rna.var.index.get_loc(found.labels["gene"])
        observed = rna.X[:, [column]].toarray().ravel().astype(np.float64)
    values = {"cell": multiome.atac.obs.index, "before": before, "after": after, "observed": observed}
    return pd.DataFrame({**found.labels, **values})


def _check(surrogate, multiome: Multiome, sets: pd.DataFrame, surroundings: Surroundings) -> None:
    """Refuse inputs that do not belong together."""
    check_sets(surrogate, multiome.atac.X, surroundings.peaks.index, sets)
    check_genes(sets, surroundings.genes["gene"], "the gene annotation")
    n_peaks, n_shares = len(surroundings.peaks), len(surroundings.accessibility)
    if n_shares != n_peaks:
        raise InputError(f"accessibility: expected {n_peaks} peaks, got {n_shares}")
    if multiome.paired and list(multiome.rna.obs.index) != list(multiome.atac.obs.index):
        raise InputError("multiome: declared paired, but RNA and ATAC hold different cells or another order")
