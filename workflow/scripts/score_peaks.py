"""Score the peaks in the windows of the explained genes of one cell type, each closed alone in test cells."""

from grids.analysis.set_changes import score_peaks
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    cell_type = snakemake.params.cell_type
    tasks, atac = tables.read(snakemake.input.tasks), read_multiome(snakemake.input.multiome).atac
    scores = score_peaks(
        storage.load(snakemake.input.surrogate),
        atac.cells(cell_type=cell_type, split="test", most=EXPLAINED_CELLS).X,
        tasks[tasks["cell_type"] == cell_type],
        tables.read(snakemake.input.windows, usecols=["peak", "gene"]),
        snakemake.params.seed,
        snakemake.params.direction,
    )
    tables.write(scores, snakemake.output.scores)
    log.info("%d peaks of %d genes", len(scores), scores["gene"].nunique())
