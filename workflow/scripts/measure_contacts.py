"""Hold the members of every set against a contact map and TADs."""

from grids.analysis.contacts.contact_map import open_contact_map
from grids.analysis.contacts.measurement import measure_contacts
from grids.analysis.contacts.tads import read_tads
from grids.io import tables
from grids.io.logging import job

with job(snakemake) as log:
    files, params = snakemake.input, snakemake.params
    genes, peaks = tables.read(files.genes), tables.read_accessibility(files.accessibility)
    options = {"resolution_bp": params.resolution_bp, "assembly": params.assembly}
    contacts, members, summary = measure_contacts(
        tables.read(files.sets),
        genes,
        peaks,
        open_contact_map(files.contacts, peaks, **options) if files.contacts else None,
        read_tads(files.tads, peaks, genes, params.assembly) if files.tads else None,
        seed=params.seed,
    )
    tables.write(contacts, snakemake.output.contacts)
    tables.write(members, snakemake.output.members)
    tables.write(summary, snakemake.output.summary)
    log.info("%d sets, %d members", len(contacts), len(members))
