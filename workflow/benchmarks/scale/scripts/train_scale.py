"""Train the surrogate of one data set of the scale benchmark, and measure what that costs."""

from benchmarks.scale.benchmark import measure_point
from benchmarks.scale.points import training_stage_of
from grids.io import tables
from grids.io.logging import job

with job(snakemake):
    name, point = snakemake.params.point
    files = {**snakemake.input, "surrogate": snakemake.output.surrogate}
    measurements = measure_point(name, point, files, 1, snakemake.params.seed, [training_stage_of(point)])
    tables.write(measurements, snakemake.output.measurements)
