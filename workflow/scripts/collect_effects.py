"""Put the cell types' tables together; q-values are over all tasks."""

from grids.analysis.statistics import collect_effects
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    tasks = tables.read(snakemake.input.tasks)
    collected = {}
    for name in snakemake.output.keys():  # noqa: SIM118 (iterating over it gives paths)
        parts = [tables.read(path) for path in snakemake.input[name]]
        table = collect_effects(parts) if name == "effects" else tables.concatenate(parts)
        collected[name] = table if name == "skipped" else tables.mark_gate(table, tasks)
    for name, table in collected.items():
        tables.write(table, snakemake.output[name])
        log.info("%s: %d rows", name, len(table))
