"""List every peak within a gene's window."""

from grids.data.intervals import link_windows
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    peaks = tables.read(snakemake.input.accessibility, usecols=["chromosome", "start", "end"])
    windows = link_windows(peaks, tables.read(snakemake.input.genes), **snakemake.params.windows)
    tables.write(windows, snakemake.output.windows)
    log.info("%d pairs of %d genes", len(windows), windows["gene"].nunique())
