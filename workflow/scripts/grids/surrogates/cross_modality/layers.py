"""Building blocks of the cross-modality surrogate, and their cheaper form for evaluation."""

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init
from torch.nn.utils.fusion import fuse_linear_bn_eval


class PReLU(nn.PReLU):
    """The same function; torch's own kernel takes several times as long to differentiate on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.view(-1, *[1] * (x.ndim - 2))  # of the features in the second dimension
        return torch.lerp(x, x.relu(), 1 - weight.to(x))


class GroupedLinear(nn.Module):
    """One linear map per group (chromosome), applied in a single product.

    Input (n_cells, n_groups, n_in), output (n_cells, n_groups, n_out).
    """

    def __init__(self, n_groups: int, n_in: int, n_out: int):
        super().__init__()
        bound = n_in**-0.5
        self.weight = nn.Parameter(torch.empty(n_groups, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_groups, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ngi,gio->ngo", x, self.weight) + self.bias


class GroupedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every (group, feature) on its own. Shape (n_cells, n_groups, n_features)."""

    def __init__(self, n_groups: int, n_features: int):
        super().__init__(n_groups * n_features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1)).view_as(x)


class AffineMixture(nn.Module):
    """Map between two latent spaces: three mixtures of affine maps under one gate (paper, section 3.1).

    ``gate = softmax(MLP(z))`` mixes `n_types` matrices and offsets per layer, with a PReLU between layers.
    """

    def __init__(self, n_latent: int, n_types: int, n_hidden: int = 128, n_layers: int = 3):
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(n_latent, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_types))
        identity = torch.eye(n_latent).expand(n_types, -1, -1)
        self.matrices = nn.ParameterList(
            nn.Parameter(identity + 0.05 * torch.randn(n_types, n_latent, n_latent)) for _ in range(n_layers)
        )
        self.offsets = nn.ParameterList(
            nn.Parameter(0.05 * torch.randn(n_types, n_latent)) for _ in range(n_layers)
        )
        self.activation = PReLU()

    def forward(self, z: Tensor) -> Tensor:
        gate = self.gate(z).softmax(1)  # once, from the input latent
        for layer, (matrices, offsets) in enumerate(zip(self.matrices, self.offsets, strict=True)):
            if layer:
                z = self.activation(z)
            # one product for all cells and maps: gate-weighted copies of z beside each other
            weighted = (gate[:, :, None] * z[:, None, :]).flatten(1)
            z = torch.addmm(gate @ offsets, weighted, matrices.transpose(1, 2).flatten(0, 1))
        return z

    def folded(self) -> "AffineMixture":
        """The same function in evaluation mode."""
        return with_modules(self, activation=folded(nn.Sequential(self.activation)))


class Discriminator(nn.Module):
    """Tells real latents of a cell type from mapped ones; the logit read is the cell's own type."""

    def __init__(self, n_latent: int, n_types: int, n_hidden: Sequence[int] = (20, 10), dropout: float = 0.1):
        super().__init__()
        first, second = n_hidden
        self.layers = nn.Sequential(
            nn.Linear(n_latent, first), PReLU(), nn.Dropout(dropout),
            nn.Linear(first, second), PReLU(), nn.Linear(second, n_types),
        )  # fmt: skip

    def forward(self, z: Tensor, cell_type: Tensor) -> Tensor:
        return self.layers(z).gather(1, cell_type[:, None]).squeeze(1)


def dense_stack(sizes: list[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with BatchNorm and PReLU (and dropout) between them, none after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), PReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(sizes[-2], sizes[-1]))
    return nn.Sequential(*layers)


@torch.no_grad()
def folded(layers: nn.Sequential) -> nn.Sequential:
    """The same function in evaluation mode.

    A linear layer takes in the batch normalisation or the linear layer that follows it, a PReLU of one weight becomes
    a leaky ReLU, dropout is left out. The given layers are in evaluation mode and left unchanged; those returned need
    no gradient.
    """
    kept: list[nn.Module] = []
    for layer in layers:
        after_linear = bool(kept) and isinstance(kept[-1], nn.Linear)
        if after_linear and isinstance(layer, nn.BatchNorm1d):
            kept[-1] = fuse_linear_bn_eval(kept[-1], layer)
        elif after_linear and isinstance(layer, nn.Linear):
            kept[-1] = _joined(kept[-1], layer)
        elif isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            slope = layer.weight.item()
            # in place on what a linear layer made; torch does not differentiate that for a negative slope
            kept.append(nn.LeakyReLU(slope, inplace=after_linear and slope >= 0))
        elif not isinstance(layer, nn.Dropout):
            kept.append(copy.deepcopy(layer))
    return nn.Sequential(*kept).requires_grad_(False).eval()


def with_modules(module: nn.Module, **replaced: nn.Module) -> nn.Module:
    """A copy of a module with some of its modules replaced; everything else is shared with it."""
    changed = copy.copy(module)
    changed._modules = {**module._modules, **replaced}
    return changed


def _joined(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    size = first.in_features, second.out_features
    joined = skip_init(nn.Linear, *size, device=first.weight.device).eval()  # draws no random numbers
    joined.weight.copy_(second.weight @ first.weight)
    joined.bias.copy_(second(first.bias))
    return joined
