"""What came of every task, in one table, and what would help those that are not explained.

Nothing here predicts: advice repeats what was measured in this run, and names only keys of the config that have to do
with it.
"""

import math
from collections.abc import Mapping

import pandas as pd

from grids.analysis.gate import N_CELLS, N_EXPRESSING, NO_PEAK, TESTABLE, UNPAIRED
from grids.surrogates.quality import MIN_EXPRESSING_CELLS, MIN_TEST_CELLS

GATE_NUMBERS = ["p_value", "q_value", "r", "r_depth", "r_permuted_window", "skill", "passed_gate"]
JOINT = ["class", "joint_log_effect", "joint_log_effect_low", "joint_log_effect_high"]
SUMMARY_COLUMNS = [
    "cell_type", "gene", "outcome", "reason", "n_peaks", "n_cells_test", "n_expressing_test", *GATE_NUMBERS, *JOINT,
    "n_members",
]  # fmt: skip
TASK = ["cell_type", "gene"]
EXPLAINED = "explained"
FORCED = "explained, did not pass the gate (forced)"
FAILED = "did not pass the gate"
UNTESTABLE = "cannot be tested"
NO_SET = "no set"
OUTCOMES = [EXPLAINED, FORCED, FAILED, UNTESTABLE, NO_SET]
# Genes named one by one in a sentence.
MOST_GENES = 6


def summarise_tasks(
    feasibility: pd.DataFrame,
    gate: pd.DataFrame,
    skipped: pd.DataFrame,
    redundancy: pd.DataFrame,
    sets: pd.DataFrame,
) -> pd.DataFrame:
    """One row per task: whether it is explained, how near it was, and what its set does.

    Parameters
    ----------
    feasibility : DataFrame
        :data:`grids.analysis.gate.FEASIBILITY_COLUMNS`; its rows are the tasks.
    gate : DataFrame
        :data:`grids.analysis.gate.GATE_COLUMNS`.
    skipped : DataFrame
        `cell_type gene reason` of tasks that were not run.
    redundancy, sets : DataFrame
        One row per set, and one per member.

    Returns
    -------
    DataFrame
        :data:`SUMMARY_COLUMNS`. `outcome` is one of :data:`OUTCOMES`; `reason` is empty where the task is explained
        and passed.
    """
    n_members = sets.groupby(TASK)["peak"].nunique().rename("n_members").reset_index()
    joint = redundancy.sort_values("set_size").drop_duplicates(TASK, keep="last")[[*TASK, *JOINT]]
    table = feasibility
    for part in (gate[[*TASK, *GATE_NUMBERS]], skipped.drop_duplicates(TASK), joint, n_members):
        table = table.merge(part, on=TASK, how="left")
    reasons = gate.set_index(TASK)["reason"].reindex(pd.MultiIndex.from_frame(table[TASK]))
    table["outcome"] = [_outcome(row) for row in table.itertuples()]
    forced = table["outcome"] == FORCED
    table["reason"] = table["reason"].where(~forced, reasons.to_numpy())
    table["n_members"] = table["n_members"].fillna(0).astype(int)
    return table[SUMMARY_COLUMNS]


def _outcome(task) -> str:
    if task.n_members > 0:
        return FORCED if task.passed_gate == False else EXPLAINED  # noqa: E712
    if task.verdict not in (TESTABLE, UNPAIRED):
        return UNTESTABLE
    return FAILED if task.passed_gate == False else NO_SET  # noqa: E712


def in_one_line(summary: pd.DataFrame) -> str:
    """``8 of 10 tasks explained, 2 did not pass the gate``."""
    n = summary["outcome"].value_counts()
    n_forced = n.get(FORCED, 0)
    parts = [f"{n.get(EXPLAINED, 0) + n_forced} of {len(summary)} tasks explained"]
    parts[0] += f" ({n_forced} of them by force)" if n_forced else ""
    words = {FAILED: "did not pass the gate", UNTESTABLE: "cannot be tested", NO_SET: "without a set"}
    return ", ".join([*parts, *(f"{n[outcome]} {text}" for outcome, text in words.items() if outcome in n)])


def other_genes(gate: pd.DataFrame, feasibility: pd.DataFrame) -> pd.DataFrame:
    """Genes that are no tasks and pass the gate; of a cell type in which none passes, the nearest misses.

    Returns
    -------
    DataFrame
        `cell_type n_judged n_passed genes`: one row per cell type with other genes that were judged; `genes` is a
        table with the best :data:`MOST_GENES` by p-value, columns of the gate.
    """
    asked = pd.MultiIndex.from_frame(feasibility[TASK])
    others = gate[gate["p_value"].notna() & ~pd.MultiIndex.from_frame(gate[TASK]).isin(asked)]
    rows = []
    for cell_type, judged in others.groupby("cell_type", sort=False):
        passed = judged[judged["passed_gate"].eq(True)]
        best = (passed if len(passed) else judged).sort_values("p_value", kind="stable").head(MOST_GENES)
        rows.append([cell_type, len(judged), len(passed), best])
    return pd.DataFrame(rows, columns=["cell_type", "n_judged", "n_passed", "genes"])


def advice(
    summary: pd.DataFrame,
    feasibility: pd.DataFrame,
    steps: pd.DataFrame,
    others: pd.DataFrame,
    config: Mapping,
) -> list[str]:
    """Sentences on what would help the tasks that are not explained; none where all are.

    Parameters
    ----------
    summary : DataFrame
        Of :func:`summarise_tasks`.
    feasibility : DataFrame
    steps : DataFrame
        ``quality_control/cells.tsv``.
    others : DataFrame
        Of :func:`other_genes`.
    config : mapping
        The run's config.
    """
    left = summary[summary["outcome"] != EXPLAINED]
    seen = left[TASK].merge(feasibility, on=TASK)
    few = seen[~seen["verdict"].isin([TESTABLE, UNPAIRED, NO_PEAK])]
    told = [
        *_of_few_cells(few, config["preprocessing"]["split"]),
        *_of_no_peak(seen[seen["verdict"] == NO_PEAK], steps, config),
        *_of_failed(left[left["outcome"].isin([FAILED, FORCED])], config["gate"]),
    ]
    if len(left) and others["n_passed"].any():
        told.append(
            "The genes listed above as passing can be given as tasks. Chosen from this list, they get a q-value over "
            "fewer tests than were made, which is too small: theirs is the one given here."
        )
    return told


def _of_few_cells(tasks: pd.DataFrame, split: Mapping) -> list[str]:
    """On tasks that are seen in too few test cells."""
    is_short = tasks["n_cells_test"] < MIN_TEST_CELLS
    told, sentences = [], []
    for _, task in tasks[~is_short].head(MOST_GENES).iterrows():
        n_cells, n_seen = task[N_CELLS].sum(), task[N_EXPRESSING].sum()
        seen = f"{n_seen:,}" if n_seen else "none"
        words = f"{task['cell_type']}, {task['gene']}: in {seen} of {n_cells:,} cells of the type"
        if n_seen:
            enough = _rounded_up(math.ceil(MIN_EXPRESSING_CELLS * n_cells / n_seen / split["test"]))
            words += (
                f"; at this share {MIN_EXPRESSING_CELLS} test cells are expected of about {enough:,} cells"
            )
        told.append(words)
    if is_short.any():
        few = math.ceil(MIN_TEST_CELLS / split["test"])
        sentences.append(
            f"Too few test cells: the gate needs {MIN_TEST_CELLS} of the type, which are in {few} cells with "
            f"preprocessing.split.test: {split['test']:g}."
        )
    if told:
        sentences.append(
            f"Expressed in too few test cells: the gate needs {MIN_EXPRESSING_CELLS}. More cells of the type, deeper "
            f"RNA, or a larger preprocessing.split.test (now {split['test']:g}) give more. {'; '.join(told)}."
        )
    return sentences


def _rounded_up(n: int) -> int:
    """To two digits."""
    unit = 10 ** max(len(str(n)) - 2, 0)
    return math.ceil(n / unit) * unit


def _of_no_peak(tasks: pd.DataFrame, steps: pd.DataFrame, config: Mapping) -> list[str]:
    if tasks.empty:
        return []
    dropped = steps[steps["step"] == "min_cells_per_peak"].iloc[-1]
    window, least = config["windows"]["window_bp"], config["quality_control"]["min_cells_per_peak"]
    return [
        f"No peak in the window ({_names(tasks)}): none within windows.window_bp, {window:,} bp, of the TSS is among "
        f"the {dropped.n_after:,} peaks that were kept; {dropped.n_dropped:,} are open in fewer cells than "
        f"quality_control.min_cells_per_peak, {least:,}. A wider window or a lower threshold may bring peaks in."
    ]


def _of_failed(tasks: pd.DataFrame, gate: Mapping) -> list[str]:
    """On tasks that the gate has judged."""
    if tasks.empty:
        return []
    sentences = []
    is_above = tasks["q_value"] > gate["q_value"]
    by_q, told = tasks[is_above], tasks[~is_above]
    if len(by_q):
        nearest = by_q.loc[by_q["p_value"].idxmin()]
        sentences.append(
            f"No sign that the window matters ({_names(by_q)}): q-value above gate.q_value, {gate['q_value']:g}; the "
            f"nearest is {nearest.cell_type}, {nearest.gene} with p {nearest.p_value:.2g}, q {nearest.q_value:.2g}, "
            f"expressed in {nearest.n_expressing_test:,} of {nearest.n_cells_test:,} test cells. More cells of the "
            "type, or deeper RNA and ATAC, make the test stronger; without local control, nothing does."
        )
    if len(told):
        sentences.append(
            "The window tells something, but the surrogate predicts no better than the mean, the depth or a permuted "
            f"window ({_names(told)}): more cells to train on may help."
        )
    if not gate["force"]:
        sentences.append(
            "gate.force: true explains tasks that did not pass as well: to look at what the surrogate has learned, "
            "not as evidence of it."
        )
    return sentences


def _names(tasks: pd.DataFrame) -> str:
    names = [f"{cell_type}, {gene}" for cell_type, gene in tasks[TASK].head(MOST_GENES).to_numpy()]
    return "; ".join(names) + (f" and {len(tasks) - MOST_GENES} more" if len(tasks) > MOST_GENES else "")
