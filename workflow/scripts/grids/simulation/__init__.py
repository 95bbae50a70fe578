"""Parts of the simulated multiome: what is planted, and where it lies."""
