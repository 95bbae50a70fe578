"""Draw the change along each nested set against single knock-outs."""

from grids import tables
from grids.figures.knock_down import knock_down
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    save(knock_down(tables.read(snakemake.input.knock_down), cell_types=cell_types), *snakemake.output)
