"""Say what came of every task: as a table, and as the first page of the report."""

from grids.exports.summary import in_one_line, summary_page
from grids.io import tables
from grids.io.logging import job
from grids.io.writing import whole

with job(snakemake) as log:
    parts = {name: tables.read(path) for name, path in snakemake.input.items()}
    summary, page = summary_page(**parts, config=snakemake.params.config)
    tables.write(summary, snakemake.output.summary)
    with whole(snakemake.output.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    log.info("%s", in_one_line(summary))
