"""Let one method (or several quick ones) find its sets for all tasks of one cell type."""

from benchmarks.explainers.single_cell import Wanted, explain_tasks
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    cell_type = snakemake.params.cell_type
    tasks = tables.read(snakemake.input.tasks, dtype=str)
    multiome = read_multiome(snakemake.input.multiome)
    cells = {"cell_type": cell_type, "split": "train"}
    sets, costs, skipped = explain_tasks(
        storage.load(snakemake.input.surrogate, snakemake.resources.device),
        multiome.cells(**cells, most=EXPLAINED_CELLS),
        tasks[tasks["cell_type"] == cell_type],
        tables.read(snakemake.input.windows, usecols=["peak", "gene"]),
        tables.read(snakemake.input.genes),
        snakemake.params.settings,
        Wanted(**snakemake.params.wanted),
        snakemake.params.seed,
    )
    tables.write(sets, snakemake.output.sets)
    tables.write(costs, snakemake.output.costs)
    tables.write(skipped, snakemake.output.skipped)
    log.info("%d sets found", len(costs))
