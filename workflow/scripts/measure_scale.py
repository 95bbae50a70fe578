"""Measure time and memory of the stages at one point of the scale benchmark."""

from grids import tables
from grids.logging import job
from grids.scale.benchmark import measure_point

with job(snakemake):
    name, given = snakemake.wildcards.scale_point, snakemake.params
    measurements = measure_point(name, given.point, dict(snakemake.input), given.repeats, given.seed)
    tables.write(measurements, snakemake.output.measurements)
