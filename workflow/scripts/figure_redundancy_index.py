"""Draw the redundancy index of every task's set."""

from grids import tables
from grids.figures.redundancy_index import redundancy_index
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(redundancy_index(tables.read(snakemake.input.redundancy)), *snakemake.output)
