"""Write the results of the run back into its multiome."""

from grids.exports.explained import write_explained
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    results = {name: tables.read(path) for name, path in snakemake.input.items() if name != "multiome"}
    windows = results.pop("windows")
    write_explained(snakemake.input.multiome, snakemake.output.multiome, results, windows)
    log.info("added %s", ", ".join(results))
