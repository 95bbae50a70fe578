"""The pairs of peak and gene that tables of evidence judge, and the cell types that may speak for each."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from grids.analysis.evidence.pairs import judge_pairs
from grids.io.config import EvidenceTable
from grids.io.logging import log
from grids.io.tables import stack

PAIR_COLUMNS = [
    "evidence", "gene", "peak", "chromosome", "start", "end", "distance_to_tss_bp", "open_share", "is_positive",
]  # fmt: skip


def evidence_pairs(
    evidence: Iterable[tuple[EvidenceTable, pd.DataFrame]],
    windows: pd.DataFrame,
    open_share: pd.Series,
    tasks: pd.DataFrame,
) -> pd.DataFrame:
    """Pairs that each table of evidence calls positive or negative, of the genes that the run was asked for.

    They are matched as for ``evidence.tsv`` (:func:`grids.analysis.evidence.pairs.judge_pairs`). A gene's own promoter
    is not judged: that it acts on the gene is no finding. Judged are genes of tasks, whether they passed the gate or
    not, in a cell type of which the table speaks.

    Parameters
    ----------
    evidence : iterable of (EvidenceTable, DataFrame)
        Each table with its links, as of :func:`grids.analysis.evidence.links.read_links`.
    windows : DataFrame
        ``windows.tsv.gz``.
    open_share : Series
        Share of all cells in which a peak is open, by peak name.
    tasks : DataFrame
        ``cell_type gene``.

    Returns
    -------
    DataFrame with the columns :data:`PAIR_COLUMNS`
    """
    distal = windows[~windows["is_promoter"].astype(bool)]
    parts = []
    for table, links in evidence:
        genes = tasks.loc[may_speak(table, tasks["cell_type"]), "gene"]
        pairs = judge_pairs(distal[distal["gene"].isin(genes)], links)
        told = (table.name, len(pairs), pairs["gene"].nunique(), int(pairs["is_positive"].sum()))
        log.info("evidence '%s': %d pairs of %d genes, %d positive", *told)
        if not pairs["is_positive"].any():
            log.warning(
                "evidence '%s': no link meets a peak in the window of a gene of tasks: nothing to measure; add tasks "
                "of genes that the table lists",
                table.name,
            )
        parts.append(pairs.assign(evidence=table.name, open_share=open_share.loc[pairs["peak"]].to_numpy()))
    return stack(parts, PAIR_COLUMNS)


def may_speak(table: EvidenceTable, cell_type: pd.Series) -> np.ndarray:
    """Whether a table of evidence speaks of each cell type; that of a score of all types together is missing."""
    if table.cell_types is None:
        return np.ones(len(cell_type), bool)
    return (cell_type.isna() | cell_type.isin(table.cell_types)).to_numpy()
