"""Find, for every task of one cell type, the set of peaks whose joint perturbation moves the gene most."""

from grids.io import tables
from grids.io.caps import EXPLAINED_CELLS
from grids.io.cells import read_multiome
from grids.io.checkpoints import KeptTables, kept_parts
from grids.io.logging import job
from grids.io.parallel import over_genes
from grids.search.sets import Question, find_sets, read_given
from grids.surrogates import storage

with job(snakemake) as log, kept_parts(snakemake, KeptTables) as kept:
    cell_type = snakemake.params.cell_type
    tasks = tables.read(snakemake.input.tasks, dtype=str)
    surrogate = storage.load(snakemake.input.surrogate, snakemake.resources.device)
    atac = read_multiome(snakemake.input.multiome).atac
    opened = atac.cells(cell_type=cell_type, split="train", most=EXPLAINED_CELLS).X
    windows = tables.read(snakemake.input.windows, usecols=["peak", "gene"])
    given = read_given(snakemake.input.given) if snakemake.input.given else None
    question, seed = Question(**snakemake.params.search), snakemake.params.seed
    sets, searches, skipped = over_genes(
        lambda part: find_sets(surrogate, opened, part, windows, seed, question, given),
        tasks[tasks["cell_type"] == cell_type],
        snakemake.threads,
        kept,
    )
    tables.write(sets, snakemake.output.sets)
    tables.write(searches, snakemake.output.searches)
    tables.write(skipped, snakemake.output.skipped)
    log.info("%d sets found, %d tasks skipped", sets["gene"].nunique(), len(skipped))
