"""The window surrogate: each gene follows the peaks of its own window, beyond what the cell's state explains.

Every gene has its own pooling, one weighted sum of open peaks per bootstrap refit, and the curve of
:mod:`grids.surrogates.single_index` behind it. Many open peaks of a cell are not seen; the surrogate is
explained on openness drawn from its chance given what was seen, so that closing a peak also closes it where
it was open and missed.
"""

import copy

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor, nn

from grids.errors import InputError, did_you_mean
from grids.seeds import generator
from grids.surrogates.cell_state import CellState, expected_openness
from grids.surrogates.pooling import PooledSurrogate, check_opened
from grids.surrogates.single_index import expected_index, log_activity

ENTRIES_PER_BLOCK = 2**23


class GeneWindow(PooledSurrogate):
    """One gene of a window surrogate: pooled state = its index in each refit and its log-expression by state.

    Parameters
    ----------
    peaks : list of str
        Peaks of the window.
    gene : str
    weights : Tensor, shape (n_peaks, n_refits)
    size : Tensor, shape (n_refits,)
        Sizes of the curves.
    """

    name = "window"

    def __init__(self, peaks: list[str], gene: str, weights: Tensor, size: Tensor):
        super().__init__()
        self.peaks, self.genes, self.n_groups = peaks, [gene], 1
        self.register_buffer("size", size)
        # The last column holds what the state contributes; no peak moves it.
        self.register_buffer("shift", torch.cat([weights, weights.new_zeros(len(peaks), 1)], 1))
        self.register_buffer("group_of_peak", torch.zeros(len(peaks), dtype=torch.long))

    def tail(self, pooled: Tensor, genes: Tensor | None = None) -> Tensor:
        """Log of expected normalised counts: the state's part and the refits' mean log activity."""
        index, by_state = pooled[:, 0, :-1], pooled[:, 0, -1]
        return (by_state + log_activity(index, self.size).mean(1))[:, None]

    def attribution(self, opened: sparse.csr_matrix) -> np.ndarray:
        """What each peak adds to log-expression, over the cells: its Aumann-Shapley share.

        Opening all of a cell's peaks gradually and together, each is credited in proportion to its part of the
        index (Sundararajan et al., ICML 2017; exact for a single index): ``z_j w_j (h(s) - h(0)) / s``.

        Parameters
        ----------
        opened : csr_matrix, shape (n_cells, n_peaks)
            Openness, seen or drawn.

        Returns
        -------
        ndarray, shape (n_peaks,)
            Mean over cells and refits, natural log; shares sum to the mean log activity.
        """
        index = self.pool(opened)[:, 0, :-1]
        slope = torch.where(index.abs() > 1e-6, log_activity(index, self.size) / index, self.size)
        credit = torch.from_numpy(opened.T.astype(np.float32) @ slope.numpy())
        return ((credit * self.shift[:, :-1]).mean(1) / max(opened.shape[0], 1)).numpy()


class WindowSurrogate(nn.Module):
    """All genes of a cell type, each with its window.

    Parameters
    ----------
    peaks, genes, cell_types : list of str
        All peaks of the data; the genes that have peaks in their windows; the types trained on, of which
        `cell_type` is the one that is explained.
    state : CellState
    tensors : dict of str to Tensor
        ``first_pair`` (n_genes + 1,): pairs of gene g are ``first_pair[g]`` to ``first_pair[g + 1]``;
        ``peak_of_pair`` (n_pairs,); ``openness`` (n_peaks, n_covariates): coefficients of openness given the
        state; ``weights`` (n_pairs, n_refits); ``size`` (n_genes, n_refits); ``state_effect``
        (n_genes, n_covariates); ``state_only`` (n_genes, n_covariates): of the model without the window;
        ``depth_only`` (n_genes, 2); ``dispersion`` (n_genes,); ``calibration`` (n_genes, 2).
    cell_type : str
    """

    name = "window"

    def __init__(
        self,
        peaks: list[str],
        genes: list[str],
        cell_types: list[str],
        state: CellState,
        tensors: dict[str, Tensor],
        cell_type: str,
    ):
        super().__init__()
        self.peaks, self.genes, self.cell_types, self.cell_type = peaks, genes, cell_types, cell_type
        self.state = state
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)
        for name in ("share", "loadings", "centre", "signal"):
            self.register_buffer(f"state_{name}", getattr(state, name))
        self._column_of_gene = {gene: column for column, gene in enumerate(genes)}

    @property
    def options(self) -> dict:
        """What, beside names and tensors, a stored surrogate is rebuilt from."""
        return {"n_open": self.state.n_open, "cell_type": self.cell_type}

    @classmethod
    def restore(
        cls, names: dict[str, list[str]], tensors: dict[str, Tensor], options: dict
    ) -> "WindowSurrogate":
        """Rebuild a stored surrogate."""
        tensors = dict(tensors)
        parts = [tensors.pop(f"state_{name}") for name in ("share", "loadings", "centre", "signal")]
        state = CellState(options["n_open"], *parts)
        return cls(**names, state=state, tensors=tensors, cell_type=options["cell_type"])

    @property
    def n_replicates(self) -> int:
        """Refits on bootstrapped training cells; 0 for a single one."""
        return self.weights.shape[1] if self.weights.shape[1] > 1 else 0

    def replicate(self, b: int) -> "WindowSurrogate":
        """One of the refits on bootstrapped training cells."""
        one = copy.copy(self)
        one._buffers = self._buffers | {
            "weights": self.weights[:, b : b + 1], "size": self.size[:, b : b + 1]
        }  # fmt: skip
        return one

    def window(self, gene: str) -> Tensor:
        """Positions, among `peaks`, of a gene's window."""
        pairs = self._pairs(self._column(gene))
        return self.peak_of_pair[pairs]

    def for_gene(self, gene: str) -> GeneWindow:
        """The part of the surrogate that one gene depends on.

        Raises
        ------
        InputError
            When the surrogate does not have the gene.
        """
        column = self._column(gene)
        pairs = self._pairs(column)
        peaks = [self.peaks[i] for i in self.peak_of_pair[pairs].tolist()]
        return GeneWindow(peaks, gene, self.weights[pairs], self.size[column])

    def cells(self, opened: sparse.spmatrix) -> "WindowCells":
        """Cells as the genes' windows see them; shape of `opened` (n_cells, n_peaks)."""
        return WindowCells(self, check_opened(opened, len(self.peaks)))

    def covariates(self, opened: sparse.csr_matrix) -> tuple[Tensor, Tensor]:
        """Detection chance (n_cells,) and covariates (n_cells, n_covariates) of cells of the type.

        Covariates are an intercept, the log of the chance, the components of the state and, for all types but
        the first one trained on, whether the cell is of it.
        """
        chance, components = self.state(opened)
        type_code = torch.full((len(chance),), self.cell_types.index(self.cell_type))
        return chance, covariates(chance, components, type_code, len(self.cell_types))

    @torch.no_grad()
    def log_means(self, opened: sparse.csr_matrix) -> tuple[Tensor, Tensor]:
        """Log of expected normalised counts, and the part of it that the window adds.

        Averaged over what is open but not seen, and over refits.

        Parameters
        ----------
        opened : csr_matrix, shape (n_cells, n_peaks)

        Returns
        -------
        log_mean, log_activity : Tensor, shape (n_cells, n_genes)
        """
        opened = check_opened(opened, len(self.peaks))
        chance, covariates_ = self.covariates(opened)
        by_peak = opened.tocsc()
        activity = torch.zeros(len(chance), len(self.genes))
        for column in range(len(self.genes)):
            pairs = self._pairs(column)
            openness = self._openness(by_peak, self.peak_of_pair[pairs], chance, covariates_)
            index = torch.stack([
                expected_index(openness[None], weights[None])[0] for weights in self.weights[pairs].T
            ])  # fmt: skip
            activity[:, column] = log_activity(index, self.size[column][:, None]).mean(0)
        return covariates_ @ self.state_effect.T + activity, activity

    def predict(self, opened: sparse.csr_matrix) -> Tensor:
        """Expected log1p-normalised expression, shape (n_cells, n_genes).

        A count's mean does not tell the mean of its logarithm, so ``log1p`` of the expected counts is brought to
        the scale of log-normalised expression by a line fitted to the training cells.
        """
        log_mean, _ = self.log_means(opened)
        return self.calibration[:, 0] + self.calibration[:, 1] * torch.log1p(torch.exp(log_mean))

    def _openness(self, by_peak, columns: Tensor, chance: Tensor, covariates_: Tensor) -> Tensor:
        seen = torch.from_numpy(by_peak[:, columns.numpy()].toarray().astype(np.float32))
        return expected_openness(seen, chance, covariates_, self.openness[columns])

    def _column(self, gene: str) -> int:
        if gene not in self._column_of_gene:
            raise InputError(
                f"gene '{gene}' is not in the window surrogate: no peak lies in its window, or it was not kept."
                f"{did_you_mean(gene, self.genes)}"
            )
        return self._column_of_gene[gene]

    def _pairs(self, column: int) -> slice:
        return slice(int(self.first_pair[column]), int(self.first_pair[column + 1]))


class WindowCells:
    """Cells as the genes of a window surrogate see them; what is common to all genes is computed once."""

    def __init__(self, surrogate: WindowSurrogate, opened: sparse.csr_matrix):
        self.surrogate = surrogate
        self.chance, self.covariates = surrogate.covariates(opened)
        self._by_peak = opened.tocsc()

    def of(self, gene: str) -> tuple[sparse.csr_matrix, Tensor]:
        """Openness drawn given what was seen, and log-expression by state.

        The draw is the same whenever it is made for the same gene and number of cells, whatever the refit.

        Returns
        -------
        opened : csr_matrix, shape (n_cells, n_window_peaks), uint8
        by_state : Tensor, shape (n_cells,)
        """
        surrogate = self.surrogate
        chance = surrogate._openness(self._by_peak, surrogate.window(gene), self.chance, self.covariates)
        uniform = generator(0, "openness", gene).random(tuple(chance.shape), dtype=np.float32)
        opened = sparse.csr_matrix((uniform < chance.numpy()).astype(np.uint8))
        return opened, self.covariates @ surrogate.state_effect[surrogate._column(gene)]


def covariates(chance: Tensor, components: Tensor, type_code: Tensor, n_types: int) -> Tensor:
    """Intercept, log detection chance, components of the state, and indicators of all types but the first.

    Parameters
    ----------
    chance : Tensor, shape (n_cells,)
    components : Tensor, shape (n_cells, n_components)
    type_code : LongTensor, shape (n_cells,)
    n_types : int

    Returns
    -------
    Tensor, shape (n_cells, 1 + 1 + n_components + n_types - 1)
    """
    intercept = torch.ones(len(chance), 1)
    of_type = nn.functional.one_hot(type_code, n_types)[:, 1:].to(torch.float32)
    # Two: a doubling or so of depth is one unit, the order of the components' scale.
    return torch.cat([intercept, 2 * torch.log(chance / 0.3)[:, None], components, of_type], 1)


def window_pairs(windows: pd.DataFrame, peaks: list[str], genes: list[str]) -> tuple[list[str], Tensor, Tensor]:
    """Pairs of genes and the peaks in their windows, in the order of genes.

    Parameters
    ----------
    windows : DataFrame
        Columns ``peak, gene``.
    peaks, genes : list of str
        Those of the data; other pairs are left out.

    Returns
    -------
    genes : list of str
        The genes that have peaks.
    first_pair : LongTensor, shape (n_genes + 1,)
    peak_of_pair : LongTensor, shape (n_pairs,)
    """
    peak = pd.Index(peaks).get_indexer(windows["peak"])
    gene = pd.Index(genes).get_indexer(windows["gene"])
    pairs = pd.DataFrame({"gene": gene, "peak": peak})[(peak >= 0) & (gene >= 0)]
    pairs = pairs.drop_duplicates().sort_values(["gene", "peak"])
    kept, n_pairs = np.unique(pairs["gene"], return_counts=True)
    first_pair = torch.from_numpy(np.concatenate([[0], np.cumsum(n_pairs)]))
    return [genes[i] for i in kept], first_pair, torch.from_numpy(pairs["peak"].to_numpy())
