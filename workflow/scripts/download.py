"""Download one of the config's input files."""

from grids.download import download
from grids.logging import job

with job(snakemake):
    download(snakemake.params.url, snakemake.output.file, snakemake.params.checksum)
