"""Draw both modalities' latent states before and after mapping."""

from grids import tables
from grids.figures.latent_umap import latent_umap
from grids.figures.save import save
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    save(latent_umap(tables.read(snakemake.input.latent), cell_types=cell_types), *snakemake.output)
