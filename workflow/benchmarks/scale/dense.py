"""The plain dense way to take the steps that the library takes in pooled form: what a step is compared with.

As the paper's reference implementation does: look up the embedding of every peak of every cell, closed or open, sum
it by chromosome, evaluate candidates one at a time, decode every peak. Arrays of cells x peaks x width.
"""

import torch
from torch import Tensor, nn

from grids.surrogates.cross_modality.losses import focal_binary_cross_entropy
from grids.surrogates.cross_modality.model import CrossModalitySurrogate


def embedding_of(surrogate: CrossModalitySurrogate) -> Tensor:
    """Each peak's vector when closed and when open, shape (2 * n_peaks, width)."""
    shift = surrogate.shift.detach()
    return torch.stack([torch.zeros_like(shift), shift], 1).flatten(0, 1)


def look_up(embedding: Tensor, x: Tensor) -> Tensor:
    """The vectors of all peaks of dense cells.

    Parameters
    ----------
    embedding : Tensor, shape (2 * n_peaks, width)
    x : LongTensor, shape (n_cells, n_peaks)
        1 where the peak is open.

    Returns
    -------
    Tensor, shape (n_cells, n_peaks, width)
    """
    return nn.functional.embedding(torch.arange(x.shape[1]) * 2 + x, embedding)


def sum_by_group(surrogate: CrossModalitySurrogate, embedded: Tensor, n_open: Tensor) -> Tensor:
    """Pooled states, shape (n_cells, n_groups, width), from the vectors of all peaks and the measured depth."""
    sizes = surrogate.group_of_peak.bincount(minlength=surrogate.n_groups).tolist()
    pooled = torch.stack([part.sum(1) for part in embedded.split(sizes, 1)], 1)
    return pooled + surrogate.atac_encoder.context(n_open)


def search_step(
    surrogate: CrossModalitySurrogate,
    x: Tensor,
    members: Tensor,
    coordinate: int,
    gene: int,
    n_candidates: int,
) -> int:
    """One step of the search: the best peak to close for one coordinate, the other members staying closed.

    Parameters
    ----------
    surrogate : CrossModalitySurrogate
        In evaluation mode.
    x : LongTensor, shape (n_cells, n_peaks)
    members : LongTensor, shape (set_size,)
    coordinate : int
    gene : int
    n_candidates : int
        Evaluated beside the member in place.

    Returns
    -------
    int
        A peak.
    """
    embedding, n_open = embedding_of(surrogate), x.sum(1).float()

    def predict(embedded: Tensor) -> Tensor:
        return surrogate.tail(sum_by_group(surrogate, embedded, n_open), torch.tensor([gene]))[:, 0]

    without = x.clone()
    without[:, torch.cat([members[:coordinate], members[coordinate + 1 :]])] = 0
    embedded = look_up(embedding, without).requires_grad_()
    (gradient,) = torch.autograd.grad(predict(embedded).mean(), embedded)
    gain = (surrogate.shift.detach() * without[..., None] * gradient).sum((0, 2))
    gain[members] = -torch.inf
    candidates = [int(members[coordinate]), *gain.topk(n_candidates).indices.tolist()]
    values = []
    with torch.no_grad():
        for candidate in candidates:
            perturbed = without.clone()
            perturbed[:, candidate] = 0
            values.append(float(predict(look_up(embedding, perturbed)).mean()))
    return candidates[values.index(min(values))]


def reconstruction_loss(
    model: CrossModalitySurrogate,
    embedding: Tensor,
    x: Tensor,
    pairs: tuple[Tensor, Tensor, Tensor],
) -> Tensor:
    """Loss of the ATAC autoencoder: every peak is decoded, then the wanted (cell, peak) pairs are looked at.

    Parameters
    ----------
    model : CrossModalitySurrogate
    embedding : Tensor, shape (2 * n_peaks, width)
    x : LongTensor, shape (n_cells, n_peaks)
    pairs : cells, peaks, target
        As from :func:`grids.surrogates.cross_modality.losses.open_and_drawn_peaks`.
    """
    states = sum_by_group(model, look_up(embedding, x), x.sum(1).float())
    logits = model.atac_decoder(model.atac_encoder(states), torch.arange(x.shape[1]))
    cells, peaks, target = pairs
    return focal_binary_cross_entropy(logits[cells, peaks], target).mean()
