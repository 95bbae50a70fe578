"""Draw what quality control kept, what it dropped, and why."""

from grids import tables
from grids.figures.quality_control import quality_control
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    figure = quality_control(
        tables.read(snakemake.input.cells),
        tables.read(snakemake.input.metrics),
        thresholds=snakemake.params.thresholds,
    )
    save(figure, *snakemake.output)
