"""Losses of the cross-modality surrogate (Liu et al., ACML 2024, section 3.1), without cells x peaks."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, softplus

from grids.io import backed
from grids.io.backed import RunningMean
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, Settings
from grids.surrogates.cross_modality.training_cells import TrainingCells

# Weight of the RNA side in cycle and reconstruction losses (paper).
RNA_WEIGHT = 0.2


def focal_binary_cross_entropy(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Elementwise focal loss ``(1 - p_t)^gamma * BCE``, where ``p_t`` is the chance given to the truth.

    The target is 0 or 1, of the shape of the logits; a gamma of 0 gives the plain cross-entropy.
    """
    cross_entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (1 - torch.exp(-cross_entropy)) ** gamma * cross_entropy


def open_and_drawn_peaks(
    opened: sparse.csr_matrix, chromosome_of_peak: np.ndarray, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """All open (cell, peak) pairs of a batch and as many randomly drawn pairs, less those that are open.

    Their order is that of chromosomes, cells and peaks, so that what is looked up for one pair is in the cache for the
    next.

    Parameters
    ----------
    opened : csr_matrix, shape (n_cells, n_peaks)
        Sorted indices.
    chromosome_of_peak : ndarray of int, shape (n_peaks,)
        Neighbours with the same value are a chromosome.

    Returns
    -------
    cells, peaks : Tensor, shape (n_pairs,)
        int32 where all pairs can be numbered so, for speed; int64 for larger ones.
    target : Tensor, shape (n_pairs,)
        1 where the peak is open.
    """
    n_cells, n_peaks = opened.shape
    integer = np.int32 if 2 * n_cells * n_peaks <= np.iinfo(np.int32).max else np.int64
    every_cell = np.arange(n_cells, dtype=integer)
    first_of_cell = every_cell * integer(n_peaks)
    open_pairs = np.repeat(first_of_cell, np.diff(opened.indptr)) + opened.indices.astype(integer)
    drawn = torch.randint(n_cells * n_peaks, (len(open_pairs),), generator=generator).numpy().astype(integer)
    # In one order: an open pair is an even number, and right before the odd one that it is when it was drawn.
    keys = torch.from_numpy(np.concatenate([2 * open_pairs, 2 * drawn + 1]))
    keys = keys.sort().values.numpy()  # in less than half of numpy's time
    pairs, was_drawn = keys >> 1, keys & 1
    last_open = np.maximum.accumulate(pairs | -was_drawn)  # -1 in place of those drawn
    kept = (was_drawn == 0) | (last_open != pairs)
    pairs, was_drawn = pairs[kept], was_drawn[kept]
    # From cell by cell to chromosome by chromosome: stretches of a cell and a chromosome stay as they are.
    first_peak = np.flatnonzero(np.diff(chromosome_of_peak, prepend=-1)).astype(integer)
    start = np.searchsorted(pairs, first_of_cell[:, None] + first_peak)
    length = np.diff(start.ravel(), append=len(pairs)).reshape(start.shape)
    start, length = start.T.ravel(), length.T.ravel()
    order = np.repeat(start - np.cumsum(length) + length, length) + np.arange(len(pairs))
    cells = np.repeat(np.tile(every_cell, len(first_peak)), length)
    peaks = pairs[order] - cells * integer(n_peaks)
    return torch.from_numpy(cells), torch.from_numpy(peaks), torch.from_numpy(1 - was_drawn[order]).float()


def masked_squared_error(predicted: Tensor, observed: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error over the non-zero entries and an equal expected number of zeros, of (n_cells, n_genes)."""
    expressed = observed != 0
    share = expressed.sum() / (~expressed).sum().clamp(min=1)
    drawn = torch.rand(observed.shape, generator=generator).to(observed.device)
    kept = expressed | (drawn < share)
    return ((predicted - observed) ** 2)[kept].mean() if kept.any() else (predicted * 0).sum()


class Losses:
    """The loss terms of each stage for one batch: named scalars, unweighted; `weights` says how they add up.

    Attributes
    ----------
    mixed_precision : bool
        Whether gradients go through the dense layers of the RNA side, most of the multiplications, in bfloat16: on a
        CUDA device. Pooling, latents and their maps, losses, weights and what validation cells are judged by stay in
        single precision; a cycle loss is a difference of nearly equal latents, which bfloat16 would round away.
    """

    def __init__(
        self, model: CrossModalitySurrogate, settings: Settings, supervised: bool, train: TrainingCells
    ):
        self.model, self.settings, self.supervised = model, settings, supervised
        self.device = torch.device(settings.device)
        self.mixed_precision = self.device.type == "cuda"
        self.type_means = torch.from_numpy(train.type_means(len(model.cell_types))).to(self.device)
        self.weights = {
            "cycle_rna": RNA_WEIGHT,
            "reconstruction_rna": RNA_WEIGHT,
            "adversarial": settings.adversarial_weight,
            "supervised": settings.supervised_weight,
            "pseudobulk": settings.pseudobulk_weight,
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the terms; a term without a weight counts once."""
        return sum(self.weights.get(name, 1.0) * value for name, value in terms.items())

    def expression(self, batch: TrainingCells) -> Tensor:
        """Observed log-expression, dense, shape (n_cells, n_genes)."""
        return torch.from_numpy(batch.rna.toarray()).to(self.device)

    def _dense(self, layers: nn.Module, x: Tensor) -> Tensor:
        """Dense layers of the RNA side, in mixed precision where that is asked for; single precision comes out."""
        if not (self.mixed_precision and torch.is_grad_enabled()):
            return layers(x)
        with torch.autocast(self.device.type, torch.bfloat16):
            return layers(x).float()

    def _reconstruction_atac(self, z: Tensor, batch: TrainingCells, rng: torch.Generator) -> Tensor:
        decoder = self.model.atac_decoder
        pairs = open_and_drawn_peaks(batch.atac, decoder.chromosome_of_peak.cpu().numpy(), rng)
        cells, peaks, target = (t.to(self.device) for t in pairs)
        logits = decoder.logits_at(z, cells, peaks)
        return focal_binary_cross_entropy(logits, target).mean()

    def atac(self, batch: TrainingCells, rng: torch.Generator) -> dict[str, Tensor]:
        """ATAC autoencoder: focal cross-entropy of all open and as many drawn closed peaks."""
        return {"reconstruction": self._reconstruction_atac(self.model.encode_atac(batch.atac), batch, rng)}

    def rna(self, batch: TrainingCells, rng: torch.Generator) -> dict[str, Tensor]:
        """RNA autoencoder: squared error of the expressed genes and as many zeros."""
        y = self.expression(batch)
        rebuilt = self._dense(self.model.rna_decoder, self._dense(self.model.rna_encoder, y))
        return {"reconstruction": masked_squared_error(rebuilt, y, rng)}

    def mapping(self, batch: TrainingCells, rng: torch.Generator) -> dict[str, Tensor]:
        """Cycle, reconstruction after the cycle, adversarial, and the supervised or the pseudobulk term."""
        model, y = self.model, self.expression(batch)
        z_atac, z_rna = model.encode_atac(batch.atac), self._dense(model.rna_encoder, y)
        to_rna, to_atac = model.atac_to_rna(z_atac), model.rna_to_atac(z_rna)
        back_atac, back_rna = model.rna_to_atac(to_rna), model.atac_to_rna(to_atac)
        # One pass through the decoder: batch normalisation must see the mixture that it will be run on.
        decoded = self._dense(model.rna_decoder, torch.cat([back_rna, to_rna]))
        rebuilt, predicted = decoded.split([len(back_rna), len(to_rna)])
        terms = {
            "cycle_atac": (back_atac - z_atac).abs().mean(),
            "cycle_rna": (back_rna - z_rna).abs().mean(),
            "reconstruction_atac": self._reconstruction_atac(back_atac, batch, rng),
            "reconstruction_rna": masked_squared_error(rebuilt, y, rng),
        }
        if self.settings.adversarial_weight:
            atac_type, rna_type = self.types(batch)
            fooled = -model.rna_discriminator(to_rna, atac_type), -model.atac_discriminator(to_atac, rna_type)
            terms["adversarial"] = sum(softplus(f).mean() for f in fooled) / 2
        if self.supervised:
            terms["supervised"] = (predicted - y).square().mean()
        elif self.settings.pseudobulk_weight:
            terms["pseudobulk"] = self._pseudobulk(predicted, batch)
        return terms

    def _pseudobulk(self, predicted: Tensor, batch: TrainingCells) -> Tensor:
        """Squared error of the batch's mean prediction of each cell type against the type's observed mean."""
        here = one_hot(self.types(batch)[0], len(self.model.cell_types)).float()
        n_cells = here.sum(0).clamp(min=1)
        error = (here.T @ predicted / n_cells[:, None] - self.type_means).square().mean(1)
        return (error * here.sum(0)).sum() / len(predicted)

    def supervised_only(self, batch: TrainingCells, rng: torch.Generator) -> dict[str, Tensor]:
        """Squared error of the predicted log-expression of paired cells."""
        z_rna = self.model.atac_to_rna(self.model.encode_atac(batch.atac))
        predicted = self._dense(self.model.rna_decoder, z_rna).clamp(min=0)
        return {"supervised": (predicted - self.expression(batch)).square().mean()}

    def types(self, batch: TrainingCells) -> tuple[Tensor, Tensor]:
        """Cell-type codes of the ATAC and of the RNA cells."""
        return tuple(torch.from_numpy(t).long().to(self.device) for t in (batch.atac_type, batch.rna_type))

    def discriminators(self, batch: TrainingCells) -> Tensor:
        """Real latents against mapped ones, in both latent spaces."""
        model = self.model
        with torch.no_grad():
            z_atac, z_rna = model.encode_atac(batch.atac), model.rna_encoder(self.expression(batch))
            to_rna, to_atac = model.atac_to_rna(z_atac), model.rna_to_atac(z_rna)
        atac_type, rna_type = self.types(batch)
        return (
            softplus(-model.rna_discriminator(z_rna, rna_type)).mean()
            + softplus(model.rna_discriminator(to_rna, atac_type)).mean()
            + softplus(-model.atac_discriminator(z_atac, atac_type)).mean()
            + softplus(model.atac_discriminator(to_atac, rna_type)).mean()
        ) / 4

    @torch.no_grad()
    def squared_error(self, cells: TrainingCells) -> float:
        """Mean squared error of the predicted log-expression of paired cells."""
        error = RunningMean()
        for rows, opened in backed.blocks(cells.atac):
            predicted = self.model.predict(opened).cpu().numpy()
            error.add(np.mean((predicted - cells.rna[rows].toarray()) ** 2), len(predicted))
        return float(error.value)

    @torch.no_grad()
    def pseudobulk_error(self, cells: TrainingCells) -> float:
        """Squared error of predicted against observed mean expression, by cell type, weighted by its cells.

        What an unpaired fit can be judged by: no cell has both modalities, but each type has both means.
        """
        types = np.intersect1d(cells.atac_type, cells.rna_type)
        observed = backed.group_means(cells.rna, cells.rna_type, len(self.model.cell_types))
        means = {code: RunningMean() for code in types}
        for rows, opened in backed.blocks(cells.atac):
            predicted = self.model.predict(opened).cpu().numpy()
            for code in np.intersect1d(types, cells.atac_type[rows]):
                here = cells.atac_type[rows] == code
                means[code].add(predicted[here].mean(0), here.sum())
        total = sum(
            mean.weight * float(((mean.value - observed[code]) ** 2).mean()) for code, mean in means.items()
        )
        return total / max(int(np.isin(cells.atac_type, types).sum()), 1)
