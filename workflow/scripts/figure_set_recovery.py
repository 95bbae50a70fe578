"""Draw which planted peaks the sets hold."""

from grids import tables
from grids.figures.save import save
from grids.figures.set_recovery import set_recovery
from grids.logging import job

with job(snakemake):
    truth, sets = (tables.read(path) for path in snakemake.input)
    save(set_recovery(truth, sets), *snakemake.output)
