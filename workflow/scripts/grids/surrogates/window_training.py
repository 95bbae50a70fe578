"""Training of the window surrogate: which sets of peaks control each gene, by how much, and how sure that is."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.special import ndtri
from torch import Tensor
from tqdm import tqdm

from grids.cells import Multiome
from grids.checkpoints import KeptTensors
from grids.errors import InputError
from grids.seeds import generator
from grids.surrogates.cell_state import CellState
from grids.surrogates.gate import local_control_moments
from grids.surrogates.set_models import (
    BENDS,
    FORMS,
    LOG_RATIO_SD,
    MAX_LOG_RATIO,
    N_EXTENDED,
    Cells,
    Fit,
    Models,
    WorkingModel,
    activity,
    curves,
    expected_by_state,
    fit_state,
    log_likelihood,
    log_mean,
    refine,
    search,
    single_index,
)
from grids.surrogates.window import WindowSurrogate, covariates, gate_covariates, window_pairs
from grids.surrogates.window_openness import N_CURVED, WindowOpenness, expected_openness, fit_openness

log = logging.getLogger("grids")

ENTRIES_PER_BLOCK = 2**23
# Training and validation cells that a model learns from, at most.
MAX_CELLS = 50_000
N_ROUNDS = 2
# What is kept per peak of a window; the rest is per gene.
BY_PAIR = ("intercept", "deviation", "weights", "inclusion", "probe_weights")
# Regularisation is chosen on this many genes at most, among those with enough counts to tell.
GENES_TO_CHOOSE_ON = 60
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
    member_penalties : tuple of float
        Costs of each member, in log prior odds, to choose from on validation cells.
    metacell_sizes : tuple of int
        Numbers of neighbouring cells of the type to train on sums of; 1 is single cells. While the size is chosen,
        training cells are summed alone; test cells never take part.
    train_on : {"own", "all"}
        The type's own cells, or all cells with the type as a covariate.
    n_draws : int
        Models drawn from the posterior.
    """

    n_components: int = 20
    member_penalties: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    metacell_sizes: tuple[int, ...] = (1,)
    train_on: str = "own"
    n_draws: int = 20


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
    counts.eliminate_zeros()
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

    def __init__(
        self,
        multiome: Multiome,
        windows: pd.DataFrame,
        cell_type: str,
        settings: WindowSettings,
        seed: int,
        candidates: pd.DataFrame | None,
        kept: KeptTensors | None = None,
    ):
        self.settings, self.seed, self.cell_type, self.kept = settings, seed, cell_type, kept
        chosen = {"split": ["train", "validation"]}
        if settings.train_on == "own":
            chosen["cell_type"] = cell_type
        cells = multiome.cells(**chosen, most=MAX_CELLS)
        rna, atac = cells.rna, cells.atac
        self.cell_types = atac.cell_types
        self.type_code = pd.Index(self.cell_types).get_indexer(atac.obs["cell_type"])
        self.is_validation = (atac.obs["split"] == "validation").to_numpy()
        self.of_type = (atac.obs["cell_type"] == cell_type).to_numpy()
        self.peaks, self.by_peak = list(atac.var.index), atac.X.tocsc()
        self.expression = rna.X.tocsc()
        counts, exposure = counts_and_exposure(rna.X)
        self.counts, self.exposure = counts.tocsc(), torch.from_numpy(exposure.astype(np.float32))
        all_genes = list(rna.var.index)
        self.genes, self.first_pair, self.peak_of_pair = window_pairs(windows, self.peaks, all_genes)
        if not self.genes:
            raise InputError("windows: no gene has a peak in its window; widen windows.window_bp")
        self.column_of_gene = pd.Index(all_genes).get_indexer(self.genes)
        self.is_candidate = self._is_candidate(candidates)
        self.is_bend = self._is_bend(candidates)
        order = generator(seed, "halves", cell_type).permutation(atac.X.shape[0])
        first, second = np.array_split(order, 2)
        self.halves = np.sort(first), np.sort(second[self.of_type[second]])
        n_components = min(settings.n_components, atac.X.shape[0] // CELLS_PER_COMPONENT)
        self.state = CellState.fit(atac.X, atac.obs["detection"].to_numpy(np.float64), n_components, seed)
        self.chance, self.components = self.state(atac.X)
        self.covariates = covariates(
            self.chance, self.components, torch.from_numpy(self.type_code), len(self.cell_types)
        )

    def pairs(self, gene: int) -> slice:
        """The pairs of a gene and the peaks of its window."""
        return slice(int(self.first_pair[gene]), int(self.first_pair[gene + 1]))

    def _is_candidate(self, candidates: pd.DataFrame | None) -> np.ndarray:
        """Whether each pair may be a member."""
        if candidates is None:
            return np.ones(len(self.peak_of_pair), dtype=bool)
        gene = np.repeat(np.arange(len(self.genes)), np.diff(self.first_pair.numpy()))
        pairs = pd.MultiIndex.from_arrays([self.peak_of_pair.numpy(), gene])
        asked = (
            pd.Index(self.peaks).get_indexer(candidates["peak"]),
            pd.Index(self.genes).get_indexer(candidates["gene"]),
        )
        return pairs.isin(pd.MultiIndex.from_arrays(asked))

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

    def once(
        self, what: str, genes: np.ndarray, compute: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """What `compute` makes of a block of genes, or what it made before the job was killed."""
        if self.kept is None:
            return compute()
        names = [what, *(self.genes[gene] for gene in genes)]
        if (values := self.kept.load(names)) is None:
            values = compute()
            self.kept.save(names, values)
        else:
            log.info("%s: resumed, %s of %d genes was done", self.cell_type, what, len(genes))
        return values

    def cells(self, genes: np.ndarray) -> tuple[Cells, WindowOpenness]:
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
        cells = Cells(chance_open, is_candidate, self.covariates[None], counts, self.exposure, is_bend)
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

    def choose(self) -> tuple[float, int, pd.DataFrame]:
        """Penalty and metacell size with the smallest deviance on validation cells; the median when none can tell."""
        penalties, sizes = sorted(self.settings.member_penalties), self.settings.metacell_sizes
        options = [(penalty, size) for size in sizes for penalty in penalties]
        total = np.asarray(self.counts.sum(0)).ravel()[self.column_of_gene]
        genes = np.flatnonzero(total >= MIN_COUNTS_TO_CHOOSE)
        train = np.flatnonzero(~self.is_validation)
        judged = np.flatnonzero(self.is_validation & self.of_type)
        if len(genes) > GENES_TO_CHOOSE_ON:
            rng = generator(self.seed, "choose", self.cell_type)
            genes = np.sort(rng.choice(genes, GENES_TO_CHOOSE_ON, replace=False))
        deviance = np.full(len(options), np.nan)
        if len(options) > 1 and len(genes) and len(judged):
            deviance = np.zeros(len(options))
            for block in tqdm(self.blocks(genes), desc="choosing regularisation", unit="block"):
                judge = partial(self._judge, block, train, judged)
                deviance += self.once("choice", block, judge)["deviance"].numpy() / len(genes)
            chosen = int(deviance.argmin())
        else:
            chosen = len(penalties) // 2
        table = pd.DataFrame(options, columns=["strength", "n_cells_per_metacell"])
        table = table.assign(validation_deviance=deviance, chosen=np.arange(len(options)) == chosen)
        table.insert(0, "cell_type", self.cell_type)
        return *options[chosen], table[REGULARISATION_COLUMNS]

    def _judge(self, block: np.ndarray, train: np.ndarray, judged: np.ndarray) -> dict[str, Tensor]:
        """Deviances of a block of genes, by size of metacells and penalty within it."""
        cells, _ = self.cells(block)
        held_out = cells.subset(torch.from_numpy(judged))
        deviance = []
        for size in self.settings.metacell_sizes:
            fitted = sum_cells(cells.subset(torch.from_numpy(train)), self.metacells(size, train))
            deviance += [
                validation_deviance(fitted, held_out, penalty)
                for penalty in sorted(self.settings.member_penalties)
            ]
        return {"deviance": torch.tensor(deviance, dtype=torch.float64)}


def validation_deviance(cells: Cells, held_out: Cells, penalty: float) -> float:
    """Sum over genes of the mean deviance on held-out cells of the best models fitted to others."""
    models, fit, _ = fit_models(cells, penalty)
    best = models.take(torch.zeros(len(cells.counts), 1, dtype=torch.long))
    log_mu = log_mean(fit, held_out, curves(held_out.openness, best)[:, 0])
    return float(-2 * log_likelihood(log_mu, held_out, fit.dispersion).mean(1).sum())


def sum_cells(cells: Cells, groups: sparse.csr_matrix | None) -> Cells:
    """Counts and exposures summed, openness and covariates averaged over groups of cells; None changes nothing."""
    if groups is None:
        return cells
    n = torch.from_numpy(np.asarray(groups.sum(1), dtype=np.float32).ravel())

    def total(values: Tensor) -> Tensor:
        return torch.from_numpy(groups @ values.numpy())

    openness = torch.stack([total(x) / n[:, None] for x in cells.openness])
    covariates_ = torch.stack([total(x) / n[:, None] for x in cells.covariates])
    counts, exposure = total(cells.counts.T).T.contiguous(), total(cells.exposure)
    return replace(cells, openness=openness, covariates=covariates_, counts=counts, exposure=exposure)


def fit_models(cells: Cells, penalty: float) -> tuple[Models, Fit, Tensor]:
    """Search for the models of a block of genes, around the best ones so far.

    Parameters
    ----------
    cells : Cells
    penalty : float
        Of each member.

    Returns
    -------
    models : Models
        Best first.
    fit : Fit
        Of the best model.
    curve : Tensor, shape (n_genes, n_cells)
        Of the best model.
    """
    fit = fit_state(cells)
    curve = torch.zeros_like(cells.counts)
    for _ in range(N_ROUNDS):
        models = search(WorkingModel(fit, cells, curve), cells, penalty)
        best = models.take(torch.zeros(len(curve), 1, dtype=torch.long))
        curve = curves(cells.openness, best)[:, 0]
        start = Fit(fit.state_effect, torch.full_like(fit.log_ratio, 0.5), fit.dispersion)
        fit = refine(start, cells, curve)
    return models, fit, curve


def draw_models(
    models: Models, cells: Cells, fit: Fit, penalty: float, n_draws: int, rngs: list[np.random.Generator]
) -> tuple[Models, Tensor, Tensor]:
    """Models from the posterior, each with a log ratio from its own.

    The state's effect is the best model's, but for the level, which every model has its own of.

    Parameters
    ----------
    models : Models
        Best first.
    cells : Cells
    fit : Fit
        Of the best model.
    penalty : float
    n_draws : int
    rngs : list of Generator
        One for each gene: what is drawn for it does not depend on the genes that are fitted with it.

    Returns
    -------
    drawn : Models
        `n_draws` of each gene.
    log_ratio : Tensor, shape (n_genes, n_draws)
    level : Tensor, shape (n_genes, n_draws)
        Of the log mean, relative to the fit's.
    """
    posterior = torch.softmax(models.log_posterior(penalty, cells.is_candidate.sum(1)).double(), 1)
    # Systematic sampling: shares of models are as close to the posterior as `n_draws` allows.
    start = torch.from_numpy(np.array([[rng.random()] for rng in rngs]))
    place = (torch.arange(n_draws) + start) / n_draws
    which = torch.searchsorted(posterior.cumsum(1), place).clamp(max=posterior.shape[1] - 1)
    drawn = models.take(which)
    curve = curves(cells.openness, drawn)
    log_ratio, error = fit_curves(curve, cells, fit)
    if n_draws > 1:
        quantiles = normal_quantiles(n_draws)
        noise = torch.from_numpy(np.array([rng.permutation(quantiles) for rng in rngs]))
        log_ratio = (log_ratio + noise * error).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    # With another ratio, the level that keeps the mean.
    level = level_of(curve, cells, fit, log_ratio)
    return drawn, log_ratio, level


def normal_quantiles(n: int) -> np.ndarray:
    """`n` evenly spaced quantiles of the normal distribution, scaled to unit variance; float32.

    As draws they have the spread, and reach the tails, that random ones only have on average.
    """
    quantiles = ndtri((np.arange(n) + 0.5) / n)
    return (quantiles / quantiles.std()).astype(np.float32)


def fit_curves(curve: Tensor, cells: Cells, fit: Fit) -> tuple[Tensor, Tensor]:
    """Log ratio of each model with its own level, the state's effect that of a fit, and its standard error.

    Parameters
    ----------
    curve : Tensor, shape (n_genes, n_models, n_cells)
    cells : Cells
    fit : Fit

    Returns
    -------
    log_ratio, error : Tensor, shape (n_genes, n_models)
        The error allows for the doubt about the state's effect, and is of the sandwich form (White, Econometrica
        1982): what is hidden about openness and state makes counts vary more in some cells than a common
        dispersion says.
    """
    n_genes, n_models, n_cells = curve.shape
    by_state = expected_by_state(fit, cells)
    flat = Cells(
        curve.new_zeros(n_genes * n_models, n_cells, 0),
        torch.zeros(n_genes * n_models, 0, dtype=torch.bool),
        torch.ones(1, n_cells, 1),
        cells.counts.repeat_interleave(n_models, 0),
        by_state.repeat_interleave(n_models, 0),
    )
    zeros = torch.zeros(n_genes * n_models)
    start = Fit(zeros[:, None], zeros + 0.5, fit.dispersion.repeat_interleave(n_models))
    each = refine(start, flat, curve.flatten(0, 1))
    log_ratio = each.log_ratio.view(n_genes, n_models)
    relative = activity(log_ratio, curve)
    by_ratio = torch.exp(log_ratio)[:, :, None] * curve / relative
    expected = by_state[:, None] * torch.exp(each.state_effect.view(n_genes, n_models, 1)) * relative
    weight = expected / (1 + fit.dispersion[:, None, None] * expected)
    # The state's part is taken out with the weights of the best model, the first one's are close to them.
    common = weight.mean(1)
    states = cells.covariates.expand(n_genes, -1, -1)
    gram = (states * common[:, :, None]).transpose(1, 2) @ states + torch.eye(states.shape[2])
    mixed = (by_ratio * common[:, None]) @ states
    by_states = torch.linalg.solve(gram, mixed.transpose(1, 2)).transpose(1, 2)
    alone = by_ratio - by_states @ states.transpose(1, 2)
    precision = (alone * by_ratio * common[:, None]).sum(2).clamp(min=0) + 1 / LOG_RATIO_SD**2
    residual = (cells.counts[:, None] - expected) / (1 + fit.dispersion[:, None, None] * expected)
    spread = ((alone * residual) ** 2).sum(2) + 1 / LOG_RATIO_SD**2
    return log_ratio, torch.sqrt(spread) / precision


def level_of(curve: Tensor, cells: Cells, fit: Fit, log_ratio: Tensor) -> Tensor:
    """Log of the factor that brings each model's expected counts to the observed total, (n_genes, n_models)."""
    expected = (expected_by_state(fit, cells)[:, None] * activity(log_ratio, curve)).sum(2)
    return torch.log(cells.counts.sum(1).clamp(min=0.5))[:, None] - torch.log(expected.clamp(min=1e-8))


def train_window(
    multiome: Multiome,
    windows: pd.DataFrame,
    cell_type: str,
    settings: WindowSettings,
    seed: int,
    candidates: pd.DataFrame | None = None,
    kept: KeptTensors | None = None,
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
    candidates : DataFrame, optional
        Columns ``peak, gene``: the pairs of `windows` that may be members; all by default. The others only tell how
        open the window is. With a column ``bend``, models of the gene have this one of
        :data:`~grids.surrogates.set_models.BENDS`; all of them where it is missing.
    kept : KeptTensors, optional
        Blocks of genes that are done are kept there, and what is there is not done again: only for the same data,
        settings, seed and candidates.

    Returns
    -------
    surrogate : WindowSurrogate
        It saw training and validation cells, never test cells.
    regularisation : DataFrame
        :data:`REGULARISATION_COLUMNS`; `strength` is the penalty of a member.

    Raises
    ------
    InputError
        Cells are unpaired, none of the type is a training cell, or no gene has a peak in its window.
    """
    if not multiome.paired:
        raise InputError(
            "surrogate.model is window, which needs RNA and ATAC of the same cells, but these are unpaired; "
            "set surrogate.model: cross_modality"
        )
    if not len(multiome.atac.cells(cell_type=cell_type, split="train").obs):
        raise InputError(
            f"cell type '{cell_type}' has no training cells; raise preprocessing.split.train, relax quality_control, "
            "or take the type out of tasks"
        )
    trainer = _Trainer(multiome, windows, cell_type, settings, seed, candidates, kept)
    penalty, size, table = trainer.choose()
    log.info("%s: penalty of a member %g, %d cells per metacell", cell_type, penalty, size)
    n_genes, n_pairs = len(trainer.genes), len(trainer.peak_of_pair)
    n_covariates = trainer.covariates.shape[1]
    tensors = {
        "first_pair": trainer.first_pair,
        "peak_of_pair": trainer.peak_of_pair,
        "intercept": torch.zeros(n_pairs),
        "deviation": torch.zeros(n_pairs, n_covariates - 1),
        "direction": torch.zeros(n_genes, n_covariates - 1),
        "centre": torch.zeros(n_genes, 2),
        "shared": torch.zeros(n_genes, n_covariates - 1 + N_CURVED),
        "weights": torch.zeros(n_pairs, settings.n_draws),
        "size": torch.zeros(n_genes, settings.n_draws),
        "state_effect": torch.zeros(n_genes, n_covariates),
        "inclusion": torch.zeros(n_pairs),
        "form": torch.zeros(n_genes, len(FORMS)),
        "probe_weights": torch.zeros(n_pairs),
        "probe_size": torch.zeros(n_genes),
        "without_window": torch.zeros(n_genes, n_covariates + 5),
        "dispersion": torch.zeros(n_genes),
        "half_moments": torch.zeros(n_genes, 3),
        "depth_only": torch.zeros(n_genes, 2),
        "calibration": torch.zeros(n_genes, 2),
    }
    groups = trainer.metacells(size, np.arange(len(trainer.chance)))
    groups_of_half = trainer.metacells(size, trainer.halves[0])
    bar = tqdm(total=n_genes, desc=f"{cell_type}: fitting genes", unit="gene")
    for block in trainer.blocks(np.arange(n_genes)):
        fit = partial(_fit_block, trainer, block, penalty, groups, groups_of_half)
        for name, values in trainer.once("fit", block, fit).items():
            if name in BY_PAIR:
                for row, gene in enumerate(block):
                    pairs = trainer.pairs(gene)
                    tensors[name][pairs] = values[row, : pairs.stop - pairs.start]
            else:
                tensors[name][block] = values
        bar.update(len(block))
    bar.close()
    surrogate = WindowSurrogate(
        trainer.peaks, trainer.genes, trainer.cell_types, trainer.state, tensors, cell_type
    )
    return surrogate, table


def _fit_block(
    trainer: _Trainer,
    block: np.ndarray,
    penalty: float,
    groups: sparse.csr_matrix | None,
    groups_of_half: sparse.csr_matrix | None,
) -> dict[str, Tensor]:
    """What the surrogate keeps of a block of genes, by name; rows are genes."""
    single, openness = trainer.cells(block)
    cells = sum_cells(single, groups)
    models, fit, _ = fit_models(cells, penalty)
    rngs = [generator(trainer.seed, "draws", trainer.cell_type, trainer.genes[g]) for g in block]
    drawn, log_ratio, level = draw_models(models, cells, fit, penalty, trainer.settings.n_draws, rngs)
    weights, size = single_index(drawn, log_ratio)
    fit.state_effect[:, 0] += level.mean(1)
    posterior = torch.softmax(models.log_posterior(penalty, cells.is_candidate.sum(1)), 1)
    form = torch.zeros(len(block), len(FORMS)).scatter_add_(1, models.form, posterior)
    best, probe_ratio = _probe(models, cells, fit)
    probe_weights, probe_size = single_index(best, probe_ratio)
    detailed = gate_covariates(trainer.covariates, openness.state_of_window(trainer.covariates))
    without_window = fit_state(replace(single, covariates=detailed))
    by_window = torch.log(activity(log_ratio, curves(single.openness, drawn))).mean(1)
    predicted = (single.covariates @ fit.state_effect[:, :, None])[:, :, 0] + by_window
    observed = trainer.expression[:, trainer.column_of_gene[block]].toarray().T.astype(np.float32)
    return {
        **{
            name: getattr(openness, name)
            for name in ("intercept", "deviation", "direction", "centre", "shared")
        },
        "weights": weights.transpose(1, 2),
        "size": size,
        "state_effect": fit.state_effect,
        "inclusion": (posterior[:, :, None] * models.members).sum(1),
        "form": form,
        "probe_weights": probe_weights[:, 0],
        "probe_size": probe_size[:, 0],
        "without_window": without_window.state_effect,
        "dispersion": without_window.dispersion,
        "half_moments": _judge_half(trainer, single, detailed, penalty, groups_of_half),
        "depth_only": fit_state(replace(single, covariates=single.covariates[:, :, :2])).state_effect,
        "calibration": _calibrate(torch.log1p(torch.exp(predicted)), torch.from_numpy(observed)),
    }


def _probe(models: Models, cells: Cells, fit: Fit) -> tuple[Models, Tensor]:
    """The best model with members of each gene, for the gate, and its log ratio, shape (n_genes, 1)."""
    with_members = (models.size > 0) & torch.isfinite(models.gain)
    best = models.take(with_members.byte().argmax(1, keepdim=True))
    return best, fit_curves(curves(cells.openness, best), cells, fit)[0]


def _judge_half(
    trainer: _Trainer, single: Cells, detailed: Tensor, penalty: float, groups: sparse.csr_matrix | None
) -> Tensor:
    """Moments of the gate's test on one half of the training cells, by a fit to the other: (n_genes, 3).

    Openness is that of all training cells: it does not know the counts, which are what is tested.
    """
    known, unseen = (replace(single, covariates=detailed).subset(torch.from_numpy(x)) for x in trainer.halves)
    fitted = sum_cells(single.subset(torch.from_numpy(trainer.halves[0])), groups)
    models, fit, _ = fit_models(fitted, penalty)
    best, ratio = _probe(models, fitted, fit)
    by_window = torch.log(activity(ratio, curves(unseen.openness, best)))[:, 0]
    without_window = fit_state(known)
    expected = expected_by_state(without_window, unseen)
    moments = [
        local_control_moments(*gene)
        for gene in zip(
            unseen.counts,
            expected,
            by_window,
            unseen.covariates,
            without_window.dispersion.tolist(),
            strict=True,
        )
    ]
    return torch.from_numpy(np.stack(moments).astype(np.float32))


def _calibrate(predicted: Tensor, observed: Tensor) -> Tensor:
    """Intercept and slope of the line from predicted to observed values of each gene, shape (n_genes, 2)."""
    centred = predicted - predicted.mean(1, keepdim=True)
    slope = (centred * observed).sum(1) / (centred**2).sum(1).clamp(min=1e-6)
    slope = slope.clamp(0, 10)
    return torch.stack([observed.mean(1) - slope * predicted.mean(1), slope], 1)
