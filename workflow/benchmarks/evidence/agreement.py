"""How well scores of pairs agree with the evidence: the area under the precision-recall curve, and the top pairs."""

import numpy as np
import pandas as pd

from benchmarks.evidence.methods import in_order
from benchmarks.evidence.pairs import may_speak
from grids.analysis.evidence.validation import auprc
from grids.analysis.statistics import bootstrap_counts
from grids.io.config import EvidenceTable
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import stack

# Pairs of each gene that are called its top.
N_TOP = 5
ALL_GENES = "all genes"
METHOD_COLUMNS = [
    "evidence", "gene", "method", "n_pairs", "n_positive", "auprc", "auprc_low", "auprc_high", "top_5_hits",
    "top_5_pairs",
]  # fmt: skip


def measure_methods(
    evidence: list[EvidenceTable],
    pairs: pd.DataFrame,
    scores: pd.DataFrame,
    settings: dict,
    seed: int = 0,
) -> pd.DataFrame:
    """Hold every method's scores against every table of evidence, gene by gene and all genes together.

    Parameters
    ----------
    evidence : list of EvidenceTable
    pairs : DataFrame
        Of :func:`benchmarks.evidence.pairs.evidence_pairs`.
    scores : DataFrame
        Columns :data:`benchmarks.evidence.methods.SCORE_COLUMNS`. Of scores in several types the largest counts.
    settings : dict
        `min_open_share`, `block_bp` and `n_bootstrap`, as in the config.

    Returns
    -------
    DataFrame with the columns :data:`METHOD_COLUMNS`
        AUPRC is over peaks open in at least `min_open_share` of the cells, which `n_pairs` and `n_positive` count,
        with an interval over blocks (:func:`blocks`); top pairs are among all.
    """
    parts = []
    for table in evidence:
        judged = pairs[pairs["evidence"] == table.name].reset_index(drop=True)
        wide = _wide(judged, scores[may_speak(table, scores["cell_type"])])
        genes = {gene: judged["gene"] == gene for gene in judged["gene"].unique()}
        if len(genes) > 1:
            genes[ALL_GENES] = np.ones(len(judged), bool)
        for gene, rows in genes.items():
            rng = generator(seed, "evidence", table.name, gene)
            rows = _measure(judged[rows], wide[rows], settings, rng)
            parts.append(rows.assign(evidence=table.name, gene=gene))
    return stack(parts, METHOD_COLUMNS)


def _wide(judged: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """One column per method that scores all judged pairs, rows as in `judged`."""
    best = scores.groupby(["gene", "peak", "method"])["score"].max().unstack("method")
    wide = best.reindex(pd.MultiIndex.from_frame(judged[["gene", "peak"]])).reset_index(drop=True)
    whole = wide.columns[wide.notna().all()]
    for method in wide.columns.difference(whole):
        log.info("%s: left out, it does not score all pairs", method)
    return wide[in_order(whole)]


def _measure(pairs: pd.DataFrame, wide: pd.DataFrame, settings: dict, rng) -> pd.DataFrame:
    """One row per method; the bootstrap samples are the same for all."""
    is_positive = pairs["is_positive"].to_numpy(bool)
    often_open = (pairs["open_share"] >= settings["min_open_share"]).to_numpy()
    block = blocks(pairs[often_open], settings["block_bp"])
    n_blocks = block.max(initial=-1) + 1
    weights = bootstrap_counts(n_blocks, settings["n_bootstrap"], rng) if n_blocks else np.empty((0, 0))
    gene = pd.factorize(pairs["gene"])[0]
    rows = []
    for method, column in wide.items():
        score = column.to_numpy(float)
        of_pairs = auprc(is_positive[often_open], score[often_open], block, weights)
        tops = [top_hits(is_positive[gene == g], score[gene == g]) for g in range(gene.max() + 1)]
        rows.append([method, *of_pairs, *np.sum(tops, axis=0)])
    columns = ["method", "auprc", "auprc_low", "auprc_high", "top_5_hits", "top_5_pairs"]
    of_all = {"n_pairs": int(often_open.sum()), "n_positive": int(is_positive[often_open].sum())}
    return pd.DataFrame(rows, columns=columns).assign(**of_all)


def blocks(pairs: pd.DataFrame, block_bp: int) -> np.ndarray:
    """Number of each pair's block: a gene and a stretch of the genome, in which the middle of the peak lies.

    Neighbouring peaks are often one element, and pairs with different genes are not the same.

    Parameters
    ----------
    pairs : DataFrame
        ``gene chromosome start end``.

    Returns
    -------
    ndarray of int, shape (n_pairs,)
    """
    stretch = (pairs["start"] + pairs["end"]) // 2 // block_bp
    return pairs.groupby(["gene", "chromosome", stretch], sort=True).ngroup().to_numpy(int)


def top_hits(is_positive: np.ndarray, score: np.ndarray, n_top: int = N_TOP) -> tuple[float, int]:
    """Positive pairs among those with the highest scores, and how many these are.

    Where equal scores compete for the last places, hits are those expected if they are drawn.

    >>> top_hits(np.array([True, False, True, False]), np.array([3.0, 2.0, 1.0, 1.0]), n_top=3)
    (1.5, 3)
    """
    n_top = min(n_top, len(score))
    last = -np.sort(-score)[n_top - 1]
    above, level = score > last, score == last
    return float(is_positive[above].sum() + (n_top - above.sum()) * is_positive[level].mean()), n_top
