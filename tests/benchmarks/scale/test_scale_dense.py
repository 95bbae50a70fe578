"""The plain dense steps of the scale benchmark and the pooled ones are the same steps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse
from torch import nn

from benchmarks.scale import dense
from grids.search.objective import PerturbedCells
from grids.search.search import Search
from grids.surrogates.cross_modality.losses import Losses, open_and_drawn_peaks
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, Settings
from grids.surrogates.cross_modality.training_cells import TrainingCells

N_CELLS, N_PEAKS, N_GENES = 40, 60, 12
ENCODERS = {"paper": {"width": 5, "n_hidden": 7}, "normalised": {"width": 6, "n_hidden": 9, "dropout": 0.0}}


def cells_and_surrogate(encoder, seed=0):
    """Random cells, and a surrogate whose batch normalisation has seen them."""
    rng = np.random.default_rng(seed)
    opened = sparse.csr_matrix((rng.random((N_CELLS, N_PEAKS)) < 0.3).astype(np.uint8))
    torch.manual_seed(seed)
    surrogate = CrossModalitySurrogate(
        [f"p{i}" for i in range(N_PEAKS)],
        [f"g{i}" for i in range(N_GENES)],
        ["a", "b"],
        np.repeat([0, 1, 2], [30, 20, 10]),
        encoder=encoder,
        n_latent=4,
        rna_hidden=(8, 6),
        **ENCODERS[encoder],
    )
    with torch.no_grad():
        surrogate.train()
        surrogate.tail(surrogate.pool(opened))
        surrogate.rna_decoder[-1].bias.fill_(3.0)
    return opened, surrogate.eval()


def as_dense(opened):
    return torch.from_numpy(opened.toarray().astype(np.int64))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_summed_look_ups_are_the_pooled_states(encoder):
    opened, surrogate = cells_and_surrogate(encoder)
    x = as_dense(opened)
    summed = dense.sum_by_group(surrogate, dense.look_up(dense.embedding_of(surrogate), x), x.sum(1).float())
    assert_allclose(summed, surrogate.pool(opened).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
@settings(max_examples=15)
@given(
    members=st.lists(st.integers(0, N_PEAKS - 1), min_size=1, max_size=5, unique=True),
    gene=st.integers(0, N_GENES - 1),
    seed=st.integers(0, 5),
)
def test_search_steps_choose_the_same_peak(encoder, members, gene, seed):
    opened, surrogate = cells_and_surrogate(encoder, seed)
    cells, members = PerturbedCells(surrogate, opened, 0), torch.tensor(members)
    x, coordinate = as_dense(opened), len(members) // 2
    # With every peak a candidate, no tie in first-order gains can hide the best one.
    pooled = int(Search(cells, gene, n_candidates=N_PEAKS).step(cells, members, coordinate))
    chosen = dense.search_step(surrogate, x, members, coordinate, gene, N_PEAKS - len(members))
    others = members[torch.arange(len(members)) != coordinate]
    values = cells.mean_of_sets(
        torch.stack([torch.cat([others, torch.tensor([p])]) for p in (pooled, chosen)]), gene
    )
    assert pooled == chosen or abs(values[0] - values[1]) < 1e-5


@pytest.mark.parametrize("encoder", ENCODERS)
def test_reconstruction_losses_and_their_gradients_agree(encoder):
    opened, surrogate = cells_and_surrogate(encoder)
    surrogate.train()
    codes = np.zeros(N_CELLS, int)
    expression = sparse.csr_matrix((N_CELLS, N_GENES), dtype=np.float32)
    batch = TrainingCells(opened, codes, expression, codes, True)
    losses = Losses(surrogate, Settings(), True, batch)
    pooled = losses.atac(batch, torch.Generator().manual_seed(3))["reconstruction"]
    pooled.backward()
    embedding = nn.Parameter(dense.embedding_of(surrogate))
    pairs = open_and_drawn_peaks(
        opened, surrogate.atac_decoder.chromosome_of_peak.numpy(), torch.Generator().manual_seed(3)
    )
    loss = dense.reconstruction_loss(surrogate, embedding, as_dense(opened), pairs)
    loss.backward()
    assert_allclose(loss.item(), pooled.item(), rtol=1e-5)
    by_peak = surrogate.atac_encoder.peak_vectors.grad
    open_rows = embedding.grad[1::2][:, : by_peak.shape[1]]
    assert by_peak.abs().max() > 0
    if encoder == "paper":
        # A peak's difference moves the state as its open vector does; batch normalisation takes any constant out.
        assert_allclose(open_rows, by_peak, rtol=1e-3, atol=1e-6)
        assert_allclose(embedding.grad.view(N_PEAKS, 2, -1).sum((0, 1)), torch.zeros(5), atol=1e-5)
    else:
        assert_allclose(open_rows, by_peak, rtol=1e-3, atol=1e-6)
