"""Networks in evaluation mode as fewer and cheaper layers: the same function, with constants for weights."""

import copy

import torch
from torch import nn
from torch.nn.utils import skip_init
from torch.nn.utils.fusion import fuse_linear_bn_eval


@torch.no_grad()
def folded(layers: nn.Sequential) -> nn.Sequential:
    """The same function in evaluation mode.

    A linear layer takes in the batch normalisation or the linear layer that follows it, a PReLU of one weight becomes
    a leaky ReLU, dropout is left out.

    Parameters
    ----------
    layers : Sequential
        In evaluation mode; left unchanged.

    Returns
    -------
    Sequential
        Of layers that need no gradient.
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
