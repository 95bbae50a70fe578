"""Draw what each method reaches on each task, against GRIDS."""

from grids import tables
from grids.figures.benchmark_tasks import benchmark_tasks
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(benchmark_tasks(tables.read(snakemake.input.effects)), *snakemake.output)
