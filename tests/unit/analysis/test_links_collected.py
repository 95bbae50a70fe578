"""The links of all populations in one table, and which of them are strong."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from planted_windows import planted

from grids.analysis.links.collected import COLLECTED_COLUMNS, collect_links, strong_links
from grids.analysis.links.tables import LINK_COLUMNS
from grids.io import tables
from grids.io.levels import ACROSS_TYPES, ALL_TYPES, WITHIN_TYPE
from grids.surrogates.window.training import WindowSettings, train_window


class Other:
    """A surrogate without a posterior over members."""


@pytest.fixture(scope="module")
def data():
    return planted(500)


@pytest.fixture(scope="module")
def surrogate(data):
    genes = {"single0", "or_of_three0"}
    settings = WindowSettings(member_penalties=(1.0,))
    return train_window(data.multiome, data.windows, "A", settings, seed=0, genes=genes)[0]


def links_of(windows: pd.DataFrame, cell_type: str, level: str) -> pd.DataFrame:
    """Links of all windows in reverse order, with a q-value of 0.5."""
    table = windows.iloc[::-1].reindex(columns=LINK_COLUMNS)
    return table.assign(level=level, cell_type=cell_type, q_value=0.5, **{"class": "distal"})


@pytest.fixture(scope="module")
def collected(data, surrogate):
    parts = [
        (links_of(data.windows, "A", WITHIN_TYPE), surrogate),
        (links_of(data.windows, ALL_TYPES, ACROSS_TYPES), Other()),
        (pd.DataFrame(columns=LINK_COLUMNS), Other()),
    ]
    gate = pd.DataFrame({"cell_type": "A", "gene": ["single0", "state0"], "passed_gate": [True, False]})
    return collect_links(parts, gate)


def test_every_link_is_there_with_what_its_own_surrogate_says(collected, data, surrogate):
    assert list(collected.columns) == COLLECTED_COLUMNS
    assert COLLECTED_COLUMNS == [
        "level", "cell_type", "gene", "peak", "distance_to_tss_bp", "class", "accessibility", "effect",
        "standard_error", "z", "p_value", "q_value", "inclusion", "credible_set", "n_effective_cells", "passed_gate",
    ]  # fmt: skip
    assert len(collected) == 2 * len(data.windows)
    for column, gene in enumerate(surrogate.genes):
        rows = collected[(collected["gene"] == gene) & (collected["cell_type"] == "A")].set_index("peak")
        peaks = [surrogate.peaks[i] for i in surrogate.window(gene).tolist()]
        assert_allclose(rows.loc[peaks, "inclusion"], surrogate.inclusion_of(column))
        assert rows.loc[peaks, "credible_set"].tolist() == surrogate.credible_set_of(column).tolist()
    without = (collected["cell_type"] != "A") | ~collected["gene"].isin(surrogate.genes)
    assert collected.loc[without, ["inclusion", "credible_set"]].isna().all(axis=None)
    assert len(set(collected["credible_set"].dropna())) > 1


def test_the_gate_is_that_of_the_gene_in_the_population(collected):
    verdict = collected.groupby(["cell_type", "gene"])["passed_gate"].first()
    assert verdict["A", "single0"] is True and verdict["A", "state0"] is False
    others = collected[(collected["cell_type"] != "A") | ~collected["gene"].isin(["single0", "state0"])]
    assert others["passed_gate"].isna().all()


def test_strong_links_are_those_of_passing_genes_with_a_small_q_value_or_high_inclusion(collected):
    links = collected.assign(q_value=np.where(np.arange(len(collected)) % 5 == 0, 0.05, 0.051))
    passing = (links["gene"] == "single0") & (links["cell_type"] == "A")
    expected = links[passing & ((links["q_value"] <= 0.05) | (links["inclusion"] >= 0.5))]
    assert 2 <= len(expected) < passing.sum()
    assert strong_links(links)["peak"].tolist() == expected["peak"].tolist()
    assert strong_links(links.assign(q_value=np.nan))["inclusion"].min() >= 0.5


def test_unpaired_cells_leave_a_header_and_written_tables_come_back(collected, tmp_path):
    none = collect_links(
        [(pd.DataFrame(columns=LINK_COLUMNS), Other())],
        pd.DataFrame(columns=["cell_type", "gene", "passed_gate"]),
    )
    assert len(none) == len(strong_links(none)) == 0 and list(none.columns) == COLLECTED_COLUMNS
    for name, table in (("links", collected), ("none", none)):
        tables.write(table, tmp_path / f"{name}.tsv.gz")
        back = tables.read(tmp_path / f"{name}.tsv.gz")
        assert list(back.columns) == COLLECTED_COLUMNS and len(back) == len(table)
        assert len(strong_links(back)) == len(strong_links(table))
