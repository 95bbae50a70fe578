"""Draw every task's effect against random sets matched in accessibility and distance."""

from grids import tables
from grids.figures.effect_against_null import effect_against_null
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    effects, null = tables.read(snakemake.input.effects), tables.read(snakemake.input.null)
    save(effect_against_null(effects, null, cell_types=cell_types), *snakemake.output)
