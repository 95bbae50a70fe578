"""Run one method (or one group of quick ones) on one data set of the truth benchmark."""

from grids import tables
from grids.logging import job
from grids.truth import dataset
from grids.truth.methods import METHODS
from grids.truth.result import as_table

with job(snakemake) as log:
    data = dataset.read(**snakemake.input, level=snakemake.params.level)
    results = METHODS[snakemake.params.method](data, snakemake.params.seed)
    tables.write(as_table(results, data.candidates), snakemake.output.result)
    log.info("%d methods on %d genes", len(results), len(data.candidates.genes))
