"""Train the window surrogate of one cell type."""

from grids.analysis.links.tables import class_of_links
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.checkpoints import KeptTensors, kept_parts
from grids.io.levels import ALL_TYPES
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.window.training import WindowSettings, train_window

with job(snakemake), kept_parts(snakemake, KeptTensors) as kept:
    cell_type, seed = snakemake.params.cell_type, snakemake.params.seed
    tasks, windows = tables.read(snakemake.input.tasks), tables.read(snakemake.input.windows)
    # Sets found in other types are looked at in this one, too.
    modelled = (tasks["cell_type"] == ALL_TYPES) == (cell_type == ALL_TYPES)
    candidates = None
    if snakemake.params.peaks == "distal":
        candidates = windows[class_of_links(windows, tables.read(snakemake.input.genes)) == "distal"]
    surrogate, regularisation = train_window(
        read_multiome(snakemake.input.multiome),
        windows,
        cell_type,
        WindowSettings(**snakemake.params.settings),
        seed,
        candidates,
        kept,
        set(tasks.loc[modelled, "gene"]),
    )
    storage.save(surrogate, snakemake.output.surrogate, cell_type=cell_type, seed=seed)
    tables.write(regularisation, snakemake.output.regularisation)
