"""Apply the sets of all cell types to the test cells of one."""

from grids.analysis.specificity import measure_specificity
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    cell_type = snakemake.params.cell_type
    specificity = measure_specificity(
        storage.load(snakemake.input.surrogate),
        read_multiome(snakemake.input.multiome).atac.cells(
            cell_type=cell_type, split="test", most=EXPLAINED_CELLS
        ),
        cell_type,
        tables.read(snakemake.input.sets),
        seed=snakemake.params.seed,
        **snakemake.params.bootstrap,
    )
    tables.write(specificity, snakemake.output.specificity)
    log.info("%d sets applied", len(specificity))
