"""Draw contacts and TADs of set members against peaks at the same distance."""

from grids import tables
from grids.figures.contacts import contacts
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    table = {name: tables.read(path) for name, path in snakemake.input.items()}
    save(contacts(table["contacts"], table["summary"]), *snakemake.output)
