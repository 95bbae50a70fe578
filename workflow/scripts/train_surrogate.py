"""Train the surrogate on all cell types together."""

from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.checkpoints import KeptStates, kept_parts
from grids.io.devices import THREADS, compute_with
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import train_joint

with job(snakemake), kept_parts(snakemake, KeptStates) as kept:
    compute_with(THREADS)
    surrogate, curves = train_joint(
        read_multiome(snakemake.input.multiome),
        Settings(**snakemake.params.settings, device=snakemake.resources.device),
        snakemake.params.seed,
        kept,
    )
    storage.save(surrogate, snakemake.output.surrogate, cell_type="all", seed=snakemake.params.seed)
    tables.write(curves, snakemake.output.curves)
