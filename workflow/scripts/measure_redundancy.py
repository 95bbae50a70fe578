"""Analyse the redundancy of the sets of one cell type on its test cells."""

from grids import tables
from grids.cells import EXPLAINED_CELLS, read_multiome
from grids.logging import job
from grids.redundancy.analysis import analyse_sets
from grids.surrogates import storage

with job(snakemake):
    multiome = read_multiome(snakemake.input.multiome)
    test = {"cell_type": snakemake.params.cell_type, "split": "test"}
    result = analyse_sets(
        storage.load(snakemake.input.surrogate),
        multiome.cells(**test, most=EXPLAINED_CELLS),
        multiome.atac.cells(cell_type=snakemake.params.cell_type, split="train", most=EXPLAINED_CELLS).X,
        tables.read(snakemake.input.sets),
        tables.read(snakemake.input.windows, usecols=["peak", "gene"]),
        seed=snakemake.params.seed,
        **snakemake.params.redundancy,
    )
    for name, path in snakemake.output.items():
        tables.write(getattr(result, name), path)
