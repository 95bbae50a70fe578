"""Draw which planted peaks the sets hold."""

from grids import tables
from grids.figures.save import save
from grids.figures.set_recovery import set_recovery
from grids.logging import job

with job(snakemake):
    figure = set_recovery(
        tables.read(snakemake.input.truth),
        tables.read(snakemake.input.sets),
    )
    save(figure, *snakemake.output)
