"""The benchmark of explainers: paired comparisons of their sets on held-out cells, and the tables of results."""
