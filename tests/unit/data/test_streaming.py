"""Every step over cells gives the same from disk, a few entries at a time, as from memory."""

from dataclasses import replace

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata.io import write_elem
from builders import config, multiome, write_genes, write_h5ad, write_h5mu
from hypothesis import given, settings
from hypothesis import strategies as st
from models import toy_multiome
from numpy.testing import assert_allclose, assert_array_equal

from grids.data import preprocessing
from grids.io import backed
from grids.io.cells import Multiome, read_multiome
from grids.surrogates import quality
from grids.surrogates.cross_modality.losses import Losses
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import build, specialise, train_joint
from grids.surrogates.cross_modality.training_cells import (
    CHUNKS_PER_BUFFER,
    TrainingCells,
    _permutation,
)

TABLES = ("genes", "accessibility", "cells", "metrics", "harmonisation", "tasks", "skipped")
SETTINGS = Settings(
    width=8, n_hidden=12, n_latent=6, rna_hidden=(12,), dropout=0.05, batch_size=16,
    max_epochs={"atac": 1, "rna": 1, "mapping": 3, "specialisation": 2},
)  # fmt: skip


def on_disk(data: Multiome, folder) -> Multiome:
    """The same cells with both matrices in a file."""
    with h5py.File(folder / "cells.h5", "w") as file:
        write_elem(file, "rna", data.rna.X)
        write_elem(file, "atac", data.atac.X)
    return Multiome(
        *(replace(getattr(data, m), X=backed.StoredRows(folder / "cells.h5", m)) for m in ("rna", "atac")),
        data.paired,
    )


def tiny(monkeypatch, in_memory: int = 500, block: int = 150):
    monkeypatch.setattr(backed, "ENTRIES_IN_MEMORY", in_memory)
    monkeypatch.setattr(backed, "ENTRIES_PER_BLOCK", block)
    monkeypatch.setattr(backed, "ENTRIES_OF_GAP", 5)


# Preprocessing


def raw_files(tmp_path, kind: str) -> dict:
    rna, atac = multiome()
    if kind == "two files, other order":
        atac = atac[::-1].copy()
        return {"rna": write_h5ad(tmp_path / "r.h5ad", rna), "atac": write_h5ad(tmp_path / "a.h5ad", atac)}
    if kind == "counts in a layer":
        rna.layers["counts"] = rna.X.copy()
        rna.X = rna.X.astype(np.float32) * 0.3
        atac.X.data[::7] = 0  # explicit zeros
    if kind == "binary":
        atac.X.data[:] = 1
    return {"multiome": write_h5mu(tmp_path / "m.h5mu", rna, atac)}


@pytest.mark.parametrize("kind", ["one file", "two files, other order", "counts in a layer", "binary"])
def test_preprocessing_from_disk(tmp_path, monkeypatch, kind):
    files, genes = raw_files(tmp_path, kind), write_genes(tmp_path / "genes.bed")
    quality_control = {
        "min_fragments": 12 if kind == "binary" else 24,
        "min_cells_per_gene": 12,
        "min_cells_per_peak": 15,
    }
    given = config(genes, {"Oligo": ["G2"]}, quality=quality_control)
    found = {}
    for place in ("memory", "disk"):
        if place == "disk":
            tiny(monkeypatch, in_memory=10)
        result = preprocessing.preprocess(given, source="study.yaml", **files)
        assert set(result.stored) == (
            {"mod/rna/X", "mod/atac/X", "mod/rna/layers/counts"} if place == "disk" else set()
        )
        path = tmp_path / f"{place}.h5mu"
        preprocessing.write(result, {"multiome": path})
        found[place] = result, mudata.read_h5mu(path), read_multiome(path)
    (memory, full, light), (disk, full_disk, light_disk) = found["memory"], found["disk"]
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(disk, table), getattr(memory, table))
    for name in ("rna", "atac"):
        assert 0 < full[name].n_obs < 60 and full[name].n_vars
        assert full_disk[name].X.dtype == full[name].X.dtype
        assert full_disk[name].X.has_canonical_format
        assert_array_equal(full_disk[name].X.toarray(), full[name].X.toarray())
        pd.testing.assert_frame_equal(full_disk[name].obs, full[name].obs)
        pd.testing.assert_frame_equal(full_disk[name].var, full[name].var)
        stored, held = getattr(light_disk, name), getattr(light, name)
        assert isinstance(stored.X, backed.StoredRows) and not isinstance(held.X, backed.StoredRows)
        chosen = {"cell_type": "Oligo", "split": ["train", "test"]}
        assert_array_equal(stored.cells(**chosen).X.toarray(), held.cells(**chosen).X.toarray())
        assert_array_equal(stored.stream(**chosen).X[:].toarray(), held.stream(**chosen).X.toarray())
    assert_array_equal(full_disk["rna"].layers["counts"].toarray(), full["rna"].layers["counts"].toarray())
    assert not list(tmp_path.glob(".*"))


# Cells to learn from


@given(
    n_cells=st.integers(1, 300),
    buffer=st.integers(1, 400),
    seed=st.integers(0, 5),
)
@settings(max_examples=80, deadline=None)
def test_an_epoch_is_every_cell_once_and_a_buffer_is_whole_chunks(n_cells, buffer, seed):
    order = _permutation(n_cells, np.random.default_rng(seed), buffer)
    assert_array_equal(np.sort(order), np.arange(n_cells))
    assert_array_equal(order, _permutation(n_cells, np.random.default_rng(seed), buffer))
    if n_cells <= buffer:
        assert_array_equal(order, np.random.default_rng(seed).permutation(n_cells))
        return
    chunk = max(buffer // CHUNKS_PER_BUFFER, 1)
    for start in range(0, n_cells, buffer):
        cells = order[start : start + buffer]
        chunks, n_of_chunk = np.unique(cells // chunk, return_counts=True)
        # Only the first and the last chunk of a buffer may be split between two, and the data's last one is short.
        assert (n_of_chunk < chunk).sum() <= 3 and len(chunks) <= len(cells) // chunk + 3


@pytest.mark.parametrize("paired", [True, False])
def test_batches_that_fit_in_one_buffer_are_those_of_memory(tmp_path, paired):
    data = toy_multiome(120, paired)
    if not paired:
        data = replace(data, rna=data.rna.cells(np.arange(120) % 3 > 0))
    for rng_seed in (None, 4):
        parts = []
        for source in (data, on_disk(data, tmp_path)):
            cells = TrainingCells.of(source, "train", ["A", "B"])
            rng = None if rng_seed is None else np.random.default_rng(rng_seed)
            parts.append(list(cells.batches(16, rng)))
        assert len(parts[0]) == len(parts[1]) == 6
        for held, stored in zip(*parts, strict=True):
            assert_array_equal(stored.atac.toarray(), held.atac.toarray())
            assert_array_equal(stored.rna.toarray(), held.rna.toarray())
            assert_array_equal(stored.atac_type, held.atac_type)
            assert_array_equal(stored.rna_type, held.rna_type)


def test_batches_of_small_buffers_are_paired_and_complete(tmp_path, monkeypatch):
    data = toy_multiome(200)
    tiny(monkeypatch, in_memory=1500)
    cells = TrainingCells.of(on_disk(data, tmp_path), "train", ["A", "B"])
    batches = list(cells.batches(16, np.random.default_rng(0)))
    assert cells._cells_per_buffer(16) == 64
    held = TrainingCells.of(data, "train", ["A", "B"])
    both = np.hstack([held.atac.toarray(), held.rna.toarray(), held.atac_type[:, None]])
    seen = np.vstack([np.hstack([b.atac.toarray(), b.rna.toarray(), b.atac_type[:, None]]) for b in batches])
    assert [len(b.atac_type) for b in batches] == [16] * 8 + [12]
    assert not np.array_equal(seen, both)
    assert_array_equal(np.unique(seen, axis=0), np.unique(both, axis=0))


@pytest.mark.parametrize("paired", [True, False])
def test_what_is_summed_over_cells(tmp_path, monkeypatch, paired):
    data, found = toy_multiome(150, paired), []
    model = build(data, SETTINGS, 1).eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for place in ("memory", "disk"):
        source = data
        if place == "disk":
            tiny(monkeypatch)
            source = on_disk(data, tmp_path)
        cells = TrainingCells.of(source, "train", ["A", "B", "C"])
        losses = Losses(model, SETTINGS, paired, cells)
        error = losses.squared_error(cells) if paired else losses.pseudobulk_error(cells)
        predicted = model.predict(cells.atac)
        model.atac_encoder.centre(cells.atac)
        centred = model.atac_encoder.loadings.detach().clone()
        model.load_state_dict(state)
        found.append((cells.type_means(3), error, predicted, centred))
    for held, stored in zip(*found, strict=True):
        assert_allclose(stored, held, rtol=2e-5, atol=1e-6)
    assert_allclose(found[1][0][2], np.asarray(data.rna.cells(split="train").X.mean(0)).ravel(), rtol=1e-5)


def test_training_from_disk_in_one_buffer_is_training_in_memory(tmp_path):
    data = toy_multiome(150)
    found = []
    for source in (data, on_disk(data, tmp_path)):
        model, curves = train_joint(source, SETTINGS, seed=3)
        special, more = specialise(model, source, "A", SETTINGS, seed=3)
        found.append((special.state_dict(), pd.concat([curves, more])))
    (held, curves), (stored, curves_stored) = found
    assert all(torch.equal(value, stored[name]) for name, value in held.items())
    pd.testing.assert_frame_equal(curves_stored, curves)


def test_training_in_small_buffers_learns_and_repeats(tmp_path, monkeypatch):
    source = on_disk(toy_multiome(400), tmp_path)
    tiny(monkeypatch, in_memory=3000, block=400)
    (a, curves), (b, curves_again) = (train_joint(source, SETTINGS, seed=3) for _ in range(2))
    assert all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())
    pd.testing.assert_frame_equal(curves, curves_again)
    judged = curves.query("stage == 'mapping' and loss == 'supervised' and split == 'validation'")["value"]
    assert judged.is_monotonic_decreasing and judged.min() < 0.9 * judged.iloc[0]


# Cells to judge and explain


def test_quality_from_disk_and_of_some_of_many_cells(tmp_path, monkeypatch):
    data = toy_multiome(200)
    model = build(data, SETTINGS, 1).eval()
    tables = [quality.evaluate({}, source, 1, model) for source in (data, on_disk(data, tmp_path))]
    for held, stored in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(stored, held)
    monkeypatch.setattr(quality, "JUDGED_CELLS", 25)
    _, some = quality.evaluate({}, on_disk(data, tmp_path), 1, model)
    kept = np.zeros(200, bool)
    for split in ("train", "validation", "test"):
        of_split = np.flatnonzero(data.atac.obs["split"] == split)
        kept[of_split[backed.evenly_spaced(len(of_split), 25)]] = True
    _, expected = quality.evaluate({}, Multiome(data.rna.cells(kept), data.atac.cells(kept), True), 1, model)
    assert some["n_cells"].eq(25).all()
    pd.testing.assert_frame_equal(some, expected)


def test_at_most_so_many_cells_the_same_of_both_modalities(tmp_path):
    data = toy_multiome(200)
    for source in (data, on_disk(data, tmp_path)):
        some = source.cells(cell_type="A", split="train", most=20)
        assert list(some.rna.obs.index) == list(some.atac.obs.index) and len(some.rna.obs) == 20
        every = source.cells(cell_type="A", split="train")
        assert len(every.atac.obs) == 70
        position = every.atac.obs.index.get_indexer(some.atac.obs.index)
        assert set(np.diff(position)) == {3, 4}
        assert_array_equal(some.atac.X.toarray(), every.atac.X.toarray()[position])
        assert len(source.cells(cell_type="A", split="train", most=70).rna.obs) == 70
