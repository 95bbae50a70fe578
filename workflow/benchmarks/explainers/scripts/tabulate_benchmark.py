"""Write the benchmark's tables of results: numbers, Markdown and LaTeX."""

from benchmarks.explainers.tables import (
    by_task,
    printed_summaries,
    printed_tasks,
    summarise,
    to_latex,
    to_markdown,
)
from grids.io import tables
from grids.io.logging import job
from grids.io.writing import whole

with job(snakemake) as log:
    effects, comparisons, costs = (
        tables.read(snakemake.input[name]) for name in ("effects", "comparisons", "costs")
    )
    summary, tasks = summarise(effects, comparisons, costs), by_task(effects)
    tables.write(summary, snakemake.output.table)
    tables.write(tasks, snakemake.output.tasks)
    texts = {
        "table_markdown": to_markdown(printed_summaries(summary)),
        "table_latex": to_latex(printed_summaries(summary)),
        "tasks_markdown": to_markdown(printed_tasks(tasks)),
        "tasks_latex": to_latex(printed_tasks(tasks), n_labels=2),
    }
    for name, text in texts.items():
        with whole(snakemake.output[name]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    log.info("%d rows for methods, %d for tasks", len(summary), len(tasks))
