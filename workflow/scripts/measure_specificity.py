"""Apply the sets of all cell types to the test cells of one."""

from grids.analysis.specificity import measure_specificity
from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.levels import ALL_TYPES
from grids.io.logging import job
from grids.io.tables import SPECIFICITY_COLUMNS
from grids.surrogates import storage

with job(snakemake) as log:
    cell_type, sets = snakemake.params.cell_type, tables.read(snakemake.input.sets)
    surrogate, atac = storage.load(snakemake.input.surrogate), read_multiome(snakemake.input.multiome).atac
    test = atac.obs[atac.obs["split"] == "test"]
    # Sets of the model of all types are measured in each of them, by this model.
    applied_to = sorted(test["cell_type"].unique()) if cell_type == ALL_TYPES else [cell_type]
    found_in = {ALL_TYPES} if cell_type == ALL_TYPES else {*sets["cell_type"]} - {ALL_TYPES}
    options = {"seed": snakemake.params.seed, **snakemake.params.bootstrap}
    specificity = tables.stack(
        [
            measure_specificity(
                surrogate,
                atac.cells(cell_type=one, split="test", most=EXPLAINED_CELLS),
                one,
                sets,
                found_in,
                **options,
            )
            for one in applied_to
        ],
        SPECIFICITY_COLUMNS,
    )
    tables.write(specificity, snakemake.output.specificity)
    log.info("%d sets applied", len(specificity))
