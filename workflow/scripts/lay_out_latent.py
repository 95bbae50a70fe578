"""Lay out the latent states of test cells in two dimensions."""

from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.cross_modality.latent import latent_umap

with job(snakemake):
    multiome = read_multiome(snakemake.input.multiome)
    surrogate = storage.load(snakemake.input.surrogate)
    tables.write(latent_umap(surrogate, multiome, snakemake.params.seed), snakemake.output.latent)
