"""Write the sets of one cell type as BED, BEDPE and interact, and its accessibility as bigWig."""

import pandas as pd

from grids import tables, tracks
from grids.logging import job

with job(snakemake):
    cell_type = snakemake.params.cell_type
    sets, effects, genes, accessibility = (tables.read(path) for path in snakemake.input)
    tracks.write_bed(sets, cell_type, snakemake.output.bed)
    tracks.write_bedpe(sets, genes, effects, cell_type, snakemake.output.bedpe)
    tracks.write_interact(sets, genes, effects, cell_type, snakemake.output.interact)
    # As far as peaks and genes reach: the annotation does not tell where chromosomes end.
    ends = pd.concat([genes, accessibility]).dropna(subset="end").groupby("chromosome")["end"].max()
    tracks.write_bigwig(accessibility, cell_type, ends.astype(int).to_dict(), snakemake.output.bigwig)
