"""Measure the sets of one cell type on its test cells, against matched random sets."""

from grids import tables
from grids.cells import EXPLAINED_CELLS, read_multiome
from grids.effects import measure_effects
from grids.logging import job
from grids.surrogates import storage

with job(snakemake):
    cell_type = snakemake.params.cell_type
    multiome = read_multiome(snakemake.input.multiome)
    cells = {"cell_type": cell_type, "split": "test"}
    result = measure_effects(
        storage.load(snakemake.input.surrogate),
        multiome.cells(**cells, most=EXPLAINED_CELLS),
        tables.read(snakemake.input.sets),
        tables.read(snakemake.input.genes),
        multiome.atac.var,
        tables.read(snakemake.input.accessibility)[cell_type].to_numpy(),
        seed=snakemake.params.seed,
        searches=tables.read(snakemake.input.searches),
        **snakemake.params.effects,
        **snakemake.params.windows,
    )
    for name, path in snakemake.output.items():
        tables.write(getattr(result, name), path)
