"""Draw the distribution of redundancy over all sets of the run."""

from grids import tables
from grids.atlas import read_gene_classes
from grids.figures.atlas import atlas
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    redundancy = tables.read(snakemake.input.redundancy)
    windows = tables.read(snakemake.input.windows, usecols=["peak", "gene"])
    gene_classes = snakemake.input.gene_classes
    gene_classes = read_gene_classes(gene_classes, windows["gene"]) if gene_classes else None
    save(atlas(redundancy, windows, gene_classes), *snakemake.output)
