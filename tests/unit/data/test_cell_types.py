"""Annotation: marker tables, gene activity, cluster scores, and planted types that come back."""

import numpy as np
import pandas as pd
import pytest
from builders import TYPES, multiome
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from grids.data import cell_types
from grids.data.normalisation import size_factors
from grids.io.errors import InputError


def per_10_000(counts):
    return size_factors(np.asarray(counts.sum(1), float).ravel(), 1e4)


PAPER = {
    "Astro": {"ALDH1A1", "AQP4", "GJA1"},
    "Endo": {"CLDN5", "FLT1"},
    "Micro": {"APBB1IP", "CX3CR1"},
    "OPC": {"NXPH1", "OLIG1", "OLIG2"},
    "Oligo": {"MOBP", "MOG"},
    "SST": {"GAD1", "GAD2"},
    "VIP": {"GAD1", "GAD2"},
}


def test_shipped_markers_hold_those_of_the_paper():
    brain = cell_types.read_markers("human_brain").groupby("cell_type")["gene"].agg(set)
    for cell_type, genes in PAPER.items():
        assert genes <= brain[cell_type]
    mouse = cell_types.read_markers("mouse_brain").groupby("cell_type")["gene"].agg(set)
    assert {"Mobp", "Mog"} <= mouse["Oligo"]


@pytest.mark.parametrize("name", ["human_brain", "mouse_brain", "human_blood", "mouse_blood"])
def test_shipped_markers_are_clean(name):
    markers = cell_types.read_markers(name)
    assert not markers.duplicated().any() and not markers.isna().any().any()
    assert markers["gene"].str.fullmatch("[A-Za-z0-9-]+").all()
    assert (markers["gene"].str.isupper() == name.startswith("human")).all()
    assert markers.groupby("cell_type").size().min() >= 3


def test_marker_tables_of_the_user(tmp_path):
    path = tmp_path / "markers.tsv"
    path.write_text("gene\tcell_type\tsource\nNA\tCD8+ T\tx\nG1\tB\t\n")
    assert cell_types.read_markers(path).to_dict("list") == {
        "cell_type": ["CD8+ T", "B"],
        "gene": ["NA", "G1"],
    }
    path.write_text("type,gene\nA,B\n")
    with pytest.raises(InputError, match="has columns type,gene; expected cell_type and gene"):
        cell_types.read_markers(path)
    path.write_text("cell_type\tgene\n")
    with pytest.raises(InputError, match="names no marker"):
        cell_types.read_markers(path)
    with pytest.raises(
        InputError, match=r"'human_brian' is neither a file nor a shipped set.*Did you mean 'human_brain'"
    ):
        cell_types.read_markers("human_brian")


def test_gene_activity_sums_body_and_upstream_by_strand():
    genes = pd.DataFrame(
        {
            "gene": ["plus", "minus", "alone", "far"],
            "chromosome": ["chr1", "chr1", "chr2", "chr9"],
            "start": [10_000, 10_000, 10_000, 0],
            "end": [12_000, 12_000, 12_000, 10],
            "strand": ["+", "-", "+", "+"],
        }
    )
    ranges = [
        (12_000, 12_100),
        (7_999, 8_000),
        (8_000, 8_001),
        (13_999, 14_500),
        (14_000, 14_100),
        (11_000, 11_500),
    ]
    peaks = pd.DataFrame([("chr1", *r) for r in ranges], columns=["chromosome", "start", "end"])
    activity, names = cell_types.gene_activity(sparse.csr_matrix(np.diag([1, 2, 4, 8, 16, 32])), peaks, genes)
    assert list(names) == ["plus", "minus"]
    # plus: [8000, 12000): the third and the sixth peak; minus: [10000, 14000): first, fourth, sixth
    assert activity.sum(axis=0).A1.tolist() == [4 + 32, 1 + 8 + 32]


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_gene_activity_equals_brute_force(data):
    spans = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 60), st.integers(1, 30))
    peaks = data.draw(st.lists(spans, min_size=1, max_size=12))
    genes = data.draw(st.lists(st.tuples(spans, st.sampled_from("+-.")), min_size=1, max_size=6))
    peak_table = pd.DataFrame([(c, s, s + n) for c, s, n in peaks], columns=["chromosome", "start", "end"])
    gene_table = pd.DataFrame(
        [(f"g{i}", c, s, s + n, strand) for i, ((c, s, n), strand) in enumerate(genes)],
        columns=["gene", "chromosome", "start", "end", "strand"],
    )
    activity, names = cell_types.gene_activity(
        sparse.identity(len(peaks), format="csr"), peak_table, gene_table, upstream_bp=5
    )
    expected = {}
    for gene in gene_table.itertuples():
        start, end = gene.start - 5 * (gene.strand != "-"), gene.end + 5 * (gene.strand == "-")
        inside = (
            (peak_table.chromosome == gene.chromosome) & (peak_table.start < end) & (peak_table.end > start)
        )
        if inside.any():
            expected[gene.gene] = inside.to_numpy(float)
    assert list(names) == list(expected)
    if expected:
        assert_array_equal(activity.toarray(), np.array(list(expected.values())).T)


def test_cluster_scores_by_hand():
    # cluster means: m1 (2, 0), m2 (3, 1), m3 (1, 1): z is (1, -1), (1, -1), (0, 0)
    logged = sparse.csr_matrix(np.array([[2.0, 3, 1, 9], [2, 3, 1, 9], [0, 1, 1, 9]]))
    markers = pd.DataFrame({"cell_type": ["A", "A", "B", "C"], "gene": ["m1", "m2", "m3", "absent"]})
    scores = cell_types.score_clusters(
        logged, np.array(["m1", "m2", "m3", "x"]), np.array([0, 0, 1]), markers
    )
    assert list(scores.columns) == ["A", "B"]
    assert_allclose(scores["A"], [2 / np.sqrt(2), -2 / np.sqrt(2)])
    assert_allclose(scores["B"], [0, 0], atol=1e-12)


def test_noise_of_a_flat_marker_counts_little():
    # spreads 1, 1 and 0.01: the flat marker is measured against half the median
    logged = sparse.csr_matrix([[2.0, 0.0, 0.02], [0.0, 2.0, 0.0]])
    markers = pd.DataFrame({"cell_type": ["A", "B", "C"], "gene": ["a", "b", "flat"]})
    scores = cell_types.score_clusters(logged, np.array(["a", "b", "flat"]), np.array([0, 1]), markers)
    assert_allclose(scores["C"], [0.02, -0.02], rtol=1e-5)


@pytest.fixture(scope="module")
def planted():
    rna, _ = multiome(n_cells=120)
    markers = pd.DataFrame(
        {
            "cell_type": [TYPES[0], TYPES[0], TYPES[1], TYPES[2], "other"],
            "gene": ["G0", "G3", "G1", "G2", "none"],
        }
    )
    return rna, markers


def test_planted_types_come_back(planted):
    rna, markers = planted
    names = rna.var_names.to_numpy(str)
    labels, summary = cell_types.annotate_cell_types(
        rna.X, names, markers, size_factor=per_10_000(rna.X), seed=1
    )
    assert (labels == rna.obs["cell_type"].to_numpy()).mean() > 0.97
    assert summary["n_cells"].sum() == 120 and set(summary["cell_type"]) == set(TYPES)
    assert set(summary.loc[summary["cell_type"] == TYPES[0], "n_markers"]) == {2}
    again, _ = cell_types.annotate_cell_types(rna.X, names, markers, size_factor=per_10_000(rna.X), seed=1)
    assert_array_equal(labels, again)


def test_clusters_without_a_fitting_marker_are_unassigned(planted):
    rna, markers = planted
    labels, _ = cell_types.annotate_cell_types(
        rna.X,
        rna.var_names.to_numpy(str),
        markers[markers["gene"] == "G0"],
        size_factor=per_10_000(rna.X),
        seed=1,
    )
    truth = rna.obs["cell_type"].to_numpy()
    assert (labels[truth == TYPES[0]] == TYPES[0]).mean() > 0.97
    assert (labels[truth != TYPES[0]] == cell_types.UNASSIGNED).mean() > 0.97


def test_no_marker_in_the_data(planted):
    rna, _ = planted
    markers = pd.DataFrame({"cell_type": ["B"], "gene": ["Cd19"]})
    with pytest.raises(
        InputError, match=r"here: none of the 1 marker genes \(for example Cd19\).*G0, G1, G2"
    ):
        cell_types.annotate_cell_types(
            rna.X, rna.var_names.to_numpy(str), markers, size_factor=per_10_000(rna.X), seed=1, where="here"
        )


def test_markers_that_tell_nothing_apart():
    counts = sparse.csr_matrix(np.ones((5, 2)))
    markers = pd.DataFrame({"cell_type": ["B"], "gene": ["a"]})
    with pytest.raises(InputError, match=r"no marker of input.markers tells any of them apart"):
        cell_types.annotate_cell_types(counts, np.array(["a", "b"]), markers, size_factor=None, seed=1)
