"""Which genes the quality gate can test at all: known before anything is trained.

A gene that has no peak in its window, or is seen in too few test cells, passes the gate under no surrogate. The gate
asks the same function, so that what is said early is what is said late.
"""

import numpy as np
import pandas as pd

from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Multiome
from grids.io.logging import tell
from grids.surrogates.quality import MIN_EXPRESSING_CELLS, MIN_TEST_CELLS

SPLITS = ["train", "validation", "test"]
N_CELLS = [f"n_cells_{split}" for split in SPLITS]
N_EXPRESSING = [f"n_expressing_{split}" for split in SPLITS]
FEASIBILITY_COLUMNS = ["cell_type", "gene", "n_peaks", *N_CELLS, *N_EXPRESSING, "verdict"]
TESTABLE_COLUMNS = [
    "cell_type", *N_CELLS, "n_genes", "n_no_peak", "n_too_few_cells", "n_testable",
]  # fmt: skip
TESTABLE = "testable"
NO_PEAK = "no peak in its window"
UNPAIRED = "not judged: cells are unpaired"
# Tasks of a type that are told one by one; more are counted.
MOST_LINES = 20


def why_untestable(n_peaks: np.ndarray, n_expressing: np.ndarray, n_cells: int) -> np.ndarray:
    """Why each gene cannot be tested.

    Parameters
    ----------
    n_peaks : array of int, shape (n_genes,)
        Peaks in the gene's window.
    n_expressing : array of int, shape (n_genes,)
        Test cells that express the gene.
    n_cells : int
        Test cells.

    Returns
    -------
    array of object, shape (n_genes,)
        The reason in words; empty where the gene can be tested.
    """
    if n_cells < MIN_TEST_CELLS:
        few = np.full(
            len(n_expressing), f"{n_cells} test cells, too few to tell (at least {MIN_TEST_CELLS})", object
        )
    else:
        words = [
            f"expressed in {n} of {n_cells} test cells, too few to tell (at least {MIN_EXPRESSING_CELLS})"
            for n in n_expressing
        ]
        few = np.where(np.asarray(n_expressing) < MIN_EXPRESSING_CELLS, np.array(words, object), "")
    return np.where(np.asarray(n_peaks) == 0, NO_PEAK, few)


def check_feasibility(
    multiome: Multiome,
    windows: pd.DataFrame,
    tasks: pd.DataFrame,
    dropped: pd.DataFrame,
    cell_types: list[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What can be known of the tasks, and of every gene, before a surrogate is trained.

    Parameters
    ----------
    multiome : Multiome
        Of more than :data:`~grids.io.caps.EXPLAINED_CELLS` cells of a type and split so many, evenly spaced, are
        looked at, as by the gate.
    windows : DataFrame
        Columns ``peak, gene``.
    tasks : DataFrame
        Columns ``cell_type, gene``.
    dropped : DataFrame
        ``cell_type, gene, reason`` of tasks that preprocessing has dropped.
    cell_types : list of str
        Those of the tasks, in their order.

    Returns
    -------
    feasibility : DataFrame
        :data:`FEASIBILITY_COLUMNS`, one row per task. `verdict` is :data:`TESTABLE` or says why not; of unpaired
        cells, in which nothing is tested, that tasks are not judged.
    testable : DataFrame
        :data:`TESTABLE_COLUMNS`, one row per cell type: its cells, and all its genes by whether they can be tested.
    """
    inside = windows[windows["peak"].isin(multiome.atac.var.index)]
    genes = multiome.rna.var.index
    n_peaks = inside["gene"].value_counts()
    parts, by_type = [], []
    for cell_type in cell_types:
        of_type = _genes_of(multiome, n_peaks.reindex(genes, fill_value=0).to_numpy(), cell_type)
        by_type.append(_count(of_type, multiome, cell_type))
        asked = tasks.loc[tasks["cell_type"] == cell_type, "gene"]
        gone = dropped[dropped["cell_type"] == cell_type].set_index("gene")["reason"]
        silent = pd.DataFrame({"verdict": gone, "n_peaks": n_peaks.reindex(gone.index, fill_value=0)})
        silent = silent.assign(**of_type[N_CELLS].iloc[0], **dict.fromkeys(N_EXPRESSING, 0))
        named = pd.concat([of_type.loc[asked], silent]).rename_axis("gene").reset_index()
        parts.append(named.assign(cell_type=cell_type))
    feasibility = pd.concat(parts, ignore_index=True)[FEASIBILITY_COLUMNS]
    return feasibility, pd.DataFrame(by_type, columns=TESTABLE_COLUMNS)


def _genes_of(multiome: Multiome, n_peaks: np.ndarray, cell_type: str) -> pd.DataFrame:
    """Columns `n_peaks` to `verdict` of every gene in one cell type, indexed by gene."""
    table = pd.DataFrame({"n_peaks": n_peaks}, index=multiome.rna.var.index)
    for split in SPLITS:
        X = multiome.rna.cells(cell_type=cell_type, split=split, most=EXPLAINED_CELLS).X
        table[f"n_cells_{split}"] = X.shape[0]
        table[f"n_expressing_{split}"] = np.bincount(X.indices[X.data > 0], minlength=X.shape[1])
    reason = why_untestable(
        n_peaks, table["n_expressing_test"].to_numpy(), int(table["n_cells_test"].iloc[0])
    )
    if not multiome.paired:
        reason = np.where(reason == NO_PEAK, NO_PEAK, UNPAIRED)
    return table.assign(verdict=np.where(reason == "", TESTABLE, reason))


def _count(genes: pd.DataFrame, multiome: Multiome, cell_type: str) -> list:
    """A row of :data:`TESTABLE_COLUMNS`; all cells of the type count."""
    obs = multiome.rna.obs
    n_cells = obs.loc[obs["cell_type"] == cell_type, "split"].value_counts().reindex(SPLITS, fill_value=0)
    no_peak, testable = (genes["verdict"] == NO_PEAK).sum(), (genes["verdict"] == TESTABLE).sum()
    n_few = 0 if not multiome.paired else len(genes) - no_peak - testable
    return [cell_type, *n_cells, len(genes), no_peak, n_few, testable]


def announce(feasibility: pd.DataFrame, testable: pd.DataFrame) -> None:
    """Tell on the terminal which tasks can be tested, task by task or, where they are many, as counts."""
    for cell_type in testable.itertuples():
        tasks = feasibility[feasibility["cell_type"] == cell_type.cell_type]
        if len(tasks) > MOST_LINES:
            reasons = tasks["verdict"].str.replace(r"\d+ of \d+ test", "few test", regex=True).value_counts()
            told = "; ".join(f"{n} {reason}" for reason, n in reasons.items())
            tell("%s: %d tasks: %s", cell_type.cell_type, len(tasks), told)
        else:
            for task in tasks.itertuples():
                tell("%s, %s: %s", task.cell_type, task.gene, _told(task))
        if UNPAIRED not in set(tasks["verdict"]):
            tell(
                "%s: %d of %d genes can be tested (%d training, %d validation, %d test cells)",
                cell_type.cell_type, cell_type.n_testable, cell_type.n_genes, cell_type.n_cells_train,
                cell_type.n_cells_validation, cell_type.n_cells_test,
            )  # fmt: skip


def _told(task) -> str:
    if task.verdict != TESTABLE:
        return task.verdict if task.verdict == UNPAIRED else f"cannot be tested: {task.verdict}"
    seen = f"expressed in {task.n_expressing_test} of {task.n_cells_test} test cells"
    return f"can be tested ({task.n_peaks} peak{'s' * (task.n_peaks > 1)} in its window, {seen})"
