"""Say of all genes whether their windows tell something, and which tasks are worth a model."""

from grids.analysis.gate import judge_windows
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    tests = tables.concatenate(tables.read(path) for path in snakemake.input.tests)
    tasks, gate = tables.read(snakemake.input.tasks), snakemake.params.gate
    windows, promising = judge_windows(tests, tasks, gate["peaks"], gate["q_value"])
    tables.write(windows, snakemake.output.windows)
    tables.write(tasks if gate["force"] else promising, snakemake.output.tasks)
    log.info("the windows of %d of %d tasks tell something", len(promising), len(tasks))
