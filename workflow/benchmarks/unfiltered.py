"""Preprocessing of generated cells, of which nothing is to be filtered out."""

import os

TARGET_SUM = 1e4
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def unfiltered(
    multiome: str | os.PathLike, genes: str | os.PathLike, n_variable_genes: int, seed: int
) -> dict:
    """A config of :func:`grids.data.preprocessing.preprocess` that keeps every gene, peak and cell with a count.

    Parameters
    ----------
    multiome, genes : path
        Raw counts with ``cell_type`` in their `obs`, and the annotation.
    n_variable_genes : int
        At least the number of genes.
    seed : int
    """
    thresholds = dict.fromkeys(("min_fragments", "min_genes", "min_tss_enrichment"), 0)
    minima = dict.fromkeys(("min_cells_per_gene", "min_cells_per_peak", "min_cells_per_type"), 1)
    return {
        "seed": seed,
        "input": {"multiome": str(multiome), "genes": str(genes), "cell_type_key": "cell_type"},
        "quality_control": thresholds | minima,
        "preprocessing": {"target_sum": TARGET_SUM, "n_variable_genes": n_variable_genes, "split": SHARES},
    }
