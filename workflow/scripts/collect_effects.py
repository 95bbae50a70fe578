"""Put the cell types' tables together; q-values are over all tasks."""

import pandas as pd

from grids import tables
from grids.effects import collect
from grids.logging import job

with job(snakemake) as log:
    for name, paths in snakemake.input.items():
        parts = [tables.read(path) for path in paths]
        table = collect(parts) if name == "effects" else pd.concat(parts, ignore_index=True)
        tables.write(table, snakemake.output[name])
        log.info("%s: %d rows", name, len(table))
