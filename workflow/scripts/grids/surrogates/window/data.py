"""What the window surrogate is trained on: cells of one type, and each gene's window of peaks in them."""

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from grids.data.normalisation import counts_and_exposure
from grids.io.caps import TRAINED_CELLS
from grids.io.cells import Multiome
from grids.io.errors import InputError
from grids.io.levels import ACROSS_TYPES, level_of
from grids.io.seeds import generator
from grids.surrogates.window.cell_state import CellState
from grids.surrogates.window.model import covariates, window_pairs
from grids.surrogates.window.openness import WindowOpenness, expected_openness, fit_openness
from grids.surrogates.window.set_models import BENDS, N_EXTENDED, Cells

ENTRIES_PER_BLOCK = 2**23
# Training and validation cells that a model learns from, at most.
CELLS_PER_COMPONENT = 25


class WindowData:
    """Cells of one type and the genes' windows, from which fits take their data block by block of genes.

    Parameters
    ----------
    multiome, windows, cell_type, seed, candidates
        As of :func:`~grids.surrogates.window.training.train_window`.
    train_on, n_components
        As of :class:`~grids.surrogates.window.training.WindowSettings`.

    Attributes
    ----------
    genes, peaks : list of str
    first_pair : LongTensor, shape (n_genes + 1,)
        Where each gene's pairs with the peaks of its window begin.
    peak_of_pair : LongTensor, shape (n_pairs,)
    is_validation, of_type : ndarray of bool, shape (n_cells,)
    covariates : Tensor, shape (n_cells, n_covariates)
    followed : Tensor, shape (n_cells, n_followed)
        The covariates that expression may follow: all of them or, across types, whose differences are what is to be
        explained, the first two, the intercept and depth.
    """

    def __init__(
        self,
        multiome: Multiome,
        windows: pd.DataFrame,
        cell_type: str,
        seed: int,
        candidates: pd.DataFrame | None = None,
        train_on: str = "own",
        n_components: int = 20,
    ):
        self.seed, self.cell_type = seed, cell_type
        chosen = {"split": ["train", "validation"]}
        if train_on == "own":
            chosen["cell_type"] = cell_type
        cells = multiome.cells(**chosen, most=TRAINED_CELLS)
        rna, atac = cells.rna, cells.atac
        is_across = level_of(cell_type) == ACROSS_TYPES
        self.cell_types = [cell_type] if is_across else atac.cell_types
        self.type_code = pd.Index(atac.cell_types).get_indexer(atac.obs["cell_type"])
        self.is_validation = (atac.obs["split"] == "validation").to_numpy()
        self.of_type = (atac.obs["cell_type"] == cell_type).to_numpy() | is_across
        self.peaks, self.by_peak = list(atac.var.index), atac.X.tocsc()
        self.expression = rna.X.tocsc()
        counts, exposure = counts_and_exposure(rna)
        self.counts, self.exposure = counts.tocsc(), torch.from_numpy(exposure.astype(np.float32))
        all_genes = list(rna.var.index)
        self.genes, self.first_pair, self.peak_of_pair = window_pairs(windows, self.peaks, all_genes)
        if not self.genes:
            raise InputError("windows: no gene has a peak in its window; widen windows.window_bp")
        self.column_of_gene = pd.Index(all_genes).get_indexer(self.genes)
        self.is_candidate = self._is_candidate(candidates)
        self.is_bend = self._is_bend(candidates)
        n_components = min(n_components, atac.X.shape[0] // CELLS_PER_COMPONENT)
        self.state = CellState.fit(atac.X, atac.obs["detection"].to_numpy(np.float64), n_components, seed)
        self.chance, self.components = self.state(atac.X)
        type_code = torch.from_numpy(np.zeros_like(self.type_code) if is_across else self.type_code)
        self.covariates = covariates(self.chance, self.components, type_code, len(self.cell_types))
        self.followed = self.covariates[:, :2] if is_across else self.covariates

    def pairs(self, gene: int) -> slice:
        """The pairs of a gene and the peaks of its window."""
        return slice(int(self.first_pair[gene]), int(self.first_pair[gene + 1]))

    def _is_candidate(self, candidates: pd.DataFrame | None) -> np.ndarray:
        """Whether each pair may be a member."""
        if candidates is None:
            return np.ones(len(self.peak_of_pair), dtype=bool)
        peak = pd.Index(self.peaks)[self.peak_of_pair.numpy()]
        gene = np.repeat(self.genes, np.diff(self.first_pair.numpy()))
        asked = pd.MultiIndex.from_frame(candidates[["peak", "gene"]])
        return pd.MultiIndex.from_arrays([peak, gene]).isin(asked)

    def _is_bend(self, candidates: pd.DataFrame | None) -> Tensor | None:
        """Which bends models of each gene may have; None for all."""
        if candidates is None or "bend" not in candidates:
            return None
        bend = candidates.drop_duplicates("gene").set_index("gene")["bend"].reindex(self.genes)
        only = torch.tensor(bend.to_numpy(np.float32))[:, None] == torch.tensor(BENDS)
        return only | torch.from_numpy(bend.isna().to_numpy())[:, None]

    def blocks(self, genes: np.ndarray) -> list[np.ndarray]:
        """Genes with windows of similar size together, as many as memory allows."""
        size = np.diff(self.first_pair.numpy())[genes]
        order = genes[np.argsort(size, kind="stable")]
        n_polynomials = max(n_sets * size for size, n_sets in enumerate(N_EXTENDED, 1))
        size = np.maximum(np.sort(size), n_polynomials * (self.covariates.shape[1] + 2))
        blocks, start = [], 0
        for end in range(1, len(order) + 1):
            full = end < len(order) and (end + 1 - start) * size[end] * len(self.chance) > ENTRIES_PER_BLOCK
            if full or end == len(order):
                blocks.append(order[start:end])
                start = end
        return blocks

    def block(self, genes: np.ndarray) -> tuple[Cells, WindowOpenness]:
        """The data of a block of genes, windows unpacked and padded to the largest of them, and their openness."""
        windows = [self.peak_of_pair[self.pairs(g)].numpy() for g in genes]
        size = np.array([len(window) for window in windows])
        is_peak = torch.from_numpy(np.arange(size.max()) < size[:, None])
        is_candidate = torch.zeros_like(is_peak)
        is_candidate[is_peak] = torch.from_numpy(
            np.concatenate([self.is_candidate[self.pairs(g)] for g in genes])
        )
        seen = torch.zeros(len(genes), len(self.chance), int(size.max()))
        for row, columns in enumerate(windows):
            opened = self.by_peak[:, columns].toarray().astype(np.float32)
            seen[row, :, : len(columns)] = torch.from_numpy(opened)
        openness = fit_openness(seen, is_peak, self.chance, self.covariates)
        chance_open = expected_openness(seen, self.chance, openness.log_odds(self.covariates))
        counts = torch.from_numpy(self.counts[:, self.column_of_gene[genes]].toarray().T.copy())
        chance_open = chance_open * is_peak[:, None]
        is_bend = self.is_bend[genes] if self.is_bend is not None else None
        cells = Cells(chance_open, is_candidate, self.followed[None], counts, self.exposure, is_bend)
        return cells, openness

    def metacells(self, size: int, rows: np.ndarray) -> sparse.csr_matrix | None:
        """Sums of each drawn cell's neighbours in state, of its type, among `rows`; None for single cells."""
        if size == 1:
            return None
        from sklearn.neighbors import NearestNeighbors

        rng = generator(self.seed, "metacells", self.cell_type, size)
        entries, n_rows = [], 0
        codes, points = self.type_code[rows], self.components[rows].numpy()
        if not points.shape[1]:  # no state found: any cells are neighbours
            points = rng.random((len(rows), 1))
        for code in np.unique(codes):
            here = np.flatnonzero(codes == code)
            k = min(size, len(here))
            seeds = rng.choice(here, max(2 * len(here) // k, 1), replace=False) if k > 1 else here
            neighbours = NearestNeighbors(n_neighbors=k).fit(points[here])
            near = neighbours.kneighbors(points[seeds], return_distance=False)
            row = n_rows + np.repeat(np.arange(len(seeds)), k)
            entries.append((row, here[near.ravel()]))
            n_rows += len(seeds)
        row, column = (np.concatenate(part) for part in zip(*entries, strict=True))
        ones = np.ones(len(row), np.float32)
        return sparse.csr_matrix((ones, (row, column)), shape=(n_rows, len(rows)))
