"""Draw where each method's members lie relative to the gene."""

from grids import tables
from grids.figures.benchmark_locations import benchmark_locations
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(benchmark_locations(tables.read(snakemake.input.locations)), *snakemake.output)
