"""Train the surrogate of one data set of the scale benchmark, and measure what that costs."""

from grids import tables
from grids.logging import job
from grids.scale.benchmark import measure_point
from grids.scale.points import training_stage_of

with job(snakemake):
    name, point = snakemake.params.point
    files = {**snakemake.input, "surrogate": snakemake.output.surrogate}
    measurements = measure_point(name, point, files, 1, snakemake.params.seed, [training_stage_of(point)])
    tables.write(measurements, snakemake.output.measurements)
