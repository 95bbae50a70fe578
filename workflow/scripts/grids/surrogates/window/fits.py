"""Models of a block of genes fitted to cells: the search for them, their posterior, and draws from it."""

from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from scipy.special import ndtri
from torch import Tensor

from grids.surrogates.window.prior import SCALES, Prior
from grids.surrogates.window.set_models import (
    LOG_RATIO_SD,
    MAX_LOG_RATIO,
    Cells,
    Fit,
    Models,
    WorkingModel,
    activity_of_ratio,
    expected_by_state,
    fit_state,
    log_likelihood,
    log_mean,
    refine,
    rises,
    search,
)

N_ROUNDS = 2
# Models of a gene that draws are from: the most likely ones.
N_BAGGED = 30


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


def fit_models(cells: Cells, prior: Prior) -> tuple[Models, Fit]:
    """Search for the models of a block of genes around the best ones so far.

    Models come best first; the fit is of the best one.
    """
    fit = fit_state(cells)
    rise = torch.zeros_like(cells.counts)
    for _ in range(N_ROUNDS):
        models = search(WorkingModel(fit, cells, rise), cells, prior)
        best = models.take(torch.zeros(len(rise), 1, dtype=torch.long))
        rise = rises(cells.openness, best)[:, 0]
        start = Fit(fit.state_effect, torch.full_like(fit.log_ratio, 0.5), fit.dispersion)
        fit = refine(start, cells, rise)
    return models, fit


def draw_models(
    models: Models, cells: Cells, fit: Fit, prior: Prior, n_draws: int, rngs: list[np.random.Generator]
) -> tuple[Models, Tensor, Tensor]:
    """Models with members from the posterior, each with a log ratio from its own.

    That there is a member is given: whether to explain a gene is decided by the gate and by the posterior chance of
    none, and what is said of a gene that is explained must not be averaged with "nothing". Only a gene without
    candidates has the model without members drawn.

    The posterior is bagged (Huggins & Miller, Bayesian Analysis 2023): each draw is from the posterior given other
    cells, drawn with replacement, so that draws differ by as much as models would that were fitted to other cells. The
    variance of a log ratio is that of its estimate and, again, of its posterior. A posterior of models none of which is
    true is too sure of the best of them.

    The state's effect is that of the best model's fit, but for the level, which every model has its own of. Each gene
    has a generator of its own: what is drawn for it does not depend on the genes that are fitted with it.

    Returns
    -------
    drawn : Models
        `n_draws` of each gene.
    log_ratio, level : Tensor, shape (n_genes, n_draws)
        The level is of the log mean, relative to the fit's.
    """
    n_peaks = cells.is_candidate.sum(1)
    order = _given_members(models, cells, models.log_posterior(prior, n_peaks))
    models = models.take(order.topk(min(N_BAGGED, order.shape[1]), 1).indices)
    rise = rises(cells.openness, models)
    which, scale = [], []
    for evidence in bagged_evidence(models, rise, cells, fit, n_draws, rngs).unbind(1):
        posterior = replace(models, evidence=evidence).log_posterior_by_scale(prior, n_peaks)
        posterior = _given_members(models, cells, posterior).flatten(1).double()
        chance = torch.softmax(posterior, 1).cumsum(1)
        place = torch.from_numpy(np.array([[rng.random()] for rng in rngs])) * chance[:, -1:]
        place = torch.searchsorted(chance, place).clamp(max=chance.shape[1] - 1)
        which.append(place // len(SCALES))
        scale.append(place % len(SCALES))
    which, scale = torch.cat(which, 1), torch.cat(scale, 1)
    log_ratio, error = (torch.gather(x, 1, which) for x in fit_rises(rise, cells, fit))
    # A ratio is a slope of its scale away from one.
    kept = 1 / (1 + (error / torch.log1p(torch.tensor(SCALES))[scale]) ** 2)
    log_ratio, error = kept * log_ratio, (2 * kept).sqrt() * error
    if n_draws > 1:
        quantiles = normal_quantiles(n_draws)
        noise = torch.from_numpy(np.array([rng.permutation(quantiles) for rng in rngs]))
        log_ratio = (log_ratio + noise * error).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    # With another ratio, the level that keeps the mean.
    level = level_of(
        torch.gather(rise, 1, which[:, :, None].expand(-1, -1, rise.shape[2])), cells, fit, log_ratio
    )
    return models.take(which), log_ratio, level


def _given_members(models: Models, cells: Cells, log_posterior: Tensor) -> Tensor:
    """Log posterior, (n_genes, n_models, ...), without the model without members of genes that have candidates."""
    left_out = (models.size == 0) & cells.is_candidate.any(1)[:, None]
    return log_posterior.masked_fill(
        left_out.view(*left_out.shape, *[1] * (log_posterior.dim() - 2)), -torch.inf
    )


def bagged_evidence(
    models: Models, rise: Tensor, cells: Cells, fit: Fit, n_draws: int, rngs: list[np.random.Generator]
) -> Tensor:
    """Evidence of models given cells drawn with replacement, to first order: (n_genes, n_draws, n_models, 2).

    Models come best first, and the fit is around the first of them. Scores are sums over cells; the information, which
    hardly varies, is kept. The models' rises have shape (n_genes, n_models, n_cells).
    """
    by_cell = WorkingModel(fit, cells, rise[:, 0]).score_by_cell(rise)
    n_cells = by_cell.shape[2]
    share = np.full(n_cells, 1 / n_cells)
    times = np.stack([rng.multinomial(n_cells, share, n_draws) for rng in rngs]) - 1.0
    change = torch.from_numpy(times).to(by_cell) @ by_cell.transpose(1, 2)
    evidence = models.evidence[:, None].repeat(1, n_draws, 1, 1)
    evidence[..., 0] += change
    return evidence


def normal_quantiles(n: int) -> np.ndarray:
    """`n` evenly spaced quantiles of the normal distribution, scaled to unit variance; float32.

    As draws they have the spread, and reach the tails, that random ones only have on average.
    """
    quantiles = ndtri((np.arange(n) + 0.5) / n)
    return (quantiles / quantiles.std()).astype(np.float32)


def fit_rises(rise: Tensor, cells: Cells, fit: Fit) -> tuple[Tensor, Tensor]:
    """Log ratio of each model with its own level, the state's effect that of a fit, and its standard error.

    The rise has shape (n_genes, n_models, n_cells), both results (n_genes, n_models). The error allows for the doubt
    about the state's effect, and is of the sandwich form (White, Econometrica 1982): what is hidden about openness and
    state makes counts vary more in some cells than a common dispersion says.
    """
    n_genes, n_models, n_cells = rise.shape
    by_state = expected_by_state(fit, cells)
    flat = Cells(
        rise.new_zeros(n_genes * n_models, n_cells, 0),
        torch.zeros(n_genes * n_models, 0, dtype=torch.bool),
        torch.ones(1, n_cells, 1),
        cells.counts.repeat_interleave(n_models, 0),
        by_state.repeat_interleave(n_models, 0),
    )
    zeros = torch.zeros(n_genes * n_models)
    start = Fit(zeros[:, None], zeros + 0.5, fit.dispersion.repeat_interleave(n_models))
    each = refine(start, flat, rise.flatten(0, 1))
    log_ratio = each.log_ratio.view(n_genes, n_models)
    relative = activity_of_ratio(log_ratio, rise)
    by_ratio = torch.exp(log_ratio)[:, :, None] * rise / relative
    expected = by_state[:, None] * torch.exp(each.state_effect.view(n_genes, n_models, 1)) * relative
    weight = expected / (1 + fit.dispersion[:, None, None] * expected)
    # The state's part is taken out with the mean weights of the models, which are close to each other.
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


def level_of(rise: Tensor, cells: Cells, fit: Fit, log_ratio: Tensor) -> Tensor:
    """Log of the factor that brings each model's expected counts to the observed total, (n_genes, n_models)."""
    expected = (expected_by_state(fit, cells)[:, None] * activity_of_ratio(log_ratio, rise)).sum(2)
    return torch.log(cells.counts.sum(1).clamp(min=0.5))[:, None] - torch.log(expected.clamp(min=1e-8))


def validation_deviance(cells: Cells, held_out: Cells, prior: Prior) -> float:
    """Sum over genes of the mean deviance on held-out cells of the best models fitted to others."""
    models, fit = fit_models(cells, prior)
    best = models.take(torch.zeros(len(cells.counts), 1, dtype=torch.long))
    log_mu = log_mean(fit, held_out, rises(held_out.openness, best)[:, 0])
    return float(-2 * log_likelihood(log_mu, held_out, fit.dispersion).mean(1).sum())
