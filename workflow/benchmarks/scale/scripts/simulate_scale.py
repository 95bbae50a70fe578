"""Generate one data set of the scale benchmark, raw and as preprocessing would leave it."""

from benchmarks.scale.generator import Sizes
from benchmarks.scale.storage import write_cells
from grids.io.logging import job

with job(snakemake):
    write_cells(Sizes(**snakemake.params.sizes), snakemake.params.seed, **snakemake.output)
