"""Measure the surrogate and its baselines on test cells."""

import pandas as pd

from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.quality import evaluate

with job(snakemake):
    multiome, seed = read_multiome(snakemake.input.multiome), snakemake.params.seed
    joint = storage.load(snakemake.input.joint)
    surrogates = {
        cell_type: storage.load(path)
        for cell_type, path in zip(snakemake.params.cell_types, snakemake.input.surrogates, strict=True)
    }
    quality, summary = evaluate(surrogates, multiome, seed, joint)
    tables.write(quality, snakemake.output.quality)
    tables.write(summary, snakemake.output.summary)
    curves = [tables.read(path) for path in [snakemake.input.joint_curves, *snakemake.input.curves]]
    tables.write(pd.concat(curves, ignore_index=True), snakemake.output.curves)
