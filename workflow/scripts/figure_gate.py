"""Draw how many genes pass the quality gate."""

from grids import tables
from grids.figures.gate import gate
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    genes, tasks = tables.read(snakemake.input.gate), tables.read(snakemake.input.tasks)
    save(gate(genes, tasks, snakemake.params.threshold, cell_types), *snakemake.output)
