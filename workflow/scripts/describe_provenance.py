"""Write down what made these results."""

import os

from grids import provenance
from grids.logging import job

with job(snakemake):
    command = os.environ.get("GRIDS_COMMAND")
    description = provenance.describe(
        snakemake.params.config, command, snakemake.params.root, snakemake.params.files
    )
    provenance.write(description, snakemake.output.provenance, snakemake.output.page)
