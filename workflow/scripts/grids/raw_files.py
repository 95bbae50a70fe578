"""Files of raw data: MuData, AnnData and 10x HDF5, as matrices and tables whose values are not judged yet."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import OldFormatWarning
from anndata.io import read_elem
from scipy import sparse

from grids import backed
from grids.errors import InputError, listing
from grids.logging import log

RNA_NAMES = {"rna", "gex", "expression", "gene expression", "gene_expression", "geneexpression", "scrna"}
ATAC_NAMES = {"atac", "peaks", "chromatin accessibility", "chromatin_accessibility", "chromatin", "scatac"}
BLOCK = 1 << 24
# Deflate packs at most 1032 bytes into one; a file that announces more is damaged, or made to fill the memory.
MOST_COMPRESSED = 1100


@dataclass
class Part:
    """One modality while it is being read."""

    X: backed.Rows
    obs: pd.DataFrame
    var: pd.DataFrame
    where: str
    assembly: str | None = None

    @cached_property
    def values(self) -> "Values":
        """What the values are like; read once."""
        return Values.of(self.X)


@dataclass
class Values:
    """What the values of a matrix are like, found in one pass.

    Attributes
    ----------
    n, n_whole : int
        Values, and whole numbers among them.
    finite : bool
    fraction, negative : float or None
        The first value that is not whole, and the first below zero.
    """

    n: int = 0
    n_whole: int = 0
    finite: bool = True
    fraction: float | None = None
    negative: float | None = None

    @classmethod
    def of(cls, matrix: backed.Rows) -> "Values":
        found = cls()
        for _, rows in backed.blocks(matrix):
            for i in range(0, rows.nnz, BLOCK):
                found._add(rows.data[i : i + BLOCK])
        return found

    def _add(self, values: np.ndarray) -> None:
        whole = np.ones(len(values), bool) if values.dtype.kind in "biu" else np.rint(values) == values
        self.n += len(values)
        self.n_whole += int(whole.sum())
        self.finite = self.finite and bool(np.isfinite(values).all())
        if self.fraction is None and not whole.all():
            self.fraction = float(values[~whole][0])
        if self.negative is None and (values < 0).any():
            self.negative = float(values[values < 0][0])

    @property
    def whole(self) -> bool:
        return self.n == self.n_whole


@contextlib.contextmanager
def _opened(path: Path, where: str) -> Iterator[h5py.File]:
    """An HDF5 file; whatever goes wrong while it is read becomes one line."""
    if not path.is_file():
        raise InputError(f"{where}: file not found")
    if not h5py.is_hdf5(path):
        raise InputError(f"{where}: not an HDF5 file; expected .h5mu, .h5ad or a 10x .h5")
    try:
        with h5py.File(path, "r") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", OldFormatWarning)  # one per column of an older file
            yield file
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{where}: truncated or corrupt ({type(error).__name__}: {str(error)[:200]}); "
            "fetch or write the file again"
        ) from error


def _kind(file: h5py.File) -> str:
    if _is_group(file, "mod"):
        return "MuData"
    if _is_group(file, "matrix") and _is_group(file, "matrix/features"):
        return "10x"
    if "X" in file or "obs" in file:
        return "AnnData"
    return f"unknown (top-level entries: {listing(file) or 'none'})"


def _is_group(file: h5py.Group, name: str) -> bool:
    """Whether there is a group of this name; asking an array for names would read it item by item."""
    return isinstance(file.get(name), h5py.Group)


def read_one_file(path: Path, source: Mapping, harmonisation: list[dict]) -> tuple[Part, Part]:
    """Both modalities of a MuData or 10x multiome file.

    Parameters
    ----------
    path : Path
    source : mapping
        The config's `input`: `rna_values`, `gene_name_key`.
    harmonisation : list of dict
        Gets a :func:`match_row` for everything that is left out.

    Returns
    -------
    rna, atac : Part

    Raises
    ------
    InputError
        The file is missing, damaged or of another format, or lacks a modality.
    """
    where = f"input.multiome: '{path}'"
    with _opened(path, where) as file:
        kind = _kind(file)
        if kind == "MuData":
            return _read_mudata(file, where, source)
        if kind == "10x":
            return _read_10x(file, path, where, source.get("gene_name_key"), harmonisation)
        hint = "; give AnnData files as input.rna and input.atac" if kind == "AnnData" else ""
        raise InputError(f"{where}: format is {kind}; expected MuData (.h5mu) or 10x multiome (.h5){hint}")


def _read_mudata(file: h5py.File, where: str, source: Mapping) -> tuple[Part, Part]:
    modalities = {str(name).casefold(): name for name in file["mod"]}
    _check_size(file, ["obs"], where)
    shared = read_elem(file["obs"]) if "obs" in file else pd.DataFrame()
    parts = []
    for kind, names in (("RNA", RNA_NAMES), ("ATAC", ATAC_NAMES)):
        found = [modalities[name] for name in modalities if name in names]
        if len(found) != 1:
            problem = f"no {kind} modality" if not found else f"several {kind} modalities ({listing(found)})"
            raise InputError(
                f"{where}: {problem}; it has: {listing(file['mod']) or 'none'}; "
                f"name one modality '{kind.casefold()}'"
            )
        location = f"{where}, modality '{found[0]}'"
        part = _read_anndata(file["mod"][found[0]], location, _wants_counts(kind.casefold(), source))
        _join_shared_obs(part.obs, shared)
        part.assembly = part.assembly or _assembly(file, part.var)
        parts.append(part)
    return parts[0], parts[1]


def _join_shared_obs(obs: pd.DataFrame, shared: pd.DataFrame) -> None:
    """Give a modality the columns that stand in the MuData's own `obs` only."""
    shared.index = shared.index.astype(str)
    if shared.index.is_unique:
        for column in shared.columns.difference(obs.columns):
            obs[column] = shared[column].reindex(obs.index)


def read_h5ad(path: Path, key: str, source: Mapping) -> Part:
    """One modality of an AnnData file.

    Parameters
    ----------
    path : Path
    key : {"rna", "atac"}
    source : mapping
        The config's `input`: `rna_values`.

    Raises
    ------
    InputError
        The file is missing, damaged or of another format.
    """
    where = f"input.{key}: '{path}'"
    with _opened(path, where) as file:
        kind = _kind(file)
        if kind != "AnnData":
            hint = "" if kind.startswith("unknown") else "; give it as input.multiome"
            raise InputError(f"{where}: format is {kind}; expected AnnData (.h5ad){hint}")
        return _read_anndata(file, where, _wants_counts(key, source))


def _wants_counts(kind: str, source: Mapping) -> bool:
    return kind == "atac" or source.get("rna_values") != "normalized"


def _read_anndata(group: h5py.Group, where: str, wants_counts: bool) -> Part:
    """`X`, `obs` and `var`, nothing else; where counts are wanted, `layers['counts']` if `X` has none."""
    if not isinstance(group, h5py.Group):
        raise InputError(f"{where}: expected X, obs and var, found a single array; write the file again")
    missing = [name for name in ("X", "obs", "var") if name not in group]
    if missing:
        raise InputError(f"{where}: {listing(missing)} missing; it has: {listing(group)}")
    _check_size(group, ("obs", "var", "X/data", "X/indices", "X/indptr", "layers/counts"), where)
    obs, var = read_elem(group["obs"]), read_elem(group["var"])
    if not isinstance(obs, pd.DataFrame) or not isinstance(var, pd.DataFrame):
        raise InputError(
            f"{where}: written by anndata before 0.7; rewrite it: anndata.read_h5ad(a).write_h5ad(b)"
        )
    obs.index, var.index = obs.index.astype(str), var.index.astype(str)
    shape = len(obs), len(var)
    part = Part(_read_matrix(group["X"], f"{where}, X", shape), obs, var, where, _assembly(group, var))
    counts = group.get("layers/counts")
    if wants_counts and counts is not None and not part.values.whole:
        where += ", layers['counts']"
        part = Part(_read_matrix(counts, where, shape), obs, var, where, part.assembly)
        log.info("%s: used because X does not hold whole numbers", where)
    return part


def _check_size(group: h5py.Group, names: Iterable[str], where: str) -> None:
    """Refuse a file whose arrays would be larger than anything that its bytes can hold."""
    n_bytes = 0

    def add(_, node):
        nonlocal n_bytes
        n_bytes += node.size * node.dtype.itemsize if isinstance(node, h5py.Dataset) and node.size else 0

    for name in names:
        node = group.get(name)
        if isinstance(node, h5py.Group):
            node.visititems(add)
        elif name != "layers/counts":  # a dense matrix is read in blocks
            add(name, node)
    on_disk = group.file.id.get_filesize()
    if n_bytes > MOST_COMPRESSED * on_disk:
        raise InputError(
            f"{where}: it announces {n_bytes:,} bytes of data but the file has {on_disk:,}; "
            "fetch or write the file again"
        )


def _assembly(group: h5py.Group, var: pd.DataFrame) -> str | None:
    """The assembly that `uns["assembly"]` or the features' `genome` column names."""
    node = group.get("uns/assembly")
    if isinstance(node, h5py.Dataset) and node.shape == () and h5py.check_string_dtype(node.dtype):
        return node.asstr()[()]
    genomes = var["genome"].astype(str).unique() if "genome" in var else []
    return genomes[0] if len(genomes) == 1 else None


def _read_matrix(node: h5py.Group | h5py.Dataset, where: str, shape: tuple[int, int]) -> backed.Rows:
    """A matrix as CSR, sorted, without explicit zeros. Dense matrices pass through in blocks of rows."""
    if isinstance(node, h5py.Dataset):
        if node.ndim != 2 or node.dtype.kind not in "biuf":
            raise InputError(
                f"{where}: expected a numeric matrix, found {node.ndim} dimensions of {node.dtype}"
            )
        _check_shape(node.shape, shape, where)
        rows = max(1, BLOCK // max(1, node.shape[1]))
        blocks = [sparse.csr_matrix(node[i : i + rows]) for i in range(0, node.shape[0], rows)]
        matrix = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix(node.shape)
    else:
        matrix = backed.read(node)
        if isinstance(matrix, backed.StoredRows):
            return matrix.then(_tidy)
        if not sparse.issparse(matrix):
            raise InputError(f"{where}: expected a numeric matrix, found {type(matrix).__name__}")
        _check_shape(matrix.shape, shape, where)
        matrix = sparse.csr_matrix(_sound(matrix, where))
    return _tidy(matrix)


def _sound(matrix: sparse.spmatrix, where: str) -> sparse.spmatrix:
    """The same sparse matrix of numbers; its indices are checked, because scipy trusts them with memory."""
    if matrix.dtype.kind not in "biuf":
        raise InputError(f"{where}: expected a numeric matrix, found values of {matrix.dtype}")
    matrix.check_format(full_check=True)
    return matrix


def _check_shape(shape: tuple[int, int], expected: tuple[int, int], where: str) -> None:
    if tuple(shape) != expected:
        raise InputError(
            f"{where}: the matrix is {shape[0]} x {shape[1]} but obs has {expected[0]} rows and var {expected[1]}; "
            "write the file again"
        )


def _tidy(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Sorted, each entry once, no explicit zeros, int32 indices where they suffice; in place."""
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if max(matrix.nnz, *matrix.shape) < np.iinfo(np.int32).max:
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def _read_10x(
    file: h5py.File, path: Path, where: str, gene_name_key: str | None, harmonisation: list[dict]
) -> tuple[Part, Part]:
    """A 10x file's genes and peaks; other feature types and lesser genomes are left out and reported."""
    import scanpy

    _check_size(file, ["matrix"], where)
    types = set(file["matrix/features/feature_type"].asstr()[:])
    for wanted in ("Gene Expression", "Peaks"):
        if wanted not in types:
            raise InputError(f"{where}: no features of type '{wanted}'; it has: {listing(sorted(types))}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        data = scanpy.read_10x_h5(path, gex_only=False)
    features = data.var["feature_types"].astype(str)
    matrix = _sound(data.X, where).tocsr()
    parts = []
    for wanted in ("Gene Expression", "Peaks"):
        columns = np.flatnonzero(features == wanted)
        totals = np.asarray(matrix.sum(axis=0)).ravel()[columns]
        genomes = (
            data.var["genome"].astype(str).to_numpy()[columns] if "genome" in data.var else np.array([""])
        )
        if len(set(genomes)) > 1:
            main = pd.Series(totals).groupby(genomes).sum().idxmax()
            harmonisation.append(
                match_row(
                    f"features '{wanted}' of the main genome, {main}", len(columns), (genomes == main).sum()
                )
            )
            columns, totals = columns[genomes == main], totals[genomes == main]
        if wanted == "Gene Expression" and not gene_name_key:
            names = data.var_names.to_numpy()[columns]
            best = pd.Series(totals).sort_values(ascending=False, kind="stable").index
            first = np.sort(best[~pd.Index(names[best]).duplicated()])
            if len(first) < len(columns):
                what = "genes left after keeping the one with most counts of each repeated 10x gene name"
                harmonisation.append(match_row(what, len(columns), len(first)))
                columns = columns[first]
        part = _tidy(matrix[:, columns])
        var = data.var.iloc[columns].copy()
        parts.append(Part(part, data.obs.copy(), var, f"{where}, '{wanted}'", _assembly(file, var)))
    if other := types - {"Gene Expression", "Peaks"}:
        n_other = int(features.isin(other).sum())
        harmonisation.append(match_row(f"10x features not used: {listing(sorted(other))}", n_other, 0))
    return parts[0], parts[1]


def match_row(what: str, n_total: int, n_matched: int) -> dict:
    """One row of the table of how well the parts of the input fit each other."""
    return {"what": what, "n_total": int(n_total), "n_matched": int(n_matched)}
