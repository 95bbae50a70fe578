"""Draw the time of every stage against each size."""

from grids import tables
from grids.figures.save import save
from grids.figures.scale_cost import scale_cost
from grids.logging import job

with job(snakemake):
    save(scale_cost(*map(tables.read, snakemake.input)), *snakemake.output)
