"""The quality gate: every gene judged on cells that its surrogate was not trained on, and the tasks that pass.

A gene passes in a cell type when its window tells something that the rest of the cell does not (a false discovery
rate), and the surrogate predicts it better than the cell's depth, than itself with the windows of other cells, and
than the mean of the cell type. What windows tell, each surrogate says by a test of its own
(:meth:`~grids.surrogates.pooling.Surrogate.judge_windows`).
"""

import numpy as np
import pandas as pd
from scipy import stats

from grids.analysis.feasibility import NO_PEAK, UNPAIRED, why_untestable
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Multiome
from grids.io.logging import log, tell
from grids.io.seeds import generator
from grids.io.tables import SKIPPED_COLUMNS
from grids.surrogates.pooling import Surrogate
from grids.surrogates.quality import correlation

N_PERMUTATIONS = 10
GATE_COLUMNS = [
    "cell_type", "gene", "n_peaks", "n_cells", "r", "r_depth", "r_permuted_window", "skill", "p_value", "q_value",
    "passed_gate", "reason",
]  # fmt: skip


def judge(
    surrogates: dict[str, Surrogate],
    multiome: Multiome,
    windows: pd.DataFrame,
    tasks: pd.DataFrame,
    q_value: float,
    seed: int,
) -> pd.DataFrame:
    """Judge genes on the test cells of each type.

    Parameters
    ----------
    surrogates : dict of str to Surrogate
        The surrogate of each cell type, which says which genes are judged beside those of the tasks.
    multiome : Multiome
        Unpaired cells cannot be judged: no prediction meets its own observation.
    windows : DataFrame
        Columns ``peak, gene``.
    tasks : DataFrame
        Columns ``cell_type, gene``.
    q_value : float
        Highest false discovery rate that passes.
    seed : int

    Returns
    -------
    DataFrame
        :data:`GATE_COLUMNS`. Values are missing where nothing could be judged. q-values are over the tasks, and,
        apart from them, over all other genes: what was not asked must not hide what was.
    """
    parts = []
    for cell_type, surrogate in surrogates.items():
        genes = surrogate.judged_genes(list(tasks.loc[tasks["cell_type"] == cell_type, "gene"]))
        inside = windows[windows["gene"].isin(genes) & windows["peak"].isin(surrogate.peaks)]
        n_peaks = inside["gene"].value_counts().reindex(genes, fill_value=0).to_numpy()
        named = {"cell_type": cell_type, "gene": genes, "n_peaks": n_peaks}
        if multiome.paired:
            tell("quality gate: %s, %d genes", cell_type, len(genes))
            named |= _measure(surrogate, multiome, inside, cell_type, genes, n_peaks, seed)
        parts.append(pd.DataFrame(named, columns=GATE_COLUMNS))
    gate = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if not multiome.paired:
        log.warning("the quality gate lets every task pass: %s", UNPAIRED)
        return gate.assign(reason=UNPAIRED)
    pairs = pd.MultiIndex.from_frame(gate[["cell_type", "gene"]])
    is_asked = pairs.isin(pd.MultiIndex.from_frame(tasks[["cell_type", "gene"]]))
    return _decide(gate, is_asked, q_value)


def choose_tasks(gate: pd.DataFrame, tasks: pd.DataFrame, force: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tasks that are explained, and the others with the reason.

    Parameters
    ----------
    gate : DataFrame
        :data:`GATE_COLUMNS`. Tasks that are not in it have no peak that the surrogate could see.
    tasks : DataFrame
        Columns ``cell_type, gene``.
    force : bool
        Explain the tasks that do not pass too.

    Returns
    -------
    explained : DataFrame
        Columns ``cell_type, gene, passed_gate``; the last is missing where cells are unpaired.
    skipped : DataFrame
        Columns ``cell_type, gene, reason``.
    """
    known = tasks.merge(gate, on=["cell_type", "gene"], how="left", indicator=True)
    is_judged = (known["_merge"] == "both").to_numpy()
    passes = (known["passed_gate"].isna() | known["passed_gate"].eq(True) | force).to_numpy(bool) & is_judged
    is_tested = known["p_value"].notna()
    reason = known["reason"].where(~is_tested, "does not pass the gate: " + known["reason"].astype(str))
    reason = reason.where(is_judged, NO_PEAK)
    skipped = known.assign(reason=reason)[~passes]
    for row in skipped.itertuples():
        log.warning("%s, %s skipped: %s", row.cell_type, row.gene, row.reason)
    return known.loc[passes, ["cell_type", "gene", "passed_gate"]], skipped[SKIPPED_COLUMNS]


def _measure(
    surrogate: Surrogate,
    multiome: Multiome,
    windows: pd.DataFrame,
    cell_type: str,
    genes: list[str],
    n_peaks: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray | int]:
    """Columns `n_cells` to `p_value` of the genes of one cell type."""
    train, test = (
        multiome.cells(cell_type=cell_type, split=split, most=EXPLAINED_CELLS) for split in ("train", "test")
    )
    columns = multiome.rna.var.index.get_indexer(genes)
    known, observed = (part.rna.X[:, columns].toarray() for part in (train, test))
    rng = generator(seed, "gate", cell_type)
    orders = [rng.permutation(len(observed)) for _ in range(N_PERMUTATIONS)]
    judged = surrogate.judge_windows(train, test, windows, genes, orders)
    error = ((judged.predicted - observed) ** 2).mean(0)
    error_of_mean = ((known.mean(0) - observed) ** 2).mean(0)
    reason = why_untestable(n_peaks, (observed > 0).sum(0), len(observed))
    return {
        "n_cells": len(observed),
        "r": correlation(judged.predicted, observed, 0),
        "r_depth": correlation(judged.by_depth, observed, 0),
        "r_permuted_window": np.mean(judged.r_permuted, 0),
        "skill": 1 - error / np.where(error_of_mean > 0, error_of_mean, np.nan),
        "p_value": np.where(reason == "", judged.p_value, np.nan),
        "reason": reason,
    }


def _decide(gate: pd.DataFrame, is_asked: np.ndarray, q_value: float) -> pd.DataFrame:
    """Fill in `q_value`, `passed_gate` and `reason`; `is_asked` marks the tasks."""
    told, q = gate["p_value"].notna().to_numpy(), np.full(len(gate), np.nan)
    for family in (told & is_asked, told & ~is_asked):
        q[family] = stats.false_discovery_control(gate["p_value"][family].astype(float))
    gate = gate.assign(q_value=q)
    rows = zip(gate.itertuples(), told, strict=True)
    reason = np.array([_reason(row, q_value) if tells else row.reason for row, tells in rows], dtype=object)
    return gate.assign(reason=reason, passed_gate=reason == "")


def _reason(row, q_value: float) -> str:
    """What a gene fails, with the numbers."""
    others = {"depth": row.r_depth, "permuted windows": row.r_permuted_window}
    failed = [f"q-value {row.q_value:.2g} above {q_value:g}"] if row.q_value > q_value else []
    failed += [f"r {row.r:.3f} not above {r:.3f} of {what}" for what, r in others.items() if not row.r > r]
    failed += [] if row.skill > 0 else [f"skill {row.skill:.3f} not above 0"]
    return "; ".join(failed)
