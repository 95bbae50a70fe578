"""Simulate a multiome whose regulation is known."""

from grids.data.simulation import Design, simulate_multiome, write_simulation
from grids.io.logging import job

with job(snakemake) as log:
    simulation = simulate_multiome(Design(**snakemake.params.simulation), snakemake.params.seed)
    write_simulation(simulation, snakemake.output.multiome, snakemake.output.genes, snakemake.output.truth)
    log.info("planted the regulation of %d genes", simulation.truth["gene"].nunique())
