"""Hold the scores of all methods against the evidence."""

from benchmarks.evidence.agreement import measure_methods
from benchmarks.evidence.printed import printed
from benchmarks.explainers.tables import to_markdown
from grids.io import tables
from grids.io.config import EvidenceTable
from grids.io.logging import job
from grids.io.writing import whole

with job(snakemake) as log:
    params = snakemake.params
    scores = tables.concatenate(tables.read(path) for path in snakemake.input.scores)
    evidence = [EvidenceTable(**entry) for entry in params.evidence]
    measured = measure_methods(
        evidence, tables.read(snakemake.input.pairs), scores, params.settings, seed=params.seed
    )
    tables.write(measured, snakemake.output.table)
    with whole(snakemake.output.markdown) as temporary:
        temporary.write_text(to_markdown(printed(measured)), encoding="utf-8")
    log.info("%d methods on %d tables of evidence", measured["method"].nunique(), len(evidence))
