"""Put the cell types' tables of redundancy together; q-values are over the pairs of all sets."""

import pandas as pd

from grids import tables
from grids.collecting import collect_interactions
from grids.logging import job

with job(snakemake) as log:
    for name, paths in snakemake.input.items():
        parts = [tables.read(path) for path in paths]
        table = collect_interactions(parts) if name == "interactions" else pd.concat(parts, ignore_index=True)
        tables.write(table, snakemake.output[name])
        log.info("%s: %d rows", name, len(table))
