"""HDF5 files with what users meet: each fault is named as what it is, and what is not needed is no obstacle."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem, write_elem
from builders import TYPES, config, edited, multiome, write_genes, write_h5mu
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from grids.data.multiome import read_raw
from grids.data.preprocessing import preprocess, write
from grids.io.errors import InputError
from grids.io.hdf5 import FILTERS, opened, read_table, writable


@pytest.fixture
def path(tmp_path):
    return write_h5mu(tmp_path / "cells.h5mu", *multiome())


def test_a_folder_and_a_file_that_is_not_there(tmp_path):
    (tmp_path / "cells.zarr").mkdir()
    with pytest.raises(InputError, match=r"cells\.zarr': this is a folder; expected \.h5mu"):
        read_raw({"multiome": tmp_path / "cells.zarr"})
    with pytest.raises(InputError, match="file not found"):
        read_raw({"multiome": tmp_path / "nowhere.h5mu"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(path):
    path.chmod(0)
    with pytest.raises(InputError, match="you may not read this file"):
        read_raw({"multiome": path})


def test_a_file_that_another_program_writes_to(path):
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('held', flush=True); input()"
    command = [sys.executable, "-c", code, path]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(
            InputError, match=r"another program has the file open.*HDF5_USE_FILE_LOCKING=FALSE"
        ):
            read_raw({"multiome": path})
    finally:
        holder.communicate("\n")
    assert read_raw({"multiome": path}).paired


@pytest.mark.parametrize("number", [*FILTERS, 32_099])
def test_a_filter_that_is_not_installed(path, number, monkeypatch):
    """No file with such a filter can be made here: one that names a filter is read as if it were missing."""
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda n: n != 1)
    monkeypatch.setitem(FILTERS, 1, FILTERS.get(number, "an unknown filter"))
    with edited(path) as file:
        file.create_dataset("packed", data=np.arange(10), compression="gzip")
    with (
        pytest.raises(InputError, match=r"packed with .* \(HDF5 filter 1\).*compression='gzip'"),
        opened(path, "here"),
    ):
        raise OSError("can't open directory (/usr/local/hdf5/lib/plugin)")


def test_an_encoding_that_is_unknown_stops_nothing_unless_it_is_needed(path, caplog):
    with edited(path) as file:
        group = file["mod/rna/obs"]
        write_elem(group, "odd", np.arange(60))
        group["odd"].attrs["encoding-type"] = "of-tomorrow"
        group.attrs["column-order"] = [*group.attrs["column-order"], "odd"]
    with caplog.at_level("WARNING", "grids"):
        raw = read_raw({"multiome": path})
    assert "odd" not in raw.rna.obs and set(raw.rna.obs["cell_type"]) == set(TYPES)
    assert "column 'odd' cannot be read" in caplog.text
    with edited(path) as file:
        file["mod/rna/X"].attrs["encoding-type"] = "of-tomorrow"
    with pytest.raises(InputError, match=r"this version of anndata cannot read \(IORegistryError"):
        read_raw({"multiome": path})


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">i8", "<f8", "<u2", "bool"])
@pytest.mark.parametrize("dense", [False, True])
def test_numbers_of_every_kind_are_read(path, dtype, dense):
    kind = np.dtype(dtype)
    with edited(path) as file:
        group = file["mod/rna"]
        expected = read_elem(group["X"]).toarray().astype(kind).astype(float)
        if dense:
            del group["X"]
            group["X"] = expected.astype(kind)
            group["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        else:
            values = group["X/data"][:].astype(kind)
            del group["X/data"]
            group["X/data"] = values
    X = read_raw({"multiome": path}).rna.X
    assert_array_equal(X.toarray(), expected)
    assert X.dtype.isnative and X.dtype != np.float16


COLUMNS = {
    "nullable text": pd.array(["b", "a", None], dtype="string"),
    "text with gaps": np.array(["x", None, "z"], object),
    "mixture": np.array([1, "y", None], object),
    "dates": pd.date_range("2020", periods=3),
    "truth with gaps": np.array([True, None, False], object),
    "nullable numbers": pd.array([1, None, 3], dtype="Int64"),
    "intervals": pd.cut([1, 2, 3], 2),
    "stages": pd.Categorical(["late", "early", None], ["late", "early", "none"], ordered=True),
    "clusters": pd.Categorical([3, 1, 3]),
    "lists": [[1], [2], [3]],
    "numbers": [0.5, np.nan, 2],
}


@given(
    st.permutations(list(COLUMNS)).map(lambda names: names[:4]), st.sampled_from(["barcode", None, "numbers"])
)
def test_every_table_can_be_written_and_read(tmp_path_factory, names, index_name):
    index = pd.Index(["c1", "c2", "c3"], name=index_name)
    table = pd.DataFrame({name: COLUMNS[name] for name in names}, index=index)
    table["barcode"], table["_index"], table[7], table["a/b"], table[""] = "same", 1, 2, 3, 4
    file = tmp_path_factory.mktemp("tables") / "a.h5"
    with h5py.File(file, "w") as group:
        write_elem(group, "obs", writable(table))
        found = read_table(group["obs"], "obs")
    assert list(found.columns) == [*names, "barcode"] and list(found.index) == ["c1", "c2", "c3"]
    for name in names:
        gaps = pd.isna(pd.Series(COLUMNS[name]))
        assert found[name].isna().tolist() == gaps.tolist(), name
        told = [str(v) for v, gap in zip(COLUMNS[name], gaps, strict=True) if not gap]
        assert [str(v) for v in found[name].dropna()] == told or "number" in name
    if "stages" in names:
        assert (
            list(found["stages"].cat.categories) == ["late", "early", "none"] and found["stages"].cat.ordered
        )


def test_columns_that_nobody_uses_do_not_stop_a_run(tmp_path):
    rna, atac = multiome()
    genes = write_genes(tmp_path / "genes.bed")
    for data in (rna, atac):
        data.obs["barcode"] = [f"{name}-1" for name in data.obs_names]
        data.obs["n_counts"], data.obs["split"], data.obs["size_factor"] = 1, "mine", "mine"
    path = write_h5mu(tmp_path / "cells.h5mu", rna, atac)
    with edited(path) as file:  # an index that is called like a column of other values
        for name in ("rna", "atac"):
            group = file[f"mod/{name}/obs"]
            group.move(group.attrs["_index"], "cell_type_of_index")
            group.attrs["_index"] = "cell_type_of_index"
    result = preprocess(config(genes, {"Oligo": ["G2"]}, multiome=path))
    write(result, {"multiome": tmp_path / "out.h5mu"})
    with h5py.File(tmp_path / "out.h5mu") as file:
        obs = read_elem(file["mod/rna/obs"])
    assert list(obs["barcode"]) == [f"{name}-1" for name in obs.index]
    assert set(obs["split"]) == {"train", "validation", "test"}
    assert obs["size_factor"].dtype == np.float64 and (obs["n_counts"] > 1).all()
