"""Have Snakemake write its report."""

from grids.exports.report import make_report
from grids.io.logging import job

with job(snakemake):
    make_report(
        snakemake.output.report,
        snakemake.rule.replace("make_report", "tables_and_figures"),  # a module's rules may have other names
        snakemake.params.snakefile,
        snakemake.params.config_files,
        snakemake.params.config_args,
        snakemake.params.stylesheet,
    )
