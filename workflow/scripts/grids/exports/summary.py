"""What came of every task, in one table and on the first page of the report, and what would help those not explained.

Nothing here predicts: advice repeats what was measured in this run, and names only keys of the config that have to do
with it. The levels of evidence are told apart throughout.
"""

from collections.abc import Mapping

import jinja2
import pandas as pd

from grids.analysis.gate import MOST_CHANCE_OF_NONE, N_CELLS, NO_PEAK, UNPAIRED
from grids.analysis.links.decoys import LEAST_DECOYS
from grids.analysis.links.linking import LEAST_EXPRESSING
from grids.analysis.links.score_test import LEAST_EFFECTIVE_CELLS
from grids.io.levels import ACROSS_TYPES, LEVELS, WITHIN_TYPE, level_of

TESTS = [
    "n_cells",
    "n_expressing",
    "n_effective_cells",
    "p_value",
    "q_value",
    "p_value_distal",
    "q_value_distal",
]
AGREEMENT = ["chance_of_no_member", "r", "r_depth", "r_permuted_window", "skill", "passed_gate"]
JOINT = ["direction", "class", "joint_log_effect", "joint_log_effect_low", "joint_log_effect_high"]
SUMMARY_COLUMNS = [
    "level", "cell_type", "gene", "outcome", "reason", "n_peaks", *TESTS, *AGREEMENT, *JOINT, "n_members",
]  # fmt: skip
TASK = ["cell_type", "gene"]
EXPLAINED = "explained"
FORCED = "explained, did not pass the gate (forced)"
UNDECIDED = "undecided"
FAILED = "did not pass the gate"
UNTOLD = "cannot be told"
NO_SET = "no set"
OUTCOMES = [EXPLAINED, FORCED, UNDECIDED, FAILED, UNTOLD, NO_SET]
LEVEL_NAMES = {WITHIN_TYPE: "within types", ACROSS_TYPES: "across types"}
MEANINGS = {
    WITHIN_TYPE: "Among cells of one type, the window tells more of the gene than the cells' state does: depth and the "
    "main axes along which the type's cells differ. A set is a hypothesis of what regulates the gene in this type.",
    ACROSS_TYPES: "Over the cells of all types, the gene goes with its window more than with windows on other "
    "chromosomes. A set says that this locus tracks expression across types; what else differs between types may be "
    "the cause.",
}
# Genes named one by one in a sentence.
MOST_GENES = 6
# Rows of a level's table of tasks; the others are in summary.tsv.
MOST_TASKS = 50
PAGE = """\
<div class="grids-summary">
<h2>{{ headline }}</h2>
{% if n_forced %}
<p>{{ n_forced }} did not pass the quality gate and {{ "is" if n_forced == 1 else "are" }} explained by gate.force:
to look at, not to prove.</p>
{% endif %}
{% for level in levels %}
<h3>{{ level.name }}: {{ level.told }}</h3>
<p>{{ level.meaning }}</p>
<table>
<thead><tr>
<th class="text">cell type</th><th class="text">gene</th><th class="text">outcome</th>
{% if any_effect %}<th class="text">direction</th><th class="text">class</th><th>joint effect<br>[interval]</th>
<th>members</th>{% endif %}
<th>{{ q_name }}<br>(≤ {{ threshold }})</th><th>p</th><th>{{ other_name }}</th>
<th>chance<br>of none</th><th>skill</th><th>r</th><th>expressed in<br>cells</th><th>effective<br>cells</th>
</tr></thead>
<tbody>
{% for task in level.tasks %}
<tr><td class="text">{{ task.cell_type }}</td><td class="text">{{ task.gene }}</td><td class="text">{{ task.told }}</td>
{% if any_effect %}<td class="text">{{ task.direction_ }}</td><td class="text">{{ task.class_ }}</td>
<td>{{ task.effect }}</td>
<td>{{ task.n_members or "" }}</td>{% endif %}
{% for text, missed in task.numbers %}
<td{% if missed %} class="missed"{% endif %}>{{ text }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table>
{% if level.n_more %}<p>{{ level.n_more }} more tasks are in summary.tsv.</p>
{% endif %}
{% endfor %}
<p>{% if any_missed %}Marked: what keeps a task from passing. {% endif %}
{% if any_chance %}Chance of none: the surrogate's posterior chance that no peak is a member; below {{ most_chance }}
passes.
{% endif %}
{% if any_effect %}Joint effect: change of the predicted mean log-expression (natural log) when all members change
together. Members are closed to silence or to derepress the gene, opened to activate it.{% endif %}</p>
<h3>What could be told at all</h3>
<table>
<thead><tr>
<th class="text">level</th><th class="text">cell type</th><th>cells to train</th><th>to validate</th><th>to test</th>
<th>genes</th><th>no peak in<br>the window</th><th>cannot<br>be told</th><th>tested</th><th>q ≤ {{ threshold }}</th>
<th>distal,<br>q ≤ {{ threshold }}</th>
</tr></thead>
<tbody>
{% for type in types %}
<tr><td class="text">{{ type.level }}</td><td class="text">{{ type.cell_type }}</td>
{% for number in type.numbers %}<td>{{ number }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table>
{% if others %}
<h3>Genes that were not asked for</h3>
<ul>
{% for type in others %}
<li>{{ type.name }}: {% if type.n_passed %}{{ type.n_passed }} of {{ type.n_judged }} tested pass, first
{% else %}none of {{ type.n_judged }} tested passes; the nearest {% endif %}
{% for gene in type.genes.itertuples() %}{{ gene.gene }} (q {{ number(gene.q) }}){{ ", " if not loop.last }}
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
    `quality_control`, `surrogate` and `windows`.
    """
    summary = summarise_tasks(feasibility, gate, skipped, redundancy, sets)
    q_value, end = config["gate"]["q_value"], "_distal" if config["gate"]["peaks"] == "distal" else ""
    others = _other_genes(gate, feasibility, end)
    levels = [_level(part, end, q_value) for _, part in _by_level(summary)]
    tasks = [task for level in levels for task in level["tasks"]]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(PAGE).render(
        headline=f"{_sentence(in_one_line(summary))}.",
        n_forced=int((summary["outcome"] == FORCED).sum()),
        levels=levels,
        threshold=f"{q_value:g}",
        most_chance=f"{MOST_CHANCE_OF_NONE:g}",
        q_name="q, distal" if end else "q",
        other_name="q, all peaks" if end else "q, distal",
        any_missed=any(missed for task in tasks for _, missed in task["numbers"]),
        any_chance=bool(summary["chance_of_no_member"].notna().any()),
        any_effect=any(task["effect"] for task in tasks),
        types=[_type(row, gate, q_value) for row in testable.to_dict("records")],
        others=others.to_dict("records"),
        number=_number,
        advice=_advice(summary, gate, steps, others, config),
    )
    return summary, page


def _by_level(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each level that has any."""
    level = table["cell_type"].map(lambda name: level_of(str(name)))
    return [(name, table[level == name]) for name in LEVELS if (level == name).any()]


def _level(summary: pd.DataFrame, end: str, q_value: float) -> dict:
    """What the page says of a level's tasks."""
    level, shown = level_of(summary["cell_type"].iloc[0]), _shown(summary, end)
    return {
        "name": _sentence(LEVEL_NAMES[level]),
        "told": _counts(summary),
        "meaning": MEANINGS[level],
        "tasks": [_task(row, end, q_value) for row in shown.to_dict("records")],
        "n_more": len(summary) - len(shown),
    }


def _shown(summary: pd.DataFrame, end: str) -> pd.DataFrame:
    """In the config's order; of too many, the explained and then the nearest to it."""
    if len(summary) <= MOST_TASKS:
        return summary
    order = summary.assign(place=summary["outcome"].map(OUTCOMES.index))
    return order.sort_values(["place", f"q_value{end}"], kind="stable").head(MOST_TASKS)


def _task(task: dict, end: str, q_value: float) -> dict:
    """A row of the table of tasks, as text; `numbers` with whether each is what keeps the task from passing."""
    other = "" if end else "_distal"
    chance, asked = task["chance_of_no_member"], pd.notna(task["r"])
    by_prediction = asked and pd.isna(chance) and task["passed_gate"] == False  # noqa: E712
    is_beaten = not (task["r"] > task["r_depth"] and task["r"] > task["r_permuted_window"])
    numbers = [
        (_number(task[f"q_value{end}"]), task[f"q_value{end}"] > q_value),
        (_number(task[f"p_value{end}"]), False),
        (_number(task[f"q_value{other}"]), False),
        ("< 0.01" if chance < 0.01 else _number(chance), pd.notna(chance) and chance >= MOST_CHANCE_OF_NONE),
        (_number(task["skill"]), by_prediction and not task["skill"] > 0),
        (_number(task["r"]), by_prediction and is_beaten),
        (_of(task["n_expressing"], task["n_cells"]), False),
        (_number(task["n_effective_cells"]), task["outcome"] == UNTOLD),
    ]
    told = task["outcome"]
    if told in (UNTOLD, NO_SET) or (told == EXPLAINED and pd.notna(task["reason"])):
        told = f"{told}: {str(task['reason']).removeprefix(f'{UNTOLD}: ')}"
    joint, low, high = (_number(task[f"joint_log_effect{part}"]) for part in ("", "_low", "_high"))
    return {
        **task,
        "told": told,
        "numbers": numbers,
        "direction_": task["direction"] if pd.notna(task["direction"]) else "",
        "class_": task["class"] if pd.notna(task["class"]) else "",
        "effect": f"{joint} [{low}, {high}]" if joint else "",
    }


def _type(row: dict, gate: pd.DataFrame, q_value: float) -> dict:
    of_type = gate[gate["cell_type"] == row["cell_type"]]
    is_tested = of_type["p_value"].notna()
    tested = (~is_tested).sum(), is_tested.sum()
    low = [(of_type[f"q_value{end}"] <= q_value).sum() for end in ("", "_distal")]
    cells = [f"{row[name]:,}" for name in (*N_CELLS, "n_genes", "n_no_peak")]
    judged = [f"{n:,}" for n in (*tested, *low)]
    if of_type["reason"].eq(UNPAIRED).any():
        judged = ["–"] * len(judged)
    level = LEVEL_NAMES[level_of(row["cell_type"])]
    return {"level": level, "cell_type": row["cell_type"], "numbers": [*cells, *judged]}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of(n: float, n_all: float) -> str:
    return "" if pd.isna(n) else f"{n:,.0f} of {n_all:,.0f}"


def _number(value: float) -> str:
    """Two digits; empty where it is missing."""
    if pd.isna(value):
        return ""
    if value >= 100:
        return f"{value:,.0f}"
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
    judged = gate[[*TASK, *TESTS, *AGREEMENT]].assign(why=gate["reason"])
    table = feasibility[[*TASK, "n_peaks"]]
    for part in (judged, skipped.drop_duplicates(TASK), joint, n_members):
        table = table.merge(part, on=TASK, how="left")
    table["outcome"] = [_outcome(row) for row in table.itertuples()]
    table["reason"] = table["reason"].where(table["outcome"] != FORCED, table["why"])
    table["n_members"] = table["n_members"].fillna(0).astype(int)
    table["level"] = [level_of(name) for name in table["cell_type"]]
    return table[SUMMARY_COLUMNS]


def _outcome(task) -> str:
    fails = task.passed_gate == False  # noqa: E712
    if task.n_members > 0:
        return FORCED if fails else EXPLAINED
    if not fails:
        return UNTOLD if pd.isna(task.why) and pd.isna(task.passed_gate) else NO_SET
    why = str(task.why)
    if why.startswith(UNDECIDED):
        return UNDECIDED
    return UNTOLD if why.startswith((UNTOLD, "no distal peak")) else FAILED


def in_one_line(summary: pd.DataFrame) -> str:
    """``within types: 8 of 10 tasks explained, 2 did not pass the gate; across types: 3 of 10 tasks explained ...``."""
    parts = _by_level(summary)
    return "; ".join(f"{LEVEL_NAMES[level]}: {_counts(of_level)}" for level, of_level in parts) or "no tasks"


def _counts(summary: pd.DataFrame) -> str:
    n = summary["outcome"].value_counts()
    n_forced = n.get(FORCED, 0)
    parts = [f"{n.get(EXPLAINED, 0) + n_forced} of {len(summary)} tasks explained"]
    parts[0] += f" ({n_forced} of them by force)" if n_forced else ""
    words = {UNDECIDED: UNDECIDED, FAILED: FAILED, UNTOLD: UNTOLD, NO_SET: "without a set"}
    return ", ".join([*parts, *(f"{n[outcome]} {text}" for outcome, text in words.items() if outcome in n)])


def _other_genes(gate: pd.DataFrame, feasibility: pd.DataFrame, end: str) -> pd.DataFrame:
    """Genes that are no tasks and whose window tells something; of a cell type in which none does, the nearest misses.

    A row per cell type with other genes that were tested; `genes` is a table of the gate's best by p-value.
    """
    asked = pd.MultiIndex.from_frame(feasibility[TASK])
    gate = gate.assign(p=gate[f"p_value{end}"], q=gate[f"q_value{end}"])
    others = gate[gate["p"].notna() & ~pd.MultiIndex.from_frame(gate[TASK]).isin(asked)]
    rows = []
    for cell_type, judged in others.groupby("cell_type", sort=False):
        passed = judged[judged["passed_gate"].eq(True)]
        best = (passed if len(passed) else judged).sort_values("p", kind="stable").head(MOST_GENES)
        level = level_of(cell_type)
        name = _sentence(LEVEL_NAMES[level]) if level == ACROSS_TYPES else cell_type
        rows.append([name, len(judged), len(passed), best])
    return pd.DataFrame(rows, columns=["name", "n_judged", "n_passed", "genes"])


def _advice(
    summary: pd.DataFrame, gate: pd.DataFrame, steps: pd.DataFrame, others: pd.DataFrame, config: Mapping
) -> list[str]:
    """Sentences on what would help the tasks that are not explained; none where all are."""
    left = summary[summary["outcome"] != EXPLAINED]
    reason = left["reason"].astype(str)
    told = [
        *_of_no_peak(left[reason.str.contains(NO_PEAK, regex=False)], steps, config),
        *_of_no_distal_peak(left[reason.str.startswith("no distal peak")]),
        *_of_few_decoys(gate),
        *_of_few_cells(left[left["outcome"].eq(UNTOLD) & reason.str.endswith("are needed")]),
        *_of_undecided(left[left["outcome"] == UNDECIDED]),
        *_of_failed(left[left["outcome"].isin([FAILED, FORCED])], config["gate"]),
        *_of_levels(left, {level_of(name) for name in summary["cell_type"]}, config["surrogate"]),
    ]
    if len(left) and others["n_passed"].any():
        told.append(
            "The genes listed above as passing can be given as tasks. Chosen from this list, they get a q-value over "
            "fewer tests than were made, which is too small: theirs is the one given here."
        )
    if left["outcome"].isin([UNDECIDED, FAILED]).any() and not config["gate"]["force"]:
        told.append(
            "Last: gate.force: true explains tasks that did not pass as well, to look at what the surrogate has "
            "learned, not as evidence of it."
        )
    return told


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


def _of_no_distal_peak(tasks: pd.DataFrame) -> list[str]:
    if tasks.empty:
        return []
    return [
        f"No distal peak in the window ({_names(tasks)}): gate.peaks: all asks for promoter and gene body as well, "
        "which follow transcription."
    ]


def _of_few_decoys(gate: pd.DataFrame) -> list[str]:
    """Said once, of the data: it holds for all genes of small panels."""
    few = gate["reason"].astype(str).str.contains("windows on other chromosomes", regex=False)
    if not few.any():
        return []
    return [
        f"Across types, {few.sum():,} genes cannot be told: a window is judged beside {LEAST_DECOYS} windows on other "
        "chromosomes at least, and the data have fewer. Small panels of genes cannot be judged across types; input "
        "with more genes can."
    ]


def _of_few_cells(tasks: pd.DataFrame) -> list[str]:
    """On tasks that are expressed, or open, in too few cells to be tested."""
    least = {
        WITHIN_TYPE: f"at least {LEAST_EFFECTIVE_CELLS:g} effective cells",
        ACROSS_TYPES: f"at least {LEAST_EXPRESSING} expressing cells, and {LEAST_EFFECTIVE_CELLS:g} effective ones",
    }
    sentences = []
    for level, of_level in _by_level(tasks):
        shown = [
            f"{task.cell_type}, {task.gene}: expressed in {_of(task.n_expressing, task.n_cells)} cells, "
            f"{task.n_effective_cells:.1f} effective"
            for task in of_level.head(MOST_GENES).itertuples()
        ]
        shown += [f"{len(of_level) - len(shown)} more"] * (len(of_level) > len(shown))
        sentences.append(
            f"Too few cells to tell {LEVEL_NAMES[level]}, where the test needs {least[level]}: more cells, deeper RNA "
            f"and ATAC, or coarser types give more. {'; '.join(shown)}."
        )
    return sentences


def _of_undecided(tasks: pd.DataFrame) -> list[str]:
    if tasks.empty:
        return []
    return [
        f"Undecided ({_names(tasks)}): the window tells something, but no peak stands out to the surrogate, whose "
        "chance of no member is one half or more. More cells, or deeper RNA and ATAC, let it decide; links.tsv.gz has "
        "the single peaks."
    ]


def _of_failed(tasks: pd.DataFrame, gate: Mapping) -> list[str]:
    """On tasks that were tested and did not pass, by level."""
    sentences, end = [], "_distal" if gate["peaks"] == "distal" else ""
    tasks = tasks.assign(p=tasks[f"p_value{end}"], q=tasks[f"q_value{end}"])
    is_above = tasks["q"] > gate["q_value"]
    for level, by_q in _by_level(tasks[is_above]):
        nearest = by_q.loc[by_q["p"].idxmin()]
        sentences.append(
            f"No sign {LEVEL_NAMES[level]} that the window matters ({_names(by_q)}): q-value above gate.q_value, "
            f"{gate['q_value']:g}; the nearest is {nearest.cell_type}, {nearest.gene} with p {nearest.p:.2g}, q "
            f"{nearest.q:.2g}, expressed in {_of(nearest.n_expressing, nearest.n_cells)} cells. More cells, or deeper "
            "RNA and ATAC, make the test stronger; without local control, nothing does."
        )
    of_prediction = tasks[~is_above & tasks["chance_of_no_member"].isna() & tasks["r"].notna()]
    if len(of_prediction):
        sentences.append(
            "The window tells something, but the surrogate predicts no better than the mean, the depth or a permuted "
            f"window ({_names(of_prediction)}): more cells to train on may help."
        )
    other, words = ("", "all") if end else ("_distal", "distal")
    instead = tasks[is_above & (tasks[f"q_value{other}"] <= gate["q_value"])]
    if len(instead):
        sentences.append(
            f"gate.peaks: {words} asks another question, by which {_names(instead)} would pass the test; whoever "
            "chooses it after having seen both answers has tested twice."
        )
    return sentences


def _of_levels(left: pd.DataFrame, asked: set[str], surrogate: Mapping) -> list[str]:
    """On a level of evidence that was not asked for."""
    if left.empty or surrogate["model"] != "window" or asked == set(LEVELS):
        return []
    missing = next(level for level in LEVELS if level not in asked)
    return [
        f"levels: [{', '.join(LEVELS)}] also asks {LEVEL_NAMES[missing]}, which is other evidence: {MEANINGS[missing]}"
    ]


def _names(tasks: pd.DataFrame) -> str:
    names = [f"{cell_type}, {gene}" for cell_type, gene in tasks[TASK].head(MOST_GENES).to_numpy()]
    return "; ".join(names) + (f" and {len(tasks) - MOST_GENES} more" if len(tasks) > MOST_GENES else "")
