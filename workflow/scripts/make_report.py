"""Have Snakemake write its report."""

from grids.logging import job
from grids.report import make_report

with job(snakemake):
    make_report(
        snakemake.output.report,
        "tables_and_figures",
        snakemake.params.snakefile,
        snakemake.params.config_files,
        snakemake.params.config_args,
        snakemake.params.stylesheet,
    )
