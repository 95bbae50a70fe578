"""Draw what quality control kept, what it dropped, and why."""

from grids import tables
from grids.figures.quality_control import quality_control
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    steps, metrics = (tables.read(path) for path in snakemake.input)
    save(quality_control(steps, metrics, thresholds=snakemake.params.thresholds), *snakemake.output)
