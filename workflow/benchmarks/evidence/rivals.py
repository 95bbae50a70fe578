"""What can be said of a gene's peaks without GRIDS; of every score, more means more likely."""

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from benchmarks.evidence.gene_cells import AllGenes, GeneCells
from benchmarks.evidence.methods import SCORE_COLUMNS
from grids.analysis.evidence.pairs import CONTACT_EXPONENT, CONTACT_FLOOR_BP, absolute_correlation
from grids.io.tables import stack

# Of the Poisson regression, on peaks of standard deviation one.
PENALTIES = np.logspace(-1, 3, 9)
# Single effects of SuSiE: the default of its authors.
N_EFFECTS = 10


def distance(window: pd.DataFrame) -> np.ndarray:
    """Minus the distance to the TSS in bp, shape (n_peaks,)."""
    return -window["distance_to_tss_bp"].abs().to_numpy(float)


def accessibility(window: pd.DataFrame) -> np.ndarray:
    """Share of all cells in which the peak is open, shape (n_peaks,)."""
    return window["open_share"].to_numpy(float)


def accessibility_over_distance(window: pd.DataFrame) -> np.ndarray:
    """Open share over distance to the power of 0.87, shape (n_peaks,)."""
    return accessibility(window) * np.maximum(-distance(window), CONTACT_FLOOR_BP) ** -CONTACT_EXPONENT


def correlation(cells: GeneCells) -> np.ndarray:
    """Absolute Pearson correlation of openness and log-expression, shape (n_peaks,)."""
    n_peaks = cells.opened.shape[1]
    expression = sparse.csr_matrix(cells.expression[:, None])
    return absolute_correlation(cells.opened, expression, np.arange(n_peaks), np.zeros(n_peaks, int))


def correlation_within_type(cells: GeneCells) -> np.ndarray:
    """The correlation over cells of one type times the root of their number, shape (n_peaks,).

    What is expected of chance is then the same in all types, of which the largest score counts.
    """
    return correlation(cells) * np.sqrt(len(cells.expression))


def correlation_metacells(cells: GeneCells) -> np.ndarray:
    """Absolute Pearson correlation of open share and log-expression over metacells, shape (n_peaks,)."""
    share, expression = cells.in_metacells()
    share, expression = share - share.mean(0), expression - expression.mean()
    scale = np.sqrt((share**2).sum(0) * (expression**2).sum())
    return np.abs(np.divide(expression @ share, scale, out=np.zeros(len(scale)), where=scale > 1e-12))


def poisson_ridge(cells: GeneCells) -> np.ndarray:
    """Absolute coefficients of a penalised Poisson regression on all peaks of the window, shape (n_peaks,).

    As in SCARlink (Mitra et al., Nature Genetics 2024), per standard deviation of a peak. The penalty is chosen on
    validation cells, the coefficients are of all cells; 0 where there are no counts to choose it by.
    """
    train, validation = (cells.split == split for split in ("train", "validation"))
    if not (cells.counts[train].any() and cells.counts[validation].any()):
        return np.zeros(cells.opened.shape[1])
    share = cells.opened.sum(0).A1 / len(cells.counts)
    spread = np.sqrt(share * (1 - share))
    scale = np.divide(1, spread, out=np.zeros(len(spread)), where=spread > 0)
    peaks, rate = (cells.opened @ sparse.diags(scale)).tocsr(), cells.counts / cells.exposure

    def of(mask: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
        """Rates weighted by exposure: the likelihood of counts with exposure as an offset."""
        return peaks[mask], rate[mask], cells.exposure[mask]

    explained = [_poisson(penalty, *of(train)).score(*of(validation)) for penalty in PENALTIES]
    everything = np.ones(len(rate), bool)
    return np.abs(_poisson(PENALTIES[int(np.argmax(explained))], *of(everything)).coef_)


def _poisson(penalty: float, peaks: sparse.csr_matrix, rate: np.ndarray, weight: np.ndarray):
    from sklearn.linear_model import PoissonRegressor

    return PoissonRegressor(alpha=penalty, solver="newton-cholesky").fit(peaks, rate, weight)


def susie(cells: GeneCells) -> np.ndarray:
    """Posterior inclusion of each peak by the sum of single effects, over metacells, shape (n_peaks,).

    Wang et al., Journal of the Royal Statistical Society B 2020; the state is not regressed out.
    """
    from pysusie import susie as fit
    from pysusie import susie_get_pip

    share, expression = cells.in_metacells()
    varies = share.std(0) > 0
    inclusion = np.zeros(share.shape[1])
    if varies.any() and expression.std() > 0:
        inclusion[varies] = susie_get_pip(fit(share[:, varies], expression, L=min(N_EFFECTS, varies.sum())))
    return inclusion


OF_WINDOW: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
    "accessibility": accessibility,
    "accessibility_over_distance": accessibility_over_distance,
    "distance": distance,
}
OF_ALL_CELLS: dict[str, Callable[[GeneCells], np.ndarray]] = {
    "correlation_all_cells": correlation,
    "correlation_metacells": correlation_metacells,
    "poisson_ridge": poisson_ridge,
    "susie": susie,
}
OF_ONE_TYPE: dict[str, Callable[[GeneCells], np.ndarray]] = {
    "correlation_within_type": correlation_within_type,
}


def score_rivals(
    windows: pd.DataFrame, tasks: pd.DataFrame, cells: AllGenes | None, methods: Collection[str]
) -> pd.DataFrame:
    """Scores of every peak in the windows, by those of `methods` that are known here.

    Parameters
    ----------
    windows : DataFrame
        ``gene peak distance_to_tss_bp open_share``: whole windows of the genes that are judged.
    tasks : DataFrame
        ``cell_type gene``: the types in which a gene is scored by its cells of one type.
    cells : AllGenes or None
        None, where cells are not paired or counts are not known: only what needs no cells is scored.

    Returns
    -------
    DataFrame with the columns :data:`benchmarks.evidence.methods.SCORE_COLUMNS`
        `cell_type` is missing where a score is of all cells.
    """
    parts = []
    for gene, window in tqdm(windows.groupby("gene", sort=True), desc="genes"):
        found = {(name, None): score(window) for name, score in OF_WINDOW.items() if name in methods}
        if cells is not None and gene in cells:
            types = tasks.loc[tasks["gene"] == gene, "cell_type"]
            found |= _by_cells(cells.of(gene, window["peak"]), types, methods)
        parts += [
            pd.DataFrame({"peak": window["peak"], "score": score}).assign(
                method=name, cell_type=of, gene=gene
            )
            for (name, of), score in found.items()
        ]
    return stack(parts, SCORE_COLUMNS)


def _by_cells(cells: GeneCells, types: pd.Series, methods: Collection[str]) -> dict:
    found = {(name, None): score(cells) for name, score in OF_ALL_CELLS.items() if name in methods}
    for name, score in OF_ONE_TYPE.items():
        for of in types if name in methods else ():
            found[name, of] = score(cells.cells(cells.cell_type == of))
    return found
