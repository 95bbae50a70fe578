"""The architecture of the paper's public reference implementation in plain torch, its entries under its own names.

Dense, chromosome by chromosome, without anything of this project (Liu et al., ACML 2024, section 3.1).
"""

from itertools import pairwise

import torch
from torch import nn


class Sum(nn.Module):
    def forward(self, x):
        return x.sum(1)


class Atac(nn.Module):
    def __init__(self, chromosomes, n_latent, width, n_hidden):
        super().__init__()
        self.chromosomes, n = chromosomes, len(chromosomes)
        self.embedding = nn.Module()
        self.embedding.weight = nn.Parameter(torch.randn(sum(chromosomes), 2, width))
        self.in_split_layer = nn.ModuleList(
            nn.Sequential(
                Sum(), nn.BatchNorm1d(width), nn.PReLU(),
                nn.Linear(width, n_hidden), nn.BatchNorm1d(n_hidden), nn.PReLU(),
            )
            for _ in chromosomes
        )  # fmt: skip
        self.encoder = nn.Sequential(nn.Linear(n * n_hidden, n_latent), nn.Linear(n_latent, n_latent))
        self.decoder = nn.Sequential(nn.Linear(n_latent, n * n_hidden), nn.BatchNorm1d(n * n_hidden))
        self.out_split_layer = nn.ModuleList(
            nn.Sequential(
                nn.Linear(n_hidden, width), nn.BatchNorm1d(width), nn.PReLU(), nn.Linear(width, n_peaks)
            )
            for n_peaks in chromosomes
        )

    def encode(self, x):
        peak = torch.arange(x.shape[1])
        embedded = self.embedding.weight[peak, x.long()].split(self.chromosomes, 1)
        parts = [layers(e) for layers, e in zip(self.in_split_layer, embedded, strict=True)]
        return self.encoder(torch.cat(parts, 1))

    def decode(self, z):
        parts = self.decoder(z).chunk(len(self.chromosomes), 1)
        return torch.cat([layers(p) for layers, p in zip(self.out_split_layer, parts, strict=True)], 1)


class Rna(nn.Module):
    def __init__(self, n_genes, hidden, n_latent):
        super().__init__()
        self.encoder = self.stack([n_genes, *hidden, n_latent])
        self.decoder = self.stack([n_latent, *hidden[::-1], n_genes])

    @staticmethod
    def stack(sizes):
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.PReLU()]
        return nn.Sequential(*layers[:-2])


class Maps(nn.Module):
    def __init__(self, n_types, n_latent, n_hidden, n_layers):
        super().__init__()
        shape = n_types, n_latent**2
        self.affine_matrices = nn.ParameterList(
            nn.Parameter(torch.randn(shape) / n_latent) for _ in range(n_layers)
        )
        self.affine_offsets = nn.ParameterList(
            nn.Parameter(torch.randn(n_types, n_latent)) for _ in range(n_layers)
        )
        self.fc_loc = nn.Sequential(nn.Linear(n_latent, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_types))
        self.act = nn.PReLU()

    def forward(self, z):
        gate = self.fc_loc(z).softmax(1)
        for layer, (matrices, offsets) in enumerate(
            zip(self.affine_matrices, self.affine_offsets, strict=True)
        ):
            z = self.act(z) if layer else z
            matrix = (gate @ matrices).view(len(z), z.shape[1], z.shape[1])
            z = (matrix @ z[:, :, None])[:, :, 0] + gate @ offsets
        return z


class Discriminator(nn.Module):
    def __init__(self, n_types, n_latent, first, second):
        super().__init__()
        self.w_d = nn.Sequential(
            nn.Linear(n_latent, first), nn.PReLU(), nn.Dropout(0.1),
            nn.Linear(first, second), nn.PReLU(), nn.Linear(second, n_types),
        )  # fmt: skip


class ReferenceModel(nn.Module):
    """All of it, with random weights."""

    def __init__(
        self, chromosomes, n_genes, n_types, *, n_latent=20, width=16, n_hidden=32, rna_hidden=(640, 320),
        gate_hidden=128, n_maps=3, discriminator_hidden=(20, 10),
    ):  # fmt: skip
        super().__init__()
        self.atac_model = Atac(list(chromosomes), n_latent, width, n_hidden)
        self.rna_model = Rna(n_genes, list(rna_hidden), n_latent)
        self.atac2rna_model, self.rna2atac_model = (
            Maps(n_types, n_latent, gate_hidden, n_maps) for _ in range(2)
        )
        self.atac_discriminator, self.rna_discriminator = (
            Discriminator(n_types, n_latent, *discriminator_hidden) for _ in range(2)
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
            if isinstance(module, nn.PReLU):
                nn.init.uniform_(module.weight, -0.5, 1.5)
        self.eval()

    @torch.no_grad()
    def forward(self, x):
        """Log-expression from open peaks."""
        return self.rna_model.decoder(self.atac2rna_model(self.atac_model.encode(x))).clamp(min=0)
