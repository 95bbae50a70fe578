"""Measure the window surrogates and their baselines on test cells."""

import pandas as pd

from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.quality import evaluate

with job(snakemake):
    surrogates = {
        cell_type: storage.load(path)
        for cell_type, path in zip(snakemake.params.cell_types, snakemake.input.surrogates, strict=True)
    }
    quality, summary = evaluate(surrogates, read_multiome(snakemake.input.multiome), snakemake.params.seed)
    tables.write(quality, snakemake.output.quality)
    tables.write(summary, snakemake.output.summary)
    regularisation = [tables.read(path) for path in snakemake.input.regularisation]
    tables.write(pd.concat(regularisation, ignore_index=True), snakemake.output.regularisation)
