"""Draw how regularisation and metacells were chosen on validation cells."""

from grids import tables
from grids.figures.regularisation_path import regularisation_path
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(regularisation_path(tables.read(snakemake.input.path)), *snakemake.output)
