"""Download one of the config's input files."""

from grids.data.download import download
from grids.io.logging import job

with job(snakemake):
    download(snakemake.params.url, snakemake.output.file, snakemake.params.checksum)
