"""Hold the scores of peak-gene pairs against tables of outside evidence."""

from grids.analysis.evidence.validation import measure_evidence
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job

with job(snakemake) as log:
    params = snakemake.params
    paths = dict(zip((entry["name"] for entry in params.evidence), snakemake.input.evidence, strict=True))
    scores = tables.concatenate(tables.read(path) for path in snakemake.input.scores)
    evidence, pairs = measure_evidence(
        [{**entry, "path": paths[entry["name"]]} for entry in params.evidence],
        read_multiome(snakemake.input.multiome),
        tables.read(snakemake.input.windows),
        tables.read(snakemake.input.genes),
        tables.read_accessibility(snakemake.input.accessibility),
        tables.mark_gate(scores, tables.read(snakemake.input.tasks)),
        assembly=params.assembly,
        seed=params.seed,
        promoter_upstream_bp=params.windows["promoter_upstream_bp"],
        promoter_downstream_bp=params.windows["promoter_downstream_bp"],
    )
    tables.write(evidence, snakemake.output.evidence)
    tables.write(pairs, snakemake.output.pairs)
    log.info("%d tables of evidence, %d pairs judged", len(paths), len(pairs))
