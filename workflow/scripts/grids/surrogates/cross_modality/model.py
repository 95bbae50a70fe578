"""The paper's cross-modality surrogate: chromatin accessibility to expression through two latent spaces.

Liu et al., ACML 2024, section 3.1. In evaluation mode
``F(x) = max(0, decode_rna(atac_to_rna(encode_atac(x))))``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from grids.io import backed
from grids.io.errors import InputError
from grids.surrogates.cross_modality.layers import (
    AffineMixture,
    Discriminator,
    GroupedBatchNorm,
    GroupedLinear,
    PReLU,
    dense_stack,
    folded,
    with_modules,
)
from grids.surrogates.pooling import PooledSurrogate
from grids.surrogates.sparse_products import PickEntries, products_of_pairs, right_singular_vectors


class PaperEncoder(nn.Module):
    """Peaks summed by chromosome, a small network per chromosome, then the latent.

    Each peak owns an embedding for closed and one for open. Only their difference (`shift`) depends on the
    cell; the closed embeddings of a chromosome add up to a constant (`closed_state`), which the batch
    normalisation right after it absorbs in training.
    """

    def __init__(self, chromosome_of_peak: Tensor, n_latent: int, width: int = 16, n_hidden: int = 32):
        super().__init__()
        self.n_groups = int(chromosome_of_peak.max()) + 1
        self.register_buffer("group_of_peak", chromosome_of_peak.clone())
        self.register_buffer("closed_state", torch.zeros(self.n_groups, width))
        self.shift = nn.Parameter(torch.randn(len(chromosome_of_peak), width))
        self.norm_in = GroupedBatchNorm(self.n_groups, width)
        self.activation_in = PReLU(self.n_groups)
        self.linear = GroupedLinear(self.n_groups, width, n_hidden)
        self.norm_out = GroupedBatchNorm(self.n_groups, n_hidden)
        self.activation_out = PReLU(self.n_groups)
        self.to_latent = nn.Sequential(
            nn.Linear(self.n_groups * n_hidden, n_latent), nn.Linear(n_latent, n_latent)
        )

    @property
    def peak_vectors(self) -> nn.Parameter:
        """What is learned for each peak, shape (n_peaks, width)."""
        return self.shift

    def context(self, n_open: Tensor) -> Tensor:
        """The part of the pooled state that no peak shifts."""
        return self.closed_state

    def forward(self, pooled: Tensor) -> Tensor:
        h = self.activation_in(self.norm_in(pooled))
        h = self.activation_out(self.norm_out(self.linear(h)))
        return self.to_latent(h.flatten(1))

    def folded(self) -> "PaperEncoder":
        """The same function in evaluation mode, the two linear layers of the end being one."""
        return with_modules(self, to_latent=folded(self.to_latent))


class NormalisedEncoder(nn.Module):
    """Loadings of the open peaks averaged over them, with log depth beside, then a small network.

    The pooled state's last column carries the cell's number of open peaks. Depth is a technical covariate:
    a perturbation leaves it as it was measured, so that perturbing stays a linear shift of the state.
    """

    n_groups = 1

    def __init__(
        self, n_peaks: int, n_latent: int, width: int = 64, n_hidden: int = 128, dropout: float = 0.3
    ):
        super().__init__()
        self.register_buffer("group_of_peak", torch.zeros(n_peaks, dtype=torch.long))
        self.register_buffer("log_depth_mean", torch.zeros(()))
        self.register_buffer("log_depth_sd", torch.ones(()))
        self.loadings = nn.Parameter(torch.randn(n_peaks, width) * width**-0.5)
        self.network = nn.Sequential(
            nn.Linear(width + 1, n_hidden), PReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, n_latent)
        )

    @property
    def peak_vectors(self) -> nn.Parameter:
        """What is learned for each peak, shape (n_peaks, width)."""
        return self.loadings

    @property
    def shift(self) -> Tensor:
        return nn.functional.pad(self.loadings, (0, 1))

    def context(self, n_open: Tensor) -> Tensor:
        """The part of the pooled state that no peak shifts: the measured depth."""
        return nn.functional.pad(n_open[:, None, None], (self.loadings.shape[1], 0))

    def forward(self, pooled: Tensor) -> Tensor:
        sums, depth = pooled[:, 0, :-1], pooled[:, 0, -1:].clamp(min=1)
        log_depth = (depth.log() - self.log_depth_mean) / self.log_depth_sd
        return self.network(torch.cat([sums / depth, log_depth], 1))

    def folded(self) -> "NormalisedEncoder":
        """The same function in evaluation mode."""
        return with_modules(self, network=folded(self.network))

    @torch.no_grad()
    def start_from(self, opened: backed.Rows, seed: int) -> None:
        """Start the loadings at the TF-IDF singular vectors of the training cells (latent semantic indexing).

        The state then equals the standardised LSI components of a cell: inverse document frequency times
        right singular vectors, pooled over open peaks and divided by depth. Of cells on disk, as many as memory may
        hold are used, evenly spaced.
        """
        all_opened, opened = opened, backed.in_memory(opened)
        depth = np.maximum(np.diff(opened.indptr), 1)
        n_cells_open = np.bincount(opened.indices, minlength=opened.shape[1])
        term_frequency = torch.from_numpy((1 / depth).astype(np.float32))
        inverse_document_frequency = torch.from_numpy(
            np.log1p(opened.shape[0] / np.maximum(n_cells_open, 1)).astype(np.float32)
        )
        width = min(self.loadings.shape[1], min(opened.shape) - 1)
        singular_values, vectors = right_singular_vectors(
            opened, term_frequency, inverse_document_frequency, width, seed
        )
        sd = singular_values.clamp(min=1e-12) / opened.shape[0] ** 0.5
        self.loadings.zero_()
        self.loadings[:, :width] = inverse_document_frequency[:, None] * vectors / sd
        log_depth = np.log(depth)
        self.log_depth_mean.fill_(log_depth.mean())
        self.log_depth_sd.fill_(max(log_depth.std(), 1e-6))
        self.centre(all_opened)

    @torch.no_grad()
    def centre(self, opened: backed.Rows) -> None:
        """Make the mean state of the given cells zero, without changing what is predicted for any cell.

        A constant added to all loadings moves every cell alike and is taken up by the next layer's bias, so data
        leave it undetermined; yet it decides what closing *any* peak does. With a mean state of zero, closing an
        average peak does nothing, as it would if the depth were measured anew.
        """
        share, n_cells = np.zeros(opened.shape[1], np.float32), 0
        for _, block in backed.blocks(opened):
            rows, n_open = block.astype(np.float32), np.diff(block.indptr)
            rows.data[:] = 1.0
            share += rows.T @ (1.0 / np.maximum(n_open, 1)).astype(np.float32)
            n_cells += int((n_open > 0).sum())
        share /= max(n_cells, 1)
        mean = torch.from_numpy(share.astype(np.float32)).to(self.loadings) @ self.loadings
        first = self.network[0]
        first.bias += first.weight[:, : len(mean)] @ mean
        self.loadings -= mean


class PeakDecoder(nn.Module):
    """From the latent back to a logit for each peak, through one small network per chromosome."""

    def __init__(self, chromosome_of_peak: Tensor, n_latent: int, width: int = 16, n_hidden: int = 32):
        super().__init__()
        self.n_chromosomes, self.n_hidden = int(chromosome_of_peak.max()) + 1, n_hidden
        self.register_buffer("chromosome_of_peak", chromosome_of_peak.clone())
        self.from_latent = nn.Sequential(
            nn.Linear(n_latent, self.n_chromosomes * n_hidden), nn.BatchNorm1d(self.n_chromosomes * n_hidden)
        )
        self.linear = GroupedLinear(self.n_chromosomes, n_hidden, width)
        self.norm = GroupedBatchNorm(self.n_chromosomes, width)
        self.activation = PReLU(self.n_chromosomes)
        bound = width**-0.5
        self.peak_weight = nn.Parameter(torch.empty(len(chromosome_of_peak), width).uniform_(-bound, bound))
        self.peak_bias = nn.Parameter(torch.zeros(len(chromosome_of_peak)))

    def hidden(self, z: Tensor) -> Tensor:
        """Chromosome states, shape (n_cells, n_chromosomes, width)."""
        h = self.from_latent(z).view(len(z), self.n_chromosomes, self.n_hidden)
        return self.activation(self.norm(self.linear(h)))

    def logits_at(self, z: Tensor, cells: Tensor, peaks: Tensor) -> Tensor:
        """Logits of chosen (cell, peak) pairs only, shape (n_pairs,); fastest by chromosome, then cell."""
        rows = self.chromosome_of_peak.to(cells).index_select(0, peaks) * len(z) + cells
        states = self.hidden(z).transpose(0, 1).flatten(0, 1)
        return products_of_pairs(states, self.peak_weight, rows, peaks) + PickEntries.apply(
            self.peak_bias, peaks
        )

    def forward(self, z: Tensor, peaks: Tensor) -> Tensor:
        """Logits of the given peaks in every cell, shape (n_cells, n_peaks)."""
        state = self.hidden(z)[:, self.chromosome_of_peak[peaks]]
        return torch.einsum("npw,pw->np", state, self.peak_weight[peaks]) + self.peak_bias[peaks]


@dataclass(frozen=True)
class Sizes:
    """The sizes of the cross-modality surrogate that the config sets.

    Attributes
    ----------
    encoder : {"normalised", "paper"}
        See :class:`NormalisedEncoder` and :class:`PaperEncoder`.
    width : int
        Numbers a peak contributes to the pooled state.
    n_hidden : int
        Hidden units of the ATAC encoder (per chromosome with ``encoder="paper"``).
    rna_hidden : sequence of int
        Hidden units of the RNA encoder, mirrored in its decoder.
    dropout : float
        Dropout of the normalised encoder and of the RNA autoencoder.
    """

    encoder: str = "normalised"
    n_latent: int = 20
    width: int = 64
    n_hidden: int = 128
    rna_hidden: Sequence[int] = (640, 320)
    dropout: float = 0.3


@dataclass(frozen=True)
class Architecture(Sizes):
    """All sizes of the cross-modality surrogate.

    Attributes
    ----------
    decoder_width, decoder_hidden : int
        Numbers that a peak is decoded from, and hidden units before them, per chromosome.
    gate_hidden : int
        Hidden units of the gates of the latent maps.
    n_maps : int
        Layers of the latent maps.
    discriminator_hidden : (int, int)
    """

    decoder_width: int = 16
    decoder_hidden: int = 32
    gate_hidden: int = 128
    n_maps: int = 3
    discriminator_hidden: Sequence[int] = (20, 10)


@dataclass(frozen=True)
class Settings(Sizes):
    """How a surrogate is built and trained; the ``surrogate`` block of the config.

    ``max_epochs`` and ``learning_rate`` are per stage. `supervised` None means: when the cells are paired.
    """

    weight_decay: float = 0.01
    batch_size: int = 128
    patience: int = 5
    peak_learning_rate_factor: float = 1.0
    supervised: bool | None = None
    supervised_weight: float = 20.0
    pseudobulk_weight: float = 10.0
    adversarial_weight: float = 0.5
    max_epochs: dict = field(
        default_factory=lambda: {"atac": 3, "rna": 5, "mapping": 40, "specialisation": 20}
    )
    learning_rate: dict = field(
        default_factory=lambda: {
            "atac": 1e-3,
            "rna": 1e-3,
            "mapping": 1e-3,
            "specialisation": 1e-4,
            "discriminator": 1e-3,
        }
    )
    device: str = "cpu"

    def is_supervised(self, paired: bool) -> bool:
        """Whether to train on paired cells; refuses to where they are not paired."""
        if self.supervised and not paired:
            raise InputError(
                "surrogate.supervised is true, but the cells are not paired; set it to false or null"
            )
        return paired if self.supervised is None else self.supervised


class CrossModalitySurrogate(PooledSurrogate):
    """ATAC and RNA autoencoders joined by maps between their latent spaces.

    Parameters
    ----------
    peaks, genes, cell_types : sequence of str
        Names of the inputs, the outputs, and the cell types the maps and discriminators know.
    chromosome_of_peak : sequence of int, shape (n_peaks,)
        Chromosome codes 0, 1, ...
    **options
        Of :class:`Architecture`.
    """

    name = "cross_modality"

    def __init__(
        self,
        peaks: Sequence[str],
        genes: Sequence[str],
        cell_types: Sequence[str],
        chromosome_of_peak: Sequence[int],
        **options,
    ):
        super().__init__()
        self.peaks, self.genes, self.cell_types = list(peaks), list(genes), list(cell_types)
        of = Architecture(**options)
        self.options = {
            name: list(value) if name.endswith("_hidden") and not isinstance(value, int) else value
            for name, value in vars(of).items()
        }
        chromosome = torch.as_tensor(np.asarray(chromosome_of_peak), dtype=torch.long)
        if len(chromosome) != len(self.peaks):
            raise InputError(
                f"chromosome_of_peak: expected one code per peak ({len(self.peaks)}), got {len(chromosome)}"
            )
        if of.encoder == "paper":
            self.atac_encoder = PaperEncoder(chromosome, of.n_latent, of.width, of.n_hidden)
        elif of.encoder == "normalised":
            self.atac_encoder = NormalisedEncoder(
                len(self.peaks), of.n_latent, of.width, of.n_hidden, of.dropout
            )
        else:
            raise InputError(f"encoder: expected 'normalised' or 'paper', got {of.encoder!r}")
        self.atac_decoder = PeakDecoder(chromosome, of.n_latent, of.decoder_width, of.decoder_hidden)
        sizes = [len(self.genes), *of.rna_hidden, of.n_latent]
        self.rna_encoder = dense_stack(sizes, of.dropout)
        self.rna_decoder = dense_stack(sizes[::-1], of.dropout)
        n_types = len(self.cell_types)
        self.atac_to_rna = AffineMixture(of.n_latent, n_types, of.gate_hidden, of.n_maps)
        self.rna_to_atac = AffineMixture(of.n_latent, n_types, of.gate_hidden, of.n_maps)
        self.atac_discriminator = Discriminator(of.n_latent, n_types, of.discriminator_hidden)
        self.rna_discriminator = Discriminator(of.n_latent, n_types, of.discriminator_hidden)

    @classmethod
    def restore(cls, names: dict, weights: dict[str, Tensor], options: dict) -> "CrossModalitySurrogate":
        """Rebuild a stored surrogate."""
        model = cls(**names, chromosome_of_peak=weights["atac_decoder.chromosome_of_peak"], **options)
        model.load_state_dict(weights)
        return model

    @property
    def n_groups(self) -> int:
        return self.atac_encoder.n_groups

    @property
    def group_of_peak(self) -> Tensor:
        return self.atac_encoder.group_of_peak

    @property
    def shift(self) -> Tensor:
        return self.atac_encoder.shift

    @property
    def per_peak_matrices(self) -> list[nn.Parameter]:
        """The matrices with a row of their own for each peak."""
        return [self.atac_encoder.peak_vectors, self.atac_decoder.peak_weight]

    def pool(self, opened: sparse.csr_matrix) -> Tensor:
        peak_vectors = self.atac_encoder.peak_vectors
        n_open = torch.from_numpy(np.diff(opened.indptr).astype(np.float32)).to(peak_vectors.device)
        context = self.atac_encoder.context(n_open)
        sums = self._pooled(opened, peak_vectors)
        return nn.functional.pad(sums, (0, context.shape[-1] - sums.shape[-1])) + context

    def encode_atac(self, opened: sparse.csr_matrix) -> Tensor:
        """ATAC latent, shape (n_cells, n_latent)."""
        return self.atac_encoder(self.pool(opened))

    def decode_rna(self, z: Tensor, genes: Tensor | None = None) -> Tensor:
        """Log-expression from the RNA latent; only the rows of `genes` are decoded."""
        last = self.rna_decoder[-1]
        h = self.rna_decoder[:-1](z)
        if genes is None:
            return last(h)
        return nn.functional.linear(h, last.weight[genes], last.bias[genes])

    def tail(self, pooled: Tensor, genes: Tensor | None = None) -> Tensor:
        return self.decode_rna(self.atac_to_rna(self.atac_encoder(pooled)), genes).clamp(min=0)

    def folded(self) -> "CrossModalitySurrogate":
        return with_modules(
            self,
            atac_encoder=self.atac_encoder.folded(),
            atac_to_rna=self.atac_to_rna.folded(),
            rna_decoder=folded(self.rna_decoder),
        )
