"""Write the results of a run back into its multiome, where scverse tools look for them."""

import os
import shutil
from collections.abc import Mapping

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from grids.io.tables import SET_KEYS
from grids.io.writing import whole

PACKED = {"compression": "gzip"}


def write_explained(
    multiome: str | os.PathLike,
    path: str | os.PathLike,
    results: Mapping[str, pd.DataFrame],
    windows: pd.DataFrame,
) -> None:
    """Copy the preprocessed multiome and add the results of the run to the copy.

    Nothing of the multiome is read but the names of its genes and peaks, so this takes no more than the copy.

    What is added:

    - ``atac.uns["grids"]``: each table of `results` under its name, text as categories; of links, the strong ones;
    - ``atac.uns["atac"]["peak_annotation"]``: the windows as muon keeps annotations, indexed by gene, with
      `peak`, `distance` (bp to the TSS, negative upstream) and `peak_type` (promoter or distal), so that
      ``muon.atac`` functions find the peaks of a gene;
    - ``atac.var["n_sets"]``: of how many sets each peak is a member;
    - ``rna.var["n_sets"]``: how many sets explain each gene; ``rna.var["max_redundancy_index"]``: the largest
      index of those with a joint effect, missing where there is none.

    Parameters
    ----------
    multiome : path
        ``preprocessed.h5mu``.
    results : mapping of str to DataFrame
        Tables of the run by name; `sets` and `redundancy` are among them.
    windows : DataFrame
        `peak gene distance_to_tss_bp is_promoter`.
    """
    sets, redundancy = results["sets"], results["redundancy"]
    with_effect = redundancy[redundancy["class"] != "none"].astype({"redundancy_index": float})
    results = {name: _storable(table) for name, table in results.items()}
    with whole(path) as temporary:
        shutil.copyfile(multiome, temporary)
        with h5py.File(temporary, "r+") as file:
            rna, atac = file["mod/rna"], file["mod/atac"]
            write_elem(atac["uns"], "grids", results, dataset_kwargs=PACKED)
            annotation = {"peak_annotation": _peak_annotation(windows)}
            write_elem(atac["uns"], "atac", annotation, dataset_kwargs=PACKED)
            _add_column(atac["var"], "n_sets", sets["peak"].value_counts(), fill=0)
            _add_column(rna["var"], "n_sets", sets.drop_duplicates(SET_KEYS)["gene"].value_counts(), fill=0)
            largest = with_effect.groupby("gene")["redundancy_index"].max()
            _add_column(rna["var"], "max_redundancy_index", largest, fill=np.nan)


def _storable(table: pd.DataFrame) -> pd.DataFrame:
    """Text as categories, which may be missing; truth values that may be missing as pandas' `boolean`."""
    columns = {}
    for name in table.select_dtypes(object):
        column = table[name].convert_dtypes()
        columns[name] = column.astype("category") if pd.api.types.is_string_dtype(column) else column
    return table.assign(**columns)


def _peak_annotation(windows: pd.DataFrame) -> pd.DataFrame:
    peak_type = np.where(windows["is_promoter"].astype(bool), "promoter", "distal")
    annotation = windows[["peak", "distance_to_tss_bp"]].set_index(windows["gene"].rename("gene_name"))
    annotation["peak_type"] = pd.Categorical(peak_type, ["promoter", "distal"])
    return annotation.rename(columns={"distance_to_tss_bp": "distance"})


def _add_column(var: h5py.Group, name: str, values: pd.Series, fill: float) -> None:
    """Add a column to a stored table of features, by their names."""
    names = var[var.attrs["_index"]].asstr()[:]
    write_elem(var, name, values.reindex(names, fill_value=fill).to_numpy())
    columns = [column for column in var.attrs["column-order"] if column != name]
    var.attrs["column-order"] = [*columns, name]
