"""Put the cell types' tables of specificity together."""

import pandas as pd

from grids import tables
from grids.logging import job

with job(snakemake) as log:
    specificity = pd.concat([tables.read(path) for path in snakemake.input.specificity], ignore_index=True)
    order = ["surrogate", "method", "gene", "direction", "found_in", "applied_to"]
    tables.write(specificity.sort_values(order, kind="stable"), snakemake.output.specificity)
    log.info("%d rows", len(specificity))
