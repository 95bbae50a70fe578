"""Predictors of enhancer-gene pairs against outside evidence, all on the same pairs."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from grids.analysis.evidence.agreement import auprc, enrichment
from grids.analysis.evidence.pairs import (
    PREDICTORS,
    absolute_correlation,
    add_predictors,
    gene_scope,
    judge_pairs,
)
from grids.analysis.statistics import bootstrap_counts
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Multiome
from grids.io.config import EvidenceTable
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import EVIDENCE_COLUMNS, EVIDENCE_PAIR_COLUMNS, counted, is_forced, stack

# Pairs of each gene whose enrichment is measured, and bootstrap samples of the genes.
N_TOP, N_BOOTSTRAP = 5, 1000


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
        ``cell_type gene passed_gate peak score``, the score being minus the log effect of closing the peak.
    seed : int

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
            rows = _measure(of_type, labels, seed)
            measured.append(rows.assign(gene_scope=gene_scope(links)))
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
        score = pairs[predictor].to_numpy(float)
        precision = auprc(is_positive, score, gene, weights)
        ties = generator(seed, *job, "ties")
        enriched = enrichment(is_positive, score, gene, distance, weights, N_TOP, ties)
        rows.append(
            {
                **labels,
                "predictor": predictor,
                "n_pairs": len(pairs),
                "n_positive": int(is_positive.sum()),
                "n_not_passed": pairs.loc[is_forced(pairs), "gene"].nunique(),
                **dict(zip(("auprc", "auprc_low", "auprc_high"), precision, strict=True)),
                **dict(zip(("enrichment", "enrichment_low", "enrichment_high"), enriched, strict=True)),
            }
        )
    return pd.DataFrame(rows)


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
