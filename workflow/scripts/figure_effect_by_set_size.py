"""Draw the effect against the number of perturbed peaks."""

from grids import tables
from grids.figures.effect_by_set_size import effect_by_set_size
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    save(effect_by_set_size(tables.read(snakemake.input.effects), cell_types=cell_types), *snakemake.output)
