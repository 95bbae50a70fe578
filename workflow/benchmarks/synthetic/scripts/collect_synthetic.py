"""Sum up what every method recovered of the planted sets."""

import pandas as pd

from benchmarks.explainers.methods import in_order
from benchmarks.synthetic.benchmark import summarise
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    replicates = pd.concat(map(tables.read, snakemake.input.replicates), ignore_index=True)
    tables.write(replicates, snakemake.output.replicates)
    tables.write(summarise(replicates, in_order(replicates["method"])), snakemake.output.summary)
    log.info("%d methods", replicates["method"].nunique())
