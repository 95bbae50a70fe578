"""Measure the sets that all methods found for one cell type, on its test cells."""

import pandas as pd

from benchmarks.explainers.single_cell import matched_random_sets
from grids.analysis.effects import measure_effects
from grids.analysis.null_sets import Surroundings
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake):
    cell_type, seed = snakemake.params.cell_type, snakemake.params.seed
    multiome = read_multiome(snakemake.input.multiome)
    surrogate = storage.load(snakemake.input.surrogate, snakemake.resources.device)
    accessibility = tables.read_accessibility(snakemake.input.accessibility, cell_type)[cell_type].to_numpy()
    genes, windows = tables.read(snakemake.input.genes), snakemake.params.windows
    surroundings = Surroundings(genes, multiome.atac.var, accessibility, **windows)
    sets = pd.concat(map(tables.read, snakemake.input.sets), ignore_index=True)
    sets = pd.concat([sets, matched_random_sets(surrogate, sets, surroundings, seed)])
    cells = {"cell_type": cell_type, "split": "test"}
    result = measure_effects(
        surrogate,
        multiome.cells(**cells, most=EXPLAINED_CELLS),
        sets,
        surroundings,
        seed=seed,
        searches=pd.concat(map(tables.read, snakemake.input.costs), ignore_index=True),
        sizes=(),
        n_null_sets=snakemake.params.n_null_sets,
    )
    for name, path in snakemake.output.items():
        tables.write(getattr(result, name), path)
