"""Which peaks of a window are open: the chance given the cell's state, and given what was seen.

Peaks of a window tend to open together, so they share most of their dependence on the state, and each of them
learns little on its own when few openings are seen. With ``c`` the covariates of a cell (see
:func:`grids.surrogates.window.model.covariates`), the log odds that peak j of a window is open are

    intercept_j + shared(c) + deviation_j . c

where ``shared`` is linear in ``c`` and curved along its own direction (terms of second and third order: components
are linear in open peaks, which saturate). Deviations are shrunk towards zero by as much as the peaks of the window
turn out to differ (empirical Bayes).

A peak that looks closed may be open and missed: with ``p`` the chance that an open peak of the cell is seen,

    P(seen)            = p * openness
    P(open | not seen) = openness * (1 - p) / (1 - openness * p)
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_LOG_ODDS = 5.0
MAX_DIRECTION = 3.0
N_CURVED = 2
COEFFICIENT_PRECISION = 1.0
INTERCEPT_PRECISION = 0.01
MIN_DEVIATION_VARIANCE = 0.05**2
NEWTON_STEPS = 8


@dataclass
class WindowOpenness:
    """Log odds of openness, of a block of windows padded to the largest.

    Attributes
    ----------
    intercept : Tensor, shape (n_genes, n_peaks)
    deviation : Tensor, shape (n_genes, n_peaks, n_covariates - 1)
    direction : Tensor, shape (n_genes, n_covariates - 1)
        Along which `shared` is curved.
    centre : Tensor, shape (n_genes, 2)
        Mean and standard deviation over the training cells along `direction`.
    shared : Tensor, shape (n_genes, n_covariates - 1 + 2)
        Coefficients of the covariates but the intercept, and of the curved terms.
    """

    intercept: Tensor
    deviation: Tensor
    direction: Tensor
    centre: Tensor
    shared: Tensor

    def log_odds(self, covariates: Tensor) -> Tensor:
        """Log odds that peaks are open, (n_genes, n_cells, n_peaks), and their shared part, (n_genes, n_cells)."""
        slopes = covariates[:, 1:]
        curved = (curved_terms(self._along(slopes)) * self.shared[:, -N_CURVED:]).sum(-1)
        shared = slopes @ self.shared[:, :-N_CURVED].T + curved
        own = self.intercept[:, None] + slopes @ self.deviation.transpose(1, 2)
        return shared.T[:, :, None] + own

    def state_of_window(self, covariates: Tensor) -> Tensor:
        """The state as far as it opens the window, standardised: shape (n_genes, n_cells)."""
        return self._along(covariates[:, 1:]).T

    def _along(self, slopes: Tensor) -> Tensor:
        along = (slopes @ self.direction.T - self.centre[:, 0]) / self.centre[:, 1]
        return along.clamp(-MAX_DIRECTION, MAX_DIRECTION)


def curved_terms(along: Tensor) -> Tensor:
    """Terms of second and third order (Hermite polynomials over 3) on a new last axis."""
    return torch.stack([along**2 - 1, along**3 - 3 * along], -1) / 3


def openness_score(seen: Tensor, chance: Tensor, log_odds: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative of the log-likelihood of what is seen by the log odds of openness, and its Fisher information.

    The arguments broadcast to one shape.
    """
    openness = torch.sigmoid(log_odds.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS))
    expected = chance * openness
    slope = expected * (1 - openness)
    unseen = slope / (1 - expected)
    return torch.where(seen > 0, 1 - openness, -unseen), (1 - openness) * unseen


def fit_openness(seen: Tensor, is_peak: Tensor, chance: Tensor, covariates: Tensor) -> WindowOpenness:
    """Penalised maximum likelihood by Newton's method, a block of windows at a time.

    Parameters
    ----------
    seen : Tensor, shape (n_genes, n_cells, n_peaks)
        1 where a peak is seen open.
    is_peak : Tensor of bool, shape (n_genes, n_peaks)
        False for the padding of small windows.
    chance : Tensor, shape (n_cells,)
    covariates : Tensor, shape (n_cells, n_covariates)
        Intercept first.
    """
    n_genes, _, n_peaks = seen.shape
    slopes = covariates[:, 1:].expand(n_genes, -1, -1)
    n_slopes = slopes.shape[2]
    mean = (seen.mean(1) / chance.mean()).clamp(0.005, 0.99)
    intercept = torch.log(mean / (1 - mean))
    data = seen, is_peak, chance
    direction, intercept = _fit_shared(*data, slopes, torch.zeros(n_genes, n_slopes), intercept)
    along = (slopes @ direction[:, :, None])[:, :, 0]
    centre = torch.stack([along.mean(1), along.std(1).clamp(min=1e-3)], 1)
    along = ((along - centre[:, :1]) / centre[:, 1:]).clamp(-MAX_DIRECTION, MAX_DIRECTION)
    design = torch.cat([slopes, curved_terms(along)], 2)
    start = torch.cat([direction, torch.zeros(n_genes, N_CURVED)], 1)
    shared, intercept = _fit_shared(*data, design, start, intercept)
    log_odds = (design @ shared[:, :, None]) + intercept[:, None]
    extra, deviation = _fit_deviations(*data, covariates, log_odds)
    deviation = deviation if n_slopes else torch.zeros(n_genes, n_peaks, 0)
    return WindowOpenness(intercept + extra, deviation, direction, centre, shared)


def _fit_shared(
    seen: Tensor, is_peak: Tensor, chance: Tensor, design: Tensor, coefficients: Tensor, intercept: Tensor
) -> tuple[Tensor, Tensor]:
    """Coefficients (n_genes, k) of a design (n_genes, n_cells, k) common to a window's peaks, and intercepts."""
    prior = torch.full((design.shape[2],), COEFFICIENT_PRECISION)
    for _ in range(NEWTON_STEPS):
        log_odds = design @ coefficients[:, :, None] + intercept[:, None]
        score, information = openness_score(seen, chance[:, None], log_odds)
        score, information = score * is_peak[:, None], information * is_peak[:, None]
        of_intercept = information.sum(1) + INTERCEPT_PRECISION
        mixed = information.transpose(1, 2) @ design / of_intercept[:, :, None]
        hessian = (design * information.sum(2)[:, :, None]).transpose(1, 2) @ design + torch.diag(prior)
        hessian = hessian - (mixed * of_intercept[:, :, None]).transpose(1, 2) @ mixed
        gradient = (design.transpose(1, 2) @ score.sum(2)[:, :, None])[:, :, 0] - prior * coefficients
        by_intercept = score.sum(1)
        step = torch.linalg.solve(
            hessian, gradient - (mixed.transpose(1, 2) @ by_intercept[:, :, None])[:, :, 0]
        )
        along = by_intercept / of_intercept - (mixed @ step[:, :, None])[:, :, 0]
        coefficients, intercept = coefficients + step.clamp(-1, 1), intercept + along.clamp(-1, 1) * is_peak
        if max(step.abs().max() if step.numel() else 0, along.abs().max()) < 1e-3:
            break
    return coefficients, intercept


def _fit_deviations(
    seen: Tensor, is_peak: Tensor, chance: Tensor, covariates: Tensor, log_odds: Tensor
) -> tuple[Tensor, Tensor]:
    """One Newton step of each peak's own coefficients from the shared ones, shrunk by how much peaks differ."""
    n_genes, n_peaks = is_peak.shape
    n = covariates.shape[1]
    score, information = openness_score(seen, chance[:, None], log_odds)
    products = (covariates[:, :, None] * covariates[:, None, :]).flatten(1)
    hessian = (information.transpose(1, 2) @ products).view(n_genes, n_peaks, n, n) + 1e-2 * torch.eye(n)
    gradient = (score.transpose(1, 2) @ covariates)[..., None]
    step = torch.linalg.solve(hessian, gradient)[..., 0]
    noise = torch.diagonal(torch.linalg.inv(hessian), dim1=2, dim2=3)
    excess = ((step**2 - noise)[..., 1:].mean(2) * is_peak).sum(1) / is_peak.sum(1)
    variance = torch.nan_to_num(excess).clamp(min=MIN_DEVIATION_VARIANCE)
    prior = (1 / variance)[:, None, None].repeat(1, n_peaks, n)
    prior[..., 0] = INTERCEPT_PRECISION
    step = torch.linalg.solve(hessian + torch.diag_embed(prior), gradient)[..., 0].clamp(-2, 2)
    step = step * is_peak[:, :, None]
    return step[..., 0], step[..., 1:]


def expected_openness(seen: Tensor, chance: Tensor, log_odds: Tensor) -> Tensor:
    """Chance that each peak is open given what was seen: 1 where seen, Bayes' rule where not.

    `seen` and `log_odds` have shape (..., n_cells, n_peaks), `chance` (n_cells,).
    """
    openness = torch.sigmoid(log_odds.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS))
    missed = openness * (1 - chance[:, None]) / (1 - openness * chance[:, None])
    return torch.where(seen > 0, torch.ones_like(missed), missed)
