"""Put the cell types' tables of specificity together."""

from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    specificity = tables.concatenate(tables.read(path) for path in snakemake.input.specificity)
    order = ["surrogate", "method", "gene", "direction", "found_in", "applied_to"]
    specificity = specificity.sort_values(order, kind="stable")
    specificity = tables.mark_gate(specificity, tables.read(snakemake.input.tasks), "found_in")
    gate = tables.read(snakemake.input.gate)
    specificity = tables.mark_gate(specificity, gate, "applied_to", "passed_gate_where_applied")
    tables.write(specificity, snakemake.output.specificity)
    log.info("%d rows", len(specificity))
