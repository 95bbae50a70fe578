"""Draw what each set does in every cell type."""

from grids import tables
from grids.figures.save import save
from grids.figures.specificity import specificity
from grids.logging import job

with job(snakemake):
    save(specificity(tables.read(snakemake.input.specificity)), *snakemake.output)
