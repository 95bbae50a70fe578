"""How well a score agrees with evidence: average precision and enrichment, with intervals over genes."""

import numpy as np
from scipy import sparse

from grids.analysis.statistics import equal_count_bins, interval_over_genes

MAX_DISTANCE_BINS = 20
MIN_PAIRS_PER_BIN = 50


def average_precision(
    is_positive: np.ndarray, score: np.ndarray, gene: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Area under the precision-recall curve: sum over thresholds of precision times gain in recall.

    The same as :func:`sklearn.metrics.average_precision_score`, for many weightings with one sort: recall is
    gained only at scores of positive pairs, so pairs are counted by gene between one of these and the next.

    Parameters
    ----------
    is_positive : ndarray of bool, shape (n_pairs,)
    score : ndarray, shape (n_pairs,)
        More is more likely positive; equal scores are one threshold.
    gene : ndarray of int, shape (n_pairs,)
        Number of each pair's gene.
    weights : ndarray, shape (n_draws, n_genes)
        Weight of the pairs of each gene.

    Returns
    -------
    ndarray, shape (n_draws,)
        NaN where no positive pair has weight.
    """
    threshold = np.unique(-score, return_inverse=True)[1]
    with_gain = np.unique(threshold[is_positive])
    step = np.searchsorted(with_gain, threshold)

    def count(which: np.ndarray) -> np.ndarray:
        """Weighted number of pairs called at each step, shape (n_draws, n_steps)."""
        which = which & (step < len(with_gain))
        cells = np.ones(which.sum()), (gene[which], step[which])
        return weights @ sparse.csr_array(cells, shape=(weights.shape[1], len(with_gain)))

    found = count(is_positive)
    n_called = np.cumsum(count(np.ones(len(score), bool)), axis=1)
    precision = np.cumsum(found, axis=1) / np.maximum(n_called, 1)
    n_positive = found.sum(axis=1)
    gain = (precision * found).sum(axis=1)
    return np.divide(gain, n_positive, out=np.full(len(weights), np.nan), where=n_positive > 0)


def auprc(
    is_positive: np.ndarray, score: np.ndarray, gene: np.ndarray, weights: np.ndarray
) -> tuple[float, float, float]:
    """Average precision over all pairs, with a 95 % bootstrap interval over genes.

    Parameters
    ----------
    is_positive, score, gene
        As for :func:`average_precision`.
    weights : ndarray, shape (n_draws, n_genes)
        How often each gene is in each bootstrap sample of the genes. Genes are drawn, not pairs: the pairs of one
        gene share its window and its expression.

    Returns
    -------
    value, low, high : float
        NaN without positive pairs or without scores.
    """
    if not is_positive.any() or np.isnan(score).any():
        return np.nan, np.nan, np.nan
    once = np.ones((1, weights.shape[1]))
    value, draws = (average_precision(is_positive, score, gene, w) for w in (once, weights))
    return float(value[0]), *interval_over_genes(draws, weights.shape[1])


def distance_bins(distance_bp: np.ndarray) -> np.ndarray:
    """Bin of each unsigned distance: up to 20 bins of equal counts, of about 50 pairs at least."""
    n_bins = int(np.clip(len(distance_bp) // MIN_PAIRS_PER_BIN, 1, MAX_DISTANCE_BINS))
    return equal_count_bins(distance_bp, n_bins)[0]


def enrichment(
    is_positive: np.ndarray,
    score: np.ndarray,
    gene: np.ndarray,
    distance_bp: np.ndarray,
    weights: np.ndarray,
    n_top: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """How much richer in positives the top pairs of each gene are than pairs at the same distance.

    The share of positives among the `n_top` pairs of each gene with the highest score, over the share that is
    expected if each of them is replaced by another judged pair, of any gene, from its distance bin. Genes with at
    most `n_top` pairs are left out: all of their pairs would be top.

    Parameters
    ----------
    is_positive, score, gene, weights
        As for :func:`auprc`.
    distance_bp : ndarray, shape (n_pairs,)
        Unsigned distance to the TSS.
    n_top : int
    rng : numpy Generator
        Breaks ties of the score.

    Returns
    -------
    value, low, high : float
        1: no better than distance. The interval is a 95 % bootstrap interval over genes. NaN when no gene
        has more than `n_top` pairs, and without positive pairs or without scores.
    """
    n_genes = weights.shape[1]
    judged = np.bincount(gene, minlength=n_genes)[gene] > n_top
    if np.isnan(score).any() or not is_positive[judged].any():
        return np.nan, np.nan, np.nan
    is_positive, score, gene, distance_bp = (x[judged] for x in (is_positive, score, gene, distance_bp))
    order = np.lexsort((rng.permutation(len(score)), -score, gene))
    rank = np.arange(len(order)) - np.searchsorted(gene[order], gene[order])
    is_top = np.zeros(len(order), bool)
    is_top[order[rank < n_top]] = True

    bins = distance_bins(distance_bp)
    n_bins = bins.max() + 1

    def count(which: np.ndarray) -> np.ndarray:
        """Pairs of each gene in each bin, shape (n_genes, n_bins)."""
        return np.bincount(gene * n_bins + bins, which, n_genes * n_bins).reshape(n_genes, n_bins)

    all_, positive, top, found = map(count, (np.ones(len(bins)), is_positive, is_top, is_top & is_positive))

    def ratio(weights: np.ndarray) -> np.ndarray:
        """Found over expected; a pair and its copies in a bootstrap sample are no match for themselves."""
        n_top, squared = weights @ top, weights**2
        n_matches = n_top * (weights @ all_) - squared @ top
        n_positive_matches = n_top * (weights @ positive) - squared @ found
        expected = (n_top * n_positive_matches / np.maximum(n_matches, 1)).sum(axis=-1)
        observed = (weights @ found).sum(axis=-1)
        return np.divide(observed, expected, out=np.full_like(expected, np.nan), where=expected > 0)

    return float(ratio(np.ones((1, n_genes)))[0]), *interval_over_genes(ratio(weights), n_genes)
