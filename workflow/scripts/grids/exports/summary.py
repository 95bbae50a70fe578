"""What came of every task, in one table and on the first page of the report, and what would help those not explained.

Nothing here predicts: advice repeats what was measured in this run, and names only keys of the config that have to do
with it.
"""

import math
from collections.abc import Mapping

import jinja2
import pandas as pd

from grids.analysis.gate import N_CELLS, N_EXPRESSING, NO_PEAK, TESTABLE, UNPAIRED
from grids.surrogates.quality import MIN_EXPRESSING_CELLS, MIN_TEST_CELLS

GATE_NUMBERS = ["p_value", "q_value", "r", "r_depth", "r_permuted_window", "skill", "passed_gate"]
JOINT = ["direction", "class", "joint_log_effect", "joint_log_effect_low", "joint_log_effect_high"]
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
# Rows of the table of tasks; the others are in summary.tsv.
MOST_TASKS = 50
PAGE = """\
<div class="grids-summary">
<h2>{{ headline }}</h2>
{% if n_forced %}
<p>{{ n_forced }} did not pass the quality gate and {{ "is" if n_forced == 1 else "are" }} explained by gate.force:
to look at, not to prove.</p>
{% endif %}
<table>
<thead><tr>
<th class="text">cell type</th><th class="text">gene</th><th class="text">outcome</th>
{% if any_effect %}<th class="text">direction</th><th class="text">class</th><th>joint effect<br>[interval]</th>
<th>members</th>{% endif %}
<th>q<br>(≤ {{ threshold }})</th><th>p</th><th>skill<br>(&gt; 0)</th><th>r</th><th>r,<br>depth</th>
<th>r,<br>permuted</th><th>seen in<br>test cells</th>
</tr></thead>
<tbody>
{% for task in tasks %}
<tr><td class="text">{{ task.cell_type }}</td><td class="text">{{ task.gene }}</td><td class="text">{{ task.told }}</td>
{% if any_effect %}<td class="text">{{ task.direction_ }}</td><td class="text">{{ task.class_ }}</td>
<td>{{ task.effect }}</td>
<td>{{ task.n_members or "" }}</td>{% endif %}
{% for text, missed in task.numbers %}
<td{% if missed %} class="missed"{% endif %}>{{ text }}</td>
{% endfor %}
<td>{{ task.n_expressing_test }} of {{ task.n_cells_test }}</td></tr>
{% endfor %}
</tbody></table>
<p>{% if n_more %}{{ n_more }} more tasks are in summary.tsv. {% endif %}
{% if any_missed %}Marked: what keeps a task from passing; r has to be above those beside it, of
depth and of permuted windows.
{% endif %}
{% if any_effect %}Joint effect: change of the predicted mean log-expression (natural log) when all members change
together. Members are closed to silence or to derepress the gene, opened to activate it.{% endif %}</p>
<h3>What could be tested at all</h3>
<table>
<thead><tr>
<th class="text">cell type</th><th>cells to train</th><th>to validate</th><th>to test</th><th>genes</th>
<th>no peak in<br>the window</th><th>in too few<br>test cells</th><th>testable</th><th>judged</th><th>passed</th>
</tr></thead>
<tbody>
{% for type in types %}
<tr><td class="text">{{ type.cell_type }}</td>
{% for number in type.numbers %}<td>{{ number }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table>
{% if others %}
<h3>Genes that were not asked for</h3>
<ul>
{% for type in others %}
<li>{{ type.cell_type }}: {% if type.n_passed %}{{ type.n_passed }} of {{ type.n_judged }} judged pass, first
{% else %}none of {{ type.n_judged }} judged passes; the nearest {% endif %}
{% for gene in type.genes.itertuples() %}{{ gene.gene }} (q {{ number(gene.q_value) }}){{ ", " if not loop.last }}
{%- endfor %}</li>
{% endfor %}
</ul>
{% endif %}
{% if advice %}
<h3>What would help</h3>
<ul>
{% for sentence in advice %}<li>{{ sentence }}</li>
{% endfor %}
</ul>
{% endif %}
</div>
"""


def summary_page(
    feasibility: pd.DataFrame,
    testable: pd.DataFrame,
    gate: pd.DataFrame,
    skipped: pd.DataFrame,
    redundancy: pd.DataFrame,
    sets: pd.DataFrame,
    steps: pd.DataFrame,
    config: Mapping,
) -> tuple[pd.DataFrame, str]:
    """The table of :func:`summarise_tasks`, and the page that shows it: a fragment of HTML, names escaped.

    `testable` is ``testable_genes.tsv``, `steps` ``quality_control/cells.tsv``. Of `config` are read `gate`,
    `preprocessing`, `quality_control` and `windows`.
    """
    summary = summarise_tasks(feasibility, gate, skipped, redundancy, sets)
    others = _other_genes(gate, feasibility)
    shown = _shown(summary)
    tasks = [_task(row, config["gate"]["q_value"]) for row in shown.to_dict("records")]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(PAGE).render(
        headline=f"{in_one_line(summary)}.",
        n_forced=int((summary["outcome"] == FORCED).sum()),
        threshold=f"{config['gate']['q_value']:g}",
        tasks=tasks,
        n_more=len(summary) - len(shown),
        any_missed=any(missed for task in tasks for _, missed in task["numbers"]),
        any_effect=any(task["effect"] for task in tasks),
        types=[_type(row, gate) for row in testable.to_dict("records")],
        others=others.to_dict("records"),
        number=_number,
        advice=_advice(summary, feasibility, steps, others, config),
    )
    return summary, page


def _shown(summary: pd.DataFrame) -> pd.DataFrame:
    """In the config's order; of too many, the explained and then the nearest to it."""
    if len(summary) <= MOST_TASKS:
        return summary
    order = summary.assign(place=summary["outcome"].map(OUTCOMES.index))
    return order.sort_values(["place", "q_value"], kind="stable").head(MOST_TASKS)


def _task(task: dict, q_value: float) -> dict:
    """A row of the table of tasks, as text; `numbers` with whether each is what keeps the task from passing."""
    judged = pd.notna(task["p_value"])
    numbers = [
        (_number(task["q_value"]), judged and task["q_value"] > q_value),
        (_number(task["p_value"]), False),
        (_number(task["skill"]), judged and not task["skill"] > 0),
        (_number(task["r"]), False),
        (_number(task["r_depth"]), judged and not task["r"] > task["r_depth"]),
        (_number(task["r_permuted_window"]), judged and not task["r"] > task["r_permuted_window"]),
    ]
    told = task["outcome"]
    if told in (UNTESTABLE, NO_SET) or (told == EXPLAINED and pd.notna(task["reason"])):
        told = f"{told}: {task['reason']}"
    joint, low, high = (_number(task[f"joint_log_effect{end}"]) for end in ("", "_low", "_high"))
    return {
        **task,
        "told": told,
        "numbers": numbers,
        "direction_": task["direction"] if pd.notna(task["direction"]) else "",
        "class_": task["class"] if pd.notna(task["class"]) else "",
        "effect": f"{joint} [{low}, {high}]" if joint else "",
    }


def _type(row: dict, gate: pd.DataFrame) -> dict:
    of_type = gate[gate["cell_type"] == row["cell_type"]]
    judged = of_type["p_value"].notna().sum(), of_type["passed_gate"].eq(True).sum()
    numbers = [f"{n:,}" for n in (*(n for name, n in row.items() if name != "cell_type"), *judged)]
    if of_type["reason"].eq(UNPAIRED).any():
        numbers[-4:] = ["–"] * 4
    return {"cell_type": row["cell_type"], "numbers": numbers}


def _number(value: float) -> str:
    """Two digits; empty where it is missing."""
    if pd.isna(value):
        return ""
    text = f"{value:.2g}" if abs(value) >= 0.001 or value == 0 else f"{value:.0e}"
    return text.replace("e-0", "e-").replace("-", "−")


def summarise_tasks(
    feasibility: pd.DataFrame,
    gate: pd.DataFrame,
    skipped: pd.DataFrame,
    redundancy: pd.DataFrame,
    sets: pd.DataFrame,
) -> pd.DataFrame:
    """One row per task: whether it is explained, how near it was, and what its set does.

    `feasibility` (:data:`~grids.analysis.gate.FEASIBILITY_COLUMNS`) has a row per task; `gate` has
    :data:`~grids.analysis.gate.GATE_COLUMNS`, `skipped` `cell_type gene reason` of tasks that were not run,
    `redundancy` a row per set, `sets` one per member.

    Of the columns returned, :data:`SUMMARY_COLUMNS`, `outcome` is one of :data:`OUTCOMES`, and `reason` is empty where
    the task is explained and passed.
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


def _other_genes(gate: pd.DataFrame, feasibility: pd.DataFrame) -> pd.DataFrame:
    """Genes that are no tasks and pass the gate; of a cell type in which none passes, the nearest misses.

    A row per cell type with other genes that were judged; `genes` is a table of the gate's best by p-value.
    """
    asked = pd.MultiIndex.from_frame(feasibility[TASK])
    others = gate[gate["p_value"].notna() & ~pd.MultiIndex.from_frame(gate[TASK]).isin(asked)]
    rows = []
    for cell_type, judged in others.groupby("cell_type", sort=False):
        passed = judged[judged["passed_gate"].eq(True)]
        best = (passed if len(passed) else judged).sort_values("p_value", kind="stable").head(MOST_GENES)
        rows.append([cell_type, len(judged), len(passed), best])
    return pd.DataFrame(rows, columns=["cell_type", "n_judged", "n_passed", "genes"])


def _advice(
    summary: pd.DataFrame,
    feasibility: pd.DataFrame,
    steps: pd.DataFrame,
    others: pd.DataFrame,
    config: Mapping,
) -> list[str]:
    """Sentences on what would help the tasks that are not explained; none where all are."""
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
            enough = math.ceil(MIN_EXPRESSING_CELLS * n_cells / n_seen / split["test"])
            unit = 10 ** max(len(str(enough)) - 2, 0)  # two digits are enough
            enough = math.ceil(enough / unit) * unit
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
