import logging
from itertools import permutations

import builders
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import binom, false_discovery_control
from toys import AnyOfToy, LinearToy

from grids.analysis.states import State, divide, measure_states, p_values_of_change, state_values
from grids.analysis.statistics import collect_states
from grids.data import preprocessing
from grids.io.cells import Modality, Multiome, read_multiome
from grids.io.errors import InputError
from grids.io.tables import STATE_COLUMNS


def multiome(opened, atac_obs=None, rna_obs=None, paired=True):
    opened = sparse.csr_matrix(np.asarray(opened, dtype=np.uint8))
    index = [f"cell{i}" for i in range(opened.shape[0])]
    tables = [pd.DataFrame({"cell_type": "Oligo", **(obs or {})}, index=index) for obs in (rna_obs, atac_obs)]
    rna = Modality(
        sparse.csr_matrix((len(index), 1), dtype=np.float32), tables[0], pd.DataFrame(index=["G0"])
    )
    return Multiome(rna, Modality(opened, tables[1], pd.DataFrame(index=range(opened.shape[1]))), paired)


def found(surrogate, columns, gene="G0"):
    return pd.DataFrame(
        {
            "surrogate": "toy", "method": "grids", "cell_type": "Oligo", "gene": gene, "direction": "silence",
            "set_size": len(columns), "rank": range(1, len(columns) + 1),
            "peak": [surrogate.peaks[c] for c in columns],
        }
    )  # fmt: skip


# Two enhancers either of which suffices. A cell with both open: alone 0, together -1. With one open: -1 and -1.
BOTH, ONE = [1, 1], [1, 0]
OR_GATE = AnyOfToy(2, members=[0, 1])


def measure(data, states, surrogate=OR_GATE, min_cells=1, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grids.analysis.states.MIN_CELLS", min_cells)
        patch.setattr("grids.analysis.states.N_PERMUTATIONS", 199)
        return measure_states(surrogate, data, "Oligo", found(surrogate, [0, 1]), states, **options)


def test_index_of_each_level_by_hand():
    condition = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    data = multiome([BOTH] * 20 + [ONE] * 20 + [BOTH, ONE] * 10, {"condition": condition})
    table = measure(data, [{"key": "condition"}])
    assert list(table.columns) == STATE_COLUMNS
    assert list(table["state_value"]) == ["a", "b", "c"] and set(table["n_cells"]) == {20}
    np.testing.assert_allclose(table["joint_log_effect"], -1)
    np.testing.assert_allclose(table["redundancy_index"], [1, 0, 0.5])
    # Cells of a level that are all alike leave no doubt; a mixture does.
    np.testing.assert_allclose(table["redundancy_index_low"][:2], [1, 0])
    np.testing.assert_allclose(table["redundancy_index_high"][:2], [1, 0])
    assert 0.2 <= table["redundancy_index_low"][2] <= 0.35 < 0.65 <= table["redundancy_index_high"][2] <= 0.8
    assert set(table["p_value_of_change"]) == {1 / 200} and table["q_value_of_change"].isna().all()


def test_pseudotime_is_cut_into_bins_of_equal_counts():
    data = multiome([ONE] * 20 + [BOTH] * 20, {"pseudotime": np.arange(40) / 40})
    table = measure(data, [{"key": "pseudotime", "bins": 4}])
    assert list(table["state_value"]) == ["0 to 0.225", "0.25 to 0.475", "0.5 to 0.725", "0.75 to 0.975"]
    np.testing.assert_allclose(table["redundancy_index"], [0, 0, 1, 1])
    assert set(table["p_value_of_change"]) == {1 / 200}


def test_small_levels_and_cells_without_a_level_are_left_out_and_logged(caplog):
    condition = ["a"] * 6 + ["b"] * 5 + ["rare"] * 2 + [None] * 4
    with caplog.at_level(logging.WARNING, logger="grids"):
        table = measure(multiome([BOTH] * 17, {"condition": condition}), [{"key": "condition"}], min_cells=5)
    assert dict(zip(table["state_value"], table["n_cells"], strict=True)) == {"a": 6, "b": 5}
    assert "Oligo: level 'rare' of state 'condition' left out: 2 test cells, at least 5" in caplog.text


def test_a_level_without_joint_effect_has_no_index():
    data = multiome([BOTH] * 20 + [[0, 0]] * 20, {"condition": ["on"] * 20 + ["off"] * 20})
    table = measure(data, [{"key": "condition"}]).set_index("state_value")
    assert (table.loc["off", "joint_log_effect"], table.loc["on", "redundancy_index"]) == (0, 1)
    index = ["redundancy_index", "redundancy_index_low", "redundancy_index_high"]
    assert table.loc["off", index].isna().all()


def test_activation_asks_for_a_rise():
    # Opening either of two peaks raises the gene where both are closed.
    sets = found(OR_GATE, [0, 1]).assign(direction="activate")
    data = multiome([[0, 0]] * 20, {"condition": ["a"] * 20})
    (row,) = measure_states(OR_GATE, data, "Oligo", sets, [{"key": "condition"}]).to_dict("records")
    assert row["joint_log_effect"] == 1 and row["redundancy_index"] == -1  # each alone does it all


def test_one_level_cannot_change():
    table = measure(multiome([BOTH] * 5, {"condition": ["a"] * 5}), [{"key": "condition"}])
    assert len(table) == 1 and table["p_value_of_change"].isna().all()


def test_additive_members_never_change_and_a_set_without_effect_has_no_p_value():
    rng = np.random.default_rng(0)
    data = multiome(rng.random((60, 2)) < 0.5, {"condition": ["a", "b"] * 30})
    table = measure(data, [{"key": "condition"}], LinearToy([0.3, 0.7], bias=5.0))
    np.testing.assert_allclose(table["redundancy_index"], 0, atol=1e-5)
    assert (table["p_value_of_change"] == 1).all()
    table = measure(data, [{"key": "condition"}], LinearToy([0.0, 0.0], bias=5.0))
    assert table["p_value_of_change"].isna().all() and table["redundancy_index"].isna().all()


def test_no_sets_give_an_empty_table_with_its_columns():
    data = multiome([BOTH] * 5, {"condition": ["a"] * 5})
    table = measure_states(OR_GATE, data, "Oligo", found(OR_GATE, []), [{"key": "condition"}])
    for empty in (table, collect_states([table, table])):
        assert empty.empty and list(empty.columns) == STATE_COLUMNS


def test_states_are_looked_up_in_the_rna_of_paired_cells_only():
    data = multiome([BOTH] * 4, {"shared": [1, 2, 3, 4]}, {"condition": list("aabb"), "shared": 0})
    assert list(state_values(data, "condition")) == list("aabb")
    assert list(state_values(data, "shared")) == [1, 2, 3, 4]  # the ATAC's own comes first
    with pytest.raises(
        InputError, match=r"key 'Conditions' is not in obs; it has: .* Did you mean 'condition'"
    ):
        state_values(data, "Conditions")
    unpaired = Multiome(data.rna, data.atac, paired=False)
    with pytest.raises(
        InputError, match=r"'condition' is not in obs of the ATAC cells; it has: cell_type, shared"
    ):
        state_values(unpaired, "condition")


def test_columns_of_the_users_obs_outlive_preprocessing(tmp_path):
    rna, atac = builders.multiome()
    rna.obs["condition"] = np.array(["control", "treated"])[np.arange(60) // 3 % 2]
    shared = {"pseudotime": np.linspace(0, 1, 60)}
    raw = builders.write_h5mu(tmp_path / "raw.h5mu", rna, atac, obs=shared)
    settings = builders.config(builders.write_genes(tmp_path / "genes.bed"), {"Oligo": ["G2"]}, multiome=raw)
    preprocessing.write(preprocessing.preprocess(settings), {"multiome": tmp_path / "preprocessed.h5mu"})
    data = read_multiome(tmp_path / "preprocessed.h5mu")
    cell = data.atac.obs.index.get_loc("cell40")
    assert state_values(data, "condition").iloc[cell] == "treated"
    assert state_values(data, "pseudotime").iloc[cell] == shared["pseudotime"][40]


def test_a_state_stands_once():
    data = multiome([BOTH] * 4, {"age": [1, 2, 3, 4]})
    with pytest.raises(InputError, match="a key stands twice"):
        measure(data, [{"key": "age"}, {"key": "age", "bins": 2}])


@pytest.mark.parametrize(
    ("values", "bins", "levels", "codes", "ordered"),
    [
        (["b", "a", None], None, ["a", "b"], [1, 0, -1], False),
        ([True, False], None, ["False", "True"], [1, 0], False),
        ([14, 0, 7], None, ["0", "7", "14"], [2, 0, 1], True),
        ([20260101.0, np.nan, 0.5], None, ["0.5", "20260101"], [1, -1, 0], True),
        (pd.Categorical(["c", "a"], ["a", "b", "c"], ordered=True), None, ["a", "c"], [1, 0], True),
        ([1, 2, 3, 4], 2, ["1 to 2", "3 to 4"], [0, 0, 1, 1], True),
        (pd.array([3, None, 1], dtype="Int64"), 2, ["1", "3"], [1, -1, 0], True),
    ],
)  # fmt: skip
def test_levels(values, bins, levels, codes, ordered):
    state = divide(pd.Series(values, name="state"), bins)
    assert (state.levels, list(state.codes), state.ordered) == (levels, codes, ordered)


def test_numbers_are_binned_from_eleven_distinct_values_on():
    assert len(divide(pd.Series(range(10), name="day")).levels) == 10
    times = [20240101120000, 20240101120001]  # a float of 12 digits does not tell them apart
    assert divide(pd.Series(times, name="time")).levels == list(map(str, times))
    assert divide(pd.Series([0.5, 2.0, np.nan], name="dose", dtype=np.float32)).levels == ["0.5", "2"]
    assert divide(pd.Series(range(11), name="day")).levels[0] == "0 to 2"
    with pytest.raises(InputError, match=r"key 'donor' holds a, b, which cannot be cut into bins"):
        divide(pd.Series(["a", "b"], name="donor"), bins=3)


def state(codes, ordered=False):
    codes = np.asarray(codes)
    return State("state", codes, [str(i) for i in range(codes.max() + 1)], ordered)


def by_level(joint, residuals, codes):
    """Weighted least squares of the levels' mean residuals on their mean joint changes: what is left over."""
    groups = [codes == level for level in np.unique(codes)]
    root = np.sqrt([group.sum() / residuals[group].var() for group in groups])
    y = root * [residuals[group].mean() for group in groups]
    x = root * [joint[group].mean() for group in groups]
    return np.linalg.lstsq(x[:, None], y)[1].item()


def along_levels(joint, residuals, codes):
    number = codes - np.average(codes, weights=joint)
    return (number @ residuals) ** 2 / (number**2 @ residuals**2)


@pytest.mark.parametrize(("statistic", "ordered"), [(by_level, False), (along_levels, True)])
def test_p_value_approaches_that_of_all_permutations(statistic, ordered):
    rng = np.random.default_rng(3)
    joint, alone = rng.normal(-1, 0.2, 7), rng.normal(-0.4, 0.3, 7)
    codes = np.array([0, 0, 0, 1, 1, 2, 2])
    residuals = alone - alone.sum() / joint.sum() * joint
    observed = statistic(joint, residuals, codes)
    exact = np.mean(
        [statistic(joint, residuals, np.array(p)) >= observed * (1 - 1e-9) for p in set(permutations(codes))]
    )
    (p_value,) = p_values_of_change([np.column_stack([joint, alone])], state(codes, ordered), 4000, rng)
    assert p_value == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("ordered", [False, True])
def test_p_values_hold_their_level_where_states_differ_in_effect_and_spread_but_not_in_index(ordered):
    rng = np.random.default_rng(5)
    codes = np.repeat([0, 1, 2], [30, 60, 120])
    n_sets = 400
    spread = np.array([0.6, 0.3, 0.1])[codes]
    changes = []
    for _ in range(n_sets):
        joint = -np.array([0.5, 1.0, 1.5])[codes] + spread * rng.normal(size=len(codes))
        changes.append(np.column_stack([joint, 0.6 * joint + spread * rng.normal(size=len(codes))]))
    p_values = p_values_of_change(changes, state(codes, ordered), 300, rng)
    assert (p_values < 0.05).sum() <= binom.ppf(0.999, n_sets, 0.05)
    assert abs(p_values.mean() - 0.5) < 0.05


def test_change_of_the_index_is_found_though_the_joint_effect_stays():
    rng = np.random.default_rng(6)
    codes = np.repeat([0, 1, 2, 3], 40)
    joint = -1 + 0.3 * rng.normal(size=160)
    alone = joint * np.array([1.0, 0.8, 0.6, 0.4])[codes] + 0.3 * rng.normal(size=160)
    for ordered in (False, True):
        (p_value,) = p_values_of_change([np.column_stack([joint, alone])], state(codes, ordered), 999, rng)
        assert p_value == 1 / 1000


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_p_values_depend_neither_on_the_scale_of_effects_nor_on_names_of_levels(seed, scale):
    rng = np.random.default_rng(seed)
    changes, codes = rng.normal(-1, 1, (20, 2)), rng.permutation(np.arange(20) % 3)
    one, other = (
        p_values_of_change([c], state(k), 99, np.random.default_rng(0))
        for c, k in ((changes, codes), (scale * changes, codes))
    )
    np.testing.assert_array_equal(one, other)


def test_q_values_count_each_task_once():
    def part(cell_type, p_values):
        rows = [
            {
                "cell_type": cell_type,
                "gene": f"G{i}",
                "state": "age",
                "state_value": level,
                "p_value_of_change": p,
            }
            for i, p in enumerate(p_values)
            for level in ("young", "old")
        ]
        size = {"A": 2, "B": 3, "C": 1}[cell_type]  # q-values are over sets of every size
        keys = {"surrogate": "toy", "method": "grids", "direction": "silence", "set_size": size}
        return pd.DataFrame(rows).assign(**keys).reindex(columns=STATE_COLUMNS)

    table = collect_states([part("A", [0.01, np.nan]), part("B", [0.04, 0.5]), part("C", [])])
    assert list(table.columns) == STATE_COLUMNS and len(table) == 8
    once = table.drop_duplicates(["cell_type", "gene"])["q_value_of_change"].to_numpy()
    expected = false_discovery_control([0.01, 0.04, 0.5])
    np.testing.assert_allclose(once, [expected[0], np.nan, *expected[1:]])
    assert (table.groupby(["cell_type", "gene"])["q_value_of_change"].nunique(dropna=False) == 1).all()
    assert list(collect_states([]).columns) == STATE_COLUMNS
