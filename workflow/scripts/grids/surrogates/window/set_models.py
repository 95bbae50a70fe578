"""A gene as a curve over the number of open members of a small set: the models that the window surrogate averages.

With ``n`` the number of open peaks of a set S of k peaks, and ``C`` the cell's state, the expected counts of a gene
per unit of exposure are

    mu = exp(C . state_effect) * activity(n)

by a curve (:mod:`grids.surrogates.window.curve`) whose bend tells the logic:

- strongly negative: the first open member does it all (a redundant group);
- about ``log(ratio) / k``: effects multiply;
- strongly positive: nothing happens until all are open (synergy).

Of a set that lowers the gene the log ratio is negative, and so are the bends around which effects multiply: models have
the bends of the sign that the counts show.

What is observed is not ``n`` but who was seen: missed openings are averaged over, not taken for closed peaks.

Models of one to four members are searched for by forward extension of the best smaller ones. Around the best model
so far, counts are a linear function of the curve's rise and the state with known variance, so the gain of adding
*every* peak to a set is a few matrix products: no model is fitted on its own. The product over members is a
polynomial in the bend's ``exp(bend) - 1`` whose coefficients, the elementary symmetric polynomials of the chances
that members are open, know no bend: all bends share these products. All genes of a block go through together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grids.io.tables import LOGICS
from grids.surrogates.window.curve import (
    activity,
    ends_of_power,
    expected_rise,
    line_of_power,
    symmetric_polynomials,
)
from grids.surrogates.window.prior import Prior

# Of sets whose members raise the gene, and of those whose members lower it: about the same with the other sign.
RAISING_BENDS = (-6.0, -1.5, -0.4, 0.35, 0.7, 1.2, 2.5, 6.0)
LOWERING_BENDS = (-6.0, -2.5, -1.2, -0.7, -0.4, 0.35, 1.2, 6.0)
BENDS = (*RAISING_BENDS, *LOWERING_BENDS)
SIGN_OF_BEND = (*[1] * len(RAISING_BENDS), *[-1] * len(LOWERING_BENDS))
FORMS = LOGICS
# The form of a set of two or more members with each bend.
FORMS_BY_BEND = (3, 3, 2, 2, 2, 2, 4, 4)
FORM_OF_BEND = torch.tensor(FORMS_BY_BEND * 2)
# Before any counts are seen, the forms are as likely as each other, and so are the bends of a form.
LOG_PRIOR_OF_BEND = -torch.log(
    len(set(FORMS_BY_BEND)) * torch.bincount(torch.tensor(FORMS_BY_BEND))[FORM_OF_BEND].float()
)
MAX_SIZE = 4
# Sets of one, two and three members that are extended by every peak.
N_EXTENDED = (20, 12, 8)
N_KEPT = 1000
STATE_PRECISION = 1.0
LOG_RATIO_SD = 2.0
MAX_LOG_RATIO = 4.6
N_DISPERSIONS = 2
SCORING_STEPS = 10
MAX_STEP = 1.0
TOLERANCE = 1e-6
MAX_LOG_MEAN = 12.0
DISPERSION = (0.01, 10.0)
FIRST_DISPERSION = 0.3


@dataclass
class Cells:
    """What genes of one block are fitted to.

    Attributes
    ----------
    openness : Tensor, shape (n_genes, n_cells, n_peaks)
        Chance that each peak of a gene's window is open; 0 where a window has fewer peaks.
    is_candidate : Tensor of bool, shape (n_genes, n_peaks)
        Peaks that may be members.
    covariates : Tensor, shape (n_genes, n_cells, n_covariates) or (1, n_cells, n_covariates)
        Intercept first.
    counts : Tensor, shape (n_genes, n_cells)
    exposure : Tensor, shape (n_cells,)
        Expected counts are `exposure` times ``mu``.
    is_bend : Tensor of bool, shape (n_genes, n_bends), optional
        Which of :data:`BENDS` models of two or more members may have; all by default.
    """

    openness: Tensor
    is_candidate: Tensor
    covariates: Tensor
    counts: Tensor
    exposure: Tensor
    is_bend: Tensor | None = None

    def subset(self, rows: Tensor) -> "Cells":
        """Some of the cells."""
        part = {name: getattr(self, name)[:, rows] for name in ("openness", "covariates", "counts")}
        return replace(self, **part, exposure=self.exposure[rows])


@dataclass
class Models:
    """Models of each gene, best first.

    Attributes
    ----------
    members : Tensor of bool, shape (n_genes, n_models, n_peaks)
    bend : Tensor, shape (n_genes, n_models)
        Position in :data:`BENDS`.
    evidence : Tensor, shape (n_genes, n_models, 2)
        Score and information of the slope of counts on the model's rise, see :class:`WorkingModel`; the information of
        what may not be a model is infinite.
    """

    members: Tensor
    bend: Tensor
    evidence: Tensor

    @property
    def size(self) -> Tensor:
        """Number of members, shape (n_genes, n_models)."""
        return self.members.sum(2)

    @property
    def form(self) -> Tensor:
        """Position in :data:`FORMS`, shape (n_genes, n_models)."""
        return torch.where(self.size > 1, FORM_OF_BEND.to(self.bend)[self.bend], self.size.clamp(max=1))

    def index(self, log_ratio: Tensor) -> tuple[Tensor, Tensor]:
        """The curves as functions of the index, by the log ratio, shape (n_genes, n_models).

        Returns
        -------
        weights : Tensor, shape (n_genes, n_models, n_peaks)
        size : Tensor, shape (n_genes, n_models)
            0 without members; a single one has no bend: any will do.
        """
        bend = torch.tensor(BENDS)[self.bend]
        size = torch.expm1(log_ratio) / torch.expm1(bend * self.size.clamp(min=1))
        return self.members * bend[:, :, None], torch.where(self.size > 0, size, torch.zeros_like(size))

    def log_within_size(self, n_peaks: Tensor) -> Tensor:
        """Log chance of each model among those of its size: all sets and forms are alike, and the bends of a form."""
        return LOG_PRIOR_OF_BEND[self.bend] * (self.size > 1) - log_choose(n_peaks[:, None], self.size)

    def log_posterior(self, prior: Prior, n_peaks: Tensor) -> Tensor:
        """Log posterior up to a constant, shape (n_genes, n_models); `n_peaks` may be members, (n_genes,)."""
        return self.log_posterior_by_scale(prior, n_peaks).logsumexp(2)

    def log_posterior_by_scale(self, prior: Prior, n_peaks: Tensor) -> Tensor:
        """The same with each of :data:`~grids.surrogates.window.prior.SCALES`, (n_genes, n_models, n_scales)."""
        of_model = self.log_within_size(n_peaks) + torch.log(prior.size)[self.size]
        return of_model[:, :, None] + prior.log_gains(self.evidence)

    def take(self, which: Tensor) -> "Models":
        """Some models of each gene; `which` has shape (n_genes, n)."""
        members = torch.gather(self.members, 1, which[:, :, None].expand(-1, -1, self.members.shape[2]))
        evidence = torch.gather(self.evidence, 1, which[:, :, None].expand(-1, -1, 2))
        return Models(members, torch.gather(self.bend, 1, which), evidence)


@dataclass
class Fit:
    """One model of each gene with its parameters.

    Attributes
    ----------
    state_effect : Tensor, shape (n_genes, n_covariates)
    log_ratio : Tensor, shape (n_genes,)
    dispersion : Tensor, shape (n_genes,)
        ``variance = mean + dispersion * mean**2``.
    """

    state_effect: Tensor
    log_ratio: Tensor
    dispersion: Tensor

    def at_level(self, level: Tensor) -> "Fit":
        """With expression by state times ``exp(level)``, `level` of shape (n_genes,)."""
        effect = self.state_effect.clone()
        effect[:, 0] += level
        return replace(self, state_effect=effect)

    def activity(self, rise: Tensor) -> Tensor:
        """Expression relative to no member open, shape of `rise`: (n_genes, n_cells)."""
        return activity_of_ratio(self.log_ratio, rise)


def log_choose(n: Tensor, k: Tensor) -> Tensor:
    """Log of the number of ways to choose k of n."""
    n, k = n.double(), k.double()
    return (torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp(min=0) + 1)).float()


def rises(openness: Tensor, models: Models) -> Tensor:
    """Expected rises of the models of each gene, shape (n_genes, n_models, n_cells)."""
    rows = []
    for x, members, bends in zip(openness, models.members, models.bend.tolist(), strict=True):
        rows.append([expected_rise(x, m, BENDS[b]) for m, b in zip(members, bends, strict=True)])
    return torch.stack([torch.stack(row) for row in rows])


def activity_of_ratio(log_ratio: Tensor, rise: Tensor) -> Tensor:
    """:func:`~grids.surrogates.window.curve.activity` by the log ratio, (...,), and the rise, (..., n_cells)."""
    return activity(torch.expm1(log_ratio)[..., None], rise)


def log_mean(fit: Fit, cells: Cells, rise: Tensor) -> Tensor:
    """Log of the expected counts per unit of exposure, shape (n_genes, n_cells)."""
    return _by_state(fit, cells) + torch.log(fit.activity(rise))


def expected_by_state(fit: Fit, cells: Cells) -> Tensor:
    """Counts expected with no member open, shape (n_genes, n_cells)."""
    return torch.exp(_by_state(fit, cells)) * cells.exposure


def _by_state(fit: Fit, cells: Cells) -> Tensor:
    return (cells.covariates @ fit.state_effect[:, :, None])[:, :, 0].clamp(-MAX_LOG_MEAN, MAX_LOG_MEAN)


def log_likelihood(log_mu: Tensor, cells: Cells, dispersion: Tensor) -> Tensor:
    """Negative binomial log-likelihood of each cell up to a constant, shape (n_genes, n_cells)."""
    log_expected = log_mu + torch.log(cells.exposure)
    phi = dispersion[:, None]
    return cells.counts * log_expected - (cells.counts + 1 / phi) * torch.log1p(phi * torch.exp(log_expected))


def fit_state(cells: Cells) -> Fit:
    """The model without the window: expression follows the state only."""
    n_genes = len(cells.counts)
    start = torch.zeros(n_genes, cells.covariates.shape[2])
    mean = (cells.counts.sum(1) / cells.exposure.sum()).clamp(min=1e-8)
    start[:, 0] = torch.log(mean)
    fit = Fit(start, torch.zeros(n_genes), torch.full((n_genes,), FIRST_DISPERSION))
    return refine(fit, cells, torch.zeros_like(cells.counts))


def refine(fit: Fit, cells: Cells, rise: Tensor) -> Fit:
    """Penalised likelihood of the parameters by damped Fisher scoring, the model (its rise) given.

    Normal priors of the state's effects and of the log ratio; the dispersion by moments, in turns with the rest. It
    starts from a fit; the rise has shape (n_genes, n_cells).
    """
    for _ in range(N_DISPERSIONS):
        fit = _score(fit, cells, rise)
        expected = torch.exp(log_mean(fit, cells, rise)) * cells.exposure
        excess = ((cells.counts - expected) ** 2 - expected).sum(1) / (expected**2).sum(1).clamp(min=1e-12)
        fit = Fit(fit.state_effect, fit.log_ratio, excess.clamp(*DISPERSION))
    return fit


def _score(fit: Fit, cells: Cells, rise: Tensor) -> Fit:
    """Fisher scoring with a given dispersion; a step that does not gain is damped more and tried again."""
    n = fit.state_effect.shape[1]
    prior = torch.full((n + 1,), STATE_PRECISION)
    prior[0], prior[-1] = 0, 1 / LOG_RATIO_SD**2
    theta = torch.cat([fit.state_effect, fit.log_ratio[:, None]], 1)
    damping = torch.full((len(theta),), 1e-3)

    def at(theta: Tensor) -> tuple[Fit, Tensor]:
        proposed = Fit(theta[:, :n], theta[:, n], fit.dispersion)
        likelihood = log_likelihood(log_mean(proposed, cells, rise), cells, fit.dispersion).sum(1)
        return proposed, likelihood - 0.5 * (prior * theta**2).sum(1)

    here, objective = at(theta)
    for _ in range(SCORING_STEPS):
        expected = torch.exp(log_mean(here, cells, rise)) * cells.exposure
        by_ratio = torch.exp(here.log_ratio)[:, None] * rise / here.activity(rise)
        states = cells.covariates.expand(len(theta), -1, -1)
        jacobian = torch.cat([states, by_ratio[:, :, None]], 2).transpose(1, 2)
        noise = 1 + fit.dispersion[:, None] * expected
        information = (jacobian * (expected / noise)[:, None]) @ jacobian.transpose(1, 2) + torch.diag(prior)
        diagonal = torch.diagonal(information, dim1=1, dim2=2).clamp(min=1e-6)
        gradient = (jacobian @ ((cells.counts - expected) / noise)[:, :, None])[:, :, 0] - prior * theta
        step = torch.linalg.solve(information + torch.diag_embed(damping[:, None] * diagonal), gradient)
        proposal = theta + step.clamp(-MAX_STEP, MAX_STEP)
        proposal[:, n] = proposal[:, n].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
        gain = at(proposal)[1] - objective
        better = gain > 0
        theta = torch.where(better[:, None], proposal, theta)
        damping = torch.where(better, damping / 5, damping * 20).clamp(1e-4, 1e4)
        here, objective = at(theta)
        if (gain.abs() < TOLERANCE * objective.abs()).all():
            break
    return here


class WorkingModel:
    """Counts as a linear function of a rise and of the state, around a fit.

    ``counts ~ level * m + slope * m * f + mu * C . change`` with weights ``1 / variance(mu)``: `m` is expected
    with no member open, `mu` by the fit and the rise of its own model, shape (n_genes, n_cells). Level and change of
    state are eliminated, so the gain of a rise `f` takes its products with the rest only.
    """

    def __init__(self, fit: Fit, cells: Cells, rise: Tensor):
        alone = expected_by_state(fit, cells)
        expected = alone * fit.activity(rise)
        root = 1 / torch.sqrt((expected * (1 + fit.dispersion[:, None] * expected)).clamp(min=1e-8))
        design = ((expected * root)[:, :, None] * cells.covariates).transpose(1, 2)
        scaled = alone * root
        design = torch.cat([scaled[:, None], design[:, 1:]], 1)
        prior = torch.full((design.shape[1],), STATE_PRECISION)
        prior[0] = 1e-6
        gram = design @ design.transpose(1, 2)
        gram = gram + torch.diag(prior) + 1e-6 * torch.diag_embed(torch.diagonal(gram, dim1=1, dim2=2))
        basis = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), design, upper=False)
        response = cells.counts * root
        self.response_in_basis = (basis @ response[:, :, None])[:, :, 0]
        self.root_weight = scaled
        self.basis, self.residual = basis, response - (self.response_in_basis[:, None] @ basis)[:, 0]
        # A rise's products with these rows, and of its square with the weight, are all that is needed.
        self.rows = torch.cat(
            [basis * scaled[:, None], (scaled * response)[:, None], scaled[:, None] ** 2], 1
        )
        self.row_sums = self.rows.sum(2)

    def evidence(self, openness: Tensor, sets: Tensor, size: int, bends: Sequence[float]) -> Tensor:
        """Evidence of each set extended by each peak: (n_genes, n_sets, n_peaks, n_bends, 2).

        Score and information of the slope of the rise at a slope of zero, what else is in the model eliminated.

        Parameters
        ----------
        openness : Tensor, shape (n_genes, n_cells, n_peaks)
        sets : Tensor of bool, shape (n_genes, n_sets, n_peaks)
        size : int
            Members with the added peak.
        """
        n_genes, n_cells, n_peaks = openness.shape
        n_sets, n_rows = sets.shape[1], self.rows.shape[1]
        polynomials = symmetric_polynomials(openness, sets, size - 1)
        # Products of polynomials and rows with each peak's openness, and without a peak.
        first = (self.rows @ openness)[:, None, None].expand(-1, n_sets, -1, -1, -1)
        rows = (polynomials[:, :, 1:, None] * self.rows[:, None, None]).view(n_genes, -1, n_cells)
        higher = (rows @ openness).view(n_genes, n_sets, size - 1, n_rows, n_peaks)
        with_peak = torch.cat([first, higher], 2)
        alone = polynomials.flatten(1, 2) @ self.rows.transpose(1, 2)
        alone = alone.view(n_genes, n_sets, size, n_rows, 1)
        lines = [line_of_power(bend) for bend in bends]
        orders = torch.tensor([[a ** (size - 1 - j) * b**j for j in range(size)] for a, b in lines])
        weighted = (orders @ (polynomials * self.root_weight[:, None, None])).square_()
        constant = weighted.sum(3)
        squares = weighted.flatten(1, 2) @ torch.cat([openness, openness**2], 2)
        linear, squared = squares.view(n_genes, n_sets, len(bends), 2, n_peaks).unbind(3)
        evidence = []
        for i, (bend, (intercept, slope)) in enumerate(zip(bends, lines, strict=True)):
            none, step = ends_of_power(bend, size)
            products = (orders[i][:, None, None] * (intercept * alone + slope * with_peak)).sum(2)
            square = intercept**2 * constant[:, :, i, None] + slope**2 * squared[:, :, i]
            square = square + 2 * intercept * slope * linear[:, :, i]
            sums = self.row_sums[:, None, :, None]
            in_basis = (products[:, :, :-2] - none * sums[:, :, :-2]) / step
            with_response = (products[:, :, -2] - none * sums[:, :, -2]) / step
            of_rise = (square - 2 * none * products[:, :, -1] + none**2 * sums[:, :, -1]) / step**2
            evidence.append(self._evidence(in_basis, with_response, of_rise))
        return torch.stack(evidence, 3)

    def score_by_cell(self, rise: Tensor) -> Tensor:
        """What each cell adds to the scores of models' rises, both of shape (n_genes, n_models, n_cells)."""
        scaled = rise * self.root_weight[:, None]
        scaled = scaled - (scaled @ self.basis.transpose(1, 2)) @ self.basis
        return scaled * self.residual[:, None]

    def _evidence(self, in_basis: Tensor, with_response: Tensor, of_rise: Tensor) -> Tensor:
        """Evidence of rises by their products with the basis (on axis 2), the response and themselves."""
        score = with_response - (in_basis * self.response_in_basis[:, None, :, None]).sum(2)
        information = (of_rise - (in_basis**2).sum(2)).clamp(min=0)
        return torch.stack([score, information], -1)


def search(working: WorkingModel, cells: Cells, prior: Prior) -> Models:
    """The best :data:`N_KEPT` models of each gene by forward extension, best first; the empty one always among them."""
    n_genes, _, n_peaks = cells.openness.shape
    n_candidates = cells.is_candidate.sum(1)
    empty = torch.zeros(n_genes, 1, n_peaks, dtype=torch.bool)
    found = [Models(empty, torch.zeros(n_genes, 1, dtype=torch.long), torch.zeros(n_genes, 1, 2))]
    sets = empty
    for size in range(1, min(MAX_SIZE, n_peaks) + 1):
        bends = BENDS if size > 1 else BENDS[:1]
        evidence = _evidence_by_bend(working, cells.openness, sets, size, bends).flatten(1, 2)
        members = (sets[:, :, None] | torch.eye(n_peaks, dtype=torch.bool)).flatten(1, 2)
        possible = (members.sum(2) == size) & ~(members & ~cells.is_candidate[:, None]).any(2)
        possible &= _first_of_its_kind(members)
        possible = possible[:, :, None].expand(-1, -1, len(bends))
        if size > 1 and cells.is_bend is not None:
            possible = possible & cells.is_bend[:, None]
        evidence = torch.where(possible[..., None], evidence, torch.tensor([0.0, torch.inf]))
        gain = prior.log_gain(evidence)
        # Only what can be among the best in the end is carried on.
        order = gain.flatten(1).topk(min(N_KEPT, gain[0].numel()), 1).indices
        which = torch.arange(len(bends)).repeat(members.shape[1]).expand(n_genes, -1)
        rows = (order // len(bends))[:, :, None].expand(-1, -1, n_peaks)
        kept = torch.gather(evidence.flatten(1, 2), 1, order[:, :, None].expand(-1, -1, 2))
        found.append(Models(torch.gather(members, 1, rows), torch.gather(which, 1, order), kept))
        if size < MAX_SIZE:
            best = gain.amax(2).topk(min(N_EXTENDED[size - 1], members.shape[1]), 1).indices
            sets = torch.gather(members, 1, best[:, :, None].expand(-1, -1, n_peaks))
    models = Models(
        *(torch.cat([getattr(m, name) for m in found], 1) for name in ("members", "bend", "evidence"))
    )
    posterior = models.log_posterior(prior, n_candidates)
    best = posterior.topk(min(N_KEPT, posterior.shape[1]), 1).indices
    best[:, -1] = torch.where((best == 0).any(1), best[:, -1], 0)
    return models.take(best)


def _evidence_by_bend(
    working: WorkingModel, openness: Tensor, sets: Tensor, size: int, bends: Sequence[float]
) -> Tensor:
    """As of :meth:`WorkingModel.evidence`; nothing is possible with a bend that is not of the sign that counts show."""
    distinct = sorted(set(bends))
    evidence = working.evidence(openness, sets, size, distinct)
    evidence = evidence[:, :, :, [distinct.index(bend) for bend in bends]]
    if size == 1:  # one member has no bend
        return evidence
    is_sign = (evidence[..., 0] >= 0) == (torch.tensor(SIGN_OF_BEND) > 0)
    return torch.where(is_sign[..., None], evidence, torch.tensor([0.0, torch.inf]))


def _first_of_its_kind(members: Tensor) -> Tensor:
    """False for sets that stood before in the same row; equal sets have equal sums of random numbers."""
    generator = torch.Generator().manual_seed(0)
    code = torch.randint(2**62, (members.shape[2],), generator=generator)
    key, order = (members * code).sum(2).sort(dim=1, stable=True)
    first = torch.ones_like(key, dtype=torch.bool)
    first[:, 1:] = key[:, 1:] != key[:, :-1]
    return torch.zeros_like(first).scatter_(1, order, first)


def pad_models(parts: Sequence[Tensor], fill: float) -> Tensor:
    """Values of the models of several blocks of genes, (n_genes, n_models, ...) each, under each other; padded."""
    most = max(part.shape[1] for part in parts)
    padded = [part.new_full((len(part), most, *part.shape[2:]), fill) for part in parts]
    for row, part in zip(padded, parts, strict=True):
        row[:, : part.shape[1]] = part
    return torch.cat(padded)
