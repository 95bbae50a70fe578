"""Hold the scores of peak-gene pairs against tables of outside evidence."""

from grids.analysis.evidence.links import read_links
from grids.analysis.evidence.validation import measure_evidence
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.config import EvidenceTable
from grids.io.logging import job

with job(snakemake) as log:
    params = snakemake.params
    reach = {name: params.windows[name] for name in ("promoter_upstream_bp", "promoter_downstream_bp")}
    genes = tables.read(snakemake.input.genes)
    accessibility = tables.read_accessibility(snakemake.input.accessibility)
    evidence = []
    for entry, path in zip(params.evidence, snakemake.input.evidence, strict=True):
        table = EvidenceTable(**entry | {"path": path})
        links = read_links(table, accessibility, genes, run_assembly=params.assembly, **reach)
        evidence.append((table, links))
    scores = tables.concatenate(tables.read(path) for path in snakemake.input.scores)
    measured, pairs = measure_evidence(
        evidence,
        read_multiome(snakemake.input.multiome),
        tables.read(snakemake.input.windows),
        accessibility,
        tables.mark_gate(scores, tables.read(snakemake.input.tasks)),
        seed=params.seed,
    )
    tables.write(measured, snakemake.output.evidence)
    tables.write(pairs, snakemake.output.pairs)
    log.info("%d tables of evidence, %d pairs judged", len(evidence), len(pairs))
