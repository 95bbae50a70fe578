"""Draw expression of every test cell, observed and predicted before and after the perturbation."""

from grids import tables
from grids.figures.before_after import before_after
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    save(before_after(tables.read(snakemake.input.cells), cell_types=cell_types), *snakemake.output)
