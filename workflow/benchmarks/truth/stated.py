"""How true it is what methods state about peaks: posterior inclusion, and credible sets."""

import numpy as np
import pandas as pd

from benchmarks.truth.levels import FACTORS

INCLUSION_BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
INCLUSION_COLUMNS = [
    *FACTORS, "method", "inclusion_low", "inclusion_high", "mean_stated", "share_members", "standard_error", "n_peaks",
]  # fmt: skip
CREDIBLE_COLUMNS = [
    *FACTORS, "method", "logic", "n_genes", "share_genes_with_set", "n_sets", "coverage", "standard_error",
    "mean_size", "share_members_in_sets",
]  # fmt: skip


def count_inclusion(results: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Candidates of one data set by method and bin of stated inclusion.

    Parameters
    ----------
    results : DataFrame
        :data:`benchmarks.truth.result.RESULT_COLUMNS`.
    truth : DataFrame
        Columns ``gene peak is_member``.

    Returns
    -------
    DataFrame
        ``method inclusion_low inclusion_high stated n_members n_peaks``: `stated` is the sum of the inclusions.
        A bin holds its lower bound; the last one its upper bound too.
    """
    stated = results.dropna(subset="inclusion").merge(
        truth[["gene", "peak", "is_member"]], on=["gene", "peak"]
    )
    value = stated["inclusion"].to_numpy(float)
    place = np.clip(np.searchsorted(INCLUSION_BINS, value, side="right"), 1, len(INCLUSION_BINS) - 1)
    bounds = np.array(INCLUSION_BINS)
    stated = stated.assign(inclusion_low=bounds[place - 1], inclusion_high=bounds[place], stated=value)
    grouped = stated.groupby(["method", "inclusion_low", "inclusion_high"])
    counts = grouped.agg(stated=("stated", "sum"), n_members=("is_member", "sum"), n_peaks=("stated", "size"))
    return counts.reset_index()


def inclusion(counts: pd.DataFrame) -> pd.DataFrame:
    """Mean stated inclusion against the share that are members, by level, method and bin.

    Parameters
    ----------
    counts : DataFrame
        :func:`count_inclusion` of many data sets, with :data:`benchmarks.truth.levels.FACTORS`.

    Returns
    -------
    DataFrame, :data:`INCLUSION_COLUMNS`
        The standard error is that of a share of independent peaks; peaks of a gene are not quite.
    """
    key = [*FACTORS, "method", "inclusion_low", "inclusion_high"]
    summed = counts.groupby(key, sort=False)[["stated", "n_members", "n_peaks"]].sum().reset_index()
    share = summed["n_members"] / summed["n_peaks"]
    summed = summed.assign(
        mean_stated=summed["stated"] / summed["n_peaks"],
        share_members=share,
        standard_error=np.sqrt(share * (1 - share) / summed["n_peaks"]),
    )
    return summed[INCLUSION_COLUMNS]


def count_credible(results: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Credible sets of one data set by method and logic.

    Parameters
    ----------
    results : DataFrame
        :data:`benchmarks.truth.result.RESULT_COLUMNS`.
    truth : DataFrame
        Columns ``gene logic peak is_member``.

    Returns
    -------
    DataFrame
        ``method logic n_genes n_genes_with_set n_sets n_right size n_members n_members_in_sets``: sets, those with a
        member, and the sum of their sizes.
    """
    named = results.dropna(subset="credible").merge(
        truth[["gene", "logic", "peak", "is_member"]], on=["gene", "peak"]
    )
    named["n_members_in_sets"] = named["is_member"] & (named["credible"] > 0)
    key = ["method", "logic"]
    counts = named.groupby(key).agg(
        n_genes=("gene", "nunique"),
        n_members=("is_member", "sum"),
        n_members_in_sets=("n_members_in_sets", "sum"),
    )
    in_sets = named[named["credible"] > 0]
    sets = in_sets.groupby([*key, "gene", "credible"]).agg(right=("is_member", "any"), size=("peak", "size"))
    sets = sets.reset_index().groupby(key)
    counts["n_genes_with_set"], counts["n_sets"] = sets["gene"].nunique(), sets.size()
    counts["n_right"], counts["size"] = sets["right"].sum(), sets["size"].sum()
    return counts.fillna(0).reset_index()


def credible(counts: pd.DataFrame) -> pd.DataFrame:
    """Coverage and size of credible sets by level, method and logic.

    Parameters
    ----------
    counts : DataFrame
        :func:`count_credible` of many data sets, with :data:`benchmarks.truth.levels.FACTORS`.

    Returns
    -------
    DataFrame, :data:`CREDIBLE_COLUMNS`
        `coverage` is the share of the sets that hold a member, with its binomial standard error;
        `share_members_in_sets` the share of members in some set. Missing where there are no sets, or no members.
    """
    numbers = [name for name in counts if name.startswith("n_") and name != "n_cells"] + ["size"]
    summed = counts.groupby([*FACTORS, "method", "logic"], sort=False)[numbers].sum().reset_index()
    n_sets = summed["n_sets"].where(summed["n_sets"] > 0).astype(float)
    coverage = summed["n_right"] / n_sets
    summed = summed.assign(
        share_genes_with_set=summed["n_genes_with_set"] / summed["n_genes"],
        coverage=coverage,
        standard_error=np.sqrt(coverage * (1 - coverage) / n_sets),
        mean_size=summed["size"] / n_sets,
        share_members_in_sets=summed["n_members_in_sets"]
        / summed["n_members"].where(summed["n_members"] > 0),
    )
    return summed[CREDIBLE_COLUMNS]
