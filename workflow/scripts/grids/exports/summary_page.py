"""The first page of the report: what came of the run's tasks, as HTML that a page can hold."""

from collections.abc import Mapping

import jinja2
import pandas as pd

from grids.analysis.gate import UNPAIRED
from grids.analysis.summary import (
    EXPLAINED,
    FORCED,
    NO_SET,
    OUTCOMES,
    UNTESTABLE,
    advice,
    in_one_line,
    other_genes,
    summarise_tasks,
)

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
{% if any_effect %}<th class="text">class</th><th>joint effect<br>[interval]</th><th>members</th>{% endif %}
<th>q<br>(≤ {{ threshold }})</th><th>p</th><th>skill<br>(&gt; 0)</th><th>r</th><th>r,<br>depth</th>
<th>r,<br>permuted</th><th>seen in<br>test cells</th>
</tr></thead>
<tbody>
{% for task in tasks %}
<tr><td class="text">{{ task.cell_type }}</td><td class="text">{{ task.gene }}</td><td class="text">{{ task.told }}</td>
{% if any_effect %}<td class="text">{{ task.class_ }}</td><td>{{ task.effect }}</td>
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
together.{% endif %}</p>
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
{% for gene in type.genes %}{{ gene.gene }} (q {{ gene.q }}){{ ", " if not loop.last }}{% endfor %}</li>
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
    """The table of :func:`grids.analysis.summary.summarise_tasks`, and the page that shows it.

    Parameters
    ----------
    feasibility, testable, gate, skipped, redundancy, sets : DataFrame
        Tables of the run by these names; `testable` is ``testable_genes.tsv``.
    steps : DataFrame
        ``quality_control/cells.tsv``.
    config : mapping
        Uses `gate`, `preprocessing`, `quality_control` and `windows`.

    Returns
    -------
    summary : DataFrame
    page : str
        A fragment of HTML; names are escaped.
    """
    summary = summarise_tasks(feasibility, gate, skipped, redundancy, sets)
    others = other_genes(gate, feasibility)
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
        others=[_others(row) for row in others.to_dict("records")],
        advice=advice(summary, feasibility, steps, others, config),
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
    has_effect = pd.notna(task["joint_log_effect"])
    interval = f" [{_number(task['joint_log_effect_low'])}, {_number(task['joint_log_effect_high'])}]"
    return {
        **task,
        "told": told,
        "numbers": numbers,
        "class_": task["class"] if pd.notna(task["class"]) else "",
        "effect": _number(task["joint_log_effect"]) + interval if has_effect else "",
    }


def _type(row: dict, gate: pd.DataFrame) -> dict:
    of_type = gate[gate["cell_type"] == row["cell_type"]]
    judged = of_type["p_value"].notna().sum(), of_type["passed_gate"].eq(True).sum()
    numbers = [f"{n:,}" for n in (*(n for name, n in row.items() if name != "cell_type"), *judged)]
    if of_type["reason"].eq(UNPAIRED).any():
        numbers[-4:] = ["–"] * 4
    return {"cell_type": row["cell_type"], "numbers": numbers}


def _others(row: dict) -> dict:
    genes = [{"gene": gene.gene, "q": _number(gene.q_value)} for gene in row["genes"].itertuples()]
    return {**row, "genes": genes}


def _number(value: float) -> str:
    """Two digits; empty where it is missing."""
    if pd.isna(value):
        return ""
    text = f"{value:.2g}" if abs(value) >= 0.001 or value == 0 else f"{value:.0e}"
    return text.replace("e-0", "e-").replace("-", "−")
