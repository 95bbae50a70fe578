"""Draw the change of log odds per method."""

from grids import tables
from grids.figures.mnist_changes import mnist_changes
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cells, comparisons = (tables.read(path) for path in snakemake.input)
    save(mnist_changes(cells, comparisons), *snakemake.output)
