import json

import pytest
import torch
from models import open_peaks, random_surrogate
from safetensors.torch import load_file, save_file

from grids.errors import InputError
from grids.surrogates import storage


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
