"""Put the cell types' tables of the benchmark of explainers together."""

import pandas as pd

from grids import tables
from grids.collecting import collect_effects
from grids.logging import job

with job(snakemake) as log:
    for name, path in snakemake.output.items():
        parts = [tables.read(part) for part in snakemake.input[name]]
        gathered = (
            collect_effects(parts, nested=False) if name == "effects" else pd.concat(parts, ignore_index=True)
        )
        tables.write(gathered.drop_duplicates() if name == "skipped" else gathered, path)
        log.info("%s: %d rows", name, len(gathered))
