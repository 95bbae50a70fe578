"""Draw sample digits with the pixels that each method closes."""

from grids import tables
from grids.figures.mnist_digits import mnist_digits
from grids.figures.save import save
from grids.logging import job
from grids.mnist import digits

with job(snakemake):
    sets, cells = tables.read(snakemake.input.sets), tables.read(snakemake.input.cells)
    save(mnist_digits(digits.read(snakemake.input.digits), sets, cells), *snakemake.output)
