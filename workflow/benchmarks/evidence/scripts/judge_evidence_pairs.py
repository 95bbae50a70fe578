"""Find the pairs of peak and gene that the tables of evidence judge."""

import pandas as pd

from benchmarks.evidence.pairs import evidence_pairs
from grids.analysis.evidence.links import read_links
from grids.io import backed, tables
from grids.io.cells import read_multiome
from grids.io.config import EvidenceTable
from grids.io.logging import job

with job(snakemake) as log:
    params = snakemake.params
    reach = {name: params.windows[name] for name in ("promoter_upstream_bp", "promoter_downstream_bp")}
    atac = read_multiome(snakemake.input.multiome).atac
    open_share = pd.Series(backed.count_columns(atac.X) / len(atac.obs), index=atac.var.index)
    genes = tables.read(snakemake.input.genes)
    accessibility = tables.read_accessibility(snakemake.input.accessibility)
    evidence = []
    for entry, path in zip(params.evidence, snakemake.input.evidence, strict=True):
        table = EvidenceTable(**entry | {"path": path})
        links = read_links(table, accessibility, genes, run_assembly=params.assembly, **reach)
        evidence.append((table, links))
    windows, tasks = tables.read(snakemake.input.windows), tables.read(snakemake.input.tasks)
    pairs = evidence_pairs(evidence, windows, open_share, tasks)
    windows = windows[windows["gene"].isin(pairs["gene"])]
    windows = windows.assign(open_share=open_share.loc[windows["peak"]].to_numpy())
    tables.write(pairs, snakemake.output.pairs)
    tables.write(windows, snakemake.output.windows)
    told = len(evidence), len(pairs), windows["gene"].nunique()
    log.info("%d tables of evidence, %d pairs, windows of %d genes", *told)
