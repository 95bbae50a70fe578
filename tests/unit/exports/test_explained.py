import warnings

import h5py
import mudata
import muon
import numpy as np
import pandas as pd
import pytest
from builders import config, multiome, peak_name, write_genes, write_h5mu

from grids.data import preprocessing
from grids.exports.explained import write_explained
from grids.io import tables
from grids.io.cells import read_multiome

KEYS = {"surrogate": "window", "method": "grids", "direction": "silence"}
SETS = pd.DataFrame(
    {
        **KEYS,
        "cell_type": ["Oligo", "Oligo", "L2/3"],
        "gene": ["G2", "G2", "G2"],
        "set_size": [2, 2, 1],
        "rank": [1, 2, 1],
        "peak": [peak_name(2), peak_name(32), peak_name(2)],
        "in_window": [True, True, False],
    }
)
REDUNDANCY = pd.DataFrame(
    {
        **KEYS,
        "cell_type": ["Oligo", "L2/3", "L2/3"],
        "gene": ["G2", "G2", "G1"],
        "set_size": [2, 1, 2],
        "redundancy_index": [0.25, -0.5, np.nan],
        "class": ["redundant", "synergistic", "none"],
        "checked": [True, None, False],
        "note": ["a", None, ""],
    }
)
WINDOWS = pd.DataFrame(
    {
        "peak": [peak_name(2), peak_name(32), peak_name(2)],
        "gene": ["G2", "G2", "G4"],
        "distance_to_tss_bp": [-500, 5_000, 20_000],
        "is_promoter": [True, False, False],
    }
)
RESULTS = {
    "sets": SETS,
    "redundancy": REDUNDANCY,
    "specificity": pd.DataFrame(columns=tables.SPECIFICITY_COLUMNS),
}


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    settings = config(
        write_genes(folder / "genes.bed"),
        {"Oligo": ["G2"]},
        multiome=write_h5mu(folder / "raw.h5mu", *multiome()),
    )
    preprocessing.write(preprocessing.preprocess(settings), {"multiome": folder / "preprocessed.h5mu"})
    return folder / "preprocessed.h5mu"


@pytest.fixture(scope="module")
def explained(preprocessed):
    path = preprocessed.parent / "results" / "explained.h5mu"
    before = preprocessed.read_bytes()
    write_explained(preprocessed, path, RESULTS, WINDOWS)
    assert preprocessed.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["explained.h5mu"]  # no temporary file stays
    return path


@pytest.fixture(scope="module")
def data(explained):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mudata.read_h5mu(explained)


def test_tables_come_back_as_they_were(data):
    stored = data["atac"].uns["grids"]
    assert set(stored) == set(RESULTS)
    for column in SETS:
        assert list(stored["sets"][column]) == list(SETS[column])
    redundancy = stored["redundancy"]
    np.testing.assert_array_equal(redundancy["redundancy_index"], REDUNDANCY["redundancy_index"])
    assert redundancy["checked"].astype(object).tolist() == [True, pd.NA, False]
    assert redundancy["note"].astype(object).fillna("missing").tolist() == ["a", "missing", ""]
    assert list(stored["specificity"].columns) == tables.SPECIFICITY_COLUMNS and stored["specificity"].empty


def test_genes_and_peaks_know_their_sets(data):
    peaks, genes = data["atac"].var, data["rna"].var
    assert dict(peaks["n_sets"][peaks["n_sets"] > 0]) == {peak_name(2): 2, peak_name(32): 1}
    assert dict(genes["n_sets"][genes["n_sets"] > 0]) == {"G2": 2}
    assert dict(genes["max_redundancy_index"].dropna()) == {"G2": 0.25}


def test_everything_else_stays(data, preprocessed, explained):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = mudata.read_h5mu(preprocessed)
    for name in ("rna", "atac"):
        assert (data[name].X != before[name].X).nnz == 0
        pd.testing.assert_frame_equal(data[name].obs, before[name].obs)
        pd.testing.assert_frame_equal(data[name].var[before[name].var.columns], before[name].var)
    assert (data["rna"].layers["counts"] != before["rna"].layers["counts"]).nnz == 0
    assert data.uns["grids"] == before.uns["grids"]
    assert read_multiome(explained).paired  # the later steps read it, too


def test_muon_finds_the_peaks_of_a_gene(data):
    annotation = data["atac"].uns["atac"]["peak_annotation"]
    assert annotation.index.name == "gene_name"
    assert annotation.loc["G2"].astype({"peak_type": str}).to_numpy().tolist() == [
        [peak_name(2), -500, "promoter"],
        [peak_name(32), 5_000, "distal"],
    ]
    atac = data["atac"].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        muon.atac.tl.rank_peaks_groups(atac, "cell_type", add_peak_type=True, add_distance=True)
    ranked = atac.uns["rank_genes_groups"]
    # One entry for each annotated peak, in the order of their ranks.
    genes = list(ranked["genes"]["Oligo"])
    assert sorted(genes) == ["G2", "G2, G4"]
    assert ranked["peak_type"]["Oligo"][genes.index("G2, G4")] == "promoter, distal"
    assert ranked["distance"]["Oligo"][genes.index("G2, G4")] == "-500, 20000"


def test_written_again_it_is_replaced(preprocessed, explained, tmp_path):
    path = tmp_path / "again.h5mu"
    write_explained(explained, path, RESULTS, WINDOWS)
    with h5py.File(path) as file:
        order = list(file["mod/rna/var"].attrs["column-order"])
        assert order.count("n_sets") == 1
