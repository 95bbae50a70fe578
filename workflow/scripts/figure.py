"""Draw a plain figure: the inputs' tables, by name, are the arguments of the drawing function."""

import importlib
from functools import partial

import anndata

from grids.figures.save import save
from grids.io import tables
from grids.io.logging import job

# Arguments that are not a whole table.
READERS = {
    "cell_types": tables.read_cell_types,
    "digits": anndata.read_h5ad,
    "peaks": tables.read_accessibility,
    "windows": partial(tables.read, usecols=["peak", "gene"]),
}

with job(snakemake):
    module = importlib.import_module(snakemake.params.drawing)
    draw = getattr(module, snakemake.params.drawing.rpartition(".")[2])
    arguments = {name: READERS.get(name, tables.read)(path) for name, path in snakemake.input.items()}
    save(draw(**arguments, **snakemake.params.options), *snakemake.output)
