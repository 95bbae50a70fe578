"""Draw how each method's effect grows with the size of the set."""

from grids import tables
from grids.figures.benchmark_set_size import benchmark_set_size
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(benchmark_set_size(tables.read(snakemake.input.effects)), *snakemake.output)
