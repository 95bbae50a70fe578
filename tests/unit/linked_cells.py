"""Cells whose links are tested, drawn without any link, for tests of the score test and its parts."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from grids.analysis.links.residuals import Residuals, fit_residuals
from grids.analysis.links.score_test import TestedCells


@dataclass
class Drawn:
    """Openness and counts of cells, shape (n_cells, n_peaks) and (n_cells, n_genes), and what counts may follow."""

    opened: sparse.csr_matrix
    counts: np.ndarray
    covariates: np.ndarray
    depth: np.ndarray

    def tested(self) -> TestedCells:
        return TestedCells(self.opened, self.covariates, self.depth)

    def residuals(self, exposure: np.ndarray | None = None) -> Residuals:
        return fit_residuals(self.counts.astype(float), exposure, self.covariates, self.tested().strata)


def drawn(n_cells=300, n_peaks=12, n_genes=4, n_covariates=3, share=0.2, mean=1.5, seed=0) -> Drawn:
    """Counts are negative binomial and follow depth and covariates, peaks follow nothing."""
    rng = np.random.default_rng(seed)
    depth = np.exp(rng.normal(0, 0.4, n_cells))
    covariates = np.column_stack([np.ones(n_cells), rng.normal(size=(n_cells, n_covariates - 1))])
    expected = mean * np.exp(covariates[:, 1:] @ rng.normal(0, 0.3, (n_covariates - 1, n_genes)))
    expected = expected * depth[:, None] * rng.gamma(3, 1 / 3, expected.shape)
    opened = (rng.random((n_cells, n_peaks)) < share).astype(np.uint8)
    return Drawn(sparse.csr_matrix(opened), rng.poisson(expected), covariates, depth)
