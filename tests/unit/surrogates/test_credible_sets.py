"""Credible sets: closed forms on posteriors made by hand, and coverage on planted members."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_windows import CONTROL, WINDOW_SIZE, kind, planted

from grids.surrogates.window.credible_sets import COVERAGE, credible_sets
from grids.surrogates.window.training import WindowSettings, train_window


def found(
    models: dict[tuple[int, ...], float], n_peaks: int = 8, n_candidates: int | None = None
) -> list[set]:
    """Credible sets, in order, of a posterior over models with these members."""
    members = torch.zeros(1, len(models), n_peaks, dtype=torch.bool)
    for row, peaks in enumerate(models):
        members[0, row, list(peaks)] = True
    chances = torch.tensor([list(models.values())])
    number = credible_sets(members, chances, torch.tensor([n_candidates or n_peaks]))[0].numpy()
    return [set(np.flatnonzero(number == i)) for i in range(1, number.max() + 1)]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ({(2,): 1.0}, [{2}]),
        ({(): 1.0}, []),
        # peaks that stand in for each other are one set, members that are there together are two
        ({(2,): 0.6, (5,): 0.37, (1,): 0.03}, [{2, 5}]),
        ({(2, 5): 1.0}, [{2}, {5}]),
        # a second member that has a twin
        ({(2, 5): 0.5, (2, 6): 0.48, (2,): 0.02}, [{2}, {5, 6}]),
        # both have twins: none of the first set is taken for the second
        ({(1, 5): 0.36, (1, 6): 0.24, (2, 5): 0.2, (2, 6): 0.2}, [{1, 2}, {5, 6}]),
        # given that there is a member at all
        ({(): 0.9, (4,): 0.096, (3,): 0.004}, [{4}]),
        # a member that is there in nine models of ten has no set
        ({(2, 5): 0.9, (2,): 0.1}, [{2}]),
        # four peaks of eight would be needed
        ({(0,): 0.3, (1,): 0.3, (2,): 0.2, (3,): 0.2}, []),
    ],
)
def test_closed_forms(models, expected):
    assert found(models) == expected


def test_the_set_is_smaller_than_half_of_the_candidates_or_one_peak():
    three = {(0,): 0.4, (1,): 0.3, (2,): 0.3}
    assert found(three, 8, n_candidates=7) == [{0, 1, 2}] and found(three, 8, n_candidates=6) == []
    assert found({(1,): 1.0}, 2, n_candidates=1) == found({(1,): 1.0}, 2) == [{1}]


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 9), max_size=3), st.floats(0.01, 1)), min_size=1, max_size=12)
)
def test_every_set_holds_a_member_in_95_percent_and_sets_are_disjoint(models):
    models = {tuple(sorted(peaks)): chance for peaks, chance in models}
    with_member = sum(chance for peaks, chance in models.items() if peaks)
    sets = found(models, 10)
    assert sum(map(len, sets)) == len(set().union(*sets)) and all(1 <= len(peaks) <= 4 for peaks in sets)
    for peaks in sets:
        held = sum(chance for member, chance in models.items() if peaks & set(member))
        assert held >= COVERAGE * with_member * (1 - 1e-6)
    # adding a gene of no members, or padding, changes nothing
    if sets:
        number = torch.zeros(1, 1, 10, dtype=torch.bool)
        assert not credible_sets(number, torch.ones(1, 1), torch.tensor([10])).any()


def test_nine_of_ten_credible_sets_of_called_genes_hold_a_planted_member(capsys):
    """Few cells, so that peaks that go with a member are hard to tell from it."""
    n_sets = n_right = n_wide = 0
    for seed, n_cells in ((1, 300), (2, 600)):
        data = planted(
            n_cells, n_repeats=9, seed=seed, control=[name for name in CONTROL if CONTROL[name][0]]
        )
        surrogate, _ = train_window(
            data.multiome, data.windows, "A", WindowSettings(member_penalties=(1.0,)), seed=0
        )
        for column, gene in enumerate(surrogate.genes):
            number = surrogate.credible_set_of(column)
            assert number.dtype == torch.long and len(number) == WINDOW_SIZE
            if surrogate.chance_of_no_member(gene) < 0.5:
                sets = [
                    set(torch.nonzero(number == i)[:, 0].tolist()) for i in range(1, int(number.max()) + 1)
                ]
                n_sets += len(sets)
                n_wide += sum(len(peaks) > 1 for peaks in sets)
                n_right += sum(bool(peaks & set(CONTROL[kind(gene)][0])) for peaks in sets)
    with capsys.disabled():
        print(f"\n{n_sets} credible sets, {n_wide} of several peaks, {n_right / n_sets:.3f} with a member")
    assert n_sets >= 40 and n_wide >= 3
    assert n_right >= 0.9 * n_sets
