"""Draw the surrogate against simple baselines on test cells, per gene and per cell type."""

from grids import tables
from grids.figures.save import save
from grids.figures.surrogate_quality import surrogate_quality
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    quality, tasks = tables.read(snakemake.input.quality), tables.read(snakemake.input.tasks)
    save(surrogate_quality(quality, tasks, cell_types=cell_types), *snakemake.output)
