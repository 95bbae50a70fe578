"""Draw how far each method's sets move test cells, with paired tests against GRIDS."""

from grids import tables
from grids.figures.benchmark_changes import benchmark_changes
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    figure = benchmark_changes(tables.read(snakemake.input.cells), tables.read(snakemake.input.comparisons))
    save(figure, *snakemake.output)
