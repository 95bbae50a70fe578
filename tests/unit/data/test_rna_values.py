"""Counts and depth of the RNA: found where they are, rebuilt exactly or not at all, and never logs of logs."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem
from builders import multiome, write_h5ad, write_h5mu
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from grids.data import rna_values
from grids.data.multiome import read_raw
from grids.data.raw_files import Part
from grids.io import backed
from grids.io.errors import InputError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the project")


def panel(seed=0, n_cells=200, n_genes=6):
    """Counts of a few genes and the depth of their cells, of which they are a small part."""
    rng = np.random.default_rng(seed)
    depth = rng.integers(500, 20_000, n_cells).astype(float)
    counts = rng.poisson(depth[:, None] * rng.uniform(1e-4, 3e-3, n_genes))
    return sparse.csr_matrix(counts.astype(np.float32)), depth


def values_of(counts, depth, constant, base=None):
    values = (counts.toarray() * (constant / depth)[:, None]).astype(np.float32)
    return sparse.csr_matrix(values if base is None else (np.log1p(values) / np.log(base)).astype(np.float32))


def part(X, **obs):
    obs = pd.DataFrame(obs, index=[f"c{i}" for i in range(X.shape[0])])
    var = pd.DataFrame(index=[f"g{i}" for i in range(X.shape[1])])
    return Part(X, obs, var, "input.rna: 'a.h5ad'", own_columns=list(obs.columns))


def settled(rna, **source):
    rows = []
    rna_values.settle_rna(rna, source, rows)
    return {row["what"]: (row["n_total"], row["n_matched"]) for row in rows}


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    constant=st.sampled_from([1.0, 1e4, 1e6, 7321.5]),
    base=st.sampled_from([None, np.e, 2.0, 10.0]),
    column=st.sampled_from(["n_counts", "total_counts", "nCount_RNA", "mine"]),
)
def test_counts_of_a_panel_come_back_from_its_values_and_the_depth(seed, constant, base, column):
    counts, depth = panel(seed)
    rna = part(values_of(counts, depth, constant, base), **{column: depth})
    found = settled(rna, **({"depth_key": "mine"} if column == "mine" else {}))
    assert_array_equal(rna.X.toarray(), counts.toarray())
    assert_array_equal(rna.depth, depth)
    what = f"RNA values that are whole counts again with obs column {column}"
    assert found[what] == (counts.nnz, counts.nnz)


def test_size_factors_rebuild_counts_and_the_depth_is_still_the_counts_of_the_cell():
    counts, depth = panel()
    factors = depth / 4_000 * np.random.default_rng(1).uniform(0.5, 2, len(depth))
    rna = part(values_of(counts, factors, 1.0, np.e), n_counts=depth, size_factors=factors)
    settled(rna)
    assert_array_equal(rna.X.toarray(), counts.toarray())
    assert_array_equal(rna.depth, depth)


def test_a_wrong_depth_rebuilds_nothing():
    counts, depth = panel()
    wrong = np.random.default_rng(5).permutation(depth)
    values = values_of(counts, depth, 1e4)
    with pytest.raises(InputError, match=r"not whole numbers .*input\.depth_key.*rna_values: normalized"):
        settled(part(values, n_counts=wrong))
    rna = part(values, n_counts=wrong)
    settled(rna, rna_values="normalized")
    assert rna.depth is None and rna.X is values


def test_a_panel_without_depth_is_not_rebuilt_from_its_smallest_values():
    """In half of such cells the smallest value is not one count, and nothing in the panel tells."""
    counts, depth = panel()
    rna = part(values_of(counts, depth, 1e4))
    settled(rna, rna_values="normalized")
    assert rna.depth is None


def test_whole_transcriptomes_are_rebuilt_from_their_smallest_values():
    counts, _ = panel(n_genes=400)
    depth = np.asarray(counts.sum(1), float).ravel()
    rna = part(values_of(counts, depth, 1e4, np.e))
    settled(rna)
    assert_array_equal(rna.X.toarray(), counts.toarray())
    assert_allclose(rna.depth, depth)


@pytest.mark.parametrize("base", [np.e, 2.0, 10.0])
def test_logged_values_are_no_normalized_ones(base):
    counts, depth = panel(n_genes=400)
    sums = np.asarray(counts.sum(1), float).ravel()
    rna = part(values_of(counts, sums, 1e4, base))
    with pytest.raises(
        InputError, match=r"values are logged \(without the logarithm all cells have the same sum"
    ):
        settled(rna, rna_values="normalized")
    some = part(
        values_of(counts[:, :6], depth, 1e4, base), n_counts=depth
    )  # sums tell nothing, the depth does
    with pytest.raises(
        InputError, match=r"logged \(only without the logarithm they are whole counts with obs"
    ):
        settled(some, rna_values="normalized")
    told = part(values_of(counts[:, :6], depth, 1e4, base))
    told.log_base = base
    with pytest.raises(InputError, match=r"logged \(uns\['log1p'\] says so\); give them without"):
        settled(told, rna_values="normalized")


def test_values_that_may_be_logs_are_told(caplog):
    counts, depth = panel()
    with caplog.at_level("WARNING", "grids"):
        settled(part(values_of(counts, depth, 1e4, np.e)), rna_values="normalized")
    assert "nothing tells whether the values are logged" in caplog.text


def test_a_word_in_uns_does_not_make_large_values_logs():
    counts, depth = panel()
    rna = part(values_of(counts, depth, 1e6))
    rna.log_base = np.e
    settled(rna, rna_values="normalized")
    assert rna.depth is None


def test_the_depth_of_counts():
    counts, depth = panel()
    sums = np.asarray(counts.sum(1), float).ravel()

    def found(**source):
        columns = source.pop("columns")
        rna = part(counts, **columns)
        settled(rna, **source)
        return rna.depth

    assert_array_equal(found(columns={}), sums)
    assert_array_equal(found(columns={"n_counts": depth}), depth)
    assert_array_equal(
        found(columns={"total_counts": sums, "nCount_RNA": depth}), depth
    )  # the first: of the panel
    assert_array_equal(
        found(columns={"n_counts": sums / 2}), sums
    )  # of some of the genes only: not the depth
    assert_array_equal(found(columns={"n_counts": sums / 2, "nCount_RNA": depth}), depth)
    assert_array_equal(found(columns={"n_counts": np.where(depth > 9_000, np.nan, depth)}), sums)
    assert_array_equal(found(columns={"mine": depth, "n_counts": sums}, depth_key="mine"), depth)
    factors = depth / 7
    scaled = depth * sums.mean() / depth.mean()
    assert_allclose(found(columns={"size_factors": factors}), scaled)
    assert_allclose(found(columns={"mine": depth / 1e6}, depth_key="mine"), scaled)


@pytest.mark.parametrize(
    ("column", "key", "message"),
    [
        (
            [1.0, 2, 3],
            "n_count",
            r"depth_key 'n_count' is not in obs; it has: n_counts\. Did you mean 'n_counts'\?",
        ),
        ([1.0, np.nan, 3], "n_counts", "must hold a number above 0 for every cell"),
        ([1.0, 0, 3], "n_counts", "must hold a number above 0 for every cell"),
        (["a", "b", "c"], "n_counts", "must hold a number above 0 for every cell"),
    ],
)
def test_a_depth_that_is_none_is_refused(column, key, message):
    counts = sparse.csr_matrix([[1.0, 0], [2, 1], [0, 3]])
    with pytest.raises(InputError, match=message):
        settled(part(counts, n_counts=column), depth_key=key)


def test_values_on_disk_are_rebuilt_like_those_in_memory(tmp_path, monkeypatch):
    counts, depth = panel()
    data = anndata.AnnData(values_of(counts, depth, 1e4, np.e), obs=pd.DataFrame({"n_counts": depth}))
    data.obs_names, data.var_names = [f"c{i}" for i in range(200)], [f"G{i}" for i in range(6)]
    path = write_h5ad(tmp_path / "rna.h5ad", data)
    atac = anndata.AnnData(sparse.csr_matrix(np.ones((200, 2), np.int32)), obs=data.obs[[]])
    atac.var_names = ["chr1:1-5", "chr1:7-9"]
    source = {"rna": path, "atac": write_h5ad(tmp_path / "atac.h5ad", atac), "markers": "human_blood"}
    monkeypatch.setattr(backed, "ENTRIES_IN_MEMORY", 100)
    monkeypatch.setattr(backed, "ENTRIES_PER_BLOCK", 90)
    raw = read_raw(source)
    assert isinstance(raw.rna.X, backed.StoredRows)
    assert_array_equal(raw.rna.X[:].toarray(), counts.toarray())
    order = np.random.default_rng(0).permutation(200)[:50]
    assert_array_equal(
        backed.scale(raw.rna.X.select(order), depth[order])[:].toarray(),
        counts.toarray()[order] * depth[order][:, None],
    )


# Where counts are


@pytest.mark.parametrize("place", ["counts", "raw_counts", "UMIs", "raw", "named", "no X", "no X but raw"])
def test_counts_are_found_wherever_they_are(tmp_path, place):
    rna, atac = multiome()
    counts = rna.X.copy()
    source = {"counts_layer": "mine"} if place == "named" else {}
    if "raw" in place and place != "raw_counts":
        rna.raw = rna.copy()
        rna = rna[:, :20].copy()  # raw has more genes
    else:
        rna.layers["mine" if place == "named" else "counts" if place == "no X" else place] = counts
    rna.layers["spliced"] = rna.X * 2
    rna.X = None if "no X" in place else np.log1p(rna.X.astype(np.float32))
    raw = read_raw({"multiome": write_h5mu(tmp_path / "a.h5mu", rna, atac), **source})
    assert_array_equal(raw.rna.X.toarray(), counts.toarray())
    assert_array_equal(raw.rna.depth, np.asarray(counts.sum(1)).ravel())
    assert list(raw.rna.var.index) == [f"G{j}" for j in range(30)]


def test_layers_with_whole_numbers_are_named_but_not_guessed(tmp_path):
    rna, atac = multiome()
    rna.layers["spliced"], rna.layers["scaled"] = rna.X.copy(), rna.X * 0.3
    rna.X = np.log1p(rna.X.astype(np.float32))
    path = write_h5mu(tmp_path / "a.h5mu", rna, atac)
    with pytest.raises(
        InputError, match=r"whole numbers are in layers\['spliced'\]: name the one with counts in"
    ):
        read_raw({"multiome": path})
    with pytest.raises(InputError, match=r"counts_layer 'splicd' is not among.*Did you mean 'spliced'"):
        read_raw({"multiome": path, "counts_layer": "splicd"})
    with pytest.raises(InputError, match=r"layers\['scaled'\]: RNA values are not whole numbers"):
        read_raw({"multiome": path, "counts_layer": "scaled"})


# Real data


def read_modality(file):
    import h5py

    with h5py.File(DATA / file) as opened:
        return tuple(read_elem(opened[f"mod/rna/{name}"]) for name in ("X", "obs", "var"))


@real_data
def test_real_counts_come_back_from_a_panel_of_three_genes():
    values, _, var = read_modality("pbmc_three_genes.h5mu")
    counts, obs, var_of_counts = read_modality("pbmc_three_genes_counts.h5mu")
    true = sparse.csr_matrix(counts)[:, var_of_counts.index.get_indexer(var.index)].toarray()
    depth = obs["nCount_RNA"].to_numpy(float)
    rna = part(sparse.csr_matrix(values), nCount_RNA=depth)
    settled(rna, rna_values="normalized")
    assert_array_equal(rna.X.toarray(), true)
    assert_array_equal(rna.depth, depth)
    unknown = part(sparse.csr_matrix(values))
    settled(unknown, rna_values="normalized")
    assert unknown.depth is None


@real_data
def test_the_depth_of_a_real_panel_is_that_of_the_cells():
    raw = read_raw({"multiome": DATA / "bmmc_two_batches.h5mu"})
    _, obs, _ = read_modality("bmmc_two_batches.h5mu")
    assert_array_equal(raw.rna.depth, obs["n_counts"])
    assert raw.rna.X.sum() < 0.2 * raw.rna.depth.sum()


@real_data
def test_real_counts_come_back_from_size_factors():
    values, obs, _ = read_modality("bmmc_two_batches.h5mu")
    raw = read_raw({"multiome": DATA / "bmmc_two_batches.h5mu"})
    rna = part(
        sparse.csr_matrix(values), **{name: obs[name].to_numpy() for name in ("n_counts", "size_factors")}
    )
    settled(rna)
    assert_array_equal(rna.X.toarray(), raw.rna.X.toarray())
    assert_array_equal(rna.depth, obs["n_counts"])


def test_the_depth_follows_the_cells_and_is_the_rnas(tmp_path):
    rna, atac = multiome()
    rna.obs["n_counts"] = np.arange(1000, 1060)
    order = np.random.default_rng(3).permutation(60)[:50]
    paths = {
        "rna": write_h5ad(tmp_path / "rna.h5ad", rna),
        "atac": write_h5ad(tmp_path / "atac.h5ad", atac[order].copy()),
    }
    raw = read_raw({**paths, "paired": True})
    assert_array_equal(raw.rna.depth, [1000 + int(name.removeprefix("cell")) for name in raw.rna.obs.index])
    del rna.obs["n_counts"]
    sums = np.asarray(rna.X.sum(1)).ravel()
    for column, depth in (("n_counts", sums), ("rna:n_counts", sums + 500), ("nCount_RNA", sums + 500)):
        # A column of the whole MuData may be of the ATAC.
        path = write_h5mu(tmp_path / "a.h5mu", rna, atac, obs={column: sums + 500})
        assert_array_equal(read_raw({"multiome": path}).rna.depth, depth)
