"""The null model of links: a fit by brute force, linear residuals, and moments."""

from dataclasses import replace

import numpy as np
import pytest
from linked_cells import drawn
from numpy.testing import assert_allclose
from scipy import optimize

from grids.analysis.links.residuals import (
    FIRST_DISPERSION,
    MOST_DISPERSION,
    N_DISPERSIONS,
    PRIOR_PRECISION,
    fit_residuals,
)


def brute_force(counts, exposure, covariates):
    """Mean and dispersion of one gene: a general optimiser in place of Fisher scoring."""
    prior = np.full(covariates.shape[1], PRIOR_PRECISION)
    prior[0] = 1e-6
    dispersion = FIRST_DISPERSION

    def loss(coefficients):
        log_mean = covariates @ coefficients + np.log(exposure)
        noise = np.log1p(dispersion * np.exp(log_mean))
        residual = (counts - np.exp(log_mean)) / (1 + dispersion * np.exp(log_mean))
        value = (counts * log_mean - (counts + 1 / dispersion) * noise).sum()
        return (prior * coefficients**2).sum() / 2 - value, prior * coefficients - covariates.T @ residual

    for _ in range(N_DISPERSIONS):
        start = np.zeros(len(prior))
        start[0] = np.log(counts.sum() / exposure.sum())
        found = optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
        mean = exposure * np.exp(covariates @ found)
        excess = ((counts - mean) ** 2 - mean).sum() / (mean**2).sum()
        dispersion = float(np.clip(excess, 1e-12, MOST_DISPERSION))
    return mean, dispersion


@pytest.mark.parametrize("mean", [0.2, 1.5, 20.0])
def test_score_residuals_are_those_of_a_fit_by_brute_force(mean):
    data = drawn(400, n_genes=5, n_covariates=4, mean=mean)
    cells, found = data.tested(), data.residuals(data.depth)
    strata = cells.strata.toarray().argmax(0)
    for gene in range(5):
        expected, dispersion = brute_force(data.counts[:, gene], data.depth, data.covariates)
        noise = 1 + dispersion * expected
        score = (data.counts[:, gene] - expected) / noise
        assert_allclose(found.weight[:, gene], expected / noise, rtol=2e-5)
        means = np.array([score[strata == s].mean() for s in range(5)])
        assert_allclose(found.score[:, gene], score - means[strata], atol=1e-5 * np.abs(score).max())
        assert found.excess[gene] == pytest.approx(
            (found.score[:, gene] ** 2).mean() / found.weight[:, gene].mean()
        )


def test_genes_are_fitted_alike_in_a_block_and_alone():
    """A gene without counts, whose fit never ends, beside others."""
    data = drawn(200, n_genes=6, mean=0.5)
    counts = data.counts.copy()
    counts[:, 2] = 0
    counts[:, 3] = np.arange(200) == 7
    together = replace(data, counts=counts).residuals(data.depth)
    for gene in range(6):
        alone = replace(data, counts=counts[:, gene : gene + 1]).residuals(data.depth)
        assert_allclose(together.score[:, gene], alone.score[:, 0], rtol=1e-4, atol=1e-5)
    assert all(np.isfinite(x).all() for x in vars(together).values())


def test_without_exposure_residuals_are_linear():
    data = drawn(90, n_genes=2)
    values = np.log1p(data.counts)
    found = fit_residuals(values, None, data.covariates, data.tested().strata)
    beta = np.linalg.solve(data.covariates.T @ data.covariates, data.covariates.T @ values)
    assert_allclose(found.score, values - data.covariates @ beta, atol=1e-10)  # 90 cells are one stratum
    assert (found.weight == 1).all()


def test_moments_are_those_of_the_strata():
    data = drawn(260, n_genes=3)
    cells, found = data.tested(), data.residuals(data.depth)
    for stratum, rows in enumerate(cells.strata.toarray().astype(bool)):
        score = found.score[rows]
        assert_allclose(score.mean(0), 0, atol=1e-12)
        assert_allclose(found.second[stratum], score.var(0, ddof=1))
        assert_allclose(found.third[stratum], (score**3).mean(0))
    assert_allclose(found.kurtosis, (found.score**4).mean(0) / (found.score**2).mean(0) ** 2)
