"""Files of raw data: MuData, AnnData and 10x HDF5, as matrices and tables whose values are not judged yet."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from grids.io import backed
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.hdf5 import opened, read_table
from grids.io.logging import log

RNA_NAMES = {"rna", "gex", "expression", "gene expression", "gene_expression", "geneexpression", "scrna"}
ATAC_NAMES = {"atac", "peaks", "chromatin accessibility", "chromatin_accessibility", "chromatin", "scatac"}
BLOCK = 1 << 24
# Deflate packs at most 1032 bytes into one; a file that announces more is damaged, or made to fill the memory.
MOST_COMPRESSED = 1100

# What `feature_types` says of genes and of peaks, and of what else a matrix of single cells may hold.
GENES = {"gene expression", "gex", "rna", "gene", "genes", "expression"}
PEAKS = {"peaks", "peak", "atac", "chromatin accessibility"}
OTHERS = {
    "antibody capture", "adt", "protein", "crispr guide capture", "multiplexing capture", "custom", "vdj",
    "antigen capture", "hto", "cell hashing",
}  # fmt: skip
FEATURE_COLUMNS = ("feature_types", "feature_type")
_PLACE = re.compile(r"(\S+:|chr\S+[:_-])[0-9]+[_-][0-9]+")
# Layers that hold counts by their names, folded.
COUNT_LAYERS = ("counts", "raw_counts", "count", "raw", "umis", "umi_counts")
SAMPLE = 1 << 20


@dataclass
class Part:
    """One modality while it is being read.

    Attributes
    ----------
    X : csr_matrix or StoredRows, shape (n_cells, n_features)
    where : str
        File and modality, for messages.
    log_base : float or None
        What ``uns["log1p"]`` says of `X`.
    whole_elsewhere : list of str
        Places with whole numbers that nobody asked for.
    own_columns : list of str
        Columns of `obs` that the modality itself has; others are of the MuData.
    depth : ndarray or None
        Counts of each cell over all genes, shape (n_cells,); see :mod:`grids.data.rna_values`.
    """

    X: backed.Rows
    obs: pd.DataFrame
    var: pd.DataFrame
    where: str
    assembly: str | None = None
    log_base: float | None = None
    whole_elsewhere: Sequence[str] = ()
    own_columns: Sequence[str] = ()
    depth: np.ndarray | None = None

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
    fraction, negative : float or None
        The first value that is not whole, and the first below zero.
    """

    n: int = 0
    n_whole: int = 0
    finite: bool = True
    largest: float = 0.0
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
        self.largest = max(self.largest, float(values.max(initial=0)))
        if self.fraction is None and not whole.all():
            self.fraction = float(values[~whole][0])
        if self.negative is None and (values < 0).any():
            self.negative = float(values[values < 0][0])

    @property
    def whole(self) -> bool:
        return self.n == self.n_whole


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


def read_parts(source: Mapping, harmonisation: list[dict]) -> tuple[Part, Part]:
    """RNA and ATAC of a MuData or 10x multiome file, or of two AnnData files.

    Parameters
    ----------
    source : mapping
        The config's `input`: `multiome`, or `rna` and `atac`; `rna_values`, `counts_layer`.
    harmonisation : list of dict
        Gets a :func:`match_row` for everything that is left out.

    Raises
    ------
    InputError
        A file is missing, damaged or of another format, or lacks a modality.
    """
    if source.get("multiome"):
        where = f"input.multiome: '{source['multiome']}'"
        with opened(Path(source["multiome"]), where) as file:
            kind = _kind(file)
            if kind == "MuData":
                return _read_mudata(file, where, source, harmonisation)
            if kind == "10x":
                return _read_10x(file, where, harmonisation)
            hint = "; give AnnData files as input.rna and input.atac" if kind == "AnnData" else ""
            raise InputError(
                f"{where}: format is {kind}; expected MuData (.h5mu) or 10x multiome (.h5){hint}"
            )
    if not (source.get("rna") and source.get("atac")):
        raise InputError(
            "input: no data; set either input.multiome, or both input.rna and input.atac, or input.simulation"
        )
    parts = []
    for key in ("rna", "atac"):
        where = f"input.{key}: '{source[key]}'"
        with opened(Path(source[key]), where) as file:
            kind = _kind(file)
            if kind != "AnnData":
                hint = "" if kind.startswith("unknown") else "; give it as input.multiome"
                raise InputError(f"{where}: format is {kind}; expected AnnData (.h5ad){hint}")
            parts.append(_read_anndata(file, where, key.upper(), source, harmonisation))
    return parts[0], parts[1]


def _read_mudata(
    file: h5py.File, where: str, source: Mapping, harmonisation: list[dict]
) -> tuple[Part, Part]:
    modalities = {str(name).casefold(): name for name in file["mod"]}
    _check_size(file, ["obs"], where)
    shared = read_table(file["obs"], f"{where}, obs") if "obs" in file else None
    parts = []
    for kind, names in (("RNA", RNA_NAMES), ("ATAC", ATAC_NAMES)):
        found = [modalities[name] for name in modalities if name in names]
        if len(found) != 1:
            problem = f"several {kind} modalities ({listing(found)})" if found else f"no {kind} modality"
            raise InputError(
                f"{where}: {problem}; it has: {listing(file['mod']) or 'none'}; name one modality '{kind.casefold()}'"
            )
        location = f"{where}, modality '{found[0]}'"
        part = _read_anndata(file["mod"][found[0]], location, kind, source, harmonisation)
        if shared is not None and shared.index.is_unique:
            for column in shared.columns.difference(part.obs.columns):
                part.obs[column] = shared[column].reindex(part.obs.index)
        part.assembly = part.assembly or _assembly(file, part.var)
        parts.append(part)
    return parts[0], parts[1]


def _read_anndata(
    group: h5py.Group, where: str, kind: str, source: Mapping, harmonisation: list[dict]
) -> Part:
    """A matrix, `obs` and `var`, nothing else: of the places that may hold counts the first that does, else `X`."""
    if not isinstance(group, h5py.Group):
        raise InputError(f"{where}: expected X, obs and var, found a single array; write the file again")
    missing = [name for name in ("obs", "var") if name not in group]
    if missing:
        raise InputError(f"{where}: {listing(missing)} missing; it has: {listing(group)}")
    places = _matrices(group)
    wanted = _places_to_look_at(places, kind, source, where)
    _check_size(group, ("obs", "var", *(f"{places[place]}" for place in wanted)), where)
    obs = read_table(group["obs"], f"{where}, obs")
    part = other = None
    for place in wanted:
        var = _var_of(group, place, where)
        if obs is None or var is None:
            raise InputError(
                f"{where}: written by anndata before 0.7; rewrite it: anndata.read_h5ad(a).write_h5ad(b)"
            )
        here = where if place == "X" else f"{where}, {place}"
        matrix = _read_matrix(group[places[place]], f"{where}, {place}", (len(obs), len(var)))
        other = Part(matrix, obs, var, here, _assembly(group, var), own_columns=list(obs.columns))
        part = part or other
        if other.values.whole:
            if place != "X" and not source.get("counts_layer"):
                log.info("%s: used because X does not hold whole numbers", here)
            part = other
            break
    if part.where == where:
        part.log_base = _declared_log_base(group)
    part.whole_elsewhere = [
        place
        for place, name in places.items()
        if place not in wanted and not part.values.whole and _looks_whole(group[name])
    ]
    return _of_kind(part, kind, harmonisation)


def _matrices(group: h5py.Group) -> dict[str, str]:
    """Where the file has matrices of all its cells, in words and as names in the file; an empty `X` is none."""
    names = {"X": "X", "raw.X": "raw/X"}
    if _is_group(group, "layers"):
        names |= {f"layers['{name}']": f"layers/{name}" for name in group["layers"]}
    return {
        place: name
        for place, name in names.items()
        if isinstance(node := group.get(name), h5py.Group) or (node is not None and node.ndim > 0)
    }


def _places_to_look_at(places: Mapping[str, str], kind: str, source: Mapping, where: str) -> list[str]:
    """The matrices that are read, until one holds whole numbers; the first is taken if none does."""
    layer = source.get("counts_layer") if kind == "RNA" else None
    if layer:
        named = {"X": "X", "raw": "raw.X"}
        named |= {name.removeprefix("layers/"): place for place, name in places.items()}
        if named.get(layer) not in places:
            raise InputError(
                f"{where}: counts_layer '{layer}' is not among its layers; it has: {listing(places) or 'no matrix'}."
                f"{did_you_mean(layer, named)}"
            )
        return [named[layer]]
    if kind == "RNA" and source.get("rna_values") == "normalized":
        usual = ["X"]
    else:
        folded = {name.casefold(): place for place, name in places.items()}
        usual = ["X", *(folded.get(f"layers/{name}") for name in COUNT_LAYERS), "raw.X"]
    found = [place for place in usual if place in places]
    if not found:
        elsewhere = "" if usual == ["X"] else ", and no counts in layers or raw"
        hint = "; name the layer with counts in input.counts_layer" if places and kind == "RNA" else ""
        raise InputError(f"{where}: X missing{elsewhere}; it has: {listing(places) or 'no matrix'}{hint}")
    return found


def _var_of(group: h5py.Group, place: str, where: str) -> pd.DataFrame | None:
    """The features of a matrix: `raw` has its own, which take from `var` the columns that they lack."""
    var = read_table(group["var"], f"{where}, var")
    if place != "raw.X" or var is None or "raw/var" not in group:
        return var
    of_raw = read_table(group["raw/var"], f"{where}, raw.var")
    if of_raw is not None and var.index.is_unique:
        of_raw = of_raw.join(var[var.columns.difference(of_raw.columns)])
    return of_raw


def _declared_log_base(group: h5py.Group) -> float | None:
    """The base of the logarithm that ``uns["log1p"]`` tells, of the modality or of the whole file."""
    for place in (group, group.file):
        if _is_group(place, "uns/log1p"):
            base = place.get("uns/log1p/base")
            is_number = isinstance(base, h5py.Dataset) and base.shape == () and base.dtype.kind in "iuf"
            return float(base[()]) if is_number else float(np.e)
    return None


def _looks_whole(node: h5py.Group | h5py.Dataset) -> bool:
    """Whether the first values of a matrix are whole numbers, and not all zero."""
    is_sparse = isinstance(node, h5py.Group)
    values = node["data"][:SAMPLE] if is_sparse else node[: max(1, SAMPLE // node.shape[-1])]
    return values.dtype.kind in "biuf" and bool((np.rint(values) == values).all() and values.any())


def _of_kind(part: Part, kind: str, harmonisation: list[dict]) -> Part:
    """Only genes for RNA, only peaks for ATAC; what else the matrix holds is left out and reported."""
    wanted, unwanted = (GENES, PEAKS | OTHERS) if kind == "RNA" else (PEAKS, GENES | OTHERS)
    column = next((name for name in FEATURE_COLUMNS if name in part.var), None)
    if column is not None:
        types = part.var[column].astype(str)
        folded = types.str.strip().str.casefold().str.replace("_", " ")
        keep = folded.isin(wanted).to_numpy()
        if not keep.any() and folded.isin(unwanted).any():
            raise InputError(
                f"{part.where}: no features for {kind}; var['{column}'] has: {listing(sorted(types.unique()))}"
            )
        if not keep.any():  # a column that says something else
            keep[:] = True
        left_out = listing(sorted(types[~keep].unique()))
    else:
        is_place = part.var.index.str.fullmatch(_PLACE).astype(bool)
        keep = ~is_place if kind == "RNA" else np.ones(len(part.var), bool)
        left_out = "peaks by their names"
    if keep.all() or not keep.any():
        return part
    harmonisation.append(match_row(f"{kind} features used; left out: {left_out}", len(keep), keep.sum()))
    log.warning("%s: %d features are left out: %s", part.where, (~keep).sum(), left_out)
    columns = np.flatnonzero(keep)
    matrix = backed.then(part.X, lambda rows: _tidy(rows[:, columns]), len(columns))
    return replace(part, X=matrix, var=part.var.iloc[columns].copy())


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
        elif isinstance(node, h5py.Dataset) and node.ndim < 2:  # a dense matrix is read in blocks
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
            found = f"{node.ndim} dimensions of {node.dtype}"
            raise InputError(f"{where}: expected a numeric matrix, found {found}")
        _check_shape(node.shape, shape, where)
        rows = max(1, BLOCK // max(1, node.shape[1]))
        blocks = [sparse.csr_matrix(backed.plain(node[i : i + rows])) for i in range(0, node.shape[0], rows)]
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


def _read_10x(file: h5py.File, where: str, harmonisation: list[dict]) -> tuple[Part, Part]:
    """A 10x file's genes and peaks; other feature types and lesser genomes are left out and reported."""
    import scanpy

    _check_size(file, ["matrix"], where)
    if "feature_type" not in file["matrix/features"]:
        raise InputError(
            f"{where}: its features have no feature_type, so genes and peaks cannot be told apart; expected a 10x "
            "multiome file of Cell Ranger ARC, or AnnData files as input.rna and input.atac"
        )
    types = set(file["matrix/features/feature_type"].asstr()[:])
    for wanted in ("Gene Expression", "Peaks"):
        if wanted not in types:
            raise InputError(f"{where}: no features of type '{wanted}'; it has: {listing(sorted(types))}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        data = scanpy.read_10x_h5(Path(file.filename), gex_only=False)
    features = data.var["feature_types"].astype(str)
    matrix = _sound(data.X, where).tocsr()
    parts = []
    for wanted in ("Gene Expression", "Peaks"):
        columns = np.flatnonzero(features == wanted)
        totals = np.asarray(matrix.sum(axis=0)).ravel()[columns]
        # Without the column all features are of one genome, as they are of one type.
        genomes = data.var.get("genome", features).astype(str).to_numpy()[columns]
        if len(set(genomes)) > 1:
            main = pd.Series(totals).groupby(genomes).sum().idxmax()
            of_main = genomes == main
            what = f"features '{wanted}' of the main genome, {main}"
            harmonisation.append(match_row(what, len(columns), of_main.sum()))
            columns = columns[of_main]
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
