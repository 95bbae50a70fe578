"""Score the pairs by everything that is not GRIDS."""

from benchmarks.evidence.gene_cells import AllGenes
from benchmarks.evidence.rivals import score_rivals
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job

with job(snakemake) as log:
    params = snakemake.params
    multiome, cells = read_multiome(snakemake.input.multiome), None
    if multiome.paired and "size_factor" in multiome.rna.obs:
        cells = AllGenes(multiome.cells(most=EXPLAINED_CELLS), params.cells_per_metacell, params.seed)
    else:
        log.warning(
            "cells are not paired, or their counts are not known: only distance and accessibility are compared"
        )
    windows, tasks = (tables.read(snakemake.input[name]) for name in ("windows", "tasks"))
    scores = score_rivals(windows, tasks, cells, params.methods)
    tables.write(scores, snakemake.output.scores)
    log.info("%d scores by %d methods", len(scores), scores["method"].nunique())
