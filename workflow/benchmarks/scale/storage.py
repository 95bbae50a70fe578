"""Generated cells written to disk block by block: as raw counts, or as preprocessing would leave them."""

import os
from collections.abc import Iterable

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

from benchmarks.scale.generator import GENE_BP, PEAK_BP, Sizes, blocks, places, population
from benchmarks.unfiltered import SHARES, TARGET_SUM
from grids import __version__
from grids.data.coordinates import peak_names
from grids.data.preprocessing import split_cells
from grids.io.backed import CsrWriter
from grids.io.seeds import generator
from grids.io.writing import whole


def write_cells(
    sizes: Sizes, seed: int, raw: str | os.PathLike, genes: str | os.PathLike, preprocessed: str | os.PathLike
) -> None:
    """Generate a data set; memory does not grow with the number of cells.

    Parameters
    ----------
    sizes : Sizes
    seed : int
    raw : path
        MuData of counts.
    genes : path
        Annotation, BED6.
    preprocessed : path
        The same cells in the form of ``preprocessed.h5mu``, nothing filtered out.
    """
    cells = population(sizes, seed)
    peaks, genome = places(sizes.n_peaks, PEAK_BP), places(sizes.n_genes, GENE_BP)
    peaks.index = peak_names(peaks)
    genome.index = pd.Index([f"GENE{i + 1}" for i in range(sizes.n_genes)])
    genome["strand"], genome["tss"] = "+", genome["start"]
    write_annotation(genome, genes)
    obs = pd.DataFrame(
        {"cell_type": np.array([f"type{code + 1}" for code in cells.cell_type], object)},
        index=[f"cell{i + 1}" for i in range(sizes.n_cells)],
    )
    split = split_cells(obs["cell_type"].to_numpy(), SHARES, generator(seed, "split"))
    with (
        whole(raw) as raw_part,
        whole(preprocessed) as ready_part,
        h5py.File(raw_part, "w") as counts,
        h5py.File(ready_part, "w") as ready,
    ):
        for name, var, weight, depth in (
            ("rna", genome, cells.gene_weight, cells.gene_depth),
            ("atac", peaks, cells.peak_weight, cells.peak_depth),
        ):
            parts = blocks(cells, weight, depth, generator(seed, name))
            _write_modality(counts, ready, name, parts, obs, split, var)
        for file in (counts, ready):
            _finish(file, obs)
        write_elem(ready, "uns", {"grids": {"paired": True, "version": __version__, "seed": seed}})


def write_annotation(genes: pd.DataFrame, path: str | os.PathLike) -> None:
    """Genes as BED6."""
    columns = genes.assign(gene=genes.index, score=0)[
        ["chromosome", "start", "end", "gene", "score", "strand"]
    ]
    with whole(path) as temporary:
        columns.to_csv(temporary, sep="\t", index=False, header=False, lineterminator="\n")


def _write_modality(
    counts: h5py.File,
    ready: h5py.File,
    name: str,
    parts: Iterable[sparse.csr_matrix],
    obs: pd.DataFrame,
    split: np.ndarray,
    var: pd.DataFrame,
) -> None:
    """One modality of both files from one pass through its blocks."""
    n_features, totals = len(var), []
    raw = CsrWriter(counts.create_group(f"mod/{name}/X"), np.int32, n_features)
    prepared = CsrWriter(
        ready.create_group(f"mod/{name}/X"), np.float32 if name == "rna" else np.uint8, n_features
    )
    for block in parts:
        total = np.asarray(block.sum(1)).ravel()
        raw.append(block, block.data)
        values = np.ones(block.nnz)
        if name == "rna":
            scale = TARGET_SUM / np.repeat(np.maximum(total, 1), np.diff(block.indptr))
            values = np.log1p(block.data * scale)
        prepared.append(block, values)
        totals.append(total)
    raw.close()
    prepared.close()
    totals = np.concatenate(totals).astype(np.float64)
    depth = {"n_fragments": totals}
    if name == "rna":
        depth = {"n_counts": totals, "size_factor": np.maximum(totals, 1) / TARGET_SUM}
    coordinates = var[["chromosome", "start", "end"]] if name == "atac" else var.iloc[:, :0]
    for file, table, features in (
        (counts, obs, coordinates),
        (ready, obs.assign(split=split, **depth), var),
    ):
        group = file[f"mod/{name}"]
        group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(group, "obs", table)
        write_elem(group, "var", features)


def _finish(file: h5py.File, obs: pd.DataFrame) -> None:
    file.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0"})
    write_elem(file, "obs", obs)
