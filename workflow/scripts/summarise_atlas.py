"""Summarise redundancy over all sets of the run."""

import pandas as pd

from grids.analysis.atlas import read_gene_classes, summarise_atlas
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    redundancy = tables.read(snakemake.input.redundancy)
    windows = tables.read(snakemake.input.windows, usecols=["peak", "gene"])
    given = snakemake.input.gene_classes
    gene_classes = (
        read_gene_classes(given, windows["gene"]) if given else pd.DataFrame(columns=["gene", "gene_class"])
    )
    atlas = summarise_atlas(redundancy, windows, gene_classes)
    tables.write(atlas, snakemake.output.atlas)
    tables.write(gene_classes, snakemake.output.gene_classes)
    log.info("%d sets in %d groups", len(redundancy), len(atlas))
