"""Write down what made these results."""

import os

from grids.exports import provenance
from grids.io.logging import job

with job(snakemake):
    command = os.environ.get("GRIDS_COMMAND")
    # The keys of the config and the files as this job sees them: a module may have a prefix for all paths.
    files = dict(zip(snakemake.params.files, snakemake.input.files, strict=True))
    description = provenance.describe(snakemake.params.config, command, snakemake.params.root, files)
    provenance.write(description, snakemake.output.provenance, snakemake.output.page)
