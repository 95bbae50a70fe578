"""Put the cell types' tables of redundancy together; q-values are over the pairs of all sets."""

from grids.analysis.statistics import collect_interactions
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    tasks = tables.read(snakemake.input.tasks)
    for name, path in snakemake.output.items():
        parts = [tables.read(part) for part in snakemake.input[name]]
        table = collect_interactions(parts) if name == "interactions" else tables.concatenate(parts)
        tables.write(tables.mark_gate(table, tasks), path)
        log.info("%s: %d rows", name, len(table))
