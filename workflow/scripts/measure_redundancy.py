"""Analyse the redundancy of the sets of one cell type on its test cells."""

from grids import tables
from grids.cells import Multiome, read_multiome
from grids.logging import job
from grids.redundancy.analysis import analyse_sets
from grids.surrogates import storage

with job(snakemake):
    multiome = read_multiome(snakemake.input.multiome)
    test = {"cell_type": snakemake.params.cell_type, "split": "test"}
    result = analyse_sets(
        storage.load(snakemake.input.surrogate),
        Multiome(multiome.rna.cells(**test), multiome.atac.cells(**test), multiome.paired),
        multiome.atac.cells(cell_type=snakemake.params.cell_type, split="train").X,
        tables.read(snakemake.input.sets),
        tables.read(snakemake.input.windows, usecols=["peak", "gene"]),
        seed=snakemake.params.seed,
        **snakemake.params.redundancy,
    )
    for name, path in snakemake.output.items():
        tables.write(getattr(result, name), path)
