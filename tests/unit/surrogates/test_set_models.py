"""Models of sets: rises against enumeration, gains against dense least squares, the search against brute force."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from grids.surrogates.window import set_models
from grids.surrogates.window.curve import (
    expected_index,
    expected_rise,
    log_activity,
)
from grids.surrogates.window.fits import fit_models
from grids.surrogates.window.prior import SCALES, TEMPERATURE, Prior
from grids.surrogates.window.set_models import (
    BENDS,
    FORMS,
    MAX_SIZE,
    N_KEPT,
    SIGN_OF_BEND,
    STATE_PRECISION,
    Cells,
    Fit,
    Models,
    WorkingModel,
    fit_state,
    log_likelihood,
    log_mean,
    refine,
    rises,
    search,
)

PRIOR = Prior.of_penalty(0.5, MAX_SIZE)


def planted_curve(n_open, bend: float, size: int):
    """``f(n)``, as the method defines it."""
    return np.expm1(bend * np.asarray(n_open)) / np.expm1(bend * size)


@st.composite
def sets_of_peaks(draw):
    """Chances that peaks of two cells are open, some of them members, and a bend."""
    n = draw(st.integers(1, 6))
    chance = st.lists(st.floats(0, 1), min_size=n, max_size=n)
    members = draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=4))
    return np.array([draw(chance), draw(chance)]), sorted(members), draw(st.sampled_from(BENDS))


@given(sets_of_peaks())
def test_the_expected_rise_is_the_mean_over_all_openings(drawn):
    openness, members, bend = drawn
    expected = np.zeros(len(openness))
    for z in itertools.product([0, 1], repeat=len(members)):
        chance = np.where(z, openness[:, members], 1 - openness[:, members]).prod(1)
        expected += chance * planted_curve(sum(z), bend, len(members))
    is_member = torch.zeros(openness.shape[1], dtype=torch.bool)
    is_member[members] = True
    actual = expected_rise(torch.from_numpy(openness).float(), is_member, bend)
    np.testing.assert_allclose(actual, expected, atol=2e-5)


@given(sets_of_peaks(), st.floats(-3, 3))
def test_the_single_index_is_the_same_curve(drawn, log_ratio):
    openness, members, bend = drawn
    n_peaks = openness.shape[1]
    is_member = torch.isin(torch.arange(n_peaks), torch.tensor(members))
    models = Models(is_member[None, None], torch.tensor([[BENDS.index(bend)]]), torch.zeros(1, 1, 2))
    weights, size = models.index(torch.tensor([[log_ratio]]))
    z = torch.tensor(list(itertools.product([0.0, 1.0], repeat=n_peaks)))
    curve = planted_curve(z[:, members].sum(1).numpy(), bend, len(members))
    np.testing.assert_allclose(
        log_activity(z @ weights[0, 0], size[0]), np.log(1 + math.expm1(log_ratio) * curve), atol=1e-3
    )
    by_chance = expected_index(torch.from_numpy(openness).float(), weights[0, 0])
    expected = math.expm1(log_ratio) * rises(torch.from_numpy(openness).float()[None], models)[0, 0]
    np.testing.assert_allclose(log_activity(by_chance, size[0]), torch.log1p(expected), atol=1e-3)


def test_a_model_without_members_is_flat():
    openness = torch.rand(5, 3)
    models = Models(torch.zeros(1, 1, 3, dtype=torch.bool), torch.tensor([[4]]), torch.zeros(1, 1, 2))
    weights, size = models.index(torch.ones(1, 1))
    assert not rises(openness[None], models).any() and not weights.any() and not size.any()


def test_forms_follow_from_size_and_bend():
    members = torch.tensor([[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0]], dtype=torch.bool)
    bends = torch.tensor([3, 7, BENDS.index(-6.0), BENDS.index(0.7), BENDS.index(6.0)])
    models = Models(members[None], bends[None], torch.zeros(1, 5, 2))
    assert [FORMS[i] for i in models.form[0]] == [
        "none",
        "single",
        "redundant",
        "multiplicative",
        "synergistic",
    ]
    assert models.size.tolist() == [[0, 1, 2, 3, 2]]


@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_the_prior_of_a_size_is_shared_by_all_its_sets(penalty):
    n_peaks = 6
    half = len(BENDS) // 2
    assert (1,) * half + (-1,) * half == SIGN_OF_BEND
    of_one_sign = [(k, b) for k in (2, 3, MAX_SIZE) for b in (range(half), range(half, 2 * half))]
    for size, bends in [(0, [0]), (1, [0]), *of_one_sign]:
        rows = [(s, b) for s in itertools.combinations(range(n_peaks), size) for b in bends]
        members = torch.zeros(1, len(rows), n_peaks, dtype=torch.bool)
        for row, (s, _) in enumerate(rows):
            members[0, row, list(s)] = True
        models = Models(members, torch.tensor([[b for _, b in rows]]), torch.zeros(1, len(rows), 2))
        prior = Prior.of_penalty(penalty, MAX_SIZE)
        total = models.log_posterior(prior, torch.tensor([n_peaks])).exp().sum()
        shares = np.exp(-penalty * np.arange(1, MAX_SIZE + 1))
        expected = [0.5, *(0.5 * shares / shares.sum())]
        assert float(total) == pytest.approx(expected[size], rel=1e-5)


def simulated(n_peaks: list[int], n_cells: int, seed: int, planted=None, log_ratio: float = 1.2) -> Cells:
    """Genes whose windows have so many peaks; `planted` (members, bend) is what gene 0 follows."""
    rng = np.random.default_rng(seed)
    widest = max(n_peaks)
    is_peak = np.arange(widest) < np.array(n_peaks)[:, None]
    openness = rng.beta(0.6, 0.9, (len(n_peaks), n_cells, widest)) * is_peak[:, None]
    covariates = np.concatenate([np.ones((n_cells, 1)), rng.normal(size=(n_cells, 2))], 1)
    exposure = rng.uniform(0.5, 1.5, n_cells)
    mean = np.exp(covariates @ [0.3, 0.4, -0.2]) * exposure * np.ones((len(n_peaks), 1))
    if planted:
        members, bend = planted
        is_member = torch.isin(torch.arange(widest), torch.tensor(members))
        curve = expected_rise(torch.from_numpy(openness[0]), is_member, bend).numpy()
        mean[0] *= 1 + math.expm1(log_ratio) * curve
    counts = rng.poisson(mean * rng.gamma(4.0, 0.25, mean.shape))
    openness, covariates, counts, exposure = (
        torch.from_numpy(x.astype(np.float32)) for x in (openness, covariates[None], counts, exposure)
    )
    return Cells(openness, torch.from_numpy(is_peak), covariates, counts, exposure)


def dense_gain(cells: Cells, fit: Fit, curve_of_fit, gene: int, curve, scale: float) -> tuple[float, int]:
    """Log marginal likelihood of weighted ridge regression with the curve over that without it, tempered, and its sign.

    The evidence is of one slope whose prior is the scale's, so counts and the rest's priors are tempered alike.
    """
    c, y, exposure = (x.double().numpy() for x in (cells.covariates[0], cells.counts[gene], cells.exposure))
    alone = np.exp(c @ fit.state_effect[gene].double().numpy()) * exposure
    mean = alone * (1 + np.expm1(float(fit.log_ratio[gene])) * np.asarray(curve_of_fit, float))
    weight = 1 / (mean * (1 + float(fit.dispersion[gene]) * mean)) / TEMPERATURE
    design = np.column_stack([alone, mean[:, None] * c[:, 1:], alone * np.asarray(curve, float)])
    rest = np.array([1e-6] + [STATE_PRECISION] * (c.shape[1] - 1)) / TEMPERATURE
    prior = np.diag([*rest, 1 / scale**2])

    def log_evidence(n: int) -> float:
        x, p = design[:, :n], prior[:n, :n]
        gram, product = x.T @ (weight[:, None] * x) + p, x.T @ (weight * y)
        return (
            product @ np.linalg.solve(gram, product) - np.linalg.slogdet(gram)[1] + np.linalg.slogdet(p)[1]
        ) / 2

    slope = np.linalg.solve(design.T @ (weight[:, None] * design) + prior, design.T @ (weight * y))[-1]
    return log_evidence(design.shape[1]) - log_evidence(design.shape[1] - 1), 1 if slope >= 0 else -1


def mixed_gain(*of_fit) -> tuple[float, int]:
    """The mean over scales that are all as likely, and the sign of the slope with the widest of them."""
    gains, signs = zip(*(dense_gain(*of_fit, scale) for scale in SCALES), strict=True)
    return float(logsumexp(gains) - math.log(len(SCALES))), signs[-1]


def members_of(models: Models, gene: int) -> list[tuple[int, ...]]:
    return [tuple(torch.nonzero(m)[:, 0].tolist()) for m in models.members[gene]]


@pytest.mark.parametrize("with_members", [False, True])
def test_gains_equal_dense_weighted_least_squares(with_members):
    cells = simulated([7, 7], 250, seed=1, planted=([1, 4], 0.7))
    fit, curve = fit_state(cells), torch.zeros_like(cells.counts)
    if with_members:
        curve = expected_rise(cells.openness[0], torch.arange(7) == 4, -6.0).expand(2, -1)
        fit = refine(fit, cells, curve)
    found = search(WorkingModel(fit, cells, curve), cells, PRIOR)
    sizes = set()
    for gene in range(2):
        gains = PRIOR.log_gain(found.evidence[gene])
        for m, bend, gain in list(zip(found.members[gene], found.bend[gene], gains, strict=True))[:60]:
            candidate = expected_rise(cells.openness[gene], m, BENDS[bend])
            if not m.any():
                expected, sign = 0.0, 0
            else:
                expected, sign = mixed_gain(cells, fit, curve[gene], gene, candidate)
            if math.isfinite(gain):
                assert float(gain) == pytest.approx(expected, rel=5e-3, abs=0.02)
                assert m.sum() < 2 or SIGN_OF_BEND[bend] == sign
            sizes.add(int(m.sum()))
    assert {0, 1, 2} <= sizes


@pytest.mark.parametrize("log_ratio", [1.2, -1.2])
@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_the_best_models_of_all(monkeypatch, seed, log_ratio):
    """With every set extended, the search is exhaustive: its best models are those of brute force."""
    monkeypatch.setattr(set_models, "N_EXTENDED", (100, 100, 100))
    monkeypatch.setattr(set_models, "MAX_SIZE", 3)
    planted = [([2], -6.0), ([0, 5], 6.0), ([1, 3, 6], -6.0)][seed]
    cells = simulated([8], 200, seed=seed, planted=planted, log_ratio=log_ratio)
    fit, curve = fit_state(cells), torch.zeros_like(cells.counts)
    found = search(WorkingModel(fit, cells, curve), cells, PRIOR)
    log_size = torch.log(PRIOR.size).tolist()
    scores = {((), 0): log_size[0]}
    for size in (1, 2, 3):
        for members in itertools.combinations(range(8), size):
            is_member = torch.isin(torch.arange(8), torch.tensor(members))
            for b, bend in enumerate(BENDS if size > 1 else BENDS[:1]):
                candidate = expected_rise(cells.openness[0], is_member, bend)
                gain, sign = mixed_gain(cells, fit, curve[0], 0, candidate)
                if size > 1 and sign != SIGN_OF_BEND[b]:
                    continue
                of_bend = (
                    (1 / 6, 1 / 6, 1 / 12, 1 / 12, 1 / 12, 1 / 12, 1 / 6, 1 / 6)[b % 8] if size > 1 else 1
                )
                scores[members, b] = gain + log_size[size] + math.log(of_bend / math.comb(8, size))
    best = sorted(scores, key=scores.get, reverse=True)[:N_KEPT]
    keys = list(zip(members_of(found, 0), found.bend[0].tolist(), strict=True))
    assert keys[0] == best[0]
    assert len(set(best[:20]) & set(keys)) >= 19  # ties within float32 may swap at the end
    posterior = found.log_posterior(PRIOR, torch.tensor([8]))[0]
    keys = keys[: int(torch.isfinite(posterior).sum())]
    np.testing.assert_allclose(posterior[: len(keys)], [scores[key] for key in keys], atol=0.03)


def gains_of(models: Models, gene: int) -> dict:
    """Gain of each possible model by its members and bend, best first."""
    bend, gain = models.bend[gene].tolist(), PRIOR.log_gain(models.evidence[gene]).tolist()
    rows = zip(members_of(models, gene), bend, gain, strict=True)
    return {(members, b): g for members, b, g in rows if math.isfinite(g)}


def check_models(models: Models, n_peaks: list[int]) -> None:
    """Models that can have any weight are distinct sets of real peaks, best first, the empty one among them."""
    posterior = models.log_posterior(PRIOR, torch.tensor(n_peaks))
    assert (posterior[:, :-1] >= posterior[:, 1:]).all() and not posterior.isnan().any()
    for gene, n in enumerate(n_peaks):
        keys = gains_of(models, gene)
        assert len(keys) == int(torch.isfinite(posterior[gene]).sum()) and ((), 0) in keys
        assert all(len(m) <= MAX_SIZE and max(m, default=0) < n for m, _ in keys)
        # Of every set the bends of one sign; which one it is may depend on the bend.
        n_bent = sum(math.comb(n, k) for k in range(2, min(n, MAX_SIZE) + 1))
        n_sets = 1 + n + len(BENDS) // 2 * n_bent
        assert abs(len(keys) - min(n_sets, N_KEPT)) <= n_bent * (n_sets < 2 * N_KEPT)


@pytest.mark.parametrize("n_peaks", [[1], [2, 1], [1, 2, 3, 30], [5, 40]])
def test_found_models_are_distinct_sets_of_the_window(n_peaks):
    cells = simulated(n_peaks, 120, seed=4)
    models = search(WorkingModel(fit_state(cells), cells, torch.zeros_like(cells.counts)), cells, PRIOR)
    check_models(models, n_peaks)


def test_a_small_window_is_not_changed_by_larger_ones_beside_it():
    cells = simulated([2, 25, 4], 150, seed=5)
    together = search(WorkingModel(fit_state(cells), cells, torch.zeros_like(cells.counts)), cells, PRIOR)
    for gene, n in ((0, 2), (2, 4)):
        alone = Cells(
            cells.openness[[gene], :, :n],
            cells.is_candidate[[gene], :n],
            cells.covariates,
            cells.counts[[gene]],
            cells.exposure,
        )
        models = search(WorkingModel(fit_state(alone), alone, torch.zeros(1, 150)), alone, PRIOR)
        ours, theirs = gains_of(models, 0), gains_of(together, gene)
        assert len(ours) == len(theirs) > 10
        for key in list(ours)[:-5]:  # the last ones may be swapped with others as good
            assert theirs[key] == pytest.approx(ours[key], abs=1e-3)


def test_the_empty_model_is_kept_when_others_are_far_better():
    cells = simulated([20], 2000, seed=6, planted=([3], -6.0), log_ratio=2.5)
    models = search(WorkingModel(fit_state(cells), cells, torch.zeros_like(cells.counts)), cells, PRIOR)
    assert members_of(models, 0)[-1] == () and members_of(models, 0)[0] == (3,)
    assert models.members.shape[1] == N_KEPT and float(PRIOR.log_gain(models.evidence)[0, 0]) > 50


def test_refine_recovers_the_parameters():
    """3000 cells: the errors of maximum likelihood are a few percent."""
    members, bend, log_ratio = [1, 4], -1.5, 1.2
    cells = simulated([6, 6], 3000, seed=2, planted=(members, bend), log_ratio=log_ratio)
    curve = expected_rise(cells.openness[0], torch.isin(torch.arange(6), torch.tensor(members)), bend)
    start = fit_state(cells)
    start = Fit(start.state_effect, torch.full((2,), 0.5), start.dispersion)
    fit = refine(start, cells, curve.expand(2, -1))
    np.testing.assert_allclose(fit.log_ratio, [log_ratio, 0.0], atol=0.15)
    np.testing.assert_allclose(fit.state_effect, [[0.3, 0.4, -0.2]] * 2, atol=0.1)
    np.testing.assert_allclose(fit.dispersion, 0.25, atol=0.06)
    # At the optimum another step changes next to nothing.
    again = refine(fit, cells, curve.expand(2, -1))
    np.testing.assert_allclose(again.log_ratio, fit.log_ratio, atol=1e-3)


@pytest.mark.parametrize("log_ratio", [1.2, -1.5])
def test_of_few_cells_the_fit_is_where_likelihood_and_priors_balance(log_ratio):
    """State effects and the log ratio have normal priors of variance 1 and 4, the intercept has none."""
    cells = simulated([4], 25, seed=3, planted=([0, 1], 0.7), log_ratio=log_ratio)
    curve = expected_rise(cells.openness[0], torch.arange(4) < 2, 0.7)[None]
    start = Fit(torch.zeros(1, cells.covariates.shape[2]), torch.zeros(1), torch.tensor([0.4]))
    fit = set_models._score(start, cells, curve)
    found = [fit.state_effect.clone().requires_grad_(), fit.log_ratio.clone().requires_grad_()]
    here = Fit(*found, fit.dispersion)
    likelihood = log_likelihood(log_mean(here, cells, curve), cells, fit.dispersion).sum()
    of_state, of_ratio = torch.autograd.grad(likelihood, found)
    np.testing.assert_allclose(of_ratio, fit.log_ratio / 4, atol=2e-2)
    np.testing.assert_allclose(of_state[0, 1:], fit.state_effect[0, 1:], atol=2e-2)
    assert float(of_state[0, 0]) == pytest.approx(0, abs=2e-2)
    assert fit.log_ratio.abs() > 0.2 and (fit.state_effect[0, 1:].abs() > 0.1).any()


def test_degenerate_genes_are_finite():
    """No counts at all, one count, counts in one cell only; covariates that never change; few cells."""
    cells = simulated([3, 3, 3], 30, seed=3)
    cells.covariates = torch.ones(1, 30, 4)
    cells.counts[:] = 0
    cells.counts[1, 4], cells.counts[2, 7] = 1, 500
    fit = fit_state(cells)
    working = WorkingModel(fit, cells, torch.zeros_like(cells.counts))
    check_models(search(working, cells, PRIOR), [3, 3, 3])
    for value in (fit.state_effect, fit.log_ratio, fit.dispersion, working.rows):
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("bend", [-0.7, -6.0, 6.0])
def test_a_lowering_set_is_found_with_the_bend_of_its_logic(bend):
    """Closed form of the multiplicative one: two members that take log(1/4) / 2 = -0.7 each."""
    cells = simulated([6], 12_000, seed=3, planted=([1, 4], bend), log_ratio=-2 * 0.7)
    models, fit = fit_models(cells, PRIOR)
    assert members_of(models, 0)[0] == (1, 4)
    best = int(models.bend[0, 0])
    assert SIGN_OF_BEND[best] == -1
    form = {-0.7: "multiplicative", -6.0: "redundant", 6.0: "synergistic"}[bend]
    assert FORMS[int(models.form[0, 0])] == form
    assert float(fit.log_ratio) == pytest.approx(-1.4, rel=0.2)
