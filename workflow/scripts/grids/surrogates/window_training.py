"""Training of the window surrogate: how strongly to regularise is chosen on validation cells."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from grids.cells import Multiome
from grids.errors import InputError
from grids.seeds import generator
from grids.surrogates.cell_state import CellState, expected_openness, fit_openness
from grids.surrogates.single_index import (
    MULTIPLICATIVE,
    SHAPES,
    Cells,
    Fit,
    estimate_dispersion,
    fit_shape,
    fit_state,
    log_likelihood,
    log_mean,
    resample,
)
from grids.surrogates.window import WindowSurrogate, covariates, window_pairs

log = logging.getLogger("grids")

ENTRIES_PER_BLOCK = 2**23
# Regularisation is chosen on this many genes at most, among those with enough counts to tell.
GENES_TO_CHOOSE_ON = 100
MIN_COUNTS_TO_CHOOSE = 50
CELLS_PER_COMPONENT = 25
REGULARISATION_COLUMNS = ["cell_type", "strength", "n_cells_per_metacell", "validation_deviance", "chosen"]


@dataclass(frozen=True)
class WindowSettings:
    """How the window surrogate is trained.

    Attributes
    ----------
    n_components : int
        Components of the cells' state that expression may follow without the window.
    precisions : tuple of float
        Precisions of the normal prior of the peaks' weights to choose from, on validation cells.
    metacell_sizes : tuple of int
        Numbers of neighbouring cells, of the type and split, to train on sums of; 1 is single cells.
    train_on : {"own", "all"}
        The type's own cells, or all cells with the type as a covariate.
    n_replicates : int
        Refits on bootstrapped training cells.
    """

    n_components: int = 20
    precisions: tuple[float, ...] = (1.0, 10.0, 40.0, 160.0)
    metacell_sizes: tuple[int, ...] = (1,)
    train_on: str = "own"
    n_replicates: int = 20


def counts_and_exposure(expression: sparse.csr_matrix) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts behind log-normalised expression, and each cell's normalising factor.

    A cell's smallest non-zero value stands for one count.

    Parameters
    ----------
    expression : csr_matrix, shape (n_cells, n_genes)
        log1p of normalised counts.

    Returns
    -------
    counts : csr_matrix, shape (n_cells, n_genes)
    exposure : ndarray, shape (n_cells,)
        ``counts = exposure * normalised counts``; the median for cells without counts.
    """
    counts = expression.astype(np.float64)
    counts.data = np.expm1(counts.data)
    n_stored = np.diff(counts.indptr)
    smallest = np.full(counts.shape[0], np.nan)
    some = np.flatnonzero(n_stored)
    if len(some):
        smallest[some] = np.minimum.reduceat(counts.data, counts.indptr[some])
    exposure = 1 / smallest
    exposure[~np.isfinite(exposure)] = np.nanmedian(exposure) if len(some) else 1.0
    counts.data *= np.repeat(exposure, n_stored)
    counts.data = np.rint(counts.data)
    return counts.astype(np.float32), exposure


class _Trainer:
    """Cells of one type ready for fits, block by block of genes."""

    def __init__(self, multiome: Multiome, windows: pd.DataFrame, cell_type: str, settings, seed: int):
        self.settings, self.seed, self.cell_type = settings, seed, cell_type
        chosen = {"split": ["train", "validation"]}
        if settings.train_on == "own":
            chosen["cell_type"] = cell_type
        rna, atac = multiome.rna.cells(**chosen), multiome.atac.cells(**chosen)
        self.cell_types = atac.cell_types
        type_code = pd.Index(self.cell_types).get_indexer(atac.obs["cell_type"])
        self.is_validation = (atac.obs["split"] == "validation").to_numpy()
        self.of_type = (atac.obs["cell_type"] == cell_type).to_numpy()
        self.opened, self.peaks = atac.X, list(atac.var.index)
        self.expression = rna.X.tocsc()
        counts, exposure = counts_and_exposure(rna.X)
        self.counts, self.exposure = counts.tocsc(), torch.from_numpy(exposure.astype(np.float32))
        all_genes = list(rna.var.index)
        self.genes, self.first_pair, self.peak_of_pair = window_pairs(windows, self.peaks, all_genes)
        if not self.genes:
            raise InputError("windows: no gene has a peak in its window; widen windows.window_bp")
        self.column_of_gene = pd.Index(all_genes).get_indexer(self.genes)
        n_components = min(settings.n_components, self.opened.shape[0] // CELLS_PER_COMPONENT)
        self.state = CellState.fit(
            self.opened, atac.obs["detection"].to_numpy(np.float64), n_components, seed
        )
        self.chance, self.components = self.state(self.opened)
        self.covariates = covariates(
            self.chance, self.components, torch.from_numpy(type_code), len(self.cell_types)
        )
        used = np.unique(self.peak_of_pair.numpy())
        self.openness = torch.zeros(len(self.peaks), self.covariates.shape[1])
        self.openness[used] = fit_openness(self.opened[:, used], self.chance, self.covariates)
        self.by_peak = self.opened.tocsc()

    def blocks(self, genes: np.ndarray) -> list[np.ndarray]:
        """Genes with windows of similar size together, as many as memory allows."""
        size = np.diff(self.first_pair.numpy())[genes]
        order = genes[np.argsort(size, kind="stable")]
        size = np.sort(size) + self.covariates.shape[1] + 1
        blocks, start = [], 0
        for end in range(1, len(order) + 1):
            full = end < len(order) and (end + 1 - start) * size[end] * len(self.chance) > ENTRIES_PER_BLOCK
            if full or end == len(order):
                blocks.append(order[start:end])
                start = end
        return blocks

    def cells(self, genes: np.ndarray) -> Cells:
        """The data of a block of genes: windows unpacked and padded to the largest of them."""
        windows = [self.peak_of_pair[self.first_pair[g] : self.first_pair[g + 1]] for g in genes]
        n_cells = len(self.chance)
        openness = torch.zeros(len(genes), n_cells, max(map(len, windows)))
        for row, columns in enumerate(windows):
            seen = torch.from_numpy(self.by_peak[:, columns.numpy()].toarray().astype(np.float32))
            openness[row, :, : len(columns)] = expected_openness(
                seen, self.chance, self.covariates, self.openness[columns]
            )
        counts = torch.from_numpy(self.counts[:, self.column_of_gene[genes]].toarray().T.copy())
        return Cells(openness, self.covariates, counts, self.exposure)

    def metacells(self, size: int, rows: np.ndarray) -> sparse.csr_matrix | None:
        """Sums of each drawn cell's neighbours in state, of its type, among `rows`; None for single cells."""
        if size == 1:
            return None
        from sklearn.neighbors import NearestNeighbors

        rng = generator(self.seed, "metacells", self.cell_type, size)
        entries, n_rows = [], 0
        types = self.covariates[rows, -(len(self.cell_types) - 1) :] if len(self.cell_types) > 1 else None
        codes = np.zeros(len(rows), int) if types is None else types.numpy() @ np.arange(1, types.shape[1] + 1)
        points = self.components[rows].numpy()
        for code in np.unique(codes):
            here = np.flatnonzero(codes == code)
            k = min(size, len(here))
            seeds = rng.choice(here, max(2 * len(here) // k, 1), replace=False) if k > 1 else here
            near = NearestNeighbors(n_neighbors=k).fit(points[here]).kneighbors(points[seeds], False)
            row = n_rows + np.repeat(np.arange(len(seeds)), k)
            entries.append((row, here[near.ravel()]))
            n_rows += len(seeds)
        row, column = (np.concatenate(part) for part in zip(*entries, strict=True))
        ones = np.ones(len(row), np.float32)
        return sparse.csr_matrix((ones, (row, column)), shape=(n_rows, len(rows)))

    def choose(self) -> tuple[float, int, pd.DataFrame]:
        """Precision and metacell size with the largest log-likelihood on validation cells."""
        options = [(p, k) for k in self.settings.metacell_sizes for p in self.settings.precisions]
        total = np.asarray(self.counts.sum(0)).ravel()[self.column_of_gene]
        genes = np.flatnonzero(total >= MIN_COUNTS_TO_CHOOSE)
        train, validation = np.flatnonzero(~self.is_validation), np.flatnonzero(self.is_validation & self.of_type)
        if len(genes) > GENES_TO_CHOOSE_ON:
            rng = generator(self.seed, "choose", self.cell_type)
            genes = np.sort(rng.choice(genes, GENES_TO_CHOOSE_ON, replace=False))
        deviance = np.zeros((len(options), len(self.genes)))
        if len(options) > 1 and len(genes) and len(validation):
            for block in tqdm(self.blocks(genes), desc="choosing regularisation", unit="block"):
                cells = self.cells(block)
                judged = cells.subset(torch.from_numpy(validation))
                for size in self.settings.metacell_sizes:
                    fitted = sum_cells(cells.subset(torch.from_numpy(train)), self.metacells(size, train))
                    dispersion = estimate_dispersion(log_mean(fit_state(fitted, _typical(fitted)), fitted), fitted)
                    for i, (precision, of_size) in enumerate(options):
                        if of_size == size:
                            best = best_shape(fit_shapes(fitted, dispersion, precision))
                            value = log_likelihood(log_mean(best, judged), judged, dispersion)
                            deviance[i, block] = -2 * value.mean(1).numpy()
        deviance = deviance[:, genes]
        chosen = one_standard_error(deviance, [precision for precision, _ in options])
        table = pd.DataFrame(options, columns=["strength", "n_cells_per_metacell"])
        table["validation_deviance"] = deviance.mean(1) if deviance.any() else np.nan
        table["chosen"] = np.arange(len(options)) == chosen
        table.insert(0, "cell_type", self.cell_type)
        return *options[chosen], table[REGULARISATION_COLUMNS]


def one_standard_error(deviance: np.ndarray, precisions: list[float]) -> int:
    """The strongest regularisation that is not worse than the best by more than one standard error.

    Parameters
    ----------
    deviance : ndarray, shape (n_options, n_genes)
    precisions : list of float, length n_options

    Returns
    -------
    int
        Position of the option; the median precision's where nothing could be judged.
    """
    if not deviance.any():
        return int(np.argsort(precisions)[len(precisions) // 2])
    best = int(deviance.mean(1).argmin())
    loss = deviance - deviance[best]
    error = loss.std(1, ddof=1) / np.sqrt(loss.shape[1]) if loss.shape[1] > 1 else np.zeros(len(loss))
    near = np.flatnonzero(loss.mean(1) <= error)
    return int(max(near, key=lambda option: (precisions[option], -loss[option].mean())))


def _typical(cells: Cells) -> Tensor:
    return torch.full((len(cells.counts),), 0.3)


def sum_cells(cells: Cells, groups: sparse.csr_matrix | None) -> Cells:
    """Counts and exposures summed, openness and covariates averaged over groups of cells; None changes nothing."""
    if groups is None:
        return cells
    n = torch.from_numpy(np.asarray(groups.sum(1), dtype=np.float32).ravel())

    def total(values: Tensor) -> Tensor:
        return torch.from_numpy(groups @ values.numpy())

    openness = torch.stack([total(x) / n[:, None] for x in cells.openness])
    return Cells(
        openness, total(cells.covariates) / n[:, None], total(cells.counts.T).T.contiguous(), total(cells.exposure)
    )


def fit_shapes(cells: Cells, dispersion: Tensor, precision: float) -> list[Fit]:
    """A fit of every shape of the curve."""
    first = fit_shape(cells, dispersion, MULTIPLICATIVE, precision)
    return [first] + [fit_shape(cells, dispersion, shape, precision, first) for shape in SHAPES[1:]]


def best_shape(fits: list[Fit]) -> Fit:
    """Each gene's fit of the largest penalised likelihood."""
    return choose_fits(fits, torch.stack([fit.objective for fit in fits]).argmax(0))


def choose_fits(fits: list[Fit], which: Tensor) -> Fit:
    """Gene by gene, one of several fits."""
    genes = torch.arange(len(which))
    stacked = (torch.stack([getattr(fit, name) for fit in fits])[which, genes] for name in Fit.__annotations__)
    return Fit(*stacked)


def train_window(
    multiome: Multiome, windows: pd.DataFrame, cell_type: str, settings: WindowSettings, seed: int
) -> tuple[WindowSurrogate, pd.DataFrame]:
    """Train the window surrogate of one cell type, all its genes together.

    Parameters
    ----------
    multiome : Multiome
        Paired; ``atac.obs["detection"]`` is each cell's chance that an open peak is seen.
    windows : DataFrame
        Columns ``peak, gene``.
    cell_type : str
    settings : WindowSettings
    seed : int

    Returns
    -------
    surrogate : WindowSurrogate
        Its refits saw training and validation cells, never test cells.
    regularisation : DataFrame
        :data:`REGULARISATION_COLUMNS`; `strength` is the precision of the weights' prior.

    Raises
    ------
    InputError
        Cells are unpaired, or no gene has a peak in its window.
    """
    if not multiome.paired:
        raise InputError(
            "surrogate.model is window, which needs RNA and ATAC of the same cells, but these are unpaired; "
            "set surrogate.model: cross_modality"
        )
    trainer = _Trainer(multiome, windows, cell_type, settings, seed)
    precision, size, table = trainer.choose()
    log.info("%s: precision %g, %d cells per metacell", cell_type, precision, size)
    n_genes, n_covariates = len(trainer.genes), trainer.covariates.shape[1]
    tensors = {
        "first_pair": trainer.first_pair,
        "peak_of_pair": trainer.peak_of_pair,
        "openness": trainer.openness,
        "weights": torch.zeros(len(trainer.peak_of_pair), settings.n_replicates),
        "size": torch.zeros(n_genes, settings.n_replicates),
        "state_effect": torch.zeros(n_genes, n_covariates),
        "state_only": torch.zeros(n_genes, n_covariates),
        "depth_only": torch.zeros(n_genes, 2),
        "dispersion": torch.zeros(n_genes),
        "calibration": torch.zeros(n_genes, 2),
    }
    groups = trainer.metacells(size, np.arange(len(trainer.chance)))
    bar = tqdm(total=n_genes, desc=f"{cell_type}: fitting genes", unit="gene")
    for block in trainer.blocks(np.arange(n_genes)):
        _fit_block(trainer, block, precision, groups, tensors)
        bar.update(len(block))
    bar.close()
    surrogate = WindowSurrogate(
        trainer.peaks, trainer.genes, trainer.cell_types, trainer.state, tensors, cell_type
    )
    return surrogate, table


def _fit_block(
    trainer: _Trainer, block: np.ndarray, precision: float, groups: sparse.csr_matrix | None, tensors: dict
) -> None:
    """Fit a block of genes and write their parameters to their places."""
    single = trainer.cells(block)
    cells = sum_cells(single, groups)
    state_only = fit_state(cells, _typical(cells))
    dispersion = estimate_dispersion(log_mean(state_only, cells), cells)
    state_only = fit_state(cells, dispersion)
    depth = Cells(cells.openness, cells.covariates[:, :2], cells.counts, cells.exposure)
    fits = fit_shapes(cells, dispersion, precision)
    best = best_shape(fits)
    rng = generator(trainer.seed, "replicates", trainer.cell_type)
    n_cells, n_replicates = len(cells.exposure), trainer.settings.n_replicates
    drawn = rng.multinomial(n_cells, np.full(n_cells, 1 / n_cells), n_replicates).T
    multiplicity = torch.from_numpy(drawn.astype(np.float32))
    resampled = [
        resample(cells, dispersion, shape, precision, fit, multiplicity)
        for shape, fit in zip(SHAPES, fits, strict=True)
    ]
    prior = torch.stack([fit.objective for fit in fits]) - torch.stack(
        [log_likelihood(log_mean(fit, cells), cells, dispersion).sum(1) for fit in fits]
    )
    objective = torch.stack([likelihood for _, likelihood in resampled]) + prior[:, :, None]
    refits = [
        choose_fits([replicates[b] for replicates, _ in resampled], objective[:, :, b].argmax(0))
        for b in range(n_replicates)
    ]
    weights = torch.stack([refit.weights for refit in refits], 2)
    sizes = torch.stack([refit.size for refit in refits], 1)
    for row, gene in enumerate(block):
        pairs = slice(int(tensors["first_pair"][gene]), int(tensors["first_pair"][gene + 1]))
        tensors["weights"][pairs] = weights[row, : pairs.stop - pairs.start]
    tensors["size"][block] = sizes
    tensors["state_effect"][block] = best.state_effect
    tensors["state_only"][block] = state_only.state_effect
    tensors["depth_only"][block] = fit_state(depth, dispersion).state_effect
    tensors["dispersion"][block] = dispersion
    tensors["calibration"][block] = _calibrate(
        torch.log1p(torch.exp(log_mean(best, single))),
        torch.from_numpy(trainer.expression[:, trainer.column_of_gene[block]].toarray().T.astype(np.float32)),
    )


def _calibrate(predicted: Tensor, observed: Tensor) -> Tensor:
    """Intercept and slope of the line from predicted to observed values of each gene, shape (n_genes, 2)."""
    centred = predicted - predicted.mean(1, keepdim=True)
    slope = (centred * observed).sum(1) / (centred**2).sum(1).clamp(min=1e-6)
    slope = slope.clamp(0, 10)
    return torch.stack([observed.mean(1) - slope * predicted.mean(1), slope], 1)
