"""Score every method on every data set of the truth benchmark, and sum up by level."""

import pandas as pd

from benchmarks.truth.page import page
from benchmarks.truth.scores import score_genes
from benchmarks.truth.stated import count_credible, count_inclusion, credible, inclusion
from benchmarks.truth.summary import calibration, confusion, power, summarise
from grids.io import tables
from grids.io.logging import job
from grids.io.writing import whole

COUNTED = {"genes": score_genes, "inclusion": count_inclusion, "credible": count_credible}
SUMMARIES = {"summary": summarise, "confusion": confusion, "calibration": calibration, "power": power}

with job(snakemake) as log:
    levels, results = list(snakemake.params.datasets.values()), list(snakemake.input.results)
    n_methods = len(results) // len(levels)
    parts = {name: [] for name in COUNTED}
    for row, (level, path) in enumerate(zip(levels, snakemake.input.truth, strict=True)):
        said = pd.concat([tables.read(path) for path in results[row * n_methods : (row + 1) * n_methods]])
        truth = tables.read(path)
        for name, count in COUNTED.items():
            parts[name].append(count(said, truth).assign(**level))
    of_all = {name: pd.concat(tables_, ignore_index=True) for name, tables_ in parts.items()}
    genes = of_all["genes"]
    tables.write(genes, snakemake.output.genes)
    summed = {name: summary(genes) for name, summary in SUMMARIES.items()}
    summed |= {"inclusion": inclusion(of_all["inclusion"]), "credible": credible(of_all["credible"])}
    for name, table in summed.items():
        tables.write(table, snakemake.output[name])
    with whole(snakemake.output.page) as temporary:
        temporary.write_text(page(summed))
    log.info("%d methods on %d data sets", genes["method"].nunique(), len(levels))
