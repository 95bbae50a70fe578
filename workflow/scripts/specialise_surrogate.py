"""Specialise the joint surrogate to one cell type."""

from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.checkpoints import KeptStates, kept_parts
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import specialise

with job(snakemake), kept_parts(snakemake, KeptStates) as kept:
    cell_type, seed = snakemake.params.cell_type, snakemake.params.seed
    surrogate, curves = specialise(
        storage.load(snakemake.input.surrogate),
        read_multiome(snakemake.input.multiome),
        cell_type,
        Settings(**snakemake.params.settings, device=snakemake.resources.device),
        seed,
        kept,
    )
    storage.save(surrogate, snakemake.output.surrogate, cell_type=cell_type, seed=seed)
    tables.write(curves, snakemake.output.curves)
