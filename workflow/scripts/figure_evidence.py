"""Draw how predictors of enhancer-gene pairs agree with outside evidence."""

from grids import tables
from grids.figures.evidence import evidence
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    save(evidence(tables.read(snakemake.input.evidence)), *snakemake.output)
