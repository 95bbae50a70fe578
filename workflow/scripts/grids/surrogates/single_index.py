"""A gene as a single index of its window: one weighted sum of open peaks, followed by a curve.

With ``z`` the true openness of the window's peaks (seen or not) and ``C`` the cell's state, the expected
counts of a gene per unit of exposure are

    mu = exp(C . state_effect) * (1 + size * (exp(weights . z) - 1))

The sign and size of `size` give the curve its shape:

- ``saturating`` (size < 0): once one peak is open, others add little, as in a redundant group;
- ``multiplicative`` (size = 1): effects multiply, they add in log-expression;
- ``synergistic`` (0 < size << 1): little happens until several peaks are open.

What is observed is not ``z`` but who was seen. Given the chance ``pi`` that each peak is open (independent
given the cell's state), ``E exp(weights . z)`` is the product of ``1 + (exp(weight) - 1) * pi``: missed
openings are averaged over, not taken for closed peaks. Counts are negative binomial; fits are penalised
maximum likelihood by Fisher scoring, many genes at a time.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MAX_WEIGHT = 6.0
MAX_INDEX = 12.0
MIN_ACTIVITY = 1e-3
STATE_PRECISION = 1.0
MAX_STEPS = 25
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Shape:
    """A family of curves: the sign of its size, the prior of its logarithm (None: fixed), and a typical weight."""

    name: str
    sign: float
    typical_size: float
    log_size_sd: float | None
    typical_weight: float


SHAPES = (
    Shape("multiplicative", 1.0, 1.0, None, 1.0),
    Shape("saturating", -1.0, 4.0, 1.0, -3.0),
    Shape("synergistic", 1.0, 0.1, 1.0, 2.0),
)
MULTIPLICATIVE, SATURATING, SYNERGISTIC = SHAPES


@dataclass
class Cells:
    """What genes of one block are fitted to.

    Attributes
    ----------
    openness : Tensor, shape (n_genes, n_cells, n_peaks)
        Chance that each peak of a gene's window is open; 0 where a window has fewer peaks.
    covariates : Tensor, shape (n_cells, n_covariates)
        Intercept first.
    counts : Tensor, shape (n_genes, n_cells)
    exposure : Tensor, shape (n_cells,)
        Expected counts are `exposure` times ``mu``.
    """

    openness: Tensor
    covariates: Tensor
    counts: Tensor
    exposure: Tensor

    def subset(self, rows: Tensor) -> "Cells":
        """Some of the cells."""
        return Cells(
            self.openness[:, rows], self.covariates[rows], self.counts[:, rows], self.exposure[rows]
        )


@dataclass
class Fit:
    """Parameters of each gene.

    Attributes
    ----------
    weights : Tensor, shape (n_genes, n_peaks)
    size : Tensor, shape (n_genes,)
    state_effect : Tensor, shape (n_genes, n_covariates)
    objective : Tensor, shape (n_genes,)
        Penalised log-likelihood.
    """

    weights: Tensor
    size: Tensor
    state_effect: Tensor
    objective: Tensor


def log_activity(index: Tensor, size: Tensor) -> Tensor:
    """The curve: ``log(1 + size * (exp(index) - 1))``, kept above ``log(0.001)``.

    Parameters
    ----------
    index : Tensor
        ``weights . z``.
    size : Tensor
        Broadcast against `index`.
    """
    return torch.log((1 + size * torch.expm1(index.clamp(max=MAX_INDEX))).clamp(min=MIN_ACTIVITY))


def expected_index(openness: Tensor, weights: Tensor) -> Tensor:
    """``log E exp(weights . z)`` over openings independent with chance `openness`.

    Parameters
    ----------
    openness : Tensor, shape (n_genes, n_cells, n_peaks)
    weights : Tensor, shape (n_genes, n_peaks)

    Returns
    -------
    Tensor, shape (n_genes, n_cells)
    """
    return torch.log1p(torch.expm1(weights)[:, None] * openness).sum(2)


def log_mean(fit: Fit, cells: Cells) -> Tensor:
    """Log of the expected counts per unit of exposure, shape (n_genes, n_cells)."""
    activity = log_activity(expected_index(cells.openness, fit.weights), fit.size[:, None])
    return fit.state_effect @ cells.covariates.T + activity


def log_likelihood(log_mu: Tensor, cells: Cells, dispersion: Tensor) -> Tensor:
    """Negative binomial log-likelihood of each cell up to a constant, shape (n_genes, n_cells)."""
    log_expected = log_mu + torch.log(cells.exposure)
    phi = dispersion[:, None]
    return cells.counts * log_expected - (cells.counts + 1 / phi) * torch.log1p(phi * torch.exp(log_expected))


def estimate_dispersion(log_mu: Tensor, cells: Cells) -> Tensor:
    """Dispersion ``phi`` of ``variance = mean + phi * mean**2`` by moments, shape (n_genes,)."""
    expected = torch.exp(log_mu) * cells.exposure
    excess = ((cells.counts - expected) ** 2 - expected).sum(1)
    return (excess / (expected**2).sum(1).clamp(min=1e-12)).clamp(0.01, 10.0)


def fit_state(cells: Cells, dispersion: Tensor) -> Fit:
    """The model without the window: expression follows the state only."""
    empty = Cells(cells.openness[:, :, :0], cells.covariates, cells.counts, cells.exposure)
    fit = fit_shape(empty, dispersion, MULTIPLICATIVE, 1.0)
    fit.weights = cells.openness.new_zeros(len(fit.size), cells.openness.shape[2])
    return fit


def fit_shape(
    cells: Cells, dispersion: Tensor, shape: Shape, precision: float, start: Fit | None = None
) -> Fit:
    """Penalised maximum likelihood of all genes by damped Fisher scoring.

    Parameters
    ----------
    cells : Cells
    dispersion : Tensor, shape (n_genes,)
    shape : Shape
    precision : float
        Inverse square of the scale of the weights' Cauchy prior.
    start : Fit, optional
        A multiplicative fit to start from.

    Returns
    -------
    Fit
    """
    n_genes, _, n_peaks = cells.openness.shape
    theta = _start(cells, shape, start)
    problem = _Problem(cells, dispersion, shape, precision)
    objective = problem.objective(theta)
    damping = torch.full((n_genes,), 1e-3)
    active = torch.ones(n_genes, dtype=torch.bool)
    for _ in range(MAX_STEPS):
        here = problem.of(active)
        gradient, information = here.derivatives(theta[active])
        diagonal = torch.diagonal(information, dim1=1, dim2=2)
        damped = information + torch.diag_embed(damping[active][:, None] * diagonal)
        step = torch.linalg.solve(damped, gradient)
        proposal = theta[active] + step.clamp(-2, 2)
        proposal[:, :n_peaks] = proposal[:, :n_peaks].clamp(-MAX_WEIGHT, MAX_WEIGHT)
        reached = here.objective(proposal)
        gain = reached - objective[active]
        better = gain > 0
        rows = active.nonzero()[:, 0]
        theta[rows[better]] = proposal[better]
        objective[rows[better]] = reached[better]
        damping[rows] = torch.where(better, damping[rows] / 5, damping[rows] * 10)
        done = (gain.abs() < TOLERANCE * objective[rows].abs().clamp(min=1)) & better
        active[rows[done | (damping[rows] > 1e6)]] = False
        if not active.any():
            break
    return problem.unpack(theta, objective)


def resample(
    cells: Cells, dispersion: Tensor, shape: Shape, precision: float, fit: Fit, multiplicity: Tensor
) -> tuple[list[Fit], Tensor]:
    """Refits to bootstrapped cells by one scoring step from the fit, with the fit's own information.

    Parameters
    ----------
    multiplicity : Tensor, shape (n_cells, n_replicates)
        How often each cell was drawn.

    Returns
    -------
    fits : list of Fit, n_replicates
    log_likelihoods : Tensor, shape (n_genes, n_replicates)
        Of the original fit on each bootstrap sample.
    """
    problem = _Problem(cells, dispersion, shape, precision)
    theta = problem.pack(fit)
    jacobian, score, weight, slope = problem.sensitivities(theta)
    information = problem.information(jacobian, weight, problem._log_prior(theta, slope)[2])
    moved = torch.einsum("gnp,gn,nb->gpb", jacobian, score, multiplicity - 1)
    step = torch.linalg.solve(information, moved)
    n_peaks = fit.weights.shape[1]
    replicates = []
    for b in range(multiplicity.shape[1]):
        drawn = theta + step[:, :, b].clamp(-3, 3)
        drawn[:, :n_peaks] = drawn[:, :n_peaks].clamp(-MAX_WEIGHT, MAX_WEIGHT)
        replicates.append(problem.unpack(drawn, fit.objective))
    likelihood = log_likelihood(log_mean(fit, cells), cells, dispersion)
    return replicates, likelihood @ multiplicity


def _start(cells: Cells, shape: Shape, start: Fit | None) -> Tensor:
    """First parameters: the state's mean expression, or a multiplicative fit bent into the shape."""
    n_genes, _, n_peaks = cells.openness.shape
    theta = torch.zeros(n_genes, n_peaks + cells.covariates.shape[1] + 1)
    if start is None:
        mean = (cells.counts.sum(1) / cells.exposure.sum()).clamp(min=1e-8)
        theta[:, n_peaks] = torch.log(mean)
    else:
        # Sharpened, so that the curve bends for the leading peaks and the others start near zero.
        largest = start.weights.abs().amax(1, keepdim=True).clamp(min=1e-3)
        theta[:, :n_peaks] = shape.typical_weight * start.weights * start.weights.abs() / largest**2
        theta[:, n_peaks:-1] = start.state_effect
    theta[:, -1] = np.log(shape.typical_size)
    return theta


class _Problem:
    """Objective and derivatives of a block of genes in packed parameters [weights, state effect, log size]."""

    def __init__(self, cells: Cells, dispersion: Tensor, shape: Shape, precision: float):
        self.cells, self.dispersion, self.shape = cells, dispersion, shape
        self.n_peaks = cells.openness.shape[2]
        n_covariates = cells.covariates.shape[1]
        self.precision = precision
        self.prior = torch.full((n_covariates + 1,), STATE_PRECISION)
        self.prior[0] = 1e-6
        self.prior[-1] = 1e8 if shape.log_size_sd is None else 1 / shape.log_size_sd**2

    def of(self, genes: Tensor) -> "_Problem":
        if bool(genes.all()):
            return self
        cells = Cells(
            self.cells.openness[genes], self.cells.covariates, self.cells.counts[genes], self.cells.exposure
        )
        return _Problem(cells, self.dispersion[genes], self.shape, self.precision)

    def pack(self, fit: Fit) -> Tensor:
        log_size = torch.log(fit.size.abs())[:, None]
        return torch.cat([fit.weights, fit.state_effect, log_size], 1)

    def unpack(self, theta: Tensor, objective: Tensor) -> Fit:
        return Fit(
            theta[:, : self.n_peaks],
            self.shape.sign * torch.exp(theta[:, -1].clamp(-6, 6)),
            theta[:, self.n_peaks : -1],
            objective,
        )

    def _log_prior(self, theta: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log prior (n_genes,), its gradient, and the curvature of the quadratic that bounds it from below.

        Weights: Cauchy of scale ``1 / sqrt(precision)``, which leaves the few large ones nearly untouched
        (Gelman et al., Annals of Applied Statistics 2008). It is a prior of effects: weights count times the
        curve's mean `slope` (n_genes,), so that it means the same for every shape. State effects and log size:
        normal.
        """
        weights, others = theta[:, : self.n_peaks], theta[:, self.n_peaks :].clone()
        others[:, -1] -= np.log(self.shape.typical_size)
        precision = self.precision * (slope**2)[:, None]
        curvature = torch.cat(
            [2 * precision / (1 + precision * weights**2), self.prior.expand(len(theta), -1)], 1
        )
        value = -torch.log1p(precision * weights**2).sum(1) - 0.5 * (self.prior * others**2).sum(1)
        return value, -curvature * torch.cat([weights, others], 1), curvature

    def _slope(self, index: Tensor, size: Tensor) -> Tensor:
        """Mean over cells of the derivative of log activity by the index, shape (n_genes,)."""
        power = torch.expm1(index.clamp(max=MAX_INDEX))
        size = size[:, None]
        return (size * (power + 1) / (1 + size * power).clamp(min=MIN_ACTIVITY)).mean(1).clamp(-10, 10)

    def objective(self, theta: Tensor) -> Tensor:
        """Penalised log-likelihood of each gene, shape (n_genes,)."""
        fit = self.unpack(theta, theta[:, 0])
        index = expected_index(self.cells.openness, fit.weights)
        log_mu = fit.state_effect @ self.cells.covariates.T + log_activity(index, fit.size[:, None])
        likelihood = log_likelihood(log_mu, self.cells, self.dispersion).sum(1)
        return likelihood + self._log_prior(theta, self._slope(index, fit.size))[0]

    def sensitivities(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Derivatives of the log mean [genes, cells, parameters], score and Fisher weight [genes, cells], slope."""
        fit = self.unpack(theta, theta[:, 0])
        growth = torch.expm1(fit.weights)[:, None]
        index = torch.log1p(growth * self.cells.openness).sum(2)
        power = torch.expm1(index.clamp(max=MAX_INDEX))
        size = fit.size[:, None]
        activity = (1 + size * power).clamp(min=MIN_ACTIVITY)
        n_genes, n_cells, _ = self.cells.openness.shape
        jacobian = torch.empty(n_genes, n_cells, theta.shape[1])
        of_weight = self.cells.openness * torch.exp(fit.weights)[:, None] / (1 + growth * self.cells.openness)
        jacobian[:, :, : self.n_peaks] = of_weight * (size * (power + 1) / activity)[:, :, None]
        jacobian[:, :, self.n_peaks : -1] = self.cells.covariates
        jacobian[:, :, -1] = size * power / activity
        expected = (
            torch.exp(fit.state_effect @ self.cells.covariates.T) * activity * self.cells.exposure
        ).clamp(max=1e6)
        noise = 1 + self.dispersion[:, None] * expected
        score = (self.cells.counts - expected) / noise
        return jacobian, score, expected / noise, self._slope(index, fit.size)

    def information(self, jacobian: Tensor, weight: Tensor, curvature: Tensor) -> Tensor:
        """Fisher information with the prior's curvature, shape (n_genes, n_parameters, n_parameters)."""
        return torch.bmm(jacobian.transpose(1, 2), jacobian * weight[:, :, None]) + torch.diag_embed(curvature)

    def derivatives(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the objective, the slope of the curve taken as given, and the information."""
        jacobian, score, weight, slope = self.sensitivities(theta)
        _, prior_gradient, curvature = self._log_prior(theta, slope)
        gradient = torch.einsum("gnp,gn->gp", jacobian, score) + prior_gradient
        return gradient, self.information(jacobian, weight, curvature)
