"""Small multiome files for the tests: two modalities of a few dozen cells with clear cell types."""

import contextlib
import warnings

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

TYPES = ["CD8+ T", "L2/3", "Oligo"]
N_GENES = 30
N_PEAKS = 40


def multiome(n_cells=60, seed=0):
    """Counts of paired cells: cell i is of type i % 3; gene and peak j are high in type j % 3.

    Genes are ``G0`` ... on chr1 (even) and chr2 (odd); peak j starts 500 bp into gene j % 30, peaks of
    j >= 30 lie 3 kb beyond it. Peaks come in reverse order of their number.
    """
    rng = np.random.default_rng(seed)
    kind = np.arange(n_cells) % 3
    high = kind[:, None] == np.arange(N_GENES) % 3
    expression = rng.poisson(np.where(high, 6.0, 0.4))
    high = kind[:, None] == np.arange(N_PEAKS) % 3
    opened = rng.integers(1, 4, (n_cells, N_PEAKS)) * (
        rng.random((n_cells, N_PEAKS)) < np.where(high, 0.8, 0.1)
    )
    cells = pd.DataFrame({"cell_type": np.array(TYPES)[kind]}, index=[f"cell{i}" for i in range(n_cells)])
    rna = anndata.AnnData(
        sparse.csr_matrix(expression.astype(np.int32)),
        obs=cells.copy(),
        var=pd.DataFrame(index=[f"G{j}" for j in range(N_GENES)]),
    )
    atac = anndata.AnnData(
        sparse.csr_matrix(opened.astype(np.int32)),
        obs=cells.copy(),
        var=pd.DataFrame(index=[peak_name(j) for j in range(N_PEAKS)]),
    )
    return rna, atac[:, ::-1].copy()


def peak_name(j):
    start = 10_000 * (j % N_GENES + 1) + (500 if j < N_GENES else 5_000)
    return f"chr{1 + j % 2}:{start}-{start + 200}"


def write_genes(path, names=None, prefix="chr"):
    """A BED with the genes G0, G1, ...: 2 kb each, strands in turn + + - -."""
    names = [f"G{j}" for j in range(N_GENES)] if names is None else names
    rows = []
    for j, name in enumerate(names):
        start = 10_000 * (j + 1)
        rows.append(f"{prefix}{1 + j % 2}\t{start}\t{start + 2000}\t{name}\t0\t{'+' if j % 4 < 2 else '-'}\n")
    path.write_text("".join(rows))
    return path


def write_h5mu(path, rna, atac, names=("rna", "atac"), obs=None):
    """A MuData; `obs` are columns for the MuData's own obs."""
    with mudata.set_options(pull_on_update=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = mudata.MuData(dict(zip(names, (rna, atac), strict=True)))
        for column, values in (obs or {}).items():
            data.obs[column] = values
        data.write_h5mu(path)
    return path


def write_h5ad(path, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.write_h5ad(path)
    return path


def write_10x(path, rna, atac, gene_names=None, other=None, genomes=None):
    """A Cell Ranger ARC matrix: features x cells in CSC. `other` adds one feature of that type."""
    names = [*(rna.var_names if gene_names is None else gene_names), *atac.var_names]
    kinds = ["Gene Expression"] * rna.n_vars + ["Peaks"] * atac.n_vars
    blocks = [rna.X, atac.X]
    if other:
        names, kinds = [*names, "extra"], [*kinds, other]
        blocks.append(sparse.csr_matrix(np.ones((rna.n_obs, 1), np.int32)))
    matrix = sparse.hstack(blocks, format="csr")
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(rna.obs_names, "S")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array([matrix.shape[1], matrix.shape[0]])
        features = group.create_group("features")
        features["name"] = np.array(names, "S")
        features["id"] = np.array([f"ENSG{i:05d}" for i in range(len(names))], "S")
        features["feature_type"] = np.array(kinds, "S")
        features["genome"] = np.array(genomes or ["GRCh38"] * len(names), "S")
    return path


@contextlib.contextmanager
def edited(path):
    """An HDF5 file opened for changes."""
    with h5py.File(path, "r+") as file:
        yield file


def config(genes, tasks=None, *, quality=None, settings=None, seed=1, **inputs):
    """A complete config that keeps every cell of :func:`multiome`."""
    return {
        "seed": seed,
        "input": {
            "genes": str(genes),
            "cell_type_key": "cell_type",
            **{k: _text(v) for k, v in inputs.items()},
        },
        "quality_control": {
            "min_fragments": 1,
            "min_genes": 1,
            "min_tss_enrichment": 2,
            "min_cells_per_gene": 1,
            "min_cells_per_peak": 1,
            "min_cells_per_type": 3,
            **(quality or {}),
        },
        "preprocessing": {
            "target_sum": 10000,
            "n_variable_genes": 3000,
            "split": {"train": 0.7, "validation": 0.1, "test": 0.2},
            **(settings or {}),
        },
        "tasks": tasks or {},
    }


def _text(value):
    return value if value is None or isinstance(value, bool) else str(value)
