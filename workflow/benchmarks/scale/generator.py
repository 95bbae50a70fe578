"""Cells of any number and size, sparse from the start: no planted regulation, but something to learn.

Each cell type has two programmes, weights of all peaks and of all genes that go together, and each cell is a
mixture of its type's two. A cell's fragments are drawn from its programmes, peak by peak a Poisson number; a peak
with a fragment is open. Depths are log-normal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import norm

from grids.data.chromosomes import CHROMOSOME_SIZES
from grids.io.seeds import generator

# Peaks of the paper's data by chromosome; other numbers of peaks are spread in proportion.
PEAKS_OF_CHROMOSOME = {
    "1": 11348, "2": 10272, "3": 8367, "4": 6290, "5": 7655, "6": 7203, "7": 6950, "8": 6250, "9": 5547,
    "10": 6169, "11": 6997, "12": 6364, "13": 3554, "14": 4233, "15": 4076, "16": 4178, "17": 4966, "18": 3189,
    "19": 3807, "20": 3469, "21": 1478, "22": 2488, "X": 2245, "Y": 124,
}  # fmt: skip
N_TYPES = 8
N_PROGRAMMES = 2
PEAK_BP, GENE_BP = 500, 10_000
COUNTS_PER_GENE = 2
DEPTH_SD = 0.4
CELLS_PER_BLOCK = 512


@dataclass(frozen=True)
class Sizes:
    """Cells, peaks, mean open peaks of a cell, and genes of a data set."""

    n_cells: int
    n_peaks: int
    n_open: int
    n_genes: int


@dataclass(frozen=True)
class Population:
    """What cells are drawn from.

    Attributes
    ----------
    cell_type : ndarray of int, shape (n_cells,)
    share : ndarray, shape (n_cells,)
        Of the first of its type's programmes in each cell.
    peak_depth, gene_depth : ndarray, shape (n_cells,)
        Expected fragments in peaks and RNA counts.
    peak_weight, gene_weight : ndarray, shape (N_TYPES, N_PROGRAMMES, n_features)
        Chances of a fragment or count; each programme's sum to one.
    """

    cell_type: np.ndarray
    share: np.ndarray
    peak_depth: np.ndarray
    gene_depth: np.ndarray
    peak_weight: np.ndarray
    gene_weight: np.ndarray


def population(sizes: Sizes, seed: int) -> Population:
    """Draw the programmes and each cell's type, mixture and depths; nothing of size cells x peaks."""
    rng = generator(seed, "population")
    cell_type = rng.permutation(np.arange(sizes.n_cells) % N_TYPES)
    share = rng.beta(1, 1, sizes.n_cells)
    relative = np.exp(rng.normal(-(DEPTH_SD**2) / 2, DEPTH_SD, (2, sizes.n_cells)))
    peak_weight, gene_weight = _programmes(sizes.n_peaks, rng), _programmes(sizes.n_genes, rng)
    n_fragments = fragments_for(peak_weight, sizes.n_open)
    return Population(
        cell_type,
        share,
        relative[0] * n_fragments,
        relative[1] * COUNTS_PER_GENE * sizes.n_genes,
        peak_weight,
        gene_weight,
    )


def _programmes(n_features: int, rng: np.random.Generator) -> np.ndarray:
    """Log-normal weights; a tenth of the features is raised in each type, and another tenth in each programme."""
    log_weight = rng.normal(0, 1, n_features) + np.zeros((N_TYPES, N_PROGRAMMES, n_features))
    log_weight += np.log(6) * (rng.random((N_TYPES, 1, n_features)) < 0.1)
    log_weight += np.log(4) * (rng.random((N_TYPES, N_PROGRAMMES, n_features)) < 0.1)
    weight = np.exp(log_weight)
    return weight / weight.sum(2, keepdims=True)


def fragments_for(programmes: np.ndarray, n_open: float) -> float:
    """Mean fragments per cell at which the mean number of open peaks is `n_open`, over mixtures and depths.

    Parameters
    ----------
    programmes : ndarray, shape (n_types, 2, n_peaks)
    n_open : float
    """
    shares = np.array([1, 3, 5]) / 6
    mixtures = [share * first + (1 - share) * second for first, second in programmes for share in shares]
    depths = np.exp(DEPTH_SD * norm.ppf((np.arange(7) + 0.5) / 7))
    depths /= depths.mean()

    def mean_open(fragments: float) -> float:
        return float(
            np.mean([-np.expm1(-fragments * d * weight).sum() for d in depths for weight in mixtures])
        )

    low = high = float(n_open)
    while mean_open(high) < n_open:
        low, high = high, 2 * high
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_open(middle) < n_open else (low, middle)
    return high


def blocks(
    cells: Population, weight: np.ndarray, depth: np.ndarray, rng: np.random.Generator
) -> Iterator[sparse.csr_matrix]:
    """Counts of all cells of one modality, a block of cells at a time.

    Parameters
    ----------
    cells : Population
    weight : ndarray, shape (N_TYPES, N_PROGRAMMES, n_features)
    depth : ndarray, shape (n_cells,)
    rng : Generator

    Yields
    ------
    csr_matrix, shape (at most CELLS_PER_BLOCK, n_features), int32
        Sorted indices.
    """
    cumulative, n_features = np.cumsum(weight, 2), weight.shape[2]
    for start in range(0, len(cells.cell_type), CELLS_PER_BLOCK):
        rows = slice(start, start + CELLS_PER_BLOCK)
        types, share = cells.cell_type[rows], cells.share[rows]
        keys = []
        for cell_type in np.unique(types):
            here = np.flatnonzero(types == cell_type)
            for programme, part in enumerate((share[here], 1 - share[here])):
                n_drawn = rng.poisson(depth[rows][here] * part)
                drawn = np.searchsorted(cumulative[cell_type, programme], rng.random(n_drawn.sum()))
                keys.append(np.repeat(here, n_drawn) * n_features + np.minimum(drawn, n_features - 1))
        key, count = np.unique(np.concatenate(keys), return_counts=True)
        indptr = np.searchsorted(key, np.arange(len(types) + 1) * n_features)
        yield sparse.csr_matrix(
            (count.astype(np.int32), (key % n_features).astype(np.int32), indptr.astype(np.int32)),
            shape=(len(types), n_features),
        )


def places(n_features: int, width_bp: int) -> pd.DataFrame:
    """Features evenly spaced over the chromosomes, in proportion to :data:`PEAKS_OF_CHROMOSOME`.

    Returns
    -------
    DataFrame, n_features rows, sorted by position: chromosome, start, end
    """
    bounds = np.cumsum([0, *PEAKS_OF_CHROMOSOME.values()]) / sum(PEAKS_OF_CHROMOSOME.values())
    numbers = np.diff(np.round(bounds * n_features).astype(int))
    parts = []
    for chromosome, n in zip(PEAKS_OF_CHROMOSOME, numbers, strict=True):
        spacing = (CHROMOSOME_SIZES["hg38"][chromosome] - 2 * width_bp) // max(n, 1)
        start = width_bp + spacing * np.arange(n)
        parts.append(
            pd.DataFrame({"chromosome": f"chr{chromosome}", "start": start, "end": start + width_bp})
        )
    return pd.concat(parts, ignore_index=True)
