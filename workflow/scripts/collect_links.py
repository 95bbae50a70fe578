"""Stack the links of all populations, with what the surrogates and the gate say of them."""

from grids.analysis.links.collected import collect_links, strong_links
from grids.io import tables
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    paths = zip(snakemake.input.links, snakemake.input.surrogates, strict=True)
    parts = ((tables.read(links), storage.load(surrogate)) for links, surrogate in paths)
    links = collect_links(parts, tables.read(snakemake.input.gate))
    strong = strong_links(links)
    tables.write(links, snakemake.output.links)
    tables.write(strong, snakemake.output.strong)
    log.info("%d of %d links are strong, of genes that pass the gate", len(strong), len(links))
