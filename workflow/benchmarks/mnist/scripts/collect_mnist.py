"""Gather what all methods did to the test digits, and compare GRIDS with each of them."""

import pandas as pd

from benchmarks.explainers.comparisons import compare
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    gathered = {
        name: pd.concat(map(tables.read, snakemake.input[name]), ignore_index=True)
        for name in ("effects", "cells", "sets")
    }
    gathered["effects"] = gathered["effects"].sort_values("log_change", kind="stable")
    for name, table in gathered.items():
        tables.write(table, snakemake.output[name])
    comparisons = compare(gathered["cells"], measures=("log_change",), seed=snakemake.params.seed)
    tables.write(comparisons, snakemake.output.comparisons)
    log.info("%d methods", len(gathered["effects"]))
