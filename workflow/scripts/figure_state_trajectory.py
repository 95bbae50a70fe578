"""Draw how redundancy and joint effect change along each state."""

from grids import tables
from grids.figures.save import save
from grids.figures.state_trajectory import state_trajectory
from grids.logging import job

with job(snakemake):
    cell_types = tables.read_cell_types(snakemake.input.accessibility)
    save(state_trajectory(tables.read(snakemake.input.states), cell_types=cell_types), *snakemake.output)
