"""Score every method on every data set of the truth benchmark, and sum up by level."""

import pandas as pd

from benchmarks.truth.scores import score_genes
from benchmarks.truth.summary import calibration, confusion, summarise
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    levels, results = list(snakemake.params.datasets.values()), list(snakemake.input.results)
    n_methods = len(results) // len(levels)
    scored = []
    for row, (level, truth) in enumerate(zip(levels, snakemake.input.truth, strict=True)):
        parts = [tables.read(path) for path in results[row * n_methods : (row + 1) * n_methods]]
        scored.append(score_genes(pd.concat(parts), tables.read(truth)).assign(**level))
    genes = pd.concat(scored, ignore_index=True)
    summaries = {"summary": summarise, "confusion": confusion, "calibration": calibration}
    tables.write(genes, snakemake.output.genes)
    for name, summary in summaries.items():
        tables.write(summary(genes), snakemake.output[name])
    log.info("%d methods on %d data sets", genes["method"].nunique(), len(scored))
