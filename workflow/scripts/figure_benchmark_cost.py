"""Draw each method's effect against what finding its sets costs."""

from grids import tables
from grids.figures.benchmark_cost import benchmark_cost
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    figure = benchmark_cost(tables.read(snakemake.input.effects), tables.read(snakemake.input.costs))
    save(figure, *snakemake.output)
