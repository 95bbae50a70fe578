"""Draw every task's set of one cell type in its locus."""

from pathlib import Path

from grids import tables
from grids.figures.locus_view import locus_view
from grids.figures.save import save
from grids.logging import job
from grids.names import escape

with job(snakemake) as log:
    cell_type = snakemake.params.cell_type
    table = {name: tables.read(path) for name, path in snakemake.input.items()}
    sets, windows = table["sets"], table["windows"]
    folder = Path(snakemake.output.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for gene in sets.loc[sets["cell_type"] == cell_type, "gene"].unique():
        figure = locus_view(
            (cell_type, gene),
            sets,
            table["genes"],
            windows[windows["gene"] == gene],
            table["accessibility"],
            alternatives=table.get("alternatives"),
        )
        save(figure, *(folder / f"{escape(gene)}.{suffix}" for suffix in ("pdf", "png", "svg")))
        log.info("drew %s", gene)
