"""The synthetic functions say what they are called, and their planted sets are the best ones."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from benchmarks.synthetic.data import simulate
from benchmarks.synthetic.functions import FUNCTIONS

# In words of Python, for one cell.
LOGIC = {
    "additive": lambda x: np.log(
        1 + 0.5 * x[0] + 0.7 * x[1] + 0.9 * x[2] + 1.1 * x[3] + 1.3 * x[4] + 1.5 * x[5]
    ),
    "xor": lambda x: (x[0] != x[1]) + (x[2] != x[3]) + (x[4] != x[5]),
    "orange_skin": lambda x: {0: 1, 1: np.exp(-0.5), 2: np.exp(-2), 3: np.exp(-4.5)}[abs(sum(x) - 3)],
    "switch": lambda x: sum(x[6:]) if x[0] else sum(x[1:6]),
    "redundant": lambda x: any(x[:3]) + any(x[3:]),
}


def every_cell(name):
    return torch.tensor(list(product([0.0, 1.0], repeat=FUNCTIONS[name].n_inputs)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_on_open_and_closed_inputs(name):
    cells = every_cell(name)
    expected = [LOGIC[name](cell) for cell in cells.int().tolist()]
    assert_allclose(FUNCTIONS[name].value(cells), expected, rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_members_are_needed_to_reach_the_lowest_value_in_every_cell(name):
    function, cells = FUNCTIONS[name], every_cell(name)
    lowest = function.value(cells).min()
    for closed in combinations(range(function.n_inputs), function.n_members):
        after = cells.clone()
        after[:, list(closed)] = 0
        reached = torch.allclose(function.value(after), lowest)
        assert reached == (closed == tuple(range(function.n_members)))


@pytest.mark.parametrize("name", ["xor", "switch", "redundant"])
def test_gradients_of_multilinear_functions_are_their_differences(name):
    function, cells = FUNCTIONS[name], every_cell(name).requires_grad_()
    (gradient,) = torch.autograd.grad(function.value(cells).sum(), cells)
    for i in range(function.n_inputs):
        opened, closed = cells.detach().clone(), cells.detach().clone()
        opened[:, i], closed[:, i] = 1, 0
        assert_allclose(gradient[:, i], function.value(opened) - function.value(closed), atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_best_effect_is_that_of_all_sets_tried(name):
    for background in (0, 0.95) if name != "switch" else (0.95,):
        n_features = 2 * FUNCTIONS[name].n_inputs
        replicate = simulate(name, np.random.default_rng(1), n_features, 20, 0.8, background)
        sets = torch.tensor(list(combinations(range(n_features), len(replicate.members))))
        effects = replicate.cells.predict(0).mean() - replicate.cells.mean_of_sets(sets, 0)
        assert replicate.best_effect == pytest.approx(float(effects.max()), rel=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("background", [0, 0.25])
def test_the_planted_set_is_the_best_one(name, background):
    for seed in range(3):
        replicate = simulate(name, np.random.default_rng(seed), 100, 500, 0.8, background)
        before, after = (
            replicate.cells.mean_of_sets(s[None], 0)[0] for s in (replicate.members[:0], replicate.members)
        )
        assert replicate.best_effect == pytest.approx(float(before - after), rel=1e-4)


def test_cells_and_background_are_as_asked():
    replicate = simulate("switch", np.random.default_rng(0), 60, 20_000, 0.8, 0.5)
    cells, weights = replicate.cells, replicate.cells.shift[:, -1].numpy()
    opened = cells.opened.toarray()
    share = opened.mean(0)
    assert share.min() > 0.28 and share.max() < 0.72 and np.ptp(share) > 0.2
    inputs = cells.shift[:, :-1].argmax(0).numpy()
    assert (weights[inputs] == 0).all() and (np.delete(weights, inputs) > 0).all()
    assert inputs[:6].tolist() == replicate.members.tolist()
    # Every input has one companion, and nothing else opens together.
    correlation = np.corrcoef(opened.T)[inputs]
    correlation[np.arange(len(inputs)), inputs] = 0
    assert ((correlation > 0.4).sum(1) == 1).all()
    assert (np.sort(np.abs(correlation), 1)[:, :-1] < 0.1).all()
    # The value is the function's and what the others add.
    others = np.sort(weights * share)[-6:].sum()
    assert others == pytest.approx(0.5 * replicate.best_effect, rel=1e-3)
    expected = [LOGIC["switch"](cell) for cell in opened[:50, inputs].tolist()] + opened[:50] @ weights
    assert_allclose(cells.predict(0)[:50], expected, rtol=1e-4)
