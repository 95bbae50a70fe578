"""Read, check, filter, normalise and split the raw data."""

import os

from grids.data.preprocessing import preprocess, write
from grids.io.devices import THREADS, compute_with
from grids.io.logging import job

with job(snakemake):
    compute_with(THREADS)
    files = {key: path for key, path in snakemake.input.items() if key != "markers"}
    result = preprocess(snakemake.params.config, source=os.environ.get("GRIDS_CONFIG", "config"), **files)
    write(result, dict(snakemake.output.items()))
