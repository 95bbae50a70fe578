"""Generated cells have the sizes asked for, differ between types, and are what preprocessing would leave."""

import h5py
import numpy as np
import pytest
from anndata.io import read_elem
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from benchmarks.scale.generator import PEAK_BP, PEAKS_OF_CHROMOSOME, Sizes, blocks, places, population
from benchmarks.scale.storage import write_cells
from benchmarks.unfiltered import unfiltered
from grids.data.chromosomes import CHROMOSOME_SIZES, sort_order
from grids.io.backed import CsrWriter
from grids.io.cells import read_multiome

SIZES = Sizes(n_cells=1200, n_peaks=3000, n_open=200, n_genes=80)


def names(folder):
    return {"raw": folder / "raw.h5mu", "genes": folder / "genes.bed", "preprocessed": folder / "ready.h5mu"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    paths = names(tmp_path_factory.mktemp("cells"))
    write_cells(SIZES, 1, **paths)
    return paths


@pytest.fixture(scope="module")
def multiome(files):
    return read_multiome(files["preprocessed"])


def test_sizes_are_those_asked_for(multiome):
    opened = multiome.atac.X
    assert opened.shape == (1200, 3000) and multiome.rna.X.shape == (1200, 80)
    assert opened.dtype == np.uint8 and (opened.data == 1).all() and multiome.rna.X.dtype == np.float32
    assert_allclose(opened.nnz / 1200, SIZES.n_open, rtol=0.03)
    assert multiome.atac.obs["cell_type"].value_counts().tolist() == [150] * 8
    assert multiome.paired and multiome.atac.obs.equals(multiome.atac.obs.loc[multiome.rna.obs.index])


@settings(max_examples=8)
@given(n_open=st.integers(20, 600), seed=st.integers(0, 2**31))
def test_mean_open_peaks_at_any_depth(n_open, seed):
    sizes = Sizes(2048, 2500, n_open, 20)
    cells = population(sizes, seed)
    parts = list(blocks(cells, cells.peak_weight, cells.peak_depth, np.random.default_rng(seed)))
    assert [part.shape for part in parts] == [(512, 2500)] * 4
    assert all(part.has_sorted_indices and part.has_canonical_format for part in parts)
    assert_allclose(np.mean([part.nnz / 512 for part in parts]), n_open, rtol=0.05)


def test_cells_are_drawn_from_their_programmes():
    sizes = Sizes(4096, 60, 20, 20)
    cells = population(sizes, 3)
    counts = sparse.vstack(list(blocks(cells, cells.peak_weight, cells.peak_depth, np.random.default_rng(0))))
    share = np.stack([cells.share, 1 - cells.share], 1)
    expected = cells.peak_depth[:, None] * np.einsum("cp,cpf->cf", share, cells.peak_weight[cells.cell_type])
    # Poisson: a standardised residual of every peak summed over the cells.
    residual = (counts.toarray() - expected).sum(0) / np.sqrt(expected.sum(0))
    assert np.abs(residual).max() < 4.5 and 0.7 < residual.std() < 1.3


def test_types_differ_in_both_modalities(multiome):
    for modality in (multiome.atac, multiome.rna):
        train, test = (modality.cells(split=split) for split in ("train", "test"))
        means = np.array([train.cells(cell_type=t).X.mean(0).A1 for t in train.cell_types])
        distance = ((test.X.toarray()[:, None] - means) ** 2).sum(2)
        told = np.array(train.cell_types)[distance.argmin(1)]
        assert (told == test.obs["cell_type"].to_numpy()).mean() > 0.9


def test_preprocessing_the_counts_yields_the_preprocessed_cells(files, multiome, tmp_path):
    from grids.data.preprocessing import preprocess

    settings_ = unfiltered(files["raw"], files["genes"], SIZES.n_genes, 1)
    result = preprocess(settings_).multiome
    for name in ("rna", "atac"):
        found, written = result.mod[name], getattr(multiome, name)
        kept = written.var.index.get_indexer(found.var_names)
        assert (kept >= 0).all() and len(kept) > 0.99 * len(written.var)
        assert_array_equal(found.obs_names, written.obs.index)
        assert_allclose(found.X.toarray(), written.X[:, kept].toarray(), rtol=1e-5)
    gene = result["rna"].var.loc["GENE7"]
    assert (gene["chromosome"], gene["tss"]) == tuple(multiome.rna.var.loc["GENE7", ["chromosome", "tss"]])


def test_the_seed_decides(files, tmp_path):
    for seed, same in ((1, True), (2, False)):
        paths = names(tmp_path)
        write_cells(SIZES, seed, **paths)
        assert (paths["genes"].read_bytes() == files["genes"].read_bytes()) is True
        with h5py.File(paths["raw"]) as file, h5py.File(files["raw"]) as first:
            indices = [f["mod/atac/X/indices"][:] for f in (file, first)]
        assert np.array_equal(*indices) is same


def test_places_are_in_order_and_in_proportion():
    peaks = places(127_219, PEAK_BP)
    assert peaks["chromosome"].value_counts().to_dict() == {
        f"chr{c}": n for c, n in PEAKS_OF_CHROMOSOME.items()
    }
    assert_array_equal(sort_order(peaks), np.arange(len(peaks)))
    within = peaks.groupby("chromosome", sort=False)
    assert (within["end"].shift() < peaks["start"]).sum() == len(peaks) - 24
    for chromosome, end in within["end"].max().items():
        assert end < CHROMOSOME_SIZES["hg38"][chromosome.removeprefix("chr")]
    assert len(places(17, PEAK_BP)) == 17


def test_a_matrix_written_in_blocks_is_the_whole_matrix(tmp_path):
    whole = sparse.random(23, 11, 0.3, "csr", np.float32, np.random.default_rng(0))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        writer = CsrWriter(file.create_group("X"), np.float32, 11)
        for rows in (whole[:5], whole[5:5], whole[5:21], whole[21:]):
            writer.append(rows, rows.data)
        writer.close()
        found = read_elem(file["X"])
    assert found.shape == whole.shape and (found != whole).nnz == 0
