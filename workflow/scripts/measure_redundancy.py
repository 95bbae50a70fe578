"""Analyse the redundancy of the sets of one cell type on its test cells."""

from grids.analysis.redundancy.analysis import analyse_sets
from grids.analysis.redundancy.searches import RedundancySettings
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.io.parallel import over_genes
from grids.search.sets import Question
from grids.surrogates import storage

with job(snakemake):
    cell_type = snakemake.params.cell_type
    surrogate = storage.load(snakemake.input.surrogate, snakemake.resources.device)
    multiome = read_multiome(snakemake.input.multiome)
    test = multiome.cells(cell_type=cell_type, split="test", most=EXPLAINED_CELLS)
    training = multiome.atac.cells(cell_type=cell_type, split="train", most=EXPLAINED_CELLS)
    windows = tables.read(snakemake.input.windows, usecols=["peak", "gene"])
    search, seed = Question(**snakemake.params.search), snakemake.params.seed
    settings = RedundancySettings(search, **snakemake.params.redundancy)
    result = over_genes(
        lambda sets: analyse_sets(surrogate, test, training.X, sets, windows, settings, seed=seed),
        tables.read(snakemake.input.sets),
        snakemake.threads,
    )
    for name, path in snakemake.output.items():
        tables.write(getattr(result, name), path)
