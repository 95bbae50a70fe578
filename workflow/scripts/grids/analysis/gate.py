"""The quality gate: every gene judged on cells that its surrogate was not trained on, and the tasks that pass.

A gene passes in a cell type when its window tells something that the rest of the cell does not (a false discovery
rate), and the surrogate predicts it better than the cell's depth, than itself with the windows of other cells, and
than the mean of the cell type.

The window surrogate has its own test of the window (:mod:`grids.surrogates.window.local_control`). The
cross-modality surrogate sees the whole genome; what its window adds is the prediction less the mean of predictions
with windows of other cells. :func:`covariance_p_value` asks whether that covaries with what is observed.
"""

import numpy as np
import pandas as pd
import torch
from scipy import sparse, stats
from torch import Tensor
from tqdm import tqdm

from grids.analysis.feasibility import NO_PEAK, UNPAIRED, why_untestable
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Multiome
from grids.io.logging import log, tell
from grids.io.seeds import generator
from grids.io.tables import SKIPPED_COLUMNS
from grids.surrogates.quality import correlation
from grids.surrogates.window.data import counts_and_exposure

N_PERMUTATIONS = 10
GATE_COLUMNS = [
    "cell_type", "gene", "n_peaks", "n_cells", "r", "r_depth", "r_permuted_window", "skill", "p_value", "q_value",
    "passed_gate", "reason",
]  # fmt: skip


def judge(
    surrogates: dict,
    multiome: Multiome,
    windows: pd.DataFrame,
    tasks: pd.DataFrame,
    q_value: float,
    seed: int,
) -> pd.DataFrame:
    """Judge genes on the test cells of each type.

    Parameters
    ----------
    surrogates : dict of str to surrogate
        The surrogate of each cell type: of a window surrogate all genes are judged, of another one the tasks'.
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
        genes = list(tasks.loc[tasks["cell_type"] == cell_type, "gene"])
        if surrogate.name == "window":
            genes = surrogate.genes
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


def covariance_p_value(adds: np.ndarray, observed: np.ndarray, covariates: np.ndarray) -> float:
    """One-sided p-value that what the window adds does not covary with what is observed, given covariates.

    Both are reduced to residuals of linear regression on the covariates. Without a relation beyond these the mean
    of the residuals' products is zero; it is compared with its standard error (generalised covariance measure,
    Shah & Peters, Annals of Statistics 2020).

    Parameters
    ----------
    adds, observed : ndarray, shape (n_cells,)
    covariates : ndarray, shape (n_cells, n_covariates)
        With an intercept.

    Returns
    -------
    float
        1 where the window adds nothing that covariates do not tell.
    """
    both = np.stack([adds, observed], 1).astype(float)
    both -= covariates @ np.linalg.lstsq(covariates, both, rcond=None)[0]
    both[:, np.abs(both).max(0) <= 1e-6 * max(np.abs(adds).max(), 1e-6)] = 0
    product = both.prod(1)
    error = product.std(ddof=1) / np.sqrt(len(product))
    return float(stats.norm.sf(product.mean() / error)) if error > 0 else 1.0


def _measure(
    surrogate,
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
    if surrogate.name == "window":
        predicted, by_depth, r_permuted, p_value = _judge_windows(surrogate, test, columns, orders)
    else:
        by_depth = _regress_on_depth(train.atac.X, known, test.atac.X)
        judged = _judge_whole(surrogate, test.atac.X, observed, windows, genes, orders)
        predicted, r_permuted, p_value = judged
    error = ((predicted - observed) ** 2).mean(0)
    error_of_mean = ((known.mean(0) - observed) ** 2).mean(0)
    reason = why_untestable(n_peaks, (observed > 0).sum(0), len(observed))
    return {
        "n_cells": len(observed),
        "r": correlation(predicted, observed, 0),
        "r_depth": correlation(by_depth, observed, 0),
        "r_permuted_window": np.mean(r_permuted, 0),
        "skill": 1 - error / np.where(error_of_mean > 0, error_of_mean, np.nan),
        "p_value": np.where(reason == "", p_value, np.nan),
        "reason": reason,
    }


def _judge_windows(surrogate, cells: Multiome, columns: np.ndarray, orders: list[np.ndarray]) -> tuple:
    """Predictions, predictions by depth, correlations with permuted windows, p-values."""
    opened, observed = cells.atac.X, cells.rna.X[:, columns].toarray()
    counts, exposure = counts_and_exposure(cells.rna)
    p_value = surrogate.local_control_p_values(
        opened, torch.from_numpy(counts[:, columns].toarray()), torch.from_numpy(exposure.astype(np.float32))
    )
    r_permuted = [
        correlation(surrogate.predict(opened, window_of=order).numpy(), observed, 0)
        for order in tqdm(orders, desc="permuted windows")
    ]
    return surrogate.predict(opened).numpy(), surrogate.predict_by_depth(opened).numpy(), r_permuted, p_value


def _judge_whole(
    surrogate,
    opened: sparse.csr_matrix,
    observed: np.ndarray,
    windows: pd.DataFrame,
    genes: list[str],
    orders: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, correlations with permuted windows, p-values."""
    surrogate.eval()
    pooled, log_depth = surrogate.pool(opened).detach(), _log_depth(opened)
    peak_index, by_peak = pd.Index(surrogate.peaks), opened.tocsc()
    predicted = np.empty(observed.shape, np.float32)
    r_permuted, p_values = np.empty((len(orders), len(genes))), np.empty(len(genes))
    for i, gene in enumerate(tqdm(genes, desc="permuted windows", unit="gene")):
        column = torch.tensor([surrogate.genes.index(gene)], device=pooled.device)
        peaks = peak_index.get_indexer(windows.loc[windows["gene"] == gene, "peak"])
        seen = by_peak[:, peaks].toarray().astype(np.float32)
        spread = pooled.new_zeros(len(peaks), *pooled.shape[1:])
        spread[torch.arange(len(peaks)), surrogate.group_of_peak[peaks]] = surrogate.shift[peaks].detach()
        predicted[:, i] = _tail(surrogate, pooled, column)
        permuted = np.stack([
            _tail(surrogate, _moved(pooled, seen[order] - seen, spread), column) for order in orders
        ])  # fmt: skip
        r_permuted[:, i] = correlation(permuted.T, observed[:, [i]], 0)
        mean = permuted.mean(0)
        covariates = np.stack([np.ones_like(mean), mean, log_depth], 1)
        p_values[i] = covariance_p_value(predicted[:, i] - mean, observed[:, i], covariates)
    return predicted, r_permuted, p_values


def _moved(pooled: Tensor, change: np.ndarray, spread: Tensor) -> Tensor:
    """Pooled states after peaks have changed, shape of `pooled`; a cell's depth stays as it was measured."""
    return pooled + (torch.from_numpy(change).to(pooled) @ spread.flatten(1)).view_as(pooled)


@torch.no_grad()
def _tail(surrogate, pooled: Tensor, column: Tensor) -> np.ndarray:
    return surrogate.tail(pooled, column)[:, 0].cpu().numpy()


def _log_depth(opened: sparse.csr_matrix) -> np.ndarray:
    return np.log(np.maximum(np.diff(opened.indptr), 1))


def _regress_on_depth(
    train: sparse.csr_matrix, expression: np.ndarray, test: sparse.csr_matrix
) -> np.ndarray:
    """Expression of test cells by linear regression on the log number of open peaks, (n_cells, n_genes)."""
    known, asked = (np.stack([np.ones(x.shape[0]), _log_depth(x)], 1) for x in (train, test))
    return asked @ np.linalg.lstsq(known, expression, rcond=None)[0]


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
