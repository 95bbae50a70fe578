"""Reading preprocessed data: subsets by cell type and split, and files that are not what they should be."""

import h5py
import numpy as np
import pandas as pd
import pytest
from builders import multiome, write_h5mu
from scipy import sparse

from grids.io.cells import Modality, read_multiome
from grids.io.errors import InputError


@pytest.fixture
def modality():
    obs = pd.DataFrame(
        {"cell_type": ["A", "L2/3", "A", "A"], "split": ["train", "train", "test", "validation"]},
        index=["c0", "c1", "c2", "c3"],
    )
    return Modality(sparse.csr_matrix(np.diag([1, 2, 3, 4])), obs, pd.DataFrame(index=list("wxyz")))


def test_subsets_keep_rows_and_labels_together(modality):
    chosen = modality.cells(cell_type="A", split=["train", "test"])
    assert list(chosen.obs.index) == ["c0", "c2"]
    assert chosen.X.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 3, 0]]
    assert list(chosen.var.index) == list("wxyz")


def test_mask_and_conditions_are_joined(modality):
    assert list(modality.cells([True, True, False, True], cell_type="A").obs.index) == ["c0", "c3"]
    assert list(modality.cells(split="train").obs.index) == ["c0", "c1"]


def test_unknown_cell_type_is_named_with_a_suggestion(modality):
    with pytest.raises(InputError, match=r"'L23' is not in the data. Did you mean 'L2/3'\? It has: A, L2/3"):
        modality.cells(cell_type="L23")


def test_missing_foreign_and_truncated_files(tmp_path):
    with pytest.raises(InputError, match="file not found; run the preprocessing step"):
        read_multiome(tmp_path / "none.h5mu")
    foreign = write_h5mu(tmp_path / "raw.h5mu", *multiome())
    with pytest.raises(InputError, match="not a preprocessed multiome"):
        read_multiome(foreign)
    with h5py.File(foreign, "r+") as file:
        file.create_group("uns/grids")
        del file["mod/rna/X"]
    with pytest.raises(InputError, match="cannot be read"):
        read_multiome(foreign)
    foreign.write_bytes(foreign.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be read"):
        read_multiome(foreign)
