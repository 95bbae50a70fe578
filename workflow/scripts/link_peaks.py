"""Test every peak of every window, and each window as a whole, in the cells of one type or of all."""

from grids.analysis.links.tables import LINK_COLUMNS, WINDOW_TEST_COLUMNS, LinkTest, population
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.logging import job

with job(snakemake) as log:
    import pandas as pd

    multiome, cell_type = read_multiome(snakemake.input.multiome), snakemake.params.cell_type
    links, tests = pd.DataFrame(columns=LINK_COLUMNS), pd.DataFrame(columns=WINDOW_TEST_COLUMNS)
    if multiome.paired:
        test = LinkTest(multiome, tables.read(snakemake.input.windows), tables.read(snakemake.input.genes))
        cells = population(multiome, cell_type, snakemake.params.seed)
        tested = test.test(cells, bar=f"{cell_type}: links")
        links, tests = test.link_table(tested, cells), test.window_table(tested, cells)
        log.info("%s: %d links of %d genes tested", cell_type, links["p_value"].notna().sum(), len(tests))
    tables.write(links, snakemake.output.links)
    tables.write(tests, snakemake.output.windows)
