"""Measure the sets of one cell type on its test cells, against matched random sets."""

from grids.analysis.effects import measure_effects
from grids.analysis.null_sets import Surroundings
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.io.parallel import over_genes
from grids.surrogates import storage

with job(snakemake):
    cell_type = snakemake.params.cell_type
    surrogate = storage.load(snakemake.input.surrogate, snakemake.resources.device)
    multiome = read_multiome(snakemake.input.multiome)
    test = multiome.cells(cell_type=cell_type, split="test", most=EXPLAINED_CELLS)
    accessibility = tables.read_accessibility(snakemake.input.accessibility, cell_type)[cell_type].to_numpy()
    genes, windows = tables.read(snakemake.input.genes), snakemake.params.windows
    surroundings = Surroundings(genes, multiome.atac.var, accessibility, **windows)
    searches = tables.read(snakemake.input.searches)
    options = {"seed": snakemake.params.seed, "searches": searches, **snakemake.params.effects}
    result = over_genes(
        lambda sets: measure_effects(surrogate, test, sets, surroundings, **options),
        tables.read(snakemake.input.sets),
        snakemake.threads,
    )
    for name, path in snakemake.output.items():
        tables.write(getattr(result, name), path)
