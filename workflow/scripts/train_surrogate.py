"""Train the surrogate on all cell types together."""

import shutil

from grids import tables
from grids.cells import read_multiome
from grids.logging import job
from grids.surrogates import storage
from grids.surrogates.settings import Settings
from grids.surrogates.training import train_joint
from grids.threads import THREADS, compute_with

with job(snakemake):
    compute_with(THREADS)
    surrogate, curves = train_joint(
        read_multiome(snakemake.input.multiome),
        Settings(**snakemake.params.settings, device=snakemake.resources.device),
        snakemake.params.seed,
        snakemake.params.checkpoints,
    )
    storage.save(surrogate, snakemake.output.surrogate, cell_type="all", seed=snakemake.params.seed)
    tables.write(curves, snakemake.output.curves)
    shutil.rmtree(snakemake.params.checkpoints, ignore_errors=True)
