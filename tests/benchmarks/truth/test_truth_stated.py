"""Stated inclusion and credible sets against a hand-made example."""

import pandas as pd
import pytest

from benchmarks.truth.levels import FACTORS
from benchmarks.truth.stated import (
    CREDIBLE_COLUMNS,
    INCLUSION_COLUMNS,
    count_credible,
    count_inclusion,
    credible,
    inclusion,
)

LEVEL = dict.fromkeys(FACTORS, 1)


def truth():
    return pd.DataFrame(
        {
            "gene": ["A"] * 4 + ["B"] * 4,
            "peak": [f"a{i}" for i in range(4)] + [f"b{i}" for i in range(4)],
            "logic": ["redundant"] * 4 + ["none"] * 4,
            "is_member": [True, True, True, False] + [False] * 4,
        }
    )


def results(**columns):
    return truth()[["gene", "peak"]].assign(method="m", **columns)


def test_inclusion_is_counted_by_bins_that_hold_their_lower_bound():
    said = results(inclusion=[1.0, 0.95, 0.96, 0.049, 0.05, 0.8, 0.1, None], credible=None)
    counts = count_inclusion(said, truth()).assign(**LEVEL)
    table = inclusion(pd.concat([counts, counts]))  # two data sets
    assert list(table.columns) == INCLUSION_COLUMNS
    table = table.set_index("inclusion_low")
    assert table["n_peaks"].to_dict() == {0.0: 2, 0.05: 4, 0.8: 2, 0.95: 6}
    assert table["share_members"].to_dict() == {0.0: 0, 0.05: 0, 0.8: 0, 0.95: 1}
    assert table.loc[0.95, "mean_stated"] == pytest.approx((1 + 0.95 + 0.96) / 3)
    assert table.loc[0.05, "mean_stated"] == pytest.approx(0.075)
    assert table["inclusion_high"].to_dict() == {0.0: 0.05, 0.05: 0.2, 0.8: 0.95, 0.95: 1.0}


def test_credible_sets_are_right_where_they_hold_a_member():
    # Gene A: a set of a member and another peak, and a member alone; a third one is in none. Gene B: a false set.
    said = results(credible=[1, 2, 0, 1, 0, 1, 0, 0], inclusion=None)
    counts = count_credible(said, truth()).assign(**LEVEL)
    table = credible(pd.concat([counts, counts]))
    assert list(table.columns) == CREDIBLE_COLUMNS
    table = table.set_index("logic")
    redundant, none = table.loc["redundant"], table.loc["none"]
    assert (redundant["n_genes"], redundant["n_sets"], redundant["coverage"]) == (2, 4, 1)
    assert redundant["mean_size"] == 1.5
    assert redundant["share_members_in_sets"] == pytest.approx(2 / 3)
    assert (none["share_genes_with_set"], none["coverage"]) == (1, 0)
    assert pd.isna(none["share_members_in_sets"])


def test_who_states_nothing_has_no_rows():
    silent = results(inclusion=None, credible=None)
    assert count_inclusion(silent, truth()).empty and count_credible(silent, truth()).empty
    empty = count_credible(results(credible=0, inclusion=None), truth()).assign(**LEVEL)
    assert credible(empty)["coverage"].isna().all()
    assert (credible(empty)["share_genes_with_set"] == 0).all()
