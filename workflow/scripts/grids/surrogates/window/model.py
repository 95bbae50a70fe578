"""The window surrogate: each gene follows a few peaks of its own window, beyond what the cell's state explains.

Which peaks, and by which curve, is uncertain: the surrogate is the mean over models with members drawn from their
posterior (see
:mod:`grids.surrogates.window.set_models`). Every gene has its own pooling, one weighted sum of open peaks per drawn
model, and a curve behind each. Many open peaks of a cell are not seen; the surrogate is explained on openness drawn
from its chance given what was seen, so that closing a peak also closes it where it was open and missed.
"""

import copy
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor, nn
from tqdm import tqdm

from grids.io.errors import InputError, did_you_mean
from grids.io.seeds import generator
from grids.surrogates.judged_windows import JudgedWindows
from grids.surrogates.pooling import Observed, PooledSurrogate, Surrogate, check_opened
from grids.surrogates.quality import correlation
from grids.surrogates.window.cell_state import CellState
from grids.surrogates.window.curve import expected_index, log_activity
from grids.surrogates.window.openness import WindowOpenness, expected_openness
from grids.surrogates.window.set_models import FORMS


class GeneWindow(PooledSurrogate):
    """One gene of a window surrogate: pooled state = its index in each drawn model and its log-expression by state.

    Parameters
    ----------
    peaks : list of str
        Peaks of the window.
    gene : str
    weights : Tensor, shape (n_peaks, n_draws)
    size : Tensor, shape (n_draws,)
        Of the curves, see :func:`~grids.surrogates.window.curve.log_activity`.
    """

    name = "window"

    def __init__(self, peaks: list[str], gene: str, weights: Tensor, size: Tensor):
        super().__init__()
        self.peaks, self.genes, self.n_groups = peaks, [gene], 1
        self.register_buffer("size", size)
        # The last column holds what the state contributes; no peak moves it.
        self.register_buffer("shift", torch.cat([weights, weights.new_zeros(len(peaks), 1)], 1))
        self.register_buffer("group_of_peak", torch.zeros(len(peaks), dtype=torch.long))

    def with_state(self, pooled: Tensor, by_state: Tensor | None) -> Tensor:
        """Index in each drawn model and, in the last column, log-expression by state, (n_cells, 1, n_draws + 1)."""
        if by_state is None:
            return pooled
        return torch.cat([pooled[..., :-1], by_state.to(pooled).view(-1, 1, 1)], 2)

    def tail(self, pooled: Tensor, genes: Tensor | None = None) -> Tensor:
        """Log of expected normalised counts: the state's part and the models' mean log activity."""
        index, by_state = pooled[:, 0, :-1], pooled[:, 0, -1]
        return (by_state + log_activity(index, self.size).mean(1))[:, None]


class WindowSurrogate(Surrogate):
    """All genes of a cell type, each with its window.

    Parameters
    ----------
    peaks, genes, cell_types : list of str
        All peaks of the data; the genes that have peaks in their windows; the types trained on, of which
        `cell_type` is the one that is explained.
    state : CellState
    tensors : dict of str to Tensor
        A *pair* is a peak in a gene's window; pairs of gene g are ``first_pair[g]`` to ``first_pair[g + 1]``.

        - ``first_pair`` (n_genes + 1,), ``peak_of_pair`` (n_pairs,);
        - openness, see :class:`WindowOpenness`: ``intercept`` (n_pairs,), ``deviation`` (n_pairs, n_slopes),
          ``direction`` (n_genes, n_slopes), ``centre`` (n_genes, 2), ``shared`` (n_genes, n_slopes + 2);
        - models drawn from the posterior, given that there is a member: ``weights`` (n_pairs, n_draws), ``size``
          (n_genes, n_draws); ``state_effect`` (n_genes, n_followed), of the covariates that expression may follow: the
          first ones;
        - the posterior, not given a member: ``inclusion`` (n_pairs,), chance that the peak is a member; ``form``
          (n_genes, 5), chance of each of :data:`FORMS`, none among them;
        - ``credible_set`` (n_pairs,), integers, see :func:`~grids.surrogates.window.credible_sets.credible_sets`;
        - ``depth_only`` (n_genes, 2), expression by depth alone; ``calibration`` (n_genes, 2), see :meth:`predict`.
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
        for name in _STATE:
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
        state = CellState(options["n_open"], *(tensors.pop(f"state_{name}") for name in _STATE))
        return cls(**names, state=state, tensors=tensors, cell_type=options["cell_type"])

    @property
    def n_replicates(self) -> int:
        """Models drawn from the posterior; 0 for a single one."""
        return self.weights.shape[1] if self.weights.shape[1] > 1 else 0

    def replicate(self, b: int) -> "WindowSurrogate":
        """One of the drawn models."""
        one = copy.copy(self)
        drawn = {"weights": self.weights[:, b : b + 1], "size": self.size[:, b : b + 1]}
        one._buffers = self._buffers | drawn
        return one

    def window(self, gene: str) -> Tensor:
        """Positions, among `peaks`, of a gene's window."""
        return self.peak_of_pair[self._pairs(self._column(gene))]

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

    def forms(self) -> pd.DataFrame:
        """Posterior chance of each form of control, none included: a row per gene, columns :data:`FORMS`."""
        return pd.DataFrame(self.form.numpy(), index=pd.Index(self.genes, name="gene"), columns=list(FORMS))

    def inclusion_of(self, column: int) -> Tensor:
        """Posterior chance that each peak of a gene's window is a member, shape (n_window_peaks,).

        Not given that there is any: what is predicted is, see :meth:`chance_of_no_member`.
        """
        return self.inclusion[self._pairs(column)]

    def credible_set_of(self, column: int) -> Tensor:
        """Number of the credible set of each peak of a gene's window, 0 in none, shape (n_window_peaks,)."""
        return self.credible_set[self._pairs(column)]

    def chance_of_no_member(self, gene: str) -> float:
        """Posterior chance that no peak of the gene's window is a member.

        A gene is worth an explanation where this is below one half and the gate is passed. What the surrogate predicts
        takes that for granted: no drawn model is without members, unless the gene has no candidates.
        """
        return self.forms().at[gene, "none"]

    def observe(self, opened: sparse.spmatrix, seed: int, split: str) -> Callable[[str], Observed]:
        """Openness drawn for the cells, gene by gene, and their log-expression by state."""
        cells = self.window_cells(opened)
        return lambda gene: cells.draw(gene, generator(seed, "openness", split, self.cell_type, gene))

    def judge_windows(self, train, test, windows, genes, orders) -> JudgedWindows:
        """How predictions go with what is observed, with the cells' own windows and those of others."""
        opened, columns = test.atac.X, test.rna.var.index.get_indexer(genes)
        observed, own = test.rna.X[:, columns].toarray(), [self._column(gene) for gene in genes]
        r_permuted = [
            correlation(self.predict(opened, window_of=order).numpy()[:, own], observed, 0)
            for order in tqdm(orders, desc="permuted windows")
        ]
        predicted, by_depth = (
            x.numpy()[:, own] for x in (self.predict(opened), self.predict_by_depth(opened))
        )
        return JudgedWindows(predicted, by_depth, np.array(r_permuted))

    def window_cells(self, opened: sparse.spmatrix) -> "WindowCells":
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
    def predict(self, opened: sparse.csr_matrix, window_of: np.ndarray | None = None) -> Tensor:
        """Expected log1p-normalised expression, shape (n_cells, n_genes).

        The mean over drawn models and over what is open but not seen. A count's mean does not tell the mean of
        its logarithm, so ``log1p`` of the expected counts is brought to the scale of log-normalised expression by
        a line fitted to the training cells.

        Parameters
        ----------
        opened : csr_matrix, shape (n_cells, n_peaks)
        window_of : ndarray of int, shape (n_cells,), optional
            The cell whose windows each cell gets; its state stays its own.
        """
        cells = self.window_cells(opened)
        log_mean = cells.followed @ self.state_effect.T
        for column in range(len(self.genes)):
            openness = cells.openness(column)
            openness = openness if window_of is None else openness[torch.from_numpy(window_of)]
            weights = self.weights[self._pairs(column)]
            index = torch.stack([expected_index(openness, w) for w in weights.T], 1)
            log_mean[:, column] += log_activity(index, self.size[column]).mean(1)
        return self.calibrated(log_mean)

    def predict_by_depth(self, opened: sparse.csr_matrix) -> Tensor:
        """Expression expected from the cell's chance of detection alone, shape (n_cells, n_genes)."""
        _, covariates_ = self.covariates(check_opened(opened, len(self.peaks)))
        return self.calibrated(covariates_[:, :2] @ self.depth_only.T)

    def calibrated(self, log_mean: Tensor) -> Tensor:
        """Log of expected normalised counts on the scale of log1p-normalised expression."""
        return self.calibration[:, 0] + self.calibration[:, 1] * torch.log1p(torch.exp(log_mean))

    def openness_of(self, column: int) -> WindowOpenness:
        """Openness of one gene's window."""
        gene, pairs = slice(column, column + 1), self._pairs(column)
        of_pairs = self.intercept[None, pairs], self.deviation[None, pairs]
        return WindowOpenness(*of_pairs, self.direction[gene], self.centre[gene], self.shared[gene])

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
        self.followed = self.covariates[:, : surrogate.state_effect.shape[1]]
        self._by_peak = opened.tocsc()

    def openness(self, column: int) -> Tensor:
        """Chance that each peak of a gene's window is open given what was seen, (n_cells, n_window_peaks)."""
        peaks = self.surrogate.peak_of_pair[self.surrogate._pairs(column)].numpy()
        seen = torch.from_numpy(self._by_peak[:, peaks].toarray().astype(np.float32))
        log_odds = self.surrogate.openness_of(column).log_odds(self.covariates)[0]
        return expected_openness(seen, self.chance, log_odds)

    def draw(self, gene: str, rng: np.random.Generator) -> Observed:
        """Openness drawn given what was seen, (n_cells, n_window_peaks), and log-expression by state, (n_cells,).

        The generator is of these cells and this gene alone: what is drawn for training cells must tell nothing about
        other cells.
        """
        column = self.surrogate._column(gene)
        chance = self.openness(column)
        uniform = rng.random(tuple(chance.shape), dtype=np.float32)
        opened = sparse.csr_matrix((uniform < chance.numpy()).astype(np.uint8))
        return opened, self.followed @ self.surrogate.state_effect[column]


_STATE = [field.name for field in fields(CellState) if field.name != "n_open"]


def covariates(chance: Tensor, components: Tensor, type_code: Tensor, n_types: int) -> Tensor:
    """Intercept, log detection chance, components of the state, and indicators of all types but the first, as columns.

    Parameters
    ----------
    chance : Tensor, shape (n_cells,)
    components : Tensor, shape (n_cells, n_components)
    type_code : LongTensor, shape (n_cells,)
    n_types : int
    """
    intercept = torch.ones(len(chance), 1)
    of_type = nn.functional.one_hot(type_code, n_types)[:, 1:].to(torch.float32)
    # Two: a doubling or so of depth is one unit, the order of the components' scale.
    return torch.cat([intercept, 2 * torch.log(chance / 0.3)[:, None], components, of_type], 1)


def window_pairs(
    windows: pd.DataFrame, peaks: list[str], genes: list[str]
) -> tuple[list[str], Tensor, Tensor]:
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
