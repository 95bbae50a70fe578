"""What the surrogate is asked in the scale benchmark: a cell type, a gene of it, and sets of its open peaks."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from grids.io import backed
from grids.io.cells import Multiome
from grids.surrogates.cross_modality.model import CrossModalitySurrogate

CALIBRATION_CELLS = 256
PAPER_ENCODER = {"encoder": "paper", "width": 16, "n_hidden": 32}


def cell_type_and_gene(multiome: Multiome) -> tuple[str, str]:
    """The first cell type, and the gene that its training cells express most above the mean."""
    cell_type = multiome.rna.cell_types[0]
    return cell_type, tasks_of(multiome, cell_type, 1)["gene"].item()


def tasks_of(multiome: Multiome, cell_type: str, n_genes: int) -> pd.DataFrame:
    """Tasks of the genes that a type's training cells express most above the mean: columns ``cell_type, gene``."""
    train = multiome.rna.stream(split="train")
    excess = backed.mean(train.stream(cell_type=cell_type).X) - backed.mean(train.X)
    genes = train.var.index[np.argsort(-excess, kind="stable")[:n_genes]]
    return pd.DataFrame({"cell_type": cell_type, "gene": genes.astype(str)})


def most_open(opened, n_peaks: int) -> Tensor:
    """The peaks that are open in most cells, shape (n_peaks,)."""
    n_cells_open = np.bincount(opened.indices, minlength=opened.shape[1])
    return torch.from_numpy(np.argsort(-n_cells_open, kind="stable")[:n_peaks].copy())


def untrained(multiome: Multiome, seed: int, **options) -> CrossModalitySurrogate:
    """A surrogate with random weights for the peaks, genes and cell types of the data."""
    chromosome = multiome.atac.var["chromosome"].astype(str)
    torch.manual_seed(seed)
    return CrossModalitySurrogate(
        multiome.atac.var.index,
        multiome.rna.var.index,
        multiome.rna.cell_types,
        chromosome.factorize()[0],
        **options,
    )


def paper_surrogate(multiome: Multiome, seed: int) -> CrossModalitySurrogate:
    """With the paper's encoder, untrained, but with the data's statistics, in evaluation mode."""
    surrogate = untrained(multiome, seed, **PAPER_ENCODER).train()
    with torch.no_grad():
        surrogate.tail(surrogate.pool(multiome.atac.X[:CALIBRATION_CELLS]))
        surrogate.rna_decoder[-1].bias.fill_(3.0)  # far from the clamp at zero
    return surrogate.eval()
