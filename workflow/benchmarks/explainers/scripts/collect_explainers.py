"""Put the cell types' tables of the benchmark of explainers together."""

from grids.analysis.statistics import collect_effects
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    tasks = tables.read(snakemake.input.tasks)
    for name, path in snakemake.output.items():
        parts = [tables.read(part) for part in snakemake.input[name]]
        table = collect_effects(parts, nested=False) if name == "effects" else tables.concatenate(parts)
        table = table.drop_duplicates() if name == "skipped" else tables.mark_gate(table, tasks)
        tables.write(table, path)
        log.info("%s: %d rows", name, len(table))
