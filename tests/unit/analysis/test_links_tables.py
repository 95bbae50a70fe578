"""Links of a population as tables: classes of links, planted links, and data that have little to test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from planted_windows import CONTROL, WINDOW_SIZE, kind, planted
from scipy import sparse

from grids.analysis.links.tables import (
    LINK_COLUMNS,
    WINDOW_TEST_COLUMNS,
    LinkTest,
    class_of_links,
    population,
    q_values,
)
from grids.io.cells import Modality
from grids.io.levels import ALL_TYPES

GENES = pd.DataFrame({"gene": ["PLUS", "MINUS"], "start": [100_000, 100_000], "end": [130_000, 130_000]})


@pytest.mark.parametrize(
    ("gene", "start", "end", "distance", "is_promoter", "expected"),
    [
        ("PLUS", 99_900, 100_100, 0, True, "promoter"),  # overlaps the gene, but is its promoter
        ("PLUS", 129_000, 129_500, 29_000, False, "body"),
        ("MINUS", 99_000, 100_001, -29_999, False, "body"),  # by a base
        ("PLUS", 99_000, 99_500, -500, False, "promoter"),  # outside, close to the start
        ("PLUS", 94_500, 95_000, -5_000, False, "promoter"),
        ("PLUS", 94_499, 94_999, -5_001, False, "distal"),
        ("PLUS", 130_000, 130_500, 30_000, False, "distal"),  # the end is not of the gene
        ("MINUS", 130_000, 130_500, -1, False, "promoter"),  # upstream of a gene on the other strand
        ("MINUS", 99_500, 100_000, 29_999, False, "distal"),
        ("PLUS", 101_000, 101_500, 1_000, False, "body"),  # close to the start, inside
        ("UNKNOWN", 101_000, 101_500, 9_000, False, "distal"),
    ],
)
def test_classes_of_links(gene, start, end, distance, is_promoter, expected):
    row = {
        "gene": gene,
        "start": start,
        "end": end,
        "distance_to_tss_bp": distance,
        "is_promoter": is_promoter,
    }
    assert class_of_links(pd.DataFrame([row]), GENES).tolist() == [expected]


def with_places(data, multiome=None):
    """A multiome whose peaks have chromosomes, and the windows and genes that links are tested with."""
    multiome = multiome or data.multiome
    atac = multiome.atac
    var = atac.var.assign(chromosome="chr1")
    start = data.windows["peak"].str.extract(r":(\d+)-")[0].astype(int)
    windows = data.windows.assign(
        start=start, end=start + 500, distance_to_tss_bp=50_000, is_promoter=start % 8000 == 0
    )
    genes = pd.DataFrame({"gene": windows["gene"].unique(), "start": -10, "end": -5})
    return replace(multiome, atac=Modality(atac.X, atac.obs, var)), windows, genes


@pytest.fixture(scope="module")
def data():
    return planted(2000)


@pytest.fixture(scope="module")
def tested(data):
    multiome, windows, genes = with_places(data)
    test, cells = LinkTest(multiome, windows, genes), population(multiome, "A", 0)
    found = test.test(cells)
    return test.link_table(found, cells), test.window_table(found, cells)


def test_planted_members_have_the_smallest_p_values_of_their_windows(tested):
    links, windows = tested
    assert list(links.columns) == LINK_COLUMNS and list(windows.columns) == WINDOW_TEST_COLUMNS
    for gene, rows in links.groupby("gene"):
        members = CONTROL[kind(gene)][0]
        assert len(rows) == WINDOW_SIZE
        if members:
            assert set(rows["p_value"].to_numpy().argsort()[: len(members)]) == set(members)
            assert rows["p_value"].min() < 1e-6 and (rows["effect"].to_numpy()[members] > 0).all()
    p = windows.set_index("gene")["p_value"]
    assert (p[[gene for gene in p.index if CONTROL[kind(gene)][0]]] < 1e-6).all()
    assert p["state0"] > 1e-3 and p["nothing0"] > 1e-3


def test_tables_say_what_was_tested(tested, data):
    links, windows = tested
    assert set(links["level"]) == set(windows["level"]) == {"within_type"}
    assert (windows["n_cells"] == 2000).all() and (windows["n_peaks"] == WINDOW_SIZE).all()
    assert (windows["n_distal_peaks"] == WINDOW_SIZE - 1).all()
    share = np.asarray(data.multiome.atac.X.mean(0)).ravel()
    places = data.multiome.atac.var.index.get_indexer(links["peak"])
    assert_allclose(links["accessibility"], share[places])
    assert_allclose(links["q_value"], q_values(links["p_value"]))


def test_without_counts_log_normalised_expression_is_tested(data):
    rna = data.multiome.rna
    unknown = Modality(rna.X, rna.obs.drop(columns="size_factor"), rna.var)
    multiome, windows, genes = with_places(data, replace(data.multiome, rna=unknown))
    test, cells = LinkTest(multiome, windows, genes), population(multiome, "A", 0)
    assert cells.exposure is None
    links = test.link_table(test.test(cells), cells)
    best = links.loc[links[links["gene"] == "single0"]["p_value"].idxmin()]
    assert best["p_value"] < 1e-6
    assert (
        best["peak"] == data.windows["peak"][data.windows["gene"] == "single0"].iloc[CONTROL["single"][0][0]]
    )


def test_genes_without_a_window_and_peaks_that_were_not_kept_have_no_rows(data):
    multiome, windows, genes = with_places(data)
    unknown = windows.iloc[:2].assign(peak="chr9:1-2", gene="other0")
    fewer = pd.concat([windows[windows["gene"] != "state0"], unknown, windows.iloc[:1].assign(gene="gone")])
    test, cells = LinkTest(multiome, fewer, genes), population(multiome, "A", 0)
    tested = test.test(cells)
    links = test.link_table(tested, cells)
    expected = {gene for gene in windows["gene"] if gene != "state0"}
    assert set(links["gene"]) == set(test.window_table(tested, cells)["gene"]) == expected


@pytest.mark.parametrize("cell_type", ["A", ALL_TYPES])
def test_without_any_gene_tables_are_empty(data, cell_type):
    multiome, windows, genes = with_places(data)
    test, cells = LinkTest(multiome, windows.iloc[:0], genes), population(multiome, cell_type, 0)
    tested = test.test(cells)
    links, of_windows = test.link_table(tested, cells), test.window_table(tested, cells)
    assert (len(links), len(of_windows)) == (0, 0)
    assert (list(links.columns), list(of_windows.columns)) == (LINK_COLUMNS, WINDOW_TEST_COLUMNS)


def test_across_types_a_small_panel_has_no_decoys():
    data = planted(300, cell_types="AB")
    multiome, windows, genes = with_places(data)
    test, cells = LinkTest(multiome, windows, genes), population(multiome, ALL_TYPES, 0)
    assert cells.across_types and cells.state.shape == (300, 0)
    links = test.link_table(test.test(cells), cells)
    assert (
        set(links["level"]) == {"across_types"}
        and links["p_value"].isna().all()
        and len(links) == len(windows)
    )


def test_other_rna_gives_other_links(data):
    """The order says whose RNA a cell gets, exposure included."""
    multiome, windows, genes = with_places(data)
    test, cells = LinkTest(multiome, windows, genes), population(multiome, "A", 0)
    order = np.random.default_rng(0).permutation(2000)
    shuffled = test.test(cells, order=order).windows["p_value"]
    moved = replace(cells, values=sparse.csc_matrix(cells.values[order]), exposure=cells.exposure[order])
    assert_allclose(shuffled, test.test(moved).windows["p_value"], rtol=1e-6)
    assert (shuffled > 1e-3).all()


def test_q_values_pass_over_what_could_not_be_tested():
    found = q_values(pd.Series([0.01, np.nan, 0.02, 0.9]))
    assert_allclose(found, [0.03, np.nan, 0.03, 0.9])
    assert (
        np.isnan(q_values(pd.Series([np.nan, np.nan]))).all() and len(q_values(pd.Series(dtype=float))) == 0
    )
