"""Ask the surrogates whether they agree with the tests of windows, and choose the tasks that are explained."""

from grids.analysis.gate import choose_tasks, judge, unjudged
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    tasks, multiome = tables.read(snakemake.input.tasks), read_multiome(snakemake.input.multiome)
    windows = tables.read(snakemake.input.windows, usecols=["peak", "gene"])
    if multiome.paired:
        paths = zip(snakemake.params.cell_types, snakemake.input.surrogates, strict=True)
        surrogates = {cell_type: storage.load(path) for cell_type, path in paths}
        tests = tables.read(snakemake.input.tests).fillna({"reason": ""})
        gate = judge(surrogates, multiome, windows, tests, tasks, snakemake.params.seed)
    else:
        gate = unjudged(tasks, windows)
    explained, skipped = choose_tasks(gate, tasks, snakemake.params.force)
    tables.write(gate, snakemake.output.gate)
    tables.write(explained, snakemake.output.tasks)
    tables.write(skipped, snakemake.output.skipped)
    log.info("%d of %d tasks are explained", len(explained), len(tasks))
