"""Draw how the members of each set interact in pairs."""

from grids import tables
from grids.figures.interactions import interactions
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    pairs, members = (tables.read(path) for path in snakemake.input)
    save(interactions(pairs, members), *snakemake.output)
