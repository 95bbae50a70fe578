"""Losses of the cross-modality surrogate (Liu et al., ACML 2024, section 3.1), without cells x peaks."""

import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def focal_binary_cross_entropy(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Elementwise focal loss ``(1 - p_t)^gamma * BCE``, where ``p_t`` is the chance given to the truth.

    Parameters
    ----------
    logits, target : Tensor, same shape
        `target` is 0 or 1.
    gamma : float
        0 gives the plain cross-entropy.
    """
    cross_entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (1 - torch.exp(-cross_entropy)) ** gamma * cross_entropy


def open_and_drawn_peaks(
    opened: sparse.csr_matrix, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """All open (cell, peak) pairs of a batch and as many randomly drawn pairs, less those that are open.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        Sorted indices.
    generator : torch.Generator

    Returns
    -------
    cells, peaks : LongTensor, shape (n_pairs,)
    target : Tensor, shape (n_pairs,)
        1 where the peak is open.
    """
    n_cells, n_peaks = opened.shape
    counts = torch.from_numpy(opened.indptr).diff().long()
    open_keys = (
        torch.arange(n_cells).repeat_interleave(counts) * n_peaks + torch.from_numpy(opened.indices).long()
    )
    drawn = torch.randint(n_cells * n_peaks, (len(open_keys),), generator=generator)
    if len(open_keys):
        nearest = open_keys[torch.searchsorted(open_keys, drawn).clamp(max=len(open_keys) - 1)]
        drawn = drawn[nearest != drawn]
    keys = torch.cat([open_keys, drawn])
    target = torch.zeros(len(keys))
    target[: len(open_keys)] = 1
    return torch.div(keys, n_peaks, rounding_mode="floor"), keys % n_peaks, target


def masked_squared_error(predicted: Tensor, observed: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error over the non-zero entries and an equal expected number of the zeros.

    Parameters
    ----------
    predicted, observed : Tensor, shape (n_cells, n_genes)
    generator : torch.Generator
    """
    expressed = observed != 0
    share = expressed.sum() / (~expressed).sum().clamp(min=1)
    kept = expressed | (torch.rand(observed.shape, generator=generator) < share)
    return ((predicted - observed) ** 2)[kept].mean() if kept.any() else (predicted * 0).sum()
