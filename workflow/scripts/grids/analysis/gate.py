"""The quality gate: which genes it can test at all, known before anything is trained, and which tasks pass.

A gene passes in a cell type when two agree that there is something to explain: the test of its window, which needs no
surrogate (:mod:`grids.analysis.links`; a false discovery rate), and the surrogate. The window surrogate agrees when its
posterior chance of no member is below one half; a surrogate without one, when it predicts the gene better than the
cell's depth, than itself with the windows of other cells, and than the mean of the cell type.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grids.analysis.links.decoys import LEAST_DECOYS
from grids.analysis.links.linking import LEAST_EXPRESSING
from grids.analysis.links.score_test import LEAST_EFFECTIVE_CELLS
from grids.analysis.links.tables import q_values
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import Multiome
from grids.io.levels import ACROSS_TYPES, ALL_TYPES, WITHIN_TYPE, level_of
from grids.io.logging import log, tell
from grids.io.seeds import generator
from grids.io.tables import SKIPPED_COLUMNS, concatenate
from grids.surrogates.quality import MIN_EXPRESSING_CELLS, MIN_TEST_CELLS, correlation

if TYPE_CHECKING:
    from grids.surrogates.pooling import Surrogate

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
GATE_COLUMNS = [
    "level", "cell_type", "gene", "n_peaks", "n_cells", "n_expressing", "n_effective_cells", "z", "p_value", "q_value",
    "n_distal_peaks", "p_value_distal", "q_value_distal", "chance_of_no_member", "r", "r_depth", "r_permuted_window",
    "skill", "passed_gate", "reason",
]  # fmt: skip
OF_SURROGATE = ["chance_of_no_member", "r", "r_depth", "r_permuted_window", "skill"]
MOST_CHANCE_OF_NONE = 0.5
# Tasks of a type that are told one by one; more are counted.
MOST_LINES = 20
N_PERMUTATIONS = 10


def why_untestable(n_peaks: np.ndarray, n_expressing: np.ndarray, n_cells: int) -> np.ndarray:
    """Why each gene cannot be tested under any surrogate, in words; empty where it can be. Shape (n_genes,).

    `n_peaks` are those in the gene's window, `n_expressing` of `n_cells` test cells express it.
    """

    def few(n: int) -> str:
        if n_cells < MIN_TEST_CELLS:
            return f"{n_cells} test cells, too few to tell (at least {MIN_TEST_CELLS})"
        if n < MIN_EXPRESSING_CELLS:
            return (
                f"expressed in {n} of {n_cells} test cells, too few to tell (at least {MIN_EXPRESSING_CELLS})"
            )
        return ""

    reasons = [few(n) if peaks else NO_PEAK for peaks, n in zip(n_peaks, n_expressing, strict=True)]
    return np.array(reasons, dtype=object)


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
        Of a type and split :data:`~grids.io.caps.EXPLAINED_CELLS` at most, evenly spaced, are looked at.
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
    n_peaks = windows.loc[windows["peak"].isin(multiome.atac.var.index), "gene"].value_counts()
    parts, by_type = [], []
    for cell_type in cell_types:
        of_type = _genes_of(multiome, n_peaks, cell_type)
        by_type.append(_count(of_type, multiome, cell_type))
        asked = tasks.loc[tasks["cell_type"] == cell_type, "gene"]
        gone = dropped[dropped["cell_type"] == cell_type].set_index("gene")["reason"]
        silent = pd.DataFrame({"verdict": gone, "n_peaks": n_peaks.reindex(gone.index, fill_value=0)})
        silent = silent.assign(**of_type[N_CELLS].iloc[0], **dict.fromkeys(N_EXPRESSING, 0))
        named = pd.concat([of_type.loc[asked], silent]).rename_axis("gene").reset_index()
        parts.append(named.assign(cell_type=cell_type))
    feasibility = pd.concat(parts, ignore_index=True)[FEASIBILITY_COLUMNS]
    return feasibility, pd.DataFrame(by_type, columns=TESTABLE_COLUMNS)


def _genes_of(multiome: Multiome, n_peaks: pd.Series, cell_type: str) -> pd.DataFrame:
    """Columns `n_peaks` to `verdict` of every gene in one cell type, indexed by gene."""
    genes = multiome.rna.var.index
    table = pd.DataFrame({"n_peaks": n_peaks.reindex(genes, fill_value=0).to_numpy()}, index=genes)
    for split in SPLITS:
        X = multiome.rna.cells(cell_type=cell_type, split=split, most=EXPLAINED_CELLS).X
        table[f"n_cells_{split}"] = X.shape[0]
        table[f"n_expressing_{split}"] = np.bincount(X.indices[X.data > 0], minlength=X.shape[1])
    reason = why_untestable(table["n_peaks"], table["n_expressing_test"], int(table["n_cells_test"].iloc[0]))
    if not multiome.paired:
        reason = np.where(reason == NO_PEAK, NO_PEAK, UNPAIRED)
    return table.assign(verdict=np.where(reason == "", TESTABLE, reason))


def _count(genes: pd.DataFrame, multiome: Multiome, cell_type: str) -> list:
    """A row of :data:`TESTABLE_COLUMNS`; all cells of the type count."""
    obs = multiome.rna.obs
    here = (obs["cell_type"] == cell_type) | (cell_type == ALL_TYPES)
    n_cells = obs.loc[here, "split"].value_counts().reindex(SPLITS, fill_value=0)
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


def judge_windows(
    tests: pd.DataFrame, tasks: pd.DataFrame, peaks: str, q_value: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the tests of windows say of all genes, and of which tasks.

    Parameters
    ----------
    tests : DataFrame
        :data:`~grids.analysis.links.tables.WINDOW_TEST_COLUMNS`, of all cell types.
    tasks : DataFrame
        Columns ``cell_type, gene``.
    peaks : {"all", "distal"}
        The peaks of a window that have to tell something.
    q_value : float
        Highest false discovery rate that passes.

    Returns
    -------
    windows : DataFrame
        `tests` with `q_value`, `q_value_distal` and `reason`, empty where the window tells something. q-values are over
        the tasks of a level and, apart from them, over all its other genes: what was not asked must not hide what was.
    promising : DataFrame
        ``cell_type, gene`` of the tasks whose windows tell something.
    """
    pairs = pd.MultiIndex.from_frame(tests[["cell_type", "gene"]])
    asked = pairs.isin(pd.MultiIndex.from_frame(tasks[["cell_type", "gene"]]))
    windows = tests.assign(q_value=np.nan, q_value_distal=np.nan)
    for rows in windows.groupby([windows["level"], asked]).groups.values():
        for end in ("", "_distal"):
            windows.loc[rows, f"q_value{end}"] = q_values(windows.loc[rows, f"p_value{end}"])
    end = "_distal" if peaks == "distal" else ""
    reasons = [_why_window_fails(row, end, q_value) for row in windows.to_dict("records")]
    windows = windows.assign(reason=np.array(reasons, dtype=object))
    return windows, windows.loc[asked & (windows["reason"] == ""), ["cell_type", "gene"]]


def _why_window_fails(row: dict, end: str, most: float) -> str:
    """Why a window does not pass, with the numbers; empty where it does."""
    if np.isfinite(row[f"p_value{end}"]):
        q = row[f"q_value{end}"]
        return f"q-value {q:.2g} above {most:g}" if q > most else ""
    if end and not row["n_distal_peaks"]:
        return "no distal peak in its window"
    seen = f"expressed in {row['n_expressing']} of {row['n_cells']} cells"
    if row["level"] == ACROSS_TYPES and row["n_expressing"] < LEAST_EXPRESSING:
        return f"cannot be told: {seen}, at least {LEAST_EXPRESSING} are needed"
    if end and row["level"] == WITHIN_TYPE:
        return f"cannot be told: fewer than {LEAST_EFFECTIVE_CELLS:g} effective cells carry its distal peaks ({seen})"
    if not row["n_effective_cells"] >= LEAST_EFFECTIVE_CELLS:
        return (
            f"cannot be told: {row['n_effective_cells']:.1f} effective cells ({seen}), at least "
            f"{LEAST_EFFECTIVE_CELLS:g} are needed"
        )
    rest = f" or {LEAST_EFFECTIVE_CELLS:g} effective cells that carry distal peaks" if end else ""
    return f"cannot be told: fewer than {LEAST_DECOYS} windows on other chromosomes to compare with{rest}"


def judge(
    surrogates: dict[str, "Surrogate"],
    multiome: Multiome,
    windows: pd.DataFrame,
    tests: pd.DataFrame,
    tasks: pd.DataFrame,
    seed: int,
) -> pd.DataFrame:
    """Ask the surrogates whether they agree with the tests of windows.

    Parameters
    ----------
    surrogates : dict of str to Surrogate
        That of each cell type; asked about the tasks that it has a model of.
    multiome : Multiome
        Paired.
    windows : DataFrame
        Columns ``peak, gene``.
    tests : DataFrame
        Of :func:`judge_windows`.
    tasks : DataFrame
        Columns ``cell_type, gene``.

    Returns
    -------
    DataFrame
        :data:`GATE_COLUMNS`. Columns of the surrogate are missing for genes that it was not asked about: of these,
        `passed_gate` says what the test of the window does.
    """
    parts = [pd.DataFrame(columns=GATE_COLUMNS)]
    for cell_type, surrogate in surrogates.items():
        of_type = tests[tests["cell_type"] == cell_type].set_index("gene")
        asked = tasks.loc[tasks["cell_type"] == cell_type, "gene"]
        # A surrogate of the whole genome may know genes that have no window to be tested.
        unseen = [gene for gene in asked if gene in surrogate.genes and gene not in of_type.index]
        if unseen:
            row = {"level": level_of(cell_type), "cell_type": cell_type, "n_peaks": 0, "reason": NO_PEAK}
            more = pd.DataFrame([row] * len(unseen), index=pd.Index(unseen, name="gene"))
            of_type = concatenate([of_type.reset_index(), more.reset_index()]).set_index("gene")
        genes = [gene for gene in asked if gene in of_type.index and gene in surrogate.genes]
        measured = pd.DataFrame(columns=OF_SURROGATE, dtype=float)
        if genes:
            tell("quality gate: %s, %d genes", cell_type, len(genes))
            measured = _measure(surrogate, multiome, windows, cell_type, genes, seed)
        joined = of_type.join(measured)
        reasons = [row["reason"] or _why_surrogate_disagrees(row) for row in joined.to_dict("records")]
        parts.append(joined.assign(reason=np.array(reasons, dtype=object)).reset_index())
    gate = concatenate(parts)
    return gate.assign(passed_gate=gate["reason"] == "")[GATE_COLUMNS]


def unjudged(tasks: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """:data:`GATE_COLUMNS` of unpaired cells: no prediction meets its own observation, so every task passes.

    Parameters
    ----------
    tasks : DataFrame
        Columns ``cell_type, gene``.
    windows : DataFrame
        Columns ``peak, gene``.
    """
    log.warning("the quality gate lets every task pass: %s", UNPAIRED)
    n_peaks = windows["gene"].value_counts().reindex(tasks["gene"]).to_numpy()
    level = [level_of(cell_type) for cell_type in tasks["cell_type"]]
    gate = tasks[["cell_type", "gene"]].assign(level=level, n_peaks=n_peaks, reason=UNPAIRED)
    return gate[gate["n_peaks"].notna()].astype({"n_peaks": int}).reindex(columns=GATE_COLUMNS)


def choose_tasks(gate: pd.DataFrame, tasks: pd.DataFrame, force: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tasks that are explained, and the others with the reason.

    Tasks that are not in `gate` have no peak that the surrogate could see. `force`: explain those that do not pass
    too. Other tables as in :func:`judge`.

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
    surrogate: "Surrogate",
    multiome: Multiome,
    windows: pd.DataFrame,
    cell_type: str,
    genes: list[str],
    seed: int,
) -> pd.DataFrame:
    """:data:`OF_SURROGATE` of some genes of one cell type, on its test cells; indexed by gene."""
    train, test = (
        multiome.cells(cell_type=cell_type, split=split, most=EXPLAINED_CELLS) for split in ("train", "test")
    )
    columns = multiome.rna.var.index.get_indexer(genes)
    known, observed = (part.rna.X[:, columns].toarray() for part in (train, test))
    rng = generator(seed, "gate", cell_type)
    orders = [rng.permutation(len(observed)) for _ in range(N_PERMUTATIONS)]
    inside = windows[windows["gene"].isin(genes) & windows["peak"].isin(surrogate.peaks)]
    judged = surrogate.judge_windows(train, test, inside, genes, orders)
    error = ((judged.predicted - observed) ** 2).mean(0)
    error_of_mean = ((known.mean(0) - observed) ** 2).mean(0)
    chance = [surrogate.chance_of_no_member(gene) for gene in genes]
    table = {
        "chance_of_no_member": np.array(chance, dtype=float),
        "r": correlation(judged.predicted, observed, 0),
        "r_depth": correlation(judged.by_depth, observed, 0),
        "r_permuted_window": np.mean(judged.r_permuted, 0),
        "skill": 1 - error / np.where(error_of_mean > 0, error_of_mean, np.nan),
    }
    return pd.DataFrame(table, index=pd.Index(genes, name="gene"))


def _why_surrogate_disagrees(row: dict) -> str:
    """Why the surrogate sees nothing where the test of the window does, with the numbers; empty where it agrees."""
    if pd.notna(row["chance_of_no_member"]):
        chance = row["chance_of_no_member"]
        if chance < MOST_CHANCE_OF_NONE:
            return ""
        return f"undecided: q-value {row['q_value']:.2g}, but posterior chance {chance:.2f} that no peak is a member"
    if pd.isna(row["r"]):
        return ""
    others = {"depth": row["r_depth"], "permuted windows": row["r_permuted_window"]}
    failed = [
        f"r {row['r']:.3f} not above {r:.3f} of {what}" for what, r in others.items() if not row["r"] > r
    ]
    failed += [] if row["skill"] > 0 else [f"skill {row['skill']:.3f} not above 0"]
    return "; ".join(failed)
