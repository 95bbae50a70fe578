"""Draw where the members of sets lie, against chance."""

from grids import tables
from grids.figures.member_locations import member_locations
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    figure = member_locations(
        tables.read(snakemake.input.sets),
        tables.read(snakemake.input.genes),
        tables.read(snakemake.input.windows),
        tables.read(snakemake.input.accessibility),
    )
    save(figure, *snakemake.output)
