"""Measure time and memory of the stages at one point of the scale benchmark."""

from benchmarks.scale.benchmark import measure_point
from grids.io import tables
from grids.io.logging import job

with job(snakemake):
    name, given = snakemake.wildcards.scale_point, snakemake.params
    measurements = measure_point(name, given.point, dict(snakemake.input), given.repeats, given.seed)
    tables.write(measurements, snakemake.output.measurements)
