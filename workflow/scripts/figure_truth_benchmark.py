"""Draw recovery and the calls of the logic in the truth benchmark."""

from grids import tables
from grids.figures.save import save
from grids.figures.truth_benchmark import truth_benchmark
from grids.logging import job

with job(snakemake):
    summary, confusion = (tables.read(path) for path in snakemake.input)
    save(truth_benchmark(summary, confusion), *snakemake.output)
