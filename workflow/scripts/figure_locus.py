"""Draw every task's set of one cell type in its locus."""

from pathlib import Path

from grids.analysis.contacts.contact_map import open_contact_map
from grids.analysis.contacts.tads import read_tads
from grids.figures.locus_view import Locus, locus_view
from grids.figures.save import save
from grids.io import tables
from grids.io.logging import job
from grids.io.names import escape

with job(snakemake) as log:
    files, params = snakemake.input, snakemake.params
    cell_type = params.cell_type
    sets, genes, windows, alternatives = (
        tables.read(files[name]) for name in ("sets", "genes", "windows", "alternatives")
    )
    accessibility = tables.read_accessibility(files.accessibility, snakemake.params.cell_type)
    options = {"resolution_bp": params.resolution_bp, "assembly": params.assembly}
    contacts = open_contact_map(files.contacts, accessibility, **options) if files.contacts else None
    tads = read_tads(files.tads, accessibility, genes, params.assembly) if files.tads else None
    locus = Locus(genes, windows, accessibility, contacts, tads)
    folder = Path(snakemake.output.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for gene in sets.loc[sets["cell_type"] == cell_type, "gene"].unique():
        figure = locus_view((cell_type, gene), sets, locus, alternatives)
        save(figure, *(folder / f"{escape(gene)}.{suffix}" for suffix in ("pdf", "png", "svg")))
        log.info("drew %s", gene)
