"""Windows of other cells: what changes in a cell's pooled state, and what does not."""

import numpy as np
import torch
from models import random_surrogate, toy_multiome
from scipy import sparse

from grids.surrogates.judged_windows import _moved

PEAKS = [3, 7, 9]


def test_the_depth_of_a_cell_stays_when_its_window_is_permuted():
    surrogate = random_surrogate("normalised")
    order = np.random.default_rng(0).permutation(30)
    opened = toy_multiome(60).atac.X[:30]
    pooled = surrogate.pool(opened).detach()
    seen = opened[:, PEAKS].toarray().astype(np.float32)
    spread = surrogate.shift[PEAKS].detach()[:, None]
    moved = _moved(pooled, seen[order] - seen, spread)
    shuffled = opened.toarray()
    shuffled[:, PEAKS] = shuffled[order][:, PEAKS]
    expected = surrogate.pool(sparse.csr_matrix(shuffled)).detach()
    torch.testing.assert_close(moved[..., :-1], expected[..., :-1])
    assert torch.equal(moved[..., -1], pooled[..., -1])
