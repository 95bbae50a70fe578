"""Simulate a multiome whose regulation is known."""

from grids.logging import job
from grids.simulate import simulate_multiome, write_simulation

with job(snakemake) as log:
    simulation = simulate_multiome(seed=snakemake.params.seed, **snakemake.params.simulation)
    write_simulation(simulation, snakemake.output.multiome, snakemake.output.genes, snakemake.output.truth)
    log.info("planted the regulation of %d genes", simulation.truth["gene"].nunique())
