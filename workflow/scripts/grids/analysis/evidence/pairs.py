"""Peak-gene pairs that evidence can judge, and what each predictor says about them."""

import numpy as np
import pandas as pd
from scipy import sparse

from grids.data.coordinates import COORDINATES
from grids.data.intervals import overlapping

PREDICTORS = ("grids", "distance", "correlation", "accessibility_over_distance")
# Contact falls with distance to the power 0.87 and is taken as constant below 5 kb, as in the activity-by-contact
# model (Fulco et al., Nature Genetics 2019).
CONTACT_EXPONENT = 0.87
CONTACT_FLOOR_BP = 5_000


def gene_scope(links: pd.DataFrame) -> str:
    """``tested`` when the table tells negatives from positives, ``listed`` when it names positives only."""
    return "tested" if (~links["is_positive"]).any() else "listed"


def judge_pairs(windows: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """The pairs of peak and gene that a table of evidence calls positive or negative.

    A pair is positive when the peak overlaps an element of a positive link to the gene. Where the table tells
    negatives too, negative pairs are those that overlap other tested elements of the gene, and no other pair
    is judged; else every other peak in the window of a listed gene is negative.

    `windows` has ``peak chromosome start end gene``, a row per pair; `links` is from
    :func:`grids.analysis.evidence.links.read_links`. Returned are rows of `windows`, in their order, with a column
    is_positive (bool).
    """
    elements = links[COORDINATES].drop_duplicates(ignore_index=True)
    peaks = windows[["peak", *COORDINATES]].drop_duplicates(ignore_index=True)
    element, peak = overlapping(elements, peaks)
    touched = elements.iloc[element].assign(peak=peaks["peak"].to_numpy()[peak])
    called = (
        links.merge(touched, on=COORDINATES).groupby(["gene", "peak"], as_index=False)["is_positive"].any()
    )
    if gene_scope(links) == "tested":
        return windows.merge(called, on=["gene", "peak"], how="inner")
    listed = windows[windows["gene"].isin(links["gene"])].merge(called, on=["gene", "peak"], how="left")
    return listed.assign(is_positive=listed["is_positive"].notna())


def add_predictors(
    pairs: pd.DataFrame, accessibility: pd.Series, correlation: np.ndarray | float = np.nan
) -> pd.DataFrame:
    """The four predictors of a pair; of each, more means more likely.

    Parameters
    ----------
    pairs : DataFrame
        ``peak gene distance_to_tss_bp score``; the score is that of :func:`~grids.analysis.set_changes.score_peaks`.
    accessibility : Series
        Share of the type's cells in which a peak is open, by peak name.
    correlation : ndarray, shape (n_pairs,)
        As from :func:`absolute_correlation`; NaN for cells that are not paired.

    Returns
    -------
    DataFrame
        `pairs` without score and with the columns :data:`PREDICTORS`. distance is minus the distance in bp;
        accessibility_over_distance is the open share over ``max(distance, 5 kb) ** 0.87``.
    """
    distance = pairs["distance_to_tss_bp"].abs().astype(float)
    contact = np.maximum(distance, CONTACT_FLOOR_BP) ** -CONTACT_EXPONENT
    return pairs.drop(columns="score").assign(
        grids=pairs["score"],
        distance=-distance,
        correlation=correlation,
        accessibility_over_distance=accessibility.loc[pairs["peak"]].to_numpy() * contact,
    )


def absolute_correlation(
    opened: sparse.csr_matrix, expression: sparse.csr_matrix, peak: np.ndarray, gene: np.ndarray
) -> np.ndarray:
    """Absolute Pearson correlation of a peak being open with a gene's log-expression, over cells.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        Non-zero where the peak is open.
    expression : csr_matrix, shape (n_cells, n_genes)
        Log-expression of the same cells.
    peak, gene : ndarray of int, shape (n_pairs,)
        Columns of each pair.

    Returns
    -------
    ndarray, shape (n_pairs,)
        0 where the peak or the gene does not vary: such a pair shows nothing.
    """
    opened, expression = (opened != 0).astype(np.float64).tocsc(), expression.astype(np.float64).tocsc()
    n_cells = opened.shape[0]
    share = opened.sum(axis=0).A1[peak] / n_cells
    covariance, variance = np.empty(len(peak)), np.empty(len(peak))
    order = np.argsort(gene, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(gene[order])) + 1) if len(order) else []:
        values = expression[:, [gene[rows[0]]]].toarray().ravel()
        covariance[rows] = opened[:, peak[rows]].T @ (values - values.mean()) / n_cells
        variance[rows] = values.var()
    scale = np.sqrt(share * (1 - share) * variance)
    return np.abs(np.divide(covariance, scale, out=np.zeros(len(peak)), where=scale > 0))
