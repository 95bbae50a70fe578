"""Generate one data set of the scale benchmark, raw and as preprocessing would leave it."""

from grids.logging import job
from grids.scale.generator import Sizes
from grids.scale.storage import write_cells

with job(snakemake):
    write_cells(Sizes(**snakemake.params.sizes), snakemake.params.seed, **snakemake.output)
