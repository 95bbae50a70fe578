"""Sum up what every stage costs, against plain dense steps, and how it grows with each size."""

import pandas as pd

from benchmarks.scale.summary import costs, exponents, memory_of_many_cells, ratios
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    paths = [*snakemake.input.points, *snakemake.input.training]
    measurements = pd.concat(map(tables.read, paths), ignore_index=True)
    of_stages = costs(measurements)
    tables.write(measurements, snakemake.output.measurements)
    tables.write(of_stages, snakemake.output.costs)
    tables.write(ratios(of_stages), snakemake.output.ratios)
    tables.write(exponents(of_stages), snakemake.output.exponents)
    tables.write(memory_of_many_cells(of_stages), snakemake.output.memory)
    log.info("%d stages at %d points", of_stages["stage"].nunique(), of_stages["point"].nunique())
