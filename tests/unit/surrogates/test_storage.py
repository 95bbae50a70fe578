import json

import numpy as np
import pytest
import torch
from models import open_peaks, random_surrogate, small_window_surrogate
from safetensors.torch import load_file, save_file

from grids.io.errors import InputError
from grids.surrogates import storage
from grids.surrogates.window.model import WindowSurrogate


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
def test_a_stored_surrogate_predicts_the_same(tmp_path, encoder):
    model = random_surrogate(encoder)
    model.peaks[0], model.genes[0], model.cell_types[0] = "chr1:0-50", "HLA-DQB1", "CD8+ T/é"
    path = tmp_path / "surrogate" / "x.safetensors"
    storage.save(model, path, seed=3, cell_type="L2/3")
    again = storage.load(path)
    assert (again.peaks, again.genes, again.cell_types) == (model.peaks, model.genes, model.cell_types)
    assert not again.training
    assert torch.equal(again.predict(open_peaks(9)), model.predict(open_peaks(9)))
    metadata = storage.read_metadata(path)
    assert (metadata["seed"], metadata["cell_type"], metadata["n_peaks"]) == (3, "L2/3", 40)
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_a_stored_window_surrogate_predicts_the_same(tmp_path):
    model, path = small_window_surrogate(), tmp_path / "x.safetensors"
    storage.save(model, path, seed=3, cell_type="L2/3")
    again = storage.load(path)
    assert isinstance(again, WindowSurrogate)
    names = ("peaks", "genes", "cell_types", "cell_type", "options", "n_replicates")
    assert [getattr(again, name) for name in names] == [getattr(model, name) for name in names]
    assert torch.equal(again.predict(open_peaks(9)), model.predict(open_peaks(9)))
    assert again.for_gene("HLA-DQB1").peaks == model.for_gene("HLA-DQB1").peaks
    assert torch.equal(again.replicate(1).weights, model.replicate(1).weights)
    (mine, my_state), (theirs, their_state) = (
        m.window_cells(open_peaks(9)).draw("G3", np.random.default_rng(0)) for m in (again, model)
    )
    assert (mine != theirs).nnz == 0 and torch.equal(my_state, their_state)
    metadata = storage.read_metadata(path)
    assert (metadata["surrogate"], metadata["cell_type"], metadata["n_genes"]) == ("window", "L2/3", 4)


def test_a_surrogate_of_another_kind_is_refused(tmp_path):
    model, path = random_surrogate("paper"), tmp_path / "x.safetensors"
    model.name = "crystal_ball"
    storage.save(model, path)
    with pytest.raises(InputError, match=r"'crystal_ball', .*; it knows cross_modality, window"):
        storage.load(path)


def test_broken_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match="no such surrogate"):
        storage.load(path)
    storage.save(random_surrogate("paper"), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        storage.load(path)
    path.write_bytes(b"\x80\x04pickle?")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        storage.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="not a surrogate written by this version"):
        storage.load(path)


def test_a_missing_weight_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    storage.save(random_surrogate("paper"), path)
    metadata = {k: json.dumps(v) for k, v in storage.read_metadata(path).items()}
    tensors = load_file(path)
    del tensors["weight/rna_decoder.0.weight"]
    save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=r"rna_decoder\.0\.weight"):
        storage.load(path)
