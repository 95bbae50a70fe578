"""Compare GRIDS' sets with every other method's, on the same test cells."""

from benchmarks.explainers.comparisons import compare
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    comparisons = compare(tables.read(snakemake.input.cells), seed=snakemake.params.seed)
    tables.write(comparisons, snakemake.output.comparisons)
    log.info("%d comparisons with %d methods", len(comparisons), comparisons["method"].nunique())
