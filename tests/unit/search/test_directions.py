"""Sets that lower a gene and sets that raise it: both are searched, and the one that goes further is the answer."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import open_peaks, random_surrogate
from scipy import sparse
from toys import AllOfToy, AnyOfToy, LinearToy

from grids.io.tables import SKIPPED_COLUMNS
from grids.search.directions import DIRECTIONS, SOUGHT
from grids.search.objective import PerturbedCells
from grids.search.search import LEAST_EFFECT, Search
from grids.search.sets import Question, find_sets
from grids.surrogates.window.model import GeneWindow

TASK = pd.DataFrame({"cell_type": ["T"], "gene": ["G0"]})
N_PEAKS = 6


class Window(GeneWindow):
    """One gene's window that stands for the whole surrogate."""

    def __init__(self, weights, size):
        peaks = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(len(weights))]
        super().__init__(peaks, "G0", torch.tensor(weights), torch.tensor(size))

    def with_state(self, pooled, by_state):
        return pooled


def found(surrogate, opened, **question):
    surrogate.name = "toy"
    question = {"set_size": 3, "restarts": 3, "direction": "change"} | question
    sets, searches, skipped = find_sets(surrogate, opened, TASK, None, 1, Question(**question))
    return sets, searches, skipped


def effects_of_all_sets(surrogate, opened, value, most):
    """Change of the mean by every set of at most so many peaks, evaluated on dense cells."""
    dense, change = opened.toarray().astype(np.float32), {}
    before = surrogate.predict(opened)[:, 0].mean()
    for size in range(1, most + 1):
        for members in combinations(range(dense.shape[1]), size):
            closed = dense.copy()
            closed[:, list(members)] = value
            change[members] = float(surrogate.predict(sparse.csr_matrix(closed))[:, 0].mean() - before)
    return change


@given(
    members=st.lists(st.integers(0, N_PEAKS - 1), min_size=1, max_size=3, unique=True),
    others=st.lists(st.integers(0, N_PEAKS - 1), min_size=1, max_size=3, unique=True),
    bends=st.tuples(*[st.sampled_from([-6.0, -1.5, -0.4, 0.7, 2.5])] * 2),
    log_ratios=st.tuples(*[st.sampled_from([-1.5, -0.8, 0.6, 1.2])] * 2),
    seed=st.integers(0, 50),
)
@settings(max_examples=25, deadline=None)
def test_the_answer_is_the_set_of_the_largest_change_of_all(members, others, bends, log_ratios, seed):
    """Two drawn models, each of which may raise or lower: brute force over all 41 sets of up to three of six peaks."""
    weights, size = np.zeros((N_PEAKS, 2), np.float32), np.zeros(2, np.float32)
    for model, (of_model, bend, ratio) in enumerate(zip((members, others), bends, log_ratios, strict=True)):
        weights[of_model, model] = bend
        size[model] = np.expm1(ratio) / np.expm1(bend * len(of_model))
    surrogate, opened = Window(weights, size), open_peaks(60, N_PEAKS, share=0.6, seed=seed)
    change = effects_of_all_sets(surrogate, opened, 0, 3)
    sets, searches, _ = found(surrogate, opened, candidates=N_PEAKS)
    furthest = max(map(abs, change.values()))
    if furthest <= 2 * LEAST_EFFECT:
        return
    reached = change[tuple(sorted(surrogate.peaks.index(peak) for peak in sets["peak"]))]
    # Members that add no more than a hundredth of the effect are left out, one by one.
    assert abs(reached) >= furthest * 0.97 - 3 * LEAST_EFFECT
    (direction,) = sets["direction"].unique()
    assert direction == ("silence" if reached < 0 else "derepress")
    assert searches["direction"].tolist() == ["silence"] * 3 + ["derepress"] * 3
    of_three = np.array([value for key, value in change.items() if len(key) == 3])
    for name, rows in searches.groupby("direction"):  # they are for three peaks, whatever these do
        sign = DIRECTIONS[name].sign
        went = sign * (rows["objective_after"] - rows["objective_before"])
        assert went.max() == pytest.approx((sign * of_three).max(), abs=1e-5)


@pytest.mark.parametrize(("toy", "members"), [(AnyOfToy, [1, 4]), (AllOfToy, [0, 3])])
@pytest.mark.parametrize("height", [1.0, -1.0])
def test_silencers_are_found_as_activators_are(toy, members, height):
    surrogate, opened = toy(N_PEAKS, members, height), sparse.csr_matrix(np.ones((8, N_PEAKS), np.uint8))
    sets, _, _ = found(surrogate, opened)
    assert (sets["direction"] == ("silence" if height > 0 else "derepress")).all()
    assert {surrogate.peaks.index(peak) for peak in sets["peak"]} == set(members)


def test_a_set_has_one_sign_that_of_the_larger_joint_effect():
    opened = sparse.csr_matrix(np.ones((5, 5), np.uint8))
    for weights, direction, members in [
        ([1.0, 0.8, -0.9, -0.7, 0.0], "silence", [0, 1]),
        ([1.0, 0.8, -0.9, -1.0, 0.0], "derepress", [3, 2]),
        ([1.0, 0.5, -1.0, -0.5, 0.0], "silence", [0, 1]),  # of two that go as far, the first
    ]:
        surrogate = LinearToy(weights)
        sets, _, _ = found(surrogate, opened)
        assert sets["peak"].tolist() == [surrogate.peaks[i] for i in members]
        assert (sets["direction"] == direction).all() and (sets["set_size"] == 2).all()
        for asked in ("silence", "derepress"):
            of_asked, _, _ = found(surrogate, opened, direction=asked)
            assert (of_asked["direction"] == asked).all()
            if asked == direction:
                pd.testing.assert_frame_equal(of_asked, sets)


def test_what_is_filled_is_judged_by_its_own_direction():
    """All peaks lower the gene when closed: the set of least harm is no answer, though it moves the gene too."""
    opened = sparse.csr_matrix(np.ones((5, 4), np.uint8))
    sets, _, _ = found(LinearToy([1.0, 1.0, 1.0, 1.0]), opened, set_size=2, fill=True)
    assert (sets["direction"] == "silence").all()


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        ("change", "closing no peak of the genome lowers or raises"),
        ("silence", "closing no peak of the genome lowers"),
        ("derepress", "closing no peak of the genome raises"),
        ("activate", "opening no peak of the genome raises"),
    ],
)
def test_nothing_found_says_what_was_sought(direction, words):
    sets, _, skipped = found(LinearToy(np.zeros(4)), open_peaks(10, 4), direction=direction)
    assert sets.empty and list(skipped.columns) == SKIPPED_COLUMNS
    reason = f"nothing found: {words} predicted log-expression by more than 0.0001"
    assert skipped["reason"].tolist() == [reason]


@given(st.sampled_from(["paper", "normalised"]), st.integers(0, 20))
@settings(max_examples=5, deadline=None)
def test_seeking_the_other_sign_is_searching_the_mirrored_gene(encoder, seed):
    """With the sign turned, the search for a decrease of F takes the steps of a search for an increase of -F."""
    surrogate, opened = random_surrogate(encoder), open_peaks(50, seed=seed)
    mirrored = random_surrogate(encoder)
    tail = mirrored.tail
    mirrored.tail = lambda pooled, genes=None: -tail(pooled, genes)
    mirrored.folded = lambda: mirrored
    cells = PerturbedCells(surrogate, opened, 0)
    up, down = Search(cells.seeking(1), 2), Search(PerturbedCells(mirrored, opened, 0), 2)
    assert (cells.sign, up.sign, down.sign) == (-1, 1, -1)
    assert up.greedy(4).tolist() == down.greedy(4).tolist()
    assert up.along_path(4).tolist() == down.along_path(4).tolist()


def test_what_is_sought_is_looked_for_in_one_state_of_the_peaks():
    assert set(SOUGHT) == {*DIRECTIONS, "change"}
    for names in SOUGHT.values():
        assert len({DIRECTIONS[name].value for name in names}) == 1
