"""Say, before anything is trained, which tasks the quality gate can test at all."""

from grids.analysis.gate import announce, check_feasibility
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job

with job(snakemake):
    feasibility, testable = check_feasibility(
        read_multiome(snakemake.input.multiome),
        tables.read(snakemake.input.windows, usecols=["peak", "gene"]),
        tables.read(snakemake.input.tasks),
        tables.read(snakemake.input.dropped),
        snakemake.params.cell_types,
    )
    announce(feasibility, testable)
    tables.write(feasibility, snakemake.output.feasibility)
    tables.write(testable, snakemake.output.testable)
