"""Draw how every stage's losses fell, on training and on validation cells."""

from grids import tables
from grids.figures.save import save
from grids.figures.training_curves import training_curves
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    save(training_curves(tables.read(snakemake.input.curves), cell_types=cell_types), *snakemake.output)
