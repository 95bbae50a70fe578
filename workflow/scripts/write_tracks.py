"""Write the sets and links of one cell type as BED, BEDPE and interact, and its accessibility as bigWig."""

import pandas as pd

from grids.exports import link_tracks, tracks
from grids.io import tables
from grids.io.logging import job

with job(snakemake):
    cell_type, files = snakemake.params.cell_type, snakemake.input
    sets, effects, genes = (tables.read(files[name]) for name in ("sets", "effects", "genes"))
    accessibility = tables.read_accessibility(files.accessibility, snakemake.params.cell_type)
    tracks.write_bed(sets, cell_type, snakemake.output.bed)
    tracks.write_bedpe(sets, genes, effects, cell_type, snakemake.output.bedpe)
    tracks.write_interact(sets, genes, effects, cell_type, snakemake.output.interact)
    links = link_tracks.place_links(tables.read(files.links), accessibility)
    link_tracks.write_bedpe(links, genes, cell_type, snakemake.output.links_bedpe)
    link_tracks.write_interact(links, genes, cell_type, snakemake.output.links_interact)
    # As far as peaks and genes reach: the annotation does not tell where chromosomes end.
    ends = pd.concat([table[["chromosome", "end"]] for table in (genes, accessibility)]).dropna()
    ends = ends.groupby("chromosome")["end"].max()
    tracks.write_bigwig(accessibility, cell_type, ends.astype(int).to_dict(), snakemake.output.bigwig)
