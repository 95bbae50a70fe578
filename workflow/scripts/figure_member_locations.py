"""Draw where the members of sets lie, against chance."""

from grids import tables
from grids.figures.member_locations import member_locations
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    sets, genes, windows, accessibility = (tables.read(path) for path in snakemake.input)
    save(member_locations(sets, genes, windows, accessibility), *snakemake.output)
