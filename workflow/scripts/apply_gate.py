"""Judge on test cells which genes the surrogates may explain, and choose the tasks that are explained."""

from grids.analysis.gate import choose_tasks, judge
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    tasks, gate = tables.read(snakemake.input.tasks), snakemake.params.gate
    judged = judge(
        {
            cell_type: storage.load(path)
            for cell_type, path in zip(snakemake.params.cell_types, snakemake.input.surrogates, strict=True)
        },
        read_multiome(snakemake.input.multiome),
        tables.read(snakemake.input.windows, usecols=["peak", "gene"]),
        tasks,
        gate["q_value"],
        snakemake.params.seed,
    )
    explained, skipped = choose_tasks(judged, tasks, gate["force"])
    tables.write(judged, snakemake.output.gate)
    tables.write(explained, snakemake.output.tasks)
    tables.write(skipped, snakemake.output.skipped)
    log.info("%d of %d tasks are explained", len(explained), len(tasks))
