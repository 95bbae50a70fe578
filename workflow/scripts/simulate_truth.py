"""Simulate one data set of the truth benchmark."""

from grids import preprocessing, tables
from grids.logging import job
from grids.truth.dataset import simulate

with job(snakemake) as log:
    preprocessed, windows, truth = simulate(seed=snakemake.params.seed, **snakemake.params.simulation)
    preprocessing.write(preprocessed, {"multiome": snakemake.output.multiome})
    tables.write(windows, snakemake.output.windows)
    tables.write(truth, snakemake.output.truth)
    log.info("planted the regulation of %d genes", truth["gene"].nunique())
