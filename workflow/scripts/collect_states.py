"""Put the cell types' tables of states together; q-values are over all tasks."""

from grids.analysis.statistics import collect_states
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    state_redundancy = collect_states(tables.read(path) for path in snakemake.input.states)
    state_redundancy = tables.mark_gate(state_redundancy, tables.read(snakemake.input.tasks))
    tables.write(state_redundancy, snakemake.output.states)
    log.info("%d rows", len(state_redundancy))
