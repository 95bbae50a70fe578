"""Draw each member's effect alone and in context."""

from grids import tables
from grids.figures.member_effects import member_effects
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(member_effects(tables.read(snakemake.input.members)), *snakemake.output)
