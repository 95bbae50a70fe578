"""The stages that are measured with many cells do the same from disk as from memory."""

import numpy as np
import pytest

from benchmarks.scale import explaining_stages, training_stages
from benchmarks.scale.generator import Sizes
from benchmarks.scale.storage import write_cells
from grids.io import backed
from grids.io.cells import read_multiome
from grids.surrogates import storage

POINT = {"varied": "many", "n_cells": 300, "n_peaks": 2000, "n_open": 100, "n_genes": 40, "set_size": 3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    paths = {"raw": folder / "raw.h5mu", "genes": folder / "genes.bed", "preprocessed": folder / "ready.h5mu"}
    write_cells(Sizes(300, 2000, 100, 40), 1, **paths)
    return paths | {"surrogate": folder / "surrogate.safetensors"}


def test_a_pass_of_training_and_what_follows(files, monkeypatch):
    monkeypatch.setattr(training_stages, "BATCH", 32)
    found = {}
    for place in ("memory", "disk"):
        if place == "disk":
            monkeypatch.setattr(backed, "ENTRIES_IN_MEMORY", 9_000)
            monkeypatch.setattr(backed, "ENTRIES_PER_BLOCK", 2_000)
        is_stored = isinstance(read_multiome(files["preprocessed"]).atac.X, backed.StoredRows)
        assert is_stored == (place == "disk")
        results = [training_stages.training_pass(files, POINT, 1)()]
        for stage in ("pooling", "quality", "effects"):
            results.append(getattr(explaining_stages, stage)(files, POINT, 1)())
        found[place] = np.array(results)
        assert storage.load(files["surrogate"]).genes[0] == "GENE1"
    # From disk, the start is that of a part of the cells: other weights, as good.
    assert np.isfinite(found["disk"]).all()
    np.testing.assert_allclose(found["disk"][[0, 2]], found["memory"][[0, 2]], rtol=0.05)
    pooling = explaining_stages.pooling(files, POINT, 1)()
    monkeypatch.undo()
    np.testing.assert_allclose(explaining_stages.pooling(files, POINT, 1)(), pooling, rtol=1e-5)
