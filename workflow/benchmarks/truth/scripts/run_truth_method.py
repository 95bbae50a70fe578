"""Run one method (or one group of quick ones) on one data set of the truth benchmark."""

from benchmarks.truth import dataset
from benchmarks.truth.methods import METHODS
from benchmarks.truth.result import as_table
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    data = dataset.read(**snakemake.input, level=snakemake.params.level)
    results = METHODS[snakemake.params.method](data, snakemake.params.seed)
    tables.write(as_table(results, data.candidates), snakemake.output.result)
    log.info("%d methods on %d genes", len(results), len(data.candidates.genes))
