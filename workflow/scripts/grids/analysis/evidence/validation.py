"""How well predictors of enhancer-gene pairs agree with outside evidence, all on the same pairs."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import sparse

from grids.analysis.evidence.pairs import (
    PREDICTORS,
    absolute_correlation,
    add_predictors,
    gene_scope,
    judge_pairs,
)
from grids.analysis.statistics import bootstrap_counts, equal_count_bins, interval_over_genes
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Multiome
from grids.io.config import EvidenceTable
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import EVIDENCE_COLUMNS, EVIDENCE_PAIR_COLUMNS, counted, is_forced, stack

MAX_DISTANCE_BINS, MIN_PAIRS_PER_BIN = 20, 50
# Pairs of each gene whose enrichment is measured, and bootstrap samples of the genes.
N_TOP, N_BOOTSTRAP = 5, 1000


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
    """:func:`average_precision` of all pairs, with a 95 % bootstrap interval over genes.

    `weights`: how often each gene is in each bootstrap sample of the genes. Genes are drawn, not pairs: the pairs of
    one gene share its window and its expression. Value, low and high are NaN without positive pairs or scores.
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


def measure_evidence(
    evidence: Iterable[tuple[EvidenceTable, pd.DataFrame]],
    multiome: Multiome,
    windows: pd.DataFrame,
    accessibility: pd.DataFrame,
    scores: pd.DataFrame,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold the scores, and three simple predictors, against every table of evidence.

    Judged are the pairs that have a score: peaks in the windows of the genes explained in a cell type. Measured are
    those of genes that passed the gate, or of all where none did.
    Bootstrap samples are the same for all predictors, so their values can be compared.

    Parameters
    ----------
    evidence : iterable of (EvidenceTable, DataFrame)
        Each table with its links, as of :func:`grids.analysis.evidence.links.read_links`.
    multiome : Multiome
        All cells; only paired ones have a correlation.
    windows : DataFrame
        ``windows.tsv.gz``.
    accessibility : DataFrame
        ``accessibility.tsv.gz``: `peak chromosome start end` and the open share in each cell type.
    scores : DataFrame
        ``cell_type gene passed_gate peak score``, the score being that of
        :func:`~grids.analysis.set_changes.score_peaks`.

    Returns
    -------
    evidence : DataFrame with the columns :data:`grids.io.tables.EVIDENCE_COLUMNS`
    pairs : DataFrame with the columns :data:`grids.io.tables.EVIDENCE_PAIR_COLUMNS`
        The pairs judged, with all predictors.

    Raises
    ------
    InputError
        A cell type that the run does not have.
    """
    known_types = list(accessibility.columns[4:])
    scored = windows.merge(scores, on=["gene", "peak"])
    measured, judged = [], []
    for table, links in evidence:
        # A promoter cannot be seen to contact itself.
        pairs = judge_pairs(scored[~scored["is_promoter"]] if table.kind == "bedpe" else scored, links)
        for cell_type in _cell_types(table, known_types, scores):
            of_type = pairs[pairs["cell_type"] == cell_type].reset_index(drop=True)
            open_share = accessibility.set_index("peak")[cell_type]
            of_type = add_predictors(of_type, open_share, _correlation(multiome, of_type, cell_type))
            labels = {"evidence": table.name, "cell_type": cell_type}
            measured.append(_measure(of_type, labels, seed).assign(gene_scope=gene_scope(links)))
            judged.append(of_type.assign(**labels))
            _tell(of_type, table.name, cell_type)
    return stack(measured, EVIDENCE_COLUMNS), stack(judged, EVIDENCE_PAIR_COLUMNS)


def _cell_types(table: EvidenceTable, known: list[str], scores: pd.DataFrame) -> list[str]:
    """The cell types that a table is held against; by default all that have scores."""
    if table.cell_types is None:
        return [cell_type for cell_type in known if (scores["cell_type"] == cell_type).any()]
    for cell_type in table.cell_types:
        if cell_type not in known:
            raise InputError(
                f"evidence '{table.name}': cell type '{cell_type}' is not in the data."
                f"{did_you_mean(cell_type, known)} It has: {listing(known)}"
            )
    return list(table.cell_types)


def _correlation(multiome: Multiome, pairs: pd.DataFrame, cell_type: str) -> np.ndarray | float:
    if not multiome.paired or pairs.empty:
        return np.nan
    cells = multiome.cells(cell_type=cell_type, most=EXPLAINED_CELLS)
    atac, rna = cells.atac, cells.rna
    peak, gene = atac.var.index.get_indexer(pairs["peak"]), rna.var.index.get_indexer(pairs["gene"])
    return absolute_correlation(atac.X, rna.X, peak, gene)


def _measure(pairs: pd.DataFrame, labels: dict, seed: int) -> pd.DataFrame:
    """One row per predictor."""
    pairs = counted(pairs)
    gene, names = pd.factorize(pairs["gene"], sort=True)
    is_positive = pairs["is_positive"].to_numpy(bool)
    distance = pairs["distance_to_tss_bp"].abs().to_numpy(float)
    job = ("evidence", *labels.values())
    rng = generator(seed, *job)
    weights = bootstrap_counts(len(names), N_BOOTSTRAP, rng) if len(names) else np.empty((N_BOOTSTRAP, 0))
    rows = []
    for predictor in PREDICTORS:
        score, ties = pairs[predictor].to_numpy(float), generator(seed, *job, "ties")
        precision = auprc(is_positive, score, gene, weights)
        enriched = enrichment(is_positive, score, gene, distance, weights, N_TOP, ties)
        rows.append([predictor, *precision, *enriched])
    values = [f"{name}{end}" for name in ("auprc", "enrichment") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["predictor", *values]).assign(
        **labels,
        n_pairs=len(pairs),
        n_positive=int(is_positive.sum()),
        n_not_passed=pairs.loc[is_forced(pairs), "gene"].nunique(),
    )


def _tell(pairs: pd.DataFrame, name: str, cell_type: str) -> None:
    """Log how much there is to judge, and warn when that is nothing."""
    told = (name, cell_type, len(pairs), pairs["gene"].nunique(), pairs["is_positive"].sum())
    log.info("evidence '%s', %s: %d pairs of %d genes, %d positive", *told)
    if not pairs["is_positive"].any():
        log.warning(
            "evidence '%s', %s: no positive link meets a peak in the window of an explained gene: nothing to "
            "measure; explain genes of this table",
            *(name, cell_type),
        )
    elif pairs["correlation"].isna().any():
        log.info("evidence '%s', %s: no correlation, the cells are not paired", name, cell_type)
