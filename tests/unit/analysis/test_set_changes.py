import numpy as np
import pytest
from dense import dense_predict, dense_set_effect
from models import open_peaks, random_surrogate
from refitted_toys import ReplicatedToy
from toys import AnyOfToy, LinearToy

from grids.analysis.set_changes import bootstrap_means, changes_by_set
from grids.io.errors import InputError
from grids.search.task_cells import TaskCells


@pytest.mark.parametrize("value", [0, 1])
def test_changes_equal_the_dense_evaluation(value):
    surrogate, opened = random_surrogate("normalised"), open_peaks(12)
    members, x = [3, 17, 30], opened.toarray()
    changes = changes_by_set(
        TaskCells(surrogate, opened, value, seed=0, split="test"),
        "G2",
        [surrogate.peaks[i] for i in members],
        alone=True,
    )
    before = dense_predict(surrogate, x, x.sum(1), 2)
    joint = dense_set_effect(surrogate, x, members, value, 2) - before
    alone = sum(dense_set_effect(surrogate, x, [i], value, 2) - before for i in members)
    assert changes.shape == (1, 12, 2)
    np.testing.assert_allclose(changes[0], np.column_stack([joint, alone]), atol=1e-5)


def test_replicates_follow_the_surrogate_itself():
    surrogate = ReplicatedToy([1.0, 0.0], replicates=[[2.0, 0.0], [3.0, 0.0]])
    cells = TaskCells(surrogate, open_peaks(4, 2, share=1.0), 0, seed=0, split="test")
    changes = changes_by_set(cells, "G0", surrogate.peaks[:1])
    np.testing.assert_allclose(changes[:, 1:, 0], -np.array([[1.0], [2.0], [3.0]]) * np.ones(3))
    np.testing.assert_allclose(changes[:, 0], 0)  # nothing is open in the first cell


def test_a_member_alone_does_nothing_while_another_backs_it_up():
    surrogate = AnyOfToy(4, members=[0, 2], height=0.5)
    opened = open_peaks(3, 4, share=1.0)
    changes = changes_by_set(
        TaskCells(surrogate, opened, 0, seed=0, split="test"),
        "G0",
        [surrogate.peaks[i] for i in (0, 2)],
        True,
    )
    np.testing.assert_allclose(changes[0, 1:], [[-0.5, 0.0], [-0.5, 0.0]])


def test_unknown_members_are_refused():
    cells = TaskCells(LinearToy([1.0, 2.0]), open_peaks(3, 2), 0, seed=0, split="test")
    with pytest.raises(InputError, match=r"'chr9:1-2' is not among the 2 peaks .* gene 'G0'"):
        changes_by_set(cells, "G0", ["chr9:1-2"])


@pytest.mark.parametrize("n_replicates", [0, 2, 3])
def test_bootstrap_means_take_replicates_in_turn(n_replicates):
    rng = np.random.default_rng(0)
    changes = rng.normal(size=(1 + n_replicates, 6, 2))
    weights = rng.dirichlet(np.ones(6), size=7)
    means = bootstrap_means(changes, weights)
    for b, weight in enumerate(weights):
        replicate = changes[1 + b % n_replicates] if n_replicates else changes[0]
        np.testing.assert_allclose(means[b], sum(w * c for w, c in zip(weight, replicate, strict=True)))
