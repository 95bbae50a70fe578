"""Read raw multiome data of any supported format and check it before anything is computed."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import OldFormatWarning
from anndata.io import read_elem
from scipy import sparse

from grids import backed
from grids.cells import Modality
from grids.errors import InputError, did_you_mean, listing
from grids.logging import log
from grids.names import check_names

RNA_NAMES = {"rna", "gex", "expression", "gene expression", "gene_expression", "geneexpression", "scrna"}
ATAC_NAMES = {"atac", "peaks", "chromatin accessibility", "chromatin_accessibility", "chromatin", "scatac"}
GENE_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "ensembl", "id")
MIN_SHARE_OF_COMMON_CELLS = 0.9
BLOCK = 1 << 24
# Columns of the tables that have a column per cell type.
RESERVED = ("peak", "chromosome", "start", "end")
# Deflate packs at most 1032 bytes into one; a file that announces more is damaged, or made to fill the memory.
MOST_COMPRESSED = 1100


@dataclass(frozen=True)
class RawMultiome:
    """Raw data of both modalities, checked but not filtered.

    Attributes
    ----------
    rna, atac : Modality
        `X` as in the file, CSR without explicit zeros, on disk if it is large (:mod:`grids.backed`);
        `obs["cell_type"]` (str, missing where unlabelled) unless cell types are still to be annotated.
        When `paired`, rows correspond.
    paired : bool
    sources : dict
        Where each modality comes from, for messages: ``{"rna": "input.rna: 'a.h5ad'", ...}``.
    assembly : str or None
        Genome assembly of the peaks, where the file names one.
    harmonisation : list of dict
        Rows `what, n_total, n_matched` on how well the parts of the input fit each other.
    steps : list of dict
        Rows `what, modality, step, n_before, n_after, reason` on what reading has dropped.
    """

    rna: Modality
    atac: Modality
    paired: bool
    sources: dict[str, str]
    assembly: str | None = None
    harmonisation: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)


@dataclass
class _Part:
    """One modality while it is being read."""

    X: backed.Rows
    obs: pd.DataFrame
    var: pd.DataFrame
    where: str
    assembly: str | None = None

    @cached_property
    def values(self) -> "_Values":
        """What the values are like; read once."""
        return _Values.of(self.X)


@dataclass
class _Values:
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
    def of(cls, matrix: backed.Rows) -> "_Values":
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


def read_raw(source: Mapping) -> RawMultiome:
    """Read and check the raw data that the config's `input` section names.

    Parameters
    ----------
    source : mapping
        `multiome` (MuData .h5mu or 10x multiome .h5), or `rna` and `atac` (AnnData .h5ad), as local
        paths; optionally `paired`, `cell_type_key`, `markers`, `gene_name_key`, `rna_values`.

    Returns
    -------
    RawMultiome

    Raises
    ------
    InputError
        For anything that the data or the config would have to be changed for.
    """
    harmonisation: list[dict] = []
    steps: list[dict] = []
    if source.get("multiome"):
        rna, atac = _read_one_file(Path(source["multiome"]), source, harmonisation)
    elif source.get("rna") and source.get("atac"):
        rna, atac = (_read_h5ad(Path(source[name]), name, source) for name in ("rna", "atac"))
    else:
        raise InputError(
            "input: no data; set either input.multiome, or both input.rna and input.atac, or input.simulation"
        )
    _name_genes(rna, source.get("gene_name_key"))
    for part, kind in ((rna, "RNA"), (atac, "ATAC")):
        _check_shape_and_names(part, kind)
    _check_rna_values(rna, source.get("rna_values") or "counts")
    _check_atac_values(atac, harmonisation)
    paired = _pair(rna, atac, source.get("paired"), harmonisation, steps)
    _attach_cell_types(rna, atac, paired, source, harmonisation)
    return RawMultiome(
        Modality(rna.X, rna.obs, rna.var),
        Modality(atac.X, atac.obs, atac.var),
        paired,
        {"rna": rna.where, "atac": atac.where},
        atac.assembly or rna.assembly,
        harmonisation,
        steps,
    )


def gene_ids(var: pd.DataFrame) -> np.ndarray | None:
    """Stable gene ids (Ensembl), one per row of `var`, when it has such a column."""
    folded = {str(column).casefold(): column for column in var.columns}
    found = next((folded[name] for name in GENE_ID_COLUMNS if name in folded), None)
    return None if found is None else var[found].astype(str).to_numpy(object)


# Files


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


def _read_one_file(path: Path, source: Mapping, harmonisation: list[dict]) -> tuple[_Part, _Part]:
    where = f"input.multiome: '{path}'"
    with _opened(path, where) as file:
        kind = _kind(file)
        if kind == "MuData":
            return _read_mudata(file, where, source)
        if kind == "10x":
            return _read_10x(file, path, where, source.get("gene_name_key"), harmonisation)
        hint = "; give AnnData files as input.rna and input.atac" if kind == "AnnData" else ""
        raise InputError(f"{where}: format is {kind}; expected MuData (.h5mu) or 10x multiome (.h5){hint}")


def _read_mudata(file: h5py.File, where: str, source: Mapping) -> tuple[_Part, _Part]:
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


def _read_h5ad(path: Path, key: str, source: Mapping) -> _Part:
    where = f"input.{key}: '{path}'"
    with _opened(path, where) as file:
        kind = _kind(file)
        if kind != "AnnData":
            hint = "" if kind.startswith("unknown") else "; give it as input.multiome"
            raise InputError(f"{where}: format is {kind}; expected AnnData (.h5ad){hint}")
        return _read_anndata(file, where, _wants_counts(key, source))


def _wants_counts(kind: str, source: Mapping) -> bool:
    return kind == "atac" or source.get("rna_values") != "normalized"


def _read_anndata(group: h5py.Group, where: str, wants_counts: bool) -> _Part:
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
    part = _Part(_read_matrix(group["X"], f"{where}, X", shape), obs, var, where, _assembly(group, var))
    counts = group.get("layers/counts")
    if wants_counts and counts is not None and not part.values.whole:
        where += ", layers['counts']"
        part = _Part(_read_matrix(counts, where, shape), obs, var, where, part.assembly)
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
) -> tuple[_Part, _Part]:
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
                _row(f"features '{wanted}' of the main genome, {main}", len(columns), (genomes == main).sum())
            )
            columns, totals = columns[genomes == main], totals[genomes == main]
        if wanted == "Gene Expression" and not gene_name_key:
            names = data.var_names.to_numpy()[columns]
            best = pd.Series(totals).sort_values(ascending=False, kind="stable").index
            first = np.sort(best[~pd.Index(names[best]).duplicated()])
            if len(first) < len(columns):
                what = "genes left after keeping the one with most counts of each repeated 10x gene name"
                harmonisation.append(_row(what, len(columns), len(first)))
                columns = columns[first]
        part = _tidy(matrix[:, columns])
        var = data.var.iloc[columns].copy()
        parts.append(_Part(part, data.obs.copy(), var, f"{where}, '{wanted}'", _assembly(file, var)))
    if other := types - {"Gene Expression", "Peaks"}:
        n_other = int(features.isin(other).sum())
        harmonisation.append(_row(f"10x features not used: {listing(sorted(other))}", n_other, 0))
    return parts[0], parts[1]


# Checks


def _name_genes(rna: _Part, key: str | None) -> None:
    if not key:
        return
    if key not in rna.var:
        raise InputError(
            f"{rna.where}: gene_name_key '{key}' is not in var; "
            f"it has: {listing(rna.var.columns) or 'no columns'}.{did_you_mean(key, rna.var.columns)}"
        )
    if gene_ids(rna.var) is None:
        rna.var["gene_ids"] = rna.var.index
    rna.var.index = pd.Index(rna.var[key].astype(str), name=None)


def _check_shape_and_names(part: _Part, kind: str) -> None:
    n_cells, n_features = part.X.shape
    feature = "gene" if kind == "RNA" else "peak"
    if not n_cells or not n_features or not part.values.n:
        raise InputError(
            f"{part.where}: empty {kind} matrix ({n_cells} cells x {n_features} {feature}s, "
            f"{part.values.n} non-zero values); expected counts"
        )
    for what, names in (("cell", part.obs.index), (feature, part.var.index)):
        check_names(names, f"{part.where}: {what} names")
        if not names.is_unique:
            repeated = names[names.duplicated()].unique()
            fix = "; or set input.gene_name_key to a column with unique names" if what == "gene" else ""
            raise InputError(
                f"{part.where}: {len(repeated)} duplicated {what} names ({listing(repeated, 3)}); "
                f"make them unique{fix}"
            )


def _check_rna_values(rna: _Part, values: str) -> None:
    _check_finite_and_positive(rna, "RNA")
    found = rna.values
    if values == "counts" and not found.whole:
        raise InputError(
            f"{rna.where}: RNA values are not whole numbers (e.g. {found.fraction:g}) "
            "but input.rna_values is 'counts'; give raw counts (in X or layers['counts']), or set "
            "input.rna_values: normalized for depth-normalised values that are not logged"
        )
    if values == "normalized" and found.whole:
        log.warning("%s: input.rna_values is 'normalized' but all values are whole numbers", rna.where)


def _check_atac_values(atac: _Part, harmonisation: list[dict]) -> None:
    _check_finite_and_positive(atac, "ATAC")
    found = atac.values
    if not found.whole:
        harmonisation.append(_row("non-zero ATAC values that are whole numbers", found.n, found.n_whole))


def _check_finite_and_positive(part: _Part, kind: str) -> None:
    if not part.values.finite:
        raise InputError(f"{part.where}: {kind} values hold NaN or infinity; expected finite values >= 0")
    if part.values.negative is not None:
        raise InputError(
            f"{part.where}: negative {kind} values (for example {part.values.negative:g}); "
            "expected counts, not scaled or corrected values"
        )


# Pairing and cell types


def _pair(rna: _Part, atac: _Part, paired: bool | None, harmonisation: list[dict], steps: list[dict]) -> bool:
    """Decide whether the modalities share their cells; if so, bring both to the same cells and order."""
    common = rna.obs.index.intersection(atac.obs.index, sort=False)
    n_rna, n_atac = len(rna.obs), len(atac.obs)
    if paired is False or (paired is None and len(common) == 0):
        return False
    if len(common) == 0:
        raise InputError(
            f"{rna.where} and {atac.where}: input.paired is true but no cell name is in both "
            f"(RNA '{rna.obs.index[0]}', ATAC '{atac.obs.index[0]}'); rename the cells or set paired: false"
        )
    share = len(common) / min(n_rna, n_atac)
    if paired is None and share < MIN_SHARE_OF_COMMON_CELLS:
        raise InputError(
            f"{rna.where} and {atac.where}: {len(common)} cell names are in both, {share:.0%} of the smaller "
            "set, so it is unclear whether cells are paired; set input.paired to true (keep common cells) "
            "or false"
        )
    for kind, part, other, n_before in (("rna", rna, "atac", n_rna), ("atac", atac, "rna", n_atac)):
        harmonisation.append(_row(f"{kind} cells found in {other}", n_before, len(common)))
        if len(common) < n_before:
            reason = f"cell name not in the {other} data"
            steps.append(step_row("cells", kind, "pairing", n_before, len(common), reason))
        rows = part.obs.index.get_indexer(common)
        if not np.array_equal(rows, np.arange(n_before)):
            part.X, part.obs = backed.select(part.X, rows), part.obs.iloc[rows].copy()
    return True


def _attach_cell_types(
    rna: _Part, atac: _Part, paired: bool, source: Mapping, harmonisation: list[dict]
) -> None:
    """Set `obs["cell_type"]` from the configured column, or leave it out where it is to be annotated."""
    key = source.get("cell_type_key") or "cell_type"
    labels = {id(part): _labels(part.obs, key) for part in (rna, atac)}
    missing = [part for part in (rna, atac) if labels[id(part)] is None]
    needed = len(missing) == 2 if paired else bool(missing)
    if needed and not source.get("markers"):
        columns = missing[0].obs.columns
        raise InputError(
            f"{missing[0].where}: cell_type_key '{key}' is not in obs; "
            f"it has: {listing(columns) or 'no columns'}.{did_you_mean(key, columns)} "
            "Set input.cell_type_key, or input.markers to annotate cell types"
        )
    of_rna, of_atac = labels[id(rna)], labels[id(atac)]
    if paired and not needed:
        if of_rna is not None and of_atac is not None:
            both = of_rna.notna() & of_atac.notna()
            agree = (of_rna[both] == of_atac[both]).sum()
            harmonisation.append(_row("cells whose RNA and ATAC labels agree", both.sum(), agree))
            of_rna = of_rna.fillna(of_atac)
        of_rna = of_atac = of_atac if of_rna is None else of_rna
    for part, values in ((rna, of_rna), (atac, of_atac)):
        if values is not None:
            _check_labels(values, f"{part.where}: cell types in obs['{key}']")
        part.obs = part.obs.drop(columns="cell_type", errors="ignore")
        if values is not None:
            part.obs["cell_type"] = values


def _labels(obs: pd.DataFrame, key: str) -> pd.Series | None:
    """Labels as str; missing, empty and 'nan' labels become None. None when no label is there at all."""
    if key not in obs:
        return None
    column = obs[key]
    if pd.api.types.is_float_dtype(column):  # cluster numbers with gaps: 1.0 is cluster 1
        column = column.convert_dtypes()
    values = column.astype(object)
    empty = values.isna() | values.astype(str).str.strip().isin(["", "nan", "NaN", "None", "NA"])
    return None if empty.all() else values.astype(str).where(~empty, None)


def _check_labels(labels: pd.Series, where: str) -> None:
    names = labels.dropna().unique()
    check_names(names, where)
    if taken := sorted({*names} & {*RESERVED}):
        raise InputError(
            f"{where}: '{taken[0]}' is the name of a column in tables of all cell types; rename this cell type"
        )


def _row(what: str, n_total: int, n_matched: int) -> dict:
    return {"what": what, "n_total": int(n_total), "n_matched": int(n_matched)}


def step_row(what: str, modality: str, step: str, n_before: int, n_after: int, reason: str) -> dict:
    """One row of the quality-control table; `what` is "cells", "genes" or "peaks"."""
    n_before, n_after = int(n_before), int(n_after)
    return {
        "what": what, "modality": modality, "step": step, "n_before": n_before,
        "n_dropped": n_before - n_after, "n_after": n_after, "reason": reason,
    }  # fmt: skip
