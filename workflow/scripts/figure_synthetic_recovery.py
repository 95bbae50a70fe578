"""Draw recovery of the planted sets of the synthetic functions."""

from grids import tables
from grids.figures.save import save
from grids.figures.synthetic_recovery import synthetic_recovery
from grids.logging import job

with job(snakemake):
    save(synthetic_recovery(tables.read(snakemake.input.summary)), *snakemake.output)
