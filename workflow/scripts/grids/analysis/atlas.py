"""Redundancy over a whole run: its distribution by cell type, by number of enhancers and by class of gene."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm, rankdata

from grids.analysis.statistics import equal_count_bins, q_values
from grids.io import tables
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.tables import ATLAS_COLUMNS, CLASSES, RUN_KEYS

N_BINS = 4
# Groupings of genes, tested with one value per gene.
OF_GENES = ("n_window_peaks", "gene_class")
# Follows from the same effects as the index, so that groups differ even where all genes are alike.
NOT_TESTED = ("n_sufficient",)
# Groups with fewer units than this inside or outside are not tested.
MIN_UNITS = 3
# Eigenvalues of the correlation of rank sums below this are zero: one group tells what others tell.
RANK_TOLERANCE = 1e-9


def read_gene_classes(path: str | os.PathLike, genes: pd.Series) -> pd.DataFrame:
    """Read a table of gene classes: a TSV with columns `gene` and `gene_class`; a gene may be in several.

    `genes`: every gene of the run that has a window: what is explained may have no class.

    Raises
    ------
    InputError
        When a column is missing, or no gene of the run has a class.
    """
    try:
        table = tables.read(path, dtype=str)
    except tables.UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as TSV ({error})") from error
    if missing := [column for column in ("gene", "gene_class") if column not in table]:
        raise InputError(
            f"{path}: column '{missing[0]}' is missing; expected a TSV with columns gene and gene_class, "
            f"it has: {listing(table.columns)}.{did_you_mean(missing[0], table.columns)}"
        )
    table = table[["gene", "gene_class"]].dropna().drop_duplicates(ignore_index=True)
    n_found = genes.drop_duplicates().isin(table["gene"]).sum()
    if not n_found:
        raise InputError(
            f"{path}: none of its {table['gene'].nunique()} genes (e.g. '{table['gene'].iloc[0]}') is among "
            f"those of the run (e.g. '{genes.iloc[0]}'); give gene names as in the RNA data"
            if len(table)
            else f"{path}: no rows; expected a row per gene"
        )
    log.info("%s: %d of %d genes have a class", path, n_found, genes.nunique())
    return table


def summarise_atlas(
    redundancy: pd.DataFrame, windows: pd.DataFrame, gene_classes: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The distribution of the redundancy index, and of the classes of sets, in groups of sets.

    Groupings: `all`; `cell_type`; `n_sufficient`, members in the minimal sufficient set;
    `n_window_peaks`, peaks in the gene's window, in quarters of the genes; `gene_class`, where given.

    Sets of tasks that did not pass the quality gate are left out, unless there are no others (`n_not_passed`).

    The index is a ratio to the joint effect and means nothing without one, nor for a set of one peak: such
    sets count in the shares of classes but not in the index. Whether groups differ is asked of the index by rank
    (:func:`rank_tests`): `p_value_of_grouping` of all groups, `p_value` of each group against the other sets of the
    grouping with `q_value` over groups. The unit is the gene: cell types are compared within genes and between genes
    with as many sets, groupings of genes with one value per gene, its median over cell types; classes of genes may
    overlap. `n_sufficient` is described only, see :data:`NOT_TESTED`.

    Parameters
    ----------
    redundancy : DataFrame
        :data:`grids.io.tables.REDUNDANCY_COLUMNS`.
    windows : DataFrame
        `peak gene`, a row per peak in a gene's window.
    gene_classes : DataFrame, optional
        `gene gene_class`.

    Returns
    -------
    DataFrame
        :data:`grids.io.tables.ATLAS_COLUMNS`; the index is summarised over `n_with_index` sets.
    """
    n_peaks = redundancy["gene"].map(windows.groupby("gene")["peak"].nunique()).fillna(0)
    redundancy = redundancy.assign(n_window_peaks=n_peaks).reset_index(drop=True)
    parts = [
        _summarise(grouping, groups, sets).assign(**dict(zip(RUN_KEYS, key, strict=True)), grouping=grouping)
        for key, sets in counted_by_run(redundancy)
        for grouping, groups in _groupings(sets, gene_classes)
        if groups
    ]
    return tables.stack(parts, ATLAS_COLUMNS)


def counted_by_run(redundancy: pd.DataFrame) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """The sets of each surrogate, method and direction that a summary counts, and these three."""
    for key, sets in redundancy.groupby(RUN_KEYS):
        yield key, tables.counted(sets)


def _groupings(sets: pd.DataFrame, gene_classes: pd.DataFrame | None) -> Iterator:
    """Name of each grouping, and its groups' sets by name."""
    yield "all", {"all": sets}
    yield "cell_type", dict(list(sets.groupby("cell_type")))
    sufficient = sets.dropna(subset="n_sufficient").astype({"n_sufficient": int})
    yield "n_sufficient", {str(n): rows for n, rows in sufficient.groupby("n_sufficient")}
    of_gene = sets.drop_duplicates("gene").set_index("gene")["n_window_peaks"]
    codes, labels = equal_count_bins(of_gene.to_numpy(), N_BINS)
    code = sets["gene"].map(pd.Series(codes, index=of_gene.index))
    yield "n_window_peaks", {label: sets[code == i] for i, label in enumerate(labels)}
    if gene_classes is not None and len(gene_classes):
        members = gene_classes.groupby("gene_class")["gene"]
        groups = {name: sets[sets["gene"].isin(genes)] for name, genes in members}
        yield "gene_class", {name: rows for name, rows in groups.items() if len(rows)}


def _summarise(grouping: str, groups: dict[str, pd.DataFrame], sets: pd.DataFrame) -> pd.DataFrame:
    """One row per group; each is tested against the other `sets`."""
    indexed = sets[(sets["set_size"] > 1) & (sets["class"] != "none") & sets["redundancy_index"].notna()]
    inside = {name: indexed.index.isin(rows.index) for name, rows in groups.items()}
    rows = []
    for name, members in groups.items():
        here = indexed[inside[name]]
        lower, median, upper = here["redundancy_index"].quantile([0.25, 0.5, 0.75])
        rows.append(
            {
                "group": name,
                "n_sets": len(members),
                "n_genes": members["gene"].nunique(),
                "n_not_passed": int(tables.is_forced(members).sum()),
                "n_with_index": len(here),
                "median_redundancy_index": median,
                "lower_quartile": lower,
                "upper_quartile": upper,
                **{f"share_{kind}": (members["class"] == kind).mean() for kind in CLASSES},
            }
        )
    table = pd.DataFrame(rows)
    if grouping not in NOT_TESTED:
        index, gene, member = indexed["redundancy_index"], indexed["gene"].to_numpy(), pd.DataFrame(inside)
        if grouping in OF_GENES:
            index, member = index.groupby(gene).median(), member.groupby(gene).any()
            gene = index.index
        tests = rank_tests(index.to_numpy(), gene, member.to_numpy())
        table["p_value"], table["p_value_of_grouping"] = tests
        table["q_value"] = q_values(table["p_value"])
    return table


def rank_tests(values: np.ndarray, unit: Sequence, inside: np.ndarray) -> tuple[np.ndarray, float]:
    """Is each group higher or lower than the rest, and do the groups differ at all?

    What is exchangeable without a difference is permuted: whole units among those with as many values, and the
    values within each unit. Mean and covariance of the groups' rank sums over these permutations are known in closed
    form, so p-values are those of a normal (of one group, two-sided, with the correction for continuity) and of a
    chi-squared variable (of all groups). With one value per unit these are the tests of Mann & Whitney and, for
    groups without overlap that hold all values, of Kruskal & Wallis. A group that stands there twice adds nothing.

    Parameters
    ----------
    values : ndarray, shape (n,)
    unit : sequence of hashable, length n
        What each value belongs to; values of different units are independent.
    inside : ndarray of bool, shape (n, n_groups)
        Groups may overlap.

    Returns
    -------
    p_values : ndarray, shape (n_groups,)
        Missing for groups with fewer than :data:`MIN_UNITS` units inside or outside, or where nothing could differ.
    p_value : float
        Of all groups that have one.
    """
    p_values = np.full(inside.shape[1], np.nan)
    code = np.unique(np.asarray(unit, dtype=str), return_inverse=True)[1]
    n_units = [min(len(np.unique(code[group])), len(np.unique(code[~group]))) for group in inside.T]
    tested = np.array(n_units, dtype=int) >= MIN_UNITS
    excess, covariance = _rank_sums(rankdata(values), code, inside[:, tested].astype(float))
    sd = np.sqrt(np.diagonal(covariance))
    varies = sd > RANK_TOLERANCE * len(code)
    excess, sd, covariance = excess[varies], sd[varies], covariance[np.ix_(varies, varies)]
    p_values[np.flatnonzero(tested)[varies]] = 2 * norm.sf(np.maximum(np.abs(excess) - 0.5, 0) / sd)
    if not len(sd):
        return p_values, np.nan
    correlation, z = covariance / np.outer(sd, sd), excess / sd
    rank = np.linalg.matrix_rank(correlation, RANK_TOLERANCE * len(sd), hermitian=True)
    statistic = z @ np.linalg.pinv(correlation, RANK_TOLERANCE, hermitian=True) @ z
    return p_values, float(chi2.sf(statistic, rank))


def _rank_sums(ranks: np.ndarray, code: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank sum of each group over its mean under permutation, (n_groups,), and their covariance."""
    n_groups = inside.shape[1]
    excess, covariance = np.zeros(n_groups), np.zeros((n_groups, n_groups))
    n_values = np.bincount(code)[code]
    for size in np.unique(n_values):
        here = np.flatnonzero(n_values == size)
        here = here[np.argsort(code[here], kind="stable")].reshape(-1, size)
        rank, member = ranks[here], inside[here]
        excess += np.tensordot(rank - rank.mean(), member, 2)
        # Units change places: what varies are their mean ranks and their numbers of values in each group.
        n_units, mean_rank = len(rank), rank.mean(1)
        n_inside = member.sum(1) - member.sum(1).mean(0)
        covariance += (
            n_inside.T @ n_inside * ((mean_rank - mean_rank.mean()) ** 2).sum() / max(n_units - 1, 1)
        )
        # Values change places within a unit.
        within = (member - member.mean(1, keepdims=True)).reshape(here.size, n_groups)
        spread = ((rank - mean_rank[:, None]) ** 2).sum(1).mean()
        covariance += within.T @ within * spread / max(size - 1, 1)
    return excess, covariance
