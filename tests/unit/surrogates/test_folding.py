"""Folded networks against the networks they stand for."""

import pytest
import torch
from models import N_GENES, open_peaks, random_surrogate
from torch import nn

from grids.surrogates.cross_modality.layers import PReLU, dense_stack, folded


def seen(layers: nn.Sequential, n_in: int) -> nn.Sequential:
    """With statistics and weights of batch normalisation that are not trivial, in evaluation mode."""
    torch.manual_seed(1)
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    layers.train()
    for _ in range(5):
        layers(3 * torch.randn(50, n_in) + 1)
    return layers.eval()


def test_a_stack_is_folded_into_linear_layers_and_leaky_relus():
    layers = seen(dense_stack([7, 5, 4, 3], dropout=0.4), 7)
    before = {name: value.clone() for name, value in layers.state_dict().items()}
    small = folded(layers)
    assert [type(layer) for layer in small] == [nn.Linear, nn.LeakyReLU, nn.Linear, nn.LeakyReLU, nn.Linear]
    x = torch.randn(30, 7)
    torch.testing.assert_close(small(x), layers(x), atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in small.parameters())
    assert all(p.requires_grad for p in layers.parameters())
    assert all(torch.equal(before[name], value) for name, value in layers.state_dict().items())


def test_linear_layers_in_a_row_are_one():
    layers = seen(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), 6)
    small = folded(layers)
    assert [type(layer) for layer in small] == [nn.Linear]
    x = torch.randn(20, 6)
    torch.testing.assert_close(small(x), layers(x), atol=1e-5, rtol=1e-4)


def test_what_cannot_be_folded_stays():
    layers = seen(nn.Sequential(nn.BatchNorm1d(4), PReLU(4), nn.Linear(4, 2)), 4)
    small = folded(layers)
    assert [type(layer) for layer in small] == [nn.BatchNorm1d, PReLU, nn.Linear]
    x = torch.randn(20, 4)
    torch.testing.assert_close(small(x), layers(x))


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.3])
@pytest.mark.parametrize(
    "first", [[], [nn.Linear(4, 4)]], ids=["activation first", "activation after linear"]
)
def test_an_activation_of_any_slope_keeps_its_input_and_has_its_gradient(first, slope):
    torch.manual_seed(2)
    layers = nn.Sequential(*first, PReLU(), nn.Linear(4, 2)).eval()
    layers[-2].weight.data.fill_(slope)
    x = torch.randn(20, 4, requires_grad=True)
    before, small = x.detach().clone(), folded(layers)
    torch.testing.assert_close(small(x), layers(x), atol=1e-6, rtol=1e-5)
    gradients = [torch.autograd.grad(model(x).square().sum(), x)[0] for model in (small, layers)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("encoder", ["paper", "normalised"])
def test_a_folded_surrogate_is_the_same_function_with_the_same_gradient(encoder):
    surrogate = random_surrogate(encoder)
    small, states = surrogate.folded(), surrogate.pool(open_peaks(40)).detach()
    results = []
    for model in (surrogate, small):
        at = states.clone().requires_grad_()
        predicted = model.tail(at, torch.arange(N_GENES)[1:4])
        results.append((predicted, *torch.autograd.grad(predicted.sum(), at)))
    torch.testing.assert_close(results[1][0], results[0][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(results[1][1], results[0][1], atol=1e-5, rtol=1e-4)
    assert small.shift.data_ptr() == surrogate.shift.data_ptr() or encoder == "normalised"
    assert any(isinstance(m, nn.BatchNorm1d) for m in surrogate.rna_decoder)
    assert not any(isinstance(m, nn.BatchNorm1d) for m in small.rna_decoder)
