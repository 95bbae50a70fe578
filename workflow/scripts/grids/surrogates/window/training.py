"""Training of the window surrogate: which sets of peaks control each gene, by how much, and how sure that is."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from grids.io.cells import Multiome
from grids.io.checkpoints import KeptTensors
from grids.io.errors import InputError
from grids.io.logging import log
from grids.io.seeds import generator
from grids.surrogates.window.credible_sets import credible_sets
from grids.surrogates.window.data import WindowData
from grids.surrogates.window.fits import draw_models, fit_models, sum_cells, validation_deviance
from grids.surrogates.window.model import WindowSurrogate
from grids.surrogates.window.openness import N_CURVED
from grids.surrogates.window.prior import Prior, learn_prior
from grids.surrogates.window.set_models import (
    FORMS,
    MAX_SIZE,
    activity_of_ratio,
    fit_state,
    pad_models,
    rises,
)

# What is kept per peak of a window; the rest is per gene.
BY_PAIR = ("intercept", "deviation", "weights", "inclusion", "credible_set")
# Regularisation is chosen, and the prior learned, on this many genes at most, among those with enough counts to tell.
GENES_TO_CHOOSE_ON = 60
GENES_TO_LEARN_ON = 40
MIN_COUNTS_TO_CHOOSE = 50
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
    n_draws: int = 40


def train_window(
    multiome: Multiome,
    windows: pd.DataFrame,
    cell_type: str,
    settings: WindowSettings,
    seed: int,
    candidates: pd.DataFrame | None = None,
    kept: KeptTensors | None = None,
    genes: Collection[str] | None = None,
) -> tuple[WindowSurrogate, pd.DataFrame]:
    """Train the window surrogate of one cell type, all its genes together.

    Parameters
    ----------
    multiome : Multiome
        Paired; ``atac.obs["detection"]`` is each cell's chance that an open peak is seen.
    windows : DataFrame
        Columns ``peak, gene``.
    candidates : DataFrame, optional
        Columns ``peak, gene``: the pairs of `windows` that may be members; all by default. The others only tell how
        open the window is. With a column ``bend``, models of the gene have this one of
        :data:`~grids.surrogates.window.set_models.BENDS`; all of them where it is missing.
    kept : KeptTensors, optional
        Blocks of genes that are done are kept there, and what is there is not done again: only for the same data,
        settings, seed, genes and candidates.
    genes : collection of str, optional
        The genes that get a model, of those that have windows; all by default. How strong regularisation has to be, the
        others tell too.

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
    data = WindowData(
        multiome, windows, cell_type, seed, candidates, settings.train_on, settings.n_components
    )
    penalty, size, table = choose_regularisation(data, settings, kept)
    log.info("%s: penalty of a member %g, %d cells per metacell", cell_type, penalty, size)
    groups = data.metacells(size, np.arange(len(data.chance)))
    prior = prior_of_genes(data, penalty, groups, kept)
    fitted = [row for row, gene in enumerate(data.genes) if genes is None or gene in genes]
    pairs = [np.arange(*data.first_pair[row : row + 2].tolist()) for row in fitted]
    first_pair = np.concatenate([[0], np.cumsum([len(part) for part in pairs])]).astype(int)
    tensors = {
        "first_pair": torch.from_numpy(first_pair),
        "peak_of_pair": data.peak_of_pair[np.concatenate([*pairs, np.empty(0, int)])],
    }
    if not fitted:
        tensors |= _of_no_gene(data, settings.n_draws)
    place = {row: i for i, row in enumerate(fitted)}
    bar = tqdm(total=len(fitted), desc=f"{cell_type}: fitting genes", unit="gene")
    for block in data.blocks(np.array(fitted, int)):
        fit = partial(_fit_block, data, block, prior, settings.n_draws, groups)
        for name, values in sorted(_once(data, kept, "fit", block, fit).items()):
            if name in BY_PAIR:
                tensors.setdefault(name, values.new_zeros(first_pair[-1], *values.shape[2:]))
                for row, gene in enumerate(block):
                    first, last = first_pair[place[gene] : place[gene] + 2]
                    tensors[name][first:last] = values[row, : last - first]
            else:
                tensors.setdefault(name, torch.zeros(len(fitted), *values.shape[1:]))
                tensors[name][[place[gene] for gene in block]] = values
        bar.update(len(block))
    bar.close()
    names = data.peaks, [data.genes[row] for row in fitted], data.cell_types
    return WindowSurrogate(*names, data.state, tensors, cell_type), table


def _of_no_gene(data: WindowData, n_draws: int) -> dict[str, Tensor]:
    """The tensors of a surrogate without genes, by name."""
    n_slopes = data.covariates.shape[1] - 1
    of_pairs = {"intercept": (), "deviation": (n_slopes,), "weights": (n_draws,), "inclusion": ()}
    of_genes = {
        "direction": (n_slopes,), "centre": (2,), "shared": (n_slopes + N_CURVED,), "size": (n_draws,),
        "state_effect": (data.followed.shape[1],), "form": (len(FORMS),), "depth_only": (2,), "calibration": (2,),
    }  # fmt: skip
    shapes = of_pairs | of_genes
    return {name: torch.zeros(0, *shape) for name, shape in shapes.items()} | {
        "credible_set": torch.zeros(0, dtype=torch.long)
    }


def prior_of_genes(
    data: WindowData, penalty: float, groups: sparse.csr_matrix | None, kept: KeptTensors | None = None
) -> Prior:
    """The prior learned from genes with counts enough, starting from that of a penalty of each member."""
    start, parts = Prior.of_penalty(penalty, MAX_SIZE), []
    for block in tqdm(
        data.blocks(_genes_that_tell(data, GENES_TO_LEARN_ON)), desc="learning the prior", unit="block"
    ):
        weigh = partial(_weigh_models, data, block, start, groups)
        parts.append(_once(data, kept, "evidence", block, weigh))
    if not parts:
        return start
    size, within, evidence = (
        pad_models([part[name] for part in parts], fill)
        for name, fill in (("size", 0), ("within", -torch.inf), ("evidence", 0.0))
    )
    return learn_prior(start, size, within, evidence)


def _weigh_models(
    data: WindowData, block: np.ndarray, prior: Prior, groups: sparse.csr_matrix | None
) -> dict[str, Tensor]:
    """What the prior is learned from, of a block of genes."""
    cells = sum_cells(data.block(block)[0], groups)
    models, _ = fit_models(cells, prior)
    within = models.log_within_size(cells.is_candidate.sum(1))
    return {"size": models.size, "within": within, "evidence": models.evidence}


def _genes_that_tell(data: WindowData, most: int) -> np.ndarray:
    """Genes with enough counts, `most` random ones of them at most."""
    total = np.asarray(data.counts.sum(0)).ravel()[data.column_of_gene]
    genes = np.flatnonzero(total >= MIN_COUNTS_TO_CHOOSE)
    if len(genes) > most:
        rng = generator(data.seed, "choose", data.cell_type)
        genes = np.sort(rng.choice(genes, most, replace=False))
    return genes


def choose_regularisation(
    data: WindowData, settings: WindowSettings, kept: KeptTensors | None = None
) -> tuple[float, int, pd.DataFrame]:
    """Penalty and metacell size with the smallest deviance on validation cells, and :data:`REGULARISATION_COLUMNS`.

    The median when none can tell.
    """
    penalties, sizes = sorted(settings.member_penalties), settings.metacell_sizes
    options = [(penalty, size) for size in sizes for penalty in penalties]
    genes = _genes_that_tell(data, GENES_TO_CHOOSE_ON)
    deviance = np.full(len(options), np.nan)
    if len(options) > 1 and len(genes) and (data.is_validation & data.of_type).any():
        deviance = np.zeros(len(options))
        for block in tqdm(data.blocks(genes), desc="choosing regularisation", unit="block"):
            judge = partial(_judge_options, data, block, settings)
            deviance += _once(data, kept, "choice", block, judge)["deviance"].numpy() / len(genes)
        chosen = int(deviance.argmin())
    else:
        chosen = len(penalties) // 2
    table = pd.DataFrame(options, columns=["strength", "n_cells_per_metacell"])
    of_all = {"cell_type": data.cell_type, "validation_deviance": deviance}
    table = table.assign(**of_all, chosen=np.arange(len(options)) == chosen)
    return *options[chosen], table[REGULARISATION_COLUMNS]


def _judge_options(data: WindowData, block: np.ndarray, settings: WindowSettings) -> dict[str, Tensor]:
    """Deviances of a block of genes, by size of metacells and penalty within it."""
    cells, _ = data.block(block)
    train = np.flatnonzero(~data.is_validation)
    held_out = cells.subset(torch.from_numpy(np.flatnonzero(data.is_validation & data.of_type)))
    deviance = []
    for size in settings.metacell_sizes:
        fitted = sum_cells(cells.subset(torch.from_numpy(train)), data.metacells(size, train))
        deviance += [
            validation_deviance(fitted, held_out, Prior.of_penalty(penalty, MAX_SIZE))
            for penalty in sorted(settings.member_penalties)
        ]
    return {"deviance": torch.tensor(deviance, dtype=torch.float64)}


def _once(
    data: WindowData,
    kept: KeptTensors | None,
    what: str,
    genes: np.ndarray,
    compute: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """What `compute` makes of a block of genes, or what it made before the job was killed."""
    if kept is None:
        return compute()
    names = [what, *(data.genes[gene] for gene in genes)]
    if (values := kept.load(names)) is None:
        values = compute()
        kept.save(names, values)
    else:
        log.info("%s: resumed, %s of %d genes was done", data.cell_type, what, len(genes))
    return values


def _fit_block(
    data: WindowData,
    block: np.ndarray,
    prior: Prior,
    n_draws: int,
    groups: sparse.csr_matrix | None,
) -> dict[str, Tensor]:
    """What the surrogate keeps of a block of genes, by name; rows are genes."""
    single, openness = data.block(block)
    cells = sum_cells(single, groups)
    models, fit = fit_models(cells, prior)
    rngs = [generator(data.seed, "draws", data.cell_type, data.genes[g]) for g in block]
    drawn, log_ratio, level = draw_models(models, cells, fit, prior, n_draws, rngs)
    weights, size = drawn.index(log_ratio)
    fit = fit.at_level(level.mean(1))
    posterior = torch.softmax(models.log_posterior(prior, cells.is_candidate.sum(1)), 1)
    form = torch.zeros(len(block), len(FORMS)).scatter_add_(1, models.form, posterior)
    by_window = torch.log(activity_of_ratio(log_ratio, rises(single.openness, drawn))).mean(1)
    predicted = (single.covariates @ fit.state_effect[:, :, None])[:, :, 0] + by_window
    observed = data.expression[:, data.column_of_gene[block]].toarray().T.astype(np.float32)
    return {
        **vars(openness),
        "weights": weights.transpose(1, 2),
        "size": size,
        "state_effect": fit.state_effect,
        "inclusion": (posterior[:, :, None] * models.members).sum(1),
        "credible_set": credible_sets(models.members, posterior, cells.is_candidate.sum(1)),
        "form": form,
        "depth_only": fit_state(replace(single, covariates=single.covariates[:, :, :2])).state_effect,
        "calibration": _calibrate(torch.log1p(torch.exp(predicted)), torch.from_numpy(observed)),
    }


def _calibrate(predicted: Tensor, observed: Tensor) -> Tensor:
    """Intercept and slope of the line from predicted to observed values of each gene, shape (n_genes, 2)."""
    centred = predicted - predicted.mean(1, keepdim=True)
    slope = (centred * observed).sum(1) / (centred**2).sum(1).clamp(min=1e-6)
    slope = slope.clamp(0, 10)
    return torch.stack([observed.mean(1) - slope * predicted.mean(1), slope], 1)
