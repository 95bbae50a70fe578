"""Draw what each method's sets do in their own cell type and in the others."""

from grids import tables
from grids.figures.benchmark_specificity import benchmark_specificity
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(benchmark_specificity(tables.read(snakemake.input.specificity)), *snakemake.output)
