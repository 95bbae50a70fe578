"""One simulated data set of the truth benchmark, with a given number of planted genes of every logic."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from scipy import sparse

from benchmarks.truth.sparsity import N_OTHER_GENES, other_peaks
from benchmarks.unfiltered import unfiltered
from grids.data import intervals
from grids.data.preprocessing import Preprocessed, preprocess
from grids.data.simulation import Design, simulate_multiome, write_simulation
from grids.data.simulation_plan import genes_of_logics
from grids.io import tables
from grids.io.cells import Multiome, read_multiome
from grids.io.errors import InputError

CELL_TYPE = "Excitatory"  # the simulator's first cell type, here the only one
LEARNED = ("train", "validation")  # the cells that methods learn from


@dataclass(frozen=True)
class Candidates:
    """The planted genes and their candidate peaks in all cells: what a method sees, and no truth.

    Attributes
    ----------
    genes : list of str
    peaks : ndarray of str, shape (n_genes, n_candidates)
    distance_to_tss_bp : ndarray, shape (n_genes, n_candidates)
        Unsigned.
    opened : ndarray of uint8, shape (n_genes, n_cells, n_candidates)
        1 where the peak is observed open.
    counts : ndarray, shape (n_cells, n_genes)
        RNA counts.
    expression : ndarray, shape (n_cells, n_genes)
        Log1p of normalised counts.
    depth, atac_depth : ndarray, shape (n_cells,)
        RNA counts, and ATAC open peaks, of the whole cell relative to the mean cell.
    split : ndarray of str, shape (n_cells,)
        train, validation or test.
    """

    genes: list[str]
    peaks: np.ndarray
    distance_to_tss_bp: np.ndarray
    opened: np.ndarray
    counts: np.ndarray
    expression: np.ndarray
    depth: np.ndarray
    atac_depth: np.ndarray
    split: np.ndarray

    def of_splits(self, *splits: str) -> "Candidates":
        """The cells of these splits."""
        keep = np.isin(self.split, splits)
        per_cell = ("counts", "expression", "depth", "atac_depth", "split")
        kept = {name: getattr(self, name)[keep] for name in per_cell}
        return replace(self, opened=self.opened[:, keep], **kept)


@dataclass(frozen=True)
class Dataset:
    """A data set as methods get it; only the oracles may look at `truth`.

    Attributes
    ----------
    multiome : Multiome
        Preprocessed, one cell type.
    windows : DataFrame
        Columns of ``windows.tsv.gz``; the window of a gene is its candidates.
    candidates : Candidates
    truth : DataFrame
        One row per planted gene and candidate, see :func:`grids.data.simulation.simulate_multiome`.
    level : mapping
        :data:`~benchmarks.truth.levels.FACTORS` of the simulation, `detection` as it came out; for the oracles too.
    """

    multiome: Multiome
    windows: pd.DataFrame
    candidates: Candidates
    truth: pd.DataFrame
    level: Mapping


def simulate(
    level: Mapping,
    seed: int,
    *,
    n_genes_per_logic: int | Mapping[str, int] = 16,
    n_candidates: int = 20,
    mean_counts: float = 2.0,
    n_factors: int = 10,
) -> tuple[Preprocessed, pd.DataFrame, pd.DataFrame]:
    """Simulate one cell type and take the cells through the run's own preprocessing.

    Parameters
    ----------
    level : mapping
        :data:`~benchmarks.truth.levels.FACTORS`. `n_cells`, `coaccessibility` and `strength` are as for
        :class:`grids.data.simulation.Design`. `loss`: with all members closed, expression falls by this share (of a
        gene that closing activates, it rises to what would fall by it). `direction`: what closing the members does,
        silence or activate. `open_peaks` and `detection`: see :mod:`benchmarks.truth.sparsity`.
    seed : int
    n_genes_per_logic : int or mapping of str to int
        Planted genes of each logic; one number for all of them, or by logic.
    n_candidates : int
        Peaks near each gene that could be its members.
    mean_counts : float
        Mean RNA counts of a planted gene.
    n_factors : int
        Cell-state factors, shared by the genes.

    Returns
    -------
    Preprocessed
    windows : DataFrame
        Planted genes and their candidates, columns of ``windows.tsv.gz``.
    truth : DataFrame
    """
    n_planted = sum(genes_of_logics(n_genes_per_logic).values())
    n_genes = n_planted + N_OTHER_GENES
    n_other, detection = other_peaks(level, n_planted, n_candidates)
    log_effect = np.log1p(-level["loss"])
    design = Design(
        level["n_cells"],
        n_peaks=n_planted * n_candidates + n_genes + n_other,
        n_genes=n_genes,
        n_cell_types=1,
        n_planted_per_logic=n_genes_per_logic,
        n_candidates=n_candidates,
        coaccessibility=level["coaccessibility"],
        detection=detection,
        log_effect=float(log_effect if level["direction"] == "silence" else -log_effect),
        strength=level["strength"],
        planted_mean_counts=mean_counts,
        n_factors=n_factors,
    )
    simulation = simulate_multiome(design, seed)
    with TemporaryDirectory() as folder:
        multiome, genes, truth = (Path(folder, name) for name in ("raw.h5mu", "genes.bed", "truth.tsv"))
        write_simulation(simulation, multiome, genes, truth)
        preprocessed = preprocess(unfiltered(multiome, genes, n_genes, seed), source="truth benchmark")
    windows = intervals.link_windows(preprocessed.accessibility, preprocessed.genes)
    planted = simulation.truth[["gene", "peak"]]
    windows = windows.merge(planted, on=["gene", "peak"], validate="one_to_one")
    if len(windows) != len(planted):
        raise InputError(
            f"truth: {len(planted) - len(windows)} of {len(planted)} candidate peaks are open in too few of "
            f"{level['n_cells']} cells; raise n_cells, detection or open_peaks"
        )
    return preprocessed, windows, simulation.truth


def read(
    multiome: str | os.PathLike, windows: str | os.PathLike, truth: str | os.PathLike, level: Mapping
) -> Dataset:
    """Read what :func:`simulate` yielded at a level, from the files it was written to."""
    cells, pairs = read_multiome(multiome), tables.read(windows)
    with h5py.File(multiome, "r") as file:
        counts = sparse.csc_matrix(read_elem(file["mod/rna/layers/counts"]))
    candidates = candidates_of(cells, counts, pairs)
    _, detection = other_peaks(level, *candidates.peaks.shape)
    return Dataset(cells, pairs, candidates, tables.read(truth), {**level, "detection": detection})


def candidates_of(multiome: Multiome, counts: sparse.csc_matrix, windows: pd.DataFrame) -> Candidates:
    """The candidates of every gene as dense arrays.

    Parameters
    ----------
    multiome : Multiome
        Paired cells.
    counts : csc_matrix, shape (n_cells, n_genes)
        RNA counts, rows and columns as in `multiome.rna`.
    windows : DataFrame
        Columns ``gene peak distance_to_tss_bp``; the same number of peaks for every gene.
    """
    genes = list(dict.fromkeys(windows["gene"]))
    place = {gene: row for row, gene in enumerate(genes)}
    windows = windows.sort_values("gene", key=lambda column: column.map(place), kind="stable")
    shape = (len(genes), len(windows) // len(genes))
    columns = multiome.atac.var.index.get_indexer(windows["peak"])
    opened = multiome.atac.X.tocsc()[:, columns].toarray().reshape(-1, *shape)
    rows = multiome.rna.var.index.get_indexer(genes)
    depth = np.asarray(counts.sum(1), dtype=np.float64).ravel()
    atac_depth = np.asarray(multiome.atac.X.sum(1, dtype=np.float64)).ravel()
    return Candidates(
        genes=genes,
        peaks=windows["peak"].to_numpy(str).reshape(shape),
        distance_to_tss_bp=windows["distance_to_tss_bp"].abs().to_numpy(np.float64).reshape(shape),
        opened=np.ascontiguousarray(opened.transpose(1, 0, 2)),
        counts=counts[:, rows].toarray().astype(np.float64),
        expression=multiome.rna.X.tocsc()[:, rows].toarray().astype(np.float64),
        depth=depth / depth.mean(),
        atac_depth=atac_depth / atac_depth.mean(),
        split=multiome.rna.obs["split"].to_numpy(str),
    )
