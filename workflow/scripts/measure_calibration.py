"""Count small p-values of links and windows where there is nothing to find: RNA shuffled, windows swapped."""

from functools import partial

from grids.analysis.links.calibration import (
    COUNT_COLUMNS,
    calibration_table,
    counts_of_files,
    populations,
)
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.io.parallel import in_processes

with job(snakemake) as log:
    params, multiome = snakemake.params, read_multiome(snakemake.input.multiome)
    names = populations(multiome.atac.obs["cell_type"]) if multiome.paired else []
    count = partial(counts_of_files, files=dict(snakemake.input), repeats=params.repeats, seed=params.seed)
    parts = in_processes(count, names, min(snakemake.threads, len(names)), f"{len(names)} groups of cells")
    counts = tables.stack(parts, COUNT_COLUMNS)
    tables.write(calibration_table(counts), snakemake.output.calibration)
    tables.write(counts, snakemake.output.counts)
    log.info("links of %s are calibrated", ", ".join(names) or "no cells, which are unpaired,")
