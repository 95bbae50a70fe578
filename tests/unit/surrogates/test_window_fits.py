"""Log ratios of set models and their errors, and draws from the posterior, against closed forms and the jackknife."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats

from grids.surrogates.window import fits
from grids.surrogates.window.fits import (
    draw_models,
    fit_rises,
    level_of,
    normal_quantiles,
    validation_deviance,
)
from grids.surrogates.window.prior import SCALES, TEMPERATURE, Prior, learn_prior
from grids.surrogates.window.set_models import (
    BENDS,
    LOG_RATIO_SD,
    MAX_LOG_RATIO,
    Cells,
    Fit,
    Models,
    WorkingModel,
    log_choose,
    refine,
    rises,
)


def cells_of(counts, covariates, openness, exposure=None) -> Cells:
    """One gene; its peaks may all be members."""
    tensors = (torch.as_tensor(np.asarray(a), dtype=torch.float64) for a in (openness, covariates, counts))
    openness, covariates, counts = (tensor[None] for tensor in tensors)
    exposure = np.ones(counts.shape[1]) if exposure is None else exposure
    candidates = torch.ones(1, openness.shape[2], dtype=torch.bool)
    return Cells(openness, candidates, covariates, counts, torch.as_tensor(exposure, dtype=torch.float64))


def fit_of(state_effect, dispersion=0.3) -> Fit:
    effect = torch.tensor([state_effect], dtype=torch.float64)
    return Fit(effect, torch.zeros(1, dtype=torch.float64), torch.tensor([dispersion], dtype=torch.float64))


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("n_models", [1, 3])
def test_the_error_is_that_of_two_means_however_unlike_the_spreads(n_models):
    """Cells with the peak open vary much more than a common dispersion says, the others much less."""
    rng = np.random.default_rng(0)
    is_open = np.arange(4000) < 1500
    counts = np.where(
        is_open, rng.negative_binomial(0.5, 0.5 / (0.5 + 6.0), 4000), rng.binomial(8, 0.25, 4000)
    )
    cells = cells_of(counts, np.ones((4000, 1)), is_open[:, None])
    curve = torch.from_numpy(is_open.astype(float)).expand(1, n_models, -1)
    log_ratio, error = fit_rises(curve, cells, fit_of([np.log(2.0)]))
    means, variances = (np.array([f(counts[is_open]), f(counts[~is_open])]) for f in (np.mean, np.var))
    assert_allclose(log_ratio, np.log(means[0] / means[1]), rtol=0.005)
    expected = np.sqrt((variances / means**2 / [1500, 2500]).sum())
    assert_allclose(error, expected, rtol=0.01)
    by_model = np.sqrt(((1 / means + 0.3) / [1500, 2500]).sum())  # what the dispersion alone says
    assert expected > 1.25 * by_model


def test_the_error_allows_for_the_state_as_the_jackknife_does():
    """Each cell is left out in turn and everything fitted anew; the state goes along with the window."""
    rng, n = np.random.default_rng(1), 300
    state = rng.normal(size=n)
    curve = 1 / (1 + np.exp(-1.5 * state - rng.normal(size=n)))
    spread = np.where(curve > 0.5, 0.7, 8.0)
    mean = np.exp(1.0 + 0.3 * state) * (1 + 2 * curve)
    counts = rng.negative_binomial(spread, spread / (spread + mean)).astype(float)
    cells = cells_of(counts, np.stack([np.ones(n), state], 1), curve[:, None])
    curve = torch.from_numpy(curve)[None]
    fit = refine(fit_of([1.0, 0.0]), cells, curve)
    log_ratio, error = fit_rises(curve[:, None], cells, fit)
    assert float(log_ratio) == pytest.approx(float(fit.log_ratio), abs=0.05)
    left = 1 - torch.eye(n)  # a cell of hardly any exposure, without counts, is not there
    without = replace(
        cells,
        covariates=cells.covariates.expand(n, -1, -1),
        counts=cells.counts * left,
        exposure=left.clamp(min=1e-9),
    )
    start = Fit(fit.state_effect.repeat(n, 1), fit.log_ratio.repeat(n), fit.dispersion.repeat(n))
    each = refine(start, without, curve.expand(n, -1)).log_ratio
    jackknife = float(torch.sqrt((n - 1) / n * ((each - each.mean()) ** 2).sum()))
    assert float(error) == pytest.approx(jackknife, rel=0.12)


def test_of_what_the_cells_do_not_tell_the_error_is_that_of_the_prior():
    rng = np.random.default_rng(4)
    cells = cells_of(rng.poisson(2, 50), np.ones((50, 1)), np.zeros((50, 1)))
    log_ratio, error = fit_rises(torch.zeros(1, 1, 50), cells, fit_of([0.7]))
    assert_allclose(log_ratio, 0, atol=1e-3)
    assert_allclose(error, LOG_RATIO_SD)


def test_quantiles_stand_for_normal_draws():
    quantiles = normal_quantiles(20)
    assert quantiles.mean() == pytest.approx(0, abs=1e-6) and quantiles.std() == pytest.approx(1, abs=1e-6)
    assert_allclose(
        quantiles / quantiles[-1], (z := stats.norm.ppf((np.arange(20) + 0.5) / 20)) / z[-1], rtol=1e-5
    )


PRIOR = Prior(torch.tensor([0.5, 0.3, 0.1, 0.05, 0.05]), torch.full((len(SCALES),), 1 / len(SCALES)))
VAGUE = Prior(PRIOR.size, torch.nn.functional.one_hot(torch.tensor(len(SCALES) - 1), len(SCALES)).double())


def two_peaks(n=600, log_ratio=1.0, seed=2) -> tuple[Cells, Models]:
    """A gene that the first of two peaks controls; no model, its own, the other's, and both peaks', by gain."""
    rng = np.random.default_rng(seed)
    is_open = rng.random((n, 2)) < 0.5
    counts = rng.poisson(2 * np.exp(log_ratio * is_open[:, 0]))
    members = torch.tensor([[[True, False], [True, True], [False, False], [False, True]]])
    evidence = torch.tensor([[[30.0, 90.0], [25.0, 80.0], [0.0, 0.0], [20.0, 90.0]]])
    models = Models(members, torch.tensor([[0, BENDS.index(0.7), 0, 0]]), evidence)
    return cells_of(counts, np.ones((n, 1)), is_open), models


def test_gains_are_tempered_integrals_over_the_slope():
    """Closed form against quadrature: the likelihood of a slope to the power of one over the temperature."""
    score, information = 7.0, 11.0
    gains = PRIOR.log_gains(torch.tensor([score, information]))
    slope = np.linspace(-60, 60, 400_001)
    for scale, gain in zip(SCALES, gains, strict=True):
        likelihood = np.exp((score * slope - information * slope**2 / 2) / TEMPERATURE)
        expected = np.trapezoid(likelihood * stats.norm.pdf(slope, 0, scale), slope) / len(SCALES)
        assert float(gain) == pytest.approx(np.log(expected), rel=1e-6)
    assert float(PRIOR.log_gain(torch.zeros(2))) == pytest.approx(0, abs=1e-6)  # without members
    assert float(PRIOR.log_gain(torch.tensor([0.0, torch.inf]))) == -np.inf  # no model


def test_the_prior_is_learned_from_genes_and_few_leave_it_near_the_start():
    """Of many genes half have one member and half three, all with slopes of one scale, and are sure of them."""
    start = Prior.of_penalty(1.0, 4)
    n, scale = 400, 1.0
    rng = np.random.default_rng(0)
    slope, information = rng.normal(0, scale, n), 400.0
    size = torch.tensor([[1, 3]]).repeat(n, 1)
    score = torch.zeros(n, 2)
    score[torch.arange(n), torch.arange(n) % 2] = torch.from_numpy(information * slope)
    evidence = torch.stack([score, torch.full((n, 2), information)], -1)
    learned = learn_prior(start, size, torch.zeros(n, 2), evidence)
    assert float(learned.size[0]) == 0.5 and float(learned.size.sum()) == pytest.approx(1)
    assert_allclose(learned.size[[1, 3]], 0.25, atol=0.03)
    assert int(learned.scale.argmax()) == SCALES.index(scale) and float(learned.scale.max()) > 0.6
    few = learn_prior(start, size[:1], torch.zeros(1, 2), evidence[:1])
    assert_allclose(few.size, start.size, atol=0.06)
    assert_allclose(few.scale, start.scale, atol=0.1)


def test_models_are_drawn_as_often_as_the_posterior_has_them_given_a_member(monkeypatch):
    cells, models = two_peaks()
    monkeypatch.setattr(
        fits, "bagged_evidence", lambda models, *_: models.evidence[:, None].repeat(1, 4000, 1, 1)
    )
    posterior = torch.softmax(models.log_posterior(PRIOR, torch.tensor([2])), 1)[0]
    # Of each size: two sets of one peak; of the two peaks' set three forms, four bends of this one.
    prior = torch.log(torch.tensor([0.3 / 2, 0.1 / (3 * 4), 0.5, 0.3 / 2]))
    assert_allclose(posterior, torch.softmax(PRIOR.log_gain(models.evidence[0]) + prior, 0), rtol=1e-6)
    posterior[2] = 0
    drawn, _, _ = draw_models(models, cells, fit_of([0.7]), PRIOR, 4000, [np.random.default_rng(0)])
    times = [(drawn.members[0] == model).all(1).sum() for model in models.members[0]]
    assert_allclose(np.array(times) / 4000, posterior / posterior.sum(), atol=0.03)


def test_no_draw_is_without_members_though_the_posterior_favours_none():
    cells, models = two_peaks(log_ratio=0.0)
    models = replace(models, evidence=torch.zeros(1, 4, 2))
    models.evidence[0, [0, 1, 3]] = torch.tensor([0.0, 500.0])
    none = torch.softmax(models.log_posterior(VAGUE, torch.tensor([2])), 1)[0, 2]
    assert none > 0.95
    drawn, _, _ = draw_models(models, cells, fit_of([0.7]), VAGUE, 40, [np.random.default_rng(1)])
    assert drawn.members[0].any(1).all()
    cells.is_candidate[:] = False  # without candidates there is nothing else
    models.evidence[0, [0, 1, 3]] = torch.tensor([0.0, torch.inf])
    drawn, _, _ = draw_models(models, cells, fit_of([0.7]), VAGUE, 40, [np.random.default_rng(1)])
    assert not drawn.members.any()


def test_bagged_scores_are_those_of_resampled_cells():
    """Their spread over draws is that of the sum of cells' scores; evidence at hand is the mean."""
    cells, models = two_peaks()
    fit, best = fit_of([0.7]), cells.openness[..., 0]
    fit = refine(fit, cells, best)
    bagged = fits.bagged_evidence(
        models, rises(cells.openness, models), cells, fit, 2000, [np.random.default_rng(0)]
    )
    by_cell = WorkingModel(fit, cells, best).score_by_cell(best[:, None])[0, 0]
    assert_allclose(bagged[0, :, 0, 0].mean(), 30, atol=4 * float(by_cell.std()) * np.sqrt(600 / 2000))
    assert_allclose(bagged[0, :, 0, 0].std(), float(by_cell.std()) * np.sqrt(600), rtol=0.06)
    assert (bagged[0, :, 2] == 0).all() and (bagged[..., 1] == models.evidence[..., 1]).all()
    total = WorkingModel(fit, cells, best).evidence(
        cells.openness, torch.zeros(1, 1, 2, dtype=torch.bool), 1, [-6.0]
    )
    assert_allclose(by_cell.sum(), total[0, 0, 0, 0, 0], rtol=1e-5)


def test_log_ratios_are_drawn_with_their_error_and_levels_keep_the_total():
    cells, models = two_peaks()
    models = models.take(torch.zeros(1, 1, dtype=torch.long))
    fit = fit_of([0.7])
    curve = cells.openness[..., 0][:, None]
    log_ratio, error = fit_rises(curve, cells, fit)
    assert float(log_ratio) == pytest.approx(1.0, abs=0.15)
    _, drawn, level = draw_models(models, cells, fit, VAGUE, 40, [np.random.default_rng(0)])
    assert float(drawn.mean()) == pytest.approx(float(log_ratio), rel=0.02)
    # The variance of the estimate and that of its posterior, which are alike.
    assert float(drawn.std(correction=0)) == pytest.approx(float(error) * np.sqrt(2), rel=0.02)
    assert (drawn.diff() > 0).any() and (drawn.diff() < 0).any()  # in no order, as models are drawn in theirs
    expected = np.exp(0.7) * (1 + np.expm1(drawn[0, :, None].numpy()) * curve[0].numpy()).sum(1)
    assert_allclose(level[0], np.log(float(cells.counts.sum()) / expected), rtol=1e-6)
    assert_allclose(level_of(curve, cells, fit, log_ratio)[0, 0] + 0.7, np.log(2), atol=0.15)
    _, one, _ = draw_models(models, cells, fit, VAGUE, 1, [np.random.default_rng(0)])
    assert_allclose(one, log_ratio, rtol=0.02)  # a single model is the best one


def test_drawn_ratios_stay_within_bounds():
    counts, is_open = np.array([0, 0, 0, 300, 0, 400]), np.array([0, 0, 0, 1, 0, 1])
    cells = cells_of(counts, np.ones((6, 1)), is_open[:, None])
    models = Models(torch.tensor([[[True]]]), torch.tensor([[0]]), torch.tensor([[[50.0, 1.0]]]))
    _, drawn, _ = draw_models(models, cells, fit_of([0.0]), VAGUE, 20, [np.random.default_rng(0)])
    assert float(drawn.max()) == MAX_LOG_RATIO


def test_the_validation_deviance_is_that_of_the_negative_binomial():
    rng = np.random.default_rng(3)
    is_open = rng.random((400, 1)) < 0.5
    counts = rng.negative_binomial(2, 2 / (2 + 3 * np.exp(1.5 * is_open[:, 0])))
    cells = cells_of(counts, np.ones((400, 1)), is_open)
    known, held_out = cells.subset(torch.arange(300)), cells.subset(torch.arange(300, 400))
    fit = refine(fit_of([0.0]), known, known.openness[..., 0])
    mean = np.exp(float(fit.state_effect) + float(fit.log_ratio) * is_open[300:, 0])
    size = 1 / float(fit.dispersion)
    log_pmf = stats.nbinom.logpmf(counts[300:], size, size / (size + mean))
    # without what no model changes: the binomial coefficient and the power of the dispersion
    rest = stats.nbinom.logpmf(counts[300:], size, 0.5) - (size + counts[300:]) * np.log(0.5)
    constant = rest + counts[300:] * np.log(float(fit.dispersion))
    expected = -2 * (log_pmf - constant).mean()
    assert validation_deviance(known, held_out, PRIOR) == pytest.approx(expected, abs=0.02)


def test_log_choose():
    assert_allclose(
        log_choose(torch.tensor([5, 4, 3]), torch.tensor([2, 4, 0])), np.log([10, 1, 1]), atol=1e-6
    )
