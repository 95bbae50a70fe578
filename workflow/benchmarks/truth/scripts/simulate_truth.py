"""Simulate one data set of the truth benchmark."""

from benchmarks.truth.dataset import simulate
from grids.data import preprocessing
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    preprocessed, windows, truth = simulate(
        snakemake.params.level, snakemake.params.seed, **snakemake.params.simulation
    )
    preprocessing.write(preprocessed, {"multiome": snakemake.output.multiome})
    tables.write(windows, snakemake.output.windows)
    tables.write(truth, snakemake.output.truth)
    log.info("planted the regulation of %d genes", truth["gene"].nunique())
