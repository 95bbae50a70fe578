"""Measure the sets of one cell type in the test cells of each level of each state."""

from grids.analysis.states import measure_states
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    cell_type = snakemake.params.cell_type
    multiome = read_multiome(snakemake.input.multiome)
    cells = {"cell_type": cell_type, "split": "test"}
    sets = tables.read(snakemake.input.sets)
    states = measure_states(
        storage.load(snakemake.input.surrogate),
        multiome.cells(**cells, most=EXPLAINED_CELLS),
        cell_type,
        sets[sets["cell_type"] == cell_type],
        snakemake.params.states,
        seed=snakemake.params.seed,
        **snakemake.params.bootstrap,
    )
    tables.write(states, snakemake.output.states)
    log.info("%d rows of %d genes", len(states), states["gene"].nunique())
