"""SAGE against the library, against all subsets, and closed forms."""

import numpy as np
import pytest
import torch
from models import open_peaks, random_surrogate
from questions import all_alike, ask
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from benchmarks.explainers.sage import sage
from grids.analysis.redundancy.subsets import all_subsets, exact_shapley

N_PEAKS = 40
ALLOWED = np.asarray([0, 2, 5, 14, 16, 19, 20, 33])


def with_interactions() -> AnyOfToy:
    """Eight weighted peaks under a ceiling that half of them reach, so that no value is quadratic."""
    toy = AnyOfToy(8, [])
    toy.shift[:, 0] = torch.linspace(0.1, 0.6, 8)
    return toy


def exact_values(surrogate, opened, value) -> np.ndarray:
    """SAGE values from all 256 subsets of eight peaks, by dense evaluation."""
    target = surrogate.predict(opened)[:, 0]
    values = []
    for restored in all_subsets(8):
        dense = opened.toarray()
        dense[:, ~restored] = value
        values.append(-float(((surrogate.predict(sparse.csr_matrix(dense))[:, 0] - target) ** 2).mean()))
    return exact_shapley(np.asarray(values))


@pytest.mark.parametrize("value", [0, 1])
def test_agrees_with_the_library_within_its_confidence_interval(
    value,
):
    library = pytest.importorskip("sage")
    surrogate, opened = random_surrogate("paper"), open_peaks(50)
    candidates_only = np.zeros(opened.shape, dtype=np.uint8)
    candidates_only[:, ALLOWED] = opened[:, ALLOWED].toarray()

    def predict(x):
        full = np.zeros((len(x), N_PEAKS))
        full[:, ALLOWED] = x
        return surrogate.predict(sparse.csr_matrix(full))[:, 0].numpy().astype(float)

    imputer = library.DefaultImputer(predict, np.full(len(ALLOWED), float(value)))
    theirs = library.PermutationEstimator(imputer, "mse", random_state=0)(
        candidates_only[:, ALLOWED].astype(float), n_permutations=1024, detect_convergence=False, bar=False
    )
    ours = sage(
        ask(surrogate, sparse.csr_matrix(candidates_only), value, allowed=ALLOWED),
        n_permutations=2000,
        signed=False,
    ).numpy()[ALLOWED]
    assert np.abs(theirs.values).max() > 5 * theirs.std.max()
    assert (np.abs(ours - theirs.values) < 3 * theirs.std).all()


@pytest.mark.parametrize("value", [0, 1])
def test_error_falls_with_the_square_root_of_the_permutations(value):
    surrogate, opened = with_interactions(), open_peaks(20, n_peaks=8, share=0.6)
    exact = exact_values(surrogate, opened, value)

    def error(n_permutations: int) -> float:
        draws = [
            sage(ask(surrogate, opened, value, seed=seed), n_permutations, signed=False) for seed in range(8)
        ]
        return float(np.sqrt(((torch.stack(draws).numpy() - exact) ** 2).mean()))

    few, many = error(40), error(40 * 9)
    assert 2 < few / many < 4.5
    assert many < 0.2 * np.abs(exact).max()


@pytest.mark.parametrize("value", [0, 1])
def test_one_order_and_its_reverse_are_exact_where_effects_are_additive(value):
    # The value of a set is the square of a sum: each effect a_j gets a_j times the sum of all.
    weights = np.random.default_rng(1).uniform(0.1, 1.0, N_PEAKS)
    opened = open_peaks(7)
    effect = (opened.toarray() != value) * weights
    expected = (effect * effect.sum(1, keepdims=True)).mean(0)
    scores = sage(ask(LinearToy(weights), opened, value), n_permutations=14)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize(("toy", "value"), [(AnyOfToy, 0), (AllOfToy, 0), (AnyOfToy, 1), (AllOfToy, 1)])
def test_members_of_a_gate_share_the_squared_height(toy, value):
    cells = all_alike(3, 1 - value)
    scores = sage(ask(toy(N_PEAKS, [3, 7, 9], height=2.0), cells, value), n_permutations=2000)
    expected = np.where(np.isin(np.arange(N_PEAKS), [3, 7, 9]), 4.0 / 3, 0.0)
    np.testing.assert_allclose(scores.numpy(), expected, atol=0.15)
    np.testing.assert_allclose(float(scores.sum()), 4.0, rtol=1e-4)


@pytest.mark.parametrize("n_blocks", [1, 7, 20])
def test_blocks_keep_the_sum_and_shrink_the_differences(n_blocks):
    weights = np.linspace(0.2, 2.0, N_PEAKS)
    total = weights.sum()
    asked = ask(LinearToy(weights), all_alike(1, 1))
    scores = sage(asked, n_permutations=2000, n_blocks=n_blocks).numpy()
    # The value of a member of a block of b: its own and those of b - 1 others by chance, shared by b.
    size = N_PEAKS / n_blocks
    companions = (total - weights) / (N_PEAKS - 1)
    expected = total * (weights + (size - 1) * companions) / size
    np.testing.assert_allclose(scores.sum(), total**2, rtol=1e-4)
    np.testing.assert_allclose(scores, expected, rtol=0.06)
    assert asked.cells.evaluations.n_forward == 1 + 2000 * (n_blocks + 1)


def test_cells_that_move_the_other_way_count_negatively_where_signed():
    # Closing all peaks raises the gene, closing peak 0 lowers it: SAGE itself finds it harmful.
    weights = np.asarray([1.0, -2.0, -3.0])
    cells = all_alike(2, 1, n_peaks=3)
    plain = sage(ask(LinearToy(weights), cells), 4, signed=False)
    signed = sage(ask(LinearToy(weights), cells), 4)
    np.testing.assert_allclose(plain.numpy(), weights * -4.0, rtol=1e-5)
    np.testing.assert_allclose(signed.numpy(), weights * 4.0, rtol=1e-5)


def test_same_seed_same_values():
    surrogate, opened = with_interactions(), open_peaks(20, n_peaks=8, share=0.6)
    first, again, other = (sage(ask(surrogate, opened, seed=seed), 20) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
