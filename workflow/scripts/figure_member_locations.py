"""Draw where the members of sets lie, against chance."""

from grids import tables
from grids.figures.member_locations import member_locations
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    files = snakemake.input
    sets, genes, windows = (tables.read(files[name]) for name in ("sets", "genes", "windows"))
    peaks = tables.read_accessibility(files.accessibility)
    save(member_locations(sets, genes, windows, peaks), *snakemake.output)
