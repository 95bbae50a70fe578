"""Summarise redundancy over all sets of the run."""

from grids import tables
from grids.atlas import read_gene_classes, summarise_atlas
from grids.logging import job

with job(snakemake) as log:
    redundancy = tables.read(snakemake.input.redundancy)
    windows = tables.read(snakemake.input.windows, usecols=["peak", "gene"])
    gene_classes = snakemake.input.gene_classes
    gene_classes = read_gene_classes(gene_classes, windows["gene"]) if gene_classes else None
    atlas = summarise_atlas(redundancy, windows, gene_classes)
    tables.write(atlas, snakemake.output.atlas)
    log.info("%d sets in %d groups", len(redundancy), len(atlas))
