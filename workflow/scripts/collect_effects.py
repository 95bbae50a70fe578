"""Put the cell types' tables together; q-values are over all tasks."""

import pandas as pd

from grids import tables
from grids.collecting import collect_effects
from grids.logging import job

with job(snakemake) as log:
    collected = {}
    for name, paths in snakemake.input.items():
        parts = [tables.read(path) for path in paths]
        collected[name] = collect_effects(parts) if name == "effects" else pd.concat(parts, ignore_index=True)
    for name, table in collected.items():
        tables.write(table, snakemake.output[name])
        log.info("%s: %d rows", name, len(table))
