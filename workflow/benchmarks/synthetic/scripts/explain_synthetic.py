"""Let one method (or several quick ones) look for the planted sets of all synthetic functions."""

import pandas as pd

from benchmarks.synthetic.benchmark import run_method
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    benchmark, seed = snakemake.params.benchmark, snakemake.params.seed
    results = []
    for method, settings in snakemake.params.settings.items():
        results.append(run_method(method, benchmark, settings, seed))
        log.info("%s: mean F1 %.3f", method, results[-1]["f1"].mean())
    tables.write(pd.concat(results), snakemake.output.replicates)
