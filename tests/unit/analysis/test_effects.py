import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refitted_toys import WindowToy
from scipy import sparse
from scipy.stats import kstest
from toys import AnyOfToy, LinearToy

from grids.analysis.effects import (
    CELL_COLUMNS,
    LOCATION_COLUMNS,
    NULL_COLUMNS,
    measure_effects,
    reported_sizes,
)
from grids.analysis.null_sets import (
    MIN_STRATUM,
    Surroundings,
    accessibility_bins,
    distance_classes,
    draw_null_sets,
    permutation_p_value,
)
from grids.analysis.statistics import collect_effects
from grids.io.cells import Modality, Multiome
from grids.io.errors import InputError
from grids.io.tables import EFFECT_COLUMNS, SET_COLUMNS

# The toys' peaks are 500 bp long, one per kb from position 0 of chr1; the gene covers the third and fourth.
GENE = {"gene": "G0", "chromosome": "chr1", "start": 2_000, "end": 4_000, "strand": "+", "tss": 2_000}
KEYS = {"surrogate": "toy", "method": "grids", "cell_type": "Oligo/OPC", "gene": "G0", "direction": "silence"}


def multiome(opened, paired=True, genes=("G0",), expression=None):
    opened = sparse.csr_matrix(np.asarray(opened, dtype=np.uint8))
    n_cells = opened.shape[0]
    obs = pd.DataFrame(
        {"cell_type": "Oligo/OPC", "split": "test"}, index=[f"cell{i}" for i in range(n_cells)]
    )
    expression = np.zeros((n_cells, len(genes))) if expression is None else expression
    rna = Modality(sparse.csr_matrix(expression, dtype=np.float32), obs, pd.DataFrame(index=list(genes)))
    return Multiome(rna, Modality(opened, obs, pd.DataFrame(index=range(opened.shape[1]))), paired)


def peak_table(surrogate):
    start = 1_000 * np.arange(len(surrogate.peaks))
    return pd.DataFrame({"chromosome": "chr1", "start": start, "end": start + 500}, index=surrogate.peaks)


def members(surrogate, columns, **keys):
    return pd.DataFrame(
        {**KEYS, **keys, "set_size": len(columns), "rank": np.arange(1, len(columns) + 1)}
        | {"peak": [surrogate.peaks[c] for c in columns], "share_of_restarts": 1.0}
    )


def measure(surrogate, data, sets, peaks=None, **options):
    options = {"genes": pd.DataFrame([GENE]), "n_null_sets": 0} | options
    accessibility = np.asarray(data.atac.X.sum(axis=0)).ravel() / max(data.atac.X.shape[0], 1)
    peaks = peak_table(surrogate) if peaks is None else peaks
    surroundings = Surroundings(options.pop("genes"), peaks, accessibility)
    return measure_effects(surrogate, data, sets, surroundings, **options)


def test_effects_of_a_linear_surrogate_by_hand():
    surrogate = LinearToy([0.5, 0.2, -0.1], bias=1.0)
    data = multiome([[1, 1, 0], [1, 0, 1]], expression=[[2.5], [0.0]])
    result = measure(surrogate, data, members(surrogate, [0, 1]))
    assert list(result.effects.columns) == EFFECT_COLUMNS
    one, two = result.effects.to_dict("records")
    # Before: 1.7 and 1.4. Closing peak 0 takes 0.5 from both; closing peak 1 takes 0.2 from the first.
    assert (one["set_size"], two["set_size"]) == (1, 2)
    assert one["n_cells"] == 2
    assert one["mean_before"] == two["mean_before"] == pytest.approx(1.55)
    assert one["mean_after"] == pytest.approx(1.05)
    assert one["log_change"] == pytest.approx(-0.5)
    assert one["relative_change"] == pytest.approx(0.6065307 - 1)  # exp(-0.5) - 1
    assert one["absolute_change"] == pytest.approx(((3.3201169 - 5.4739474) + (2.4596031 - 4.0552000)) / 2)
    assert two["log_change"] == pytest.approx(-0.6)
    assert two["relative_change"] == pytest.approx(((0.4965853 - 1) + (0.6065307 - 1)) / 2)
    assert np.isnan([two["p_value"], two["q_value"], two["null_mean"], two["objective_seconds"]]).all()
    assert result.null.empty

    assert list(result.sets.columns) == SET_COLUMNS
    np.testing.assert_allclose(result.sets["log_effect_alone"], [-0.5, -0.1], atol=1e-6)
    np.testing.assert_allclose(result.sets["log_effect_in_context"], [-0.5, -0.1], atol=1e-6)
    assert list(result.sets["distance_to_tss_bp"]) == [-1501, -501]

    assert list(result.cells.columns) == CELL_COLUMNS
    assert list(result.cells["cell"]) == ["cell0", "cell1"]
    np.testing.assert_allclose(result.cells["before"], [1.7, 1.4], rtol=1e-6)
    np.testing.assert_allclose(result.cells["after"], [1.0, 0.9], rtol=1e-6)
    np.testing.assert_allclose(result.cells["observed"], [2.5, 0.0])


def test_activation_opens_what_is_closed():
    surrogate = LinearToy([0.5, 0.2, -0.1], bias=1.0)
    data = multiome([[1, 1, 0], [1, 0, 1]], paired=False)
    result = measure(surrogate, data, members(surrogate, [1, 0], direction="activate"))
    np.testing.assert_allclose(result.effects["log_change"], [0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose(result.sets["log_effect_alone"], [0.1, 0.0], atol=1e-6)
    assert result.cells["observed"].isna().all()  # unpaired: nobody measured these cells' RNA


def test_backups_count_only_in_context():
    surrogate = AnyOfToy(8, members=[1, 4, 6])
    result = measure(surrogate, multiome(np.ones((3, 8))), members(surrogate, [4, 6, 1]))
    np.testing.assert_allclose(result.effects["log_change"], [0, 0, -1])
    np.testing.assert_allclose(result.sets["log_effect_alone"], [0, 0, 0])
    np.testing.assert_allclose(result.sets["log_effect_in_context"], [-1, -1, -1])


def test_a_set_of_one_has_the_same_effect_alone_and_in_context():
    surrogate = LinearToy([0.5, 0.2])
    result = measure(surrogate, multiome([[1, 1]]), members(surrogate, [1]))
    assert result.sets["log_effect_alone"].item() == pytest.approx(-0.2)
    assert result.sets["log_effect_in_context"].item() == pytest.approx(-0.2)


def test_reported_sizes():
    assert reported_sizes(1) == [1]
    assert reported_sizes(7) == [1, 2, 3, 4, 5, 6, 7]
    assert reported_sizes(10) == list(range(1, 11))
    assert reported_sizes(12) == [*range(1, 11), 12]
    assert reported_sizes(20) == [*range(1, 11), 20]
    assert reported_sizes(128) == [*range(1, 11), 20, 40, 80, 128]


def test_locations_and_what_chance_would_give():
    surrogate = LinearToy(np.ones(10))
    peaks = peak_table(surrogate)
    peaks.loc[peaks.index[6:8], "chromosome"] = "chr2"
    peaks.loc[peaks.index[8:], ["start", "end"]] = [[30_000_000, 30_000_500], [600_000, 600_500]]
    result = measure(
        surrogate, multiome(np.ones((2, 10))), members(surrogate, [8, 9, 3]), peaks=peaks, n_null_sets=5
    )
    assert list(result.locations.columns) == LOCATION_COLUMNS
    far, near, hit = result.locations.to_dict("records")
    assert (far["hit"], far["soft_hit"], far["n_in_window"], far["closest_bp"]) == (
        False,
        False,
        0,
        29_998_000,
    )
    assert (near["hit"], near["soft_hit"], near["n_in_window"], near["closest_bp"]) == (
        False,
        True,
        0,
        598_000,
    )
    assert (hit["hit"], hit["n_in_window"], hit["closest_bp"]) == (True, 1, 1_000)
    assert (hit["n_same_chromosome"], hit["share_same_chromosome"]) == (3, 1.0)
    # Two of ten peaks (2,000 and 3,000) overlap the gene, seven lie within 10 Mb, eight on its chromosome.
    assert far["expected_hit"] == pytest.approx(0.2)
    assert hit["expected_hit"] == pytest.approx(1 - 56 / 120)  # 1 - C(8, 3) / C(10, 3)
    assert far["expected_soft_hit"] == pytest.approx(0.7)
    assert hit["expected_soft_hit"] == pytest.approx(1 - 1 / 120)
    assert hit["expected_share_same_chromosome"] == pytest.approx(0.8)
    assert list(result.sets["in_window"]) == [False, False, True]


def test_distance_classes_and_accessibility_bins():
    distance = np.array([-1_001, -1_000, 0, 100, 101, 10_000, -10_001, 500_000, -500_001, np.nan])
    assert distance_classes(distance).tolist() == [1, 0, 0, 0, 1, 1, 2, 2, 3, 4]
    shares = np.repeat([0.0, 0.1, 0.5, 0.9], [70, 10, 10, 10])
    bins = accessibility_bins(shares, n_bins=10)
    assert [len(set(bins[shares == s])) for s in (0.0, 0.1, 0.5, 0.9)] == [1, 1, 1, 1]
    assert len(set(bins)) == 4
    np.testing.assert_array_equal(np.bincount(accessibility_bins(np.arange(1000))), np.full(20, 50))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_null_sets_match_the_found_set(seed, size):
    rng = np.random.default_rng(seed)
    bins, classes = rng.integers(0, 3, 900), rng.integers(0, 5, 900)
    found = rng.choice(900, size, replace=False)
    null = draw_null_sets(found, bins, classes, 50, rng)
    assert null.shape == (50, size)
    assert all(len(set(row)) == size for row in null)
    assert not np.isin(null, found).any()
    # 900 peaks over 15 strata leave every stratum enough peaks: no widening.
    assert (bins[null] == bins[found]).all()
    assert (classes[null] == classes[found]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(8, 40))
def test_null_sets_never_fail_on_small_strata(seed, size, n_peaks):
    rng = np.random.default_rng(seed)
    bins, classes = rng.integers(0, 6, n_peaks), rng.integers(0, 5, n_peaks)
    found = rng.choice(n_peaks, size, replace=False)
    null = draw_null_sets(found, bins, classes, 20, rng)
    assert null.shape == (20 if n_peaks >= 2 * size else 0, size)
    assert all(len(set(row)) == size for row in null)
    assert not np.isin(null, found).any()


def test_small_strata_widen_in_accessibility_before_distance():
    # 22 peaks of the member's class over 11 bins, and many of another class in the member's own bin.
    bins = np.r_[np.repeat(np.arange(11), 2), np.zeros(50, int)]
    classes = np.array([0] * 22 + [4] * 50)
    null = draw_null_sets(np.array([0]), bins, classes, 4000, np.random.default_rng(0))
    assert set(null.ravel()) == set(range(1, 22))  # twenty others need all bins
    # Nineteen of the class are left, fewer than MIN_STRATUM: the farther class comes in, in the same bin.
    assert MIN_STRATUM == 20
    null = draw_null_sets(np.array([0, 20, 21]), bins, classes, 4000, np.random.default_rng(0))
    assert set(null[:, 0]) == {1, *range(22, 72)}


def test_p_value_counts_ties_and_the_found_set_itself():
    null = np.array([-3.0, -2.0, -1.0, 0.0])
    assert permutation_p_value(-2.0, null, "silence") == 3 / 5
    assert permutation_p_value(-4.0, null, "silence") == 1 / 5
    assert permutation_p_value(-2.0, null, "activate") == 4 / 5
    assert permutation_p_value(1.0, null, "activate") == 1 / 5
    assert permutation_p_value(-1.0, null, "derepress") == 3 / 5
    assert np.isnan(permutation_p_value(1.0, np.empty(0), "silence"))


def linear_problem(n_peaks=400, n_cells=60, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=n_peaks)
    data = multiome(rng.random((n_cells, n_peaks)) < rng.uniform(0.1, 0.9, n_peaks))
    return LinearToy(weights), data, weights, rng


def test_p_values_of_random_sets_are_uniform():
    surrogate, data, _, rng = linear_problem()
    sets = pd.concat(
        members(surrogate, rng.choice(400, 4, replace=False), method=f"random {i}") for i in range(200)
    )
    result = measure(surrogate, data, sets, n_null_sets=99, sizes=[])
    assert len(result.effects) == 200
    assert kstest(result.effects["p_value"], "uniform").pvalue > 1e-3
    assert 0.02 < (result.effects["p_value"] < 0.1).mean() < 0.2


def test_the_best_set_has_the_least_possible_p_value():
    surrogate, data, weights, _ = linear_problem()
    drop = weights * np.asarray(data.atac.X.mean(axis=0)).ravel()
    best = np.argsort(-drop)[:5]
    result = measure(surrogate, data, members(surrogate, best), n_null_sets=99)
    n_different = result.null.groupby("set_size").size()
    assert n_different[1] < 99 and (n_different[3:] == 99).all()  # 99 draws repeat single peaks
    np.testing.assert_allclose(result.effects["p_value"], 1 / (1 + n_different))
    assert result.effects["log_change"].iloc[-1] == pytest.approx(-drop[best].sum(), rel=1e-5)
    # The reverse direction of the question finds the same set extreme when opening what is closed.
    raised = weights * (1 - np.asarray(data.atac.X.mean(axis=0)).ravel())
    opened = measure(
        surrogate, data, members(surrogate, np.argsort(-raised)[:5], direction="activate"), n_null_sets=99
    )
    assert opened.effects["p_value"].iloc[-1] == 0.01
    assert opened.effects["log_change"].iloc[-1] == pytest.approx(np.sort(raised)[-5:].sum(), rel=1e-5)


def test_large_types_are_compared_with_their_null_on_the_same_sample_of_cells(monkeypatch):
    monkeypatch.setattr("grids.analysis.effects.NULL_CELLS", 100)
    # The set matters in the one cell that has its peak open; every random set matters everywhere, but less.
    opened = np.ones((200, 40))
    opened[1:, 0] = 0
    surrogate, data = LinearToy(np.r_[100.0, np.full(39, 0.1)]), multiome(opened)
    p_values, n_null_extreme = [], []
    for seed in range(6):
        result = measure(surrogate, data, members(surrogate, [0]), n_null_sets=9, seed=seed)
        assert result.effects["n_cells"].item() == 200
        assert result.effects["log_change"].item() == pytest.approx(-0.5)
        assert len(result.cells) == 200
        p_values.append(result.effects["p_value"].item())
        n_null_extreme.append((result.null["log_change"] <= -0.5).sum())
    assert n_null_extreme == [0] * 6
    # Where the sample misses that cell, the found set does nothing on it and every random set is as extreme.
    assert {p == 1 for p in p_values} == {True, False}
    assert all(p == 1 or 1 / 10 <= p <= 1 / 6 for p in p_values)  # nine draws, some of them the same peak


def test_null_draws_are_nested_and_summarised():
    surrogate, data, *_ = linear_problem()
    result = measure(surrogate, data, members(surrogate, [3, 50, 200]), n_null_sets=40)
    assert list(result.null.columns) == NULL_COLUMNS
    draws = result.null.pivot(index="draw", columns="set_size", values="log_change")
    assert draws.shape == (40, 3) and draws[3].notna().all()
    np.testing.assert_allclose(result.effects["null_mean"], draws.mean(), rtol=1e-6)
    np.testing.assert_allclose(result.effects["null_sd"], draws.std(), rtol=1e-6)
    # Nested: what the second member adds does not depend on the first, in a linear surrogate.
    added = (draws[2] - draws[1]).dropna()
    assert len(added) > 10
    weight_times_share = surrogate.shift[:, 0].numpy() * np.asarray(data.atac.X.mean(axis=0)).ravel()
    assert all(np.isclose(-weight_times_share, value, atol=1e-5).any() for value in added)


def test_the_same_seed_gives_the_same_tables_and_tasks_do_not_share_draws():
    surrogate, data, *_ = linear_problem()
    sets = pd.concat([members(surrogate, [3, 50]), members(surrogate, [3, 50], method="saliency")])
    first, again, other = (measure(surrogate, data, sets, n_null_sets=30, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first.null, again.null)
    assert set(first.null["log_change"]) != set(other.null["log_change"])
    by_method = [
        set(rows["log_change"]) for _, rows in first.null[first.null["set_size"] == 2].groupby("method")
    ]
    assert len(by_method[0] & by_method[1]) < 5


def test_rank_orders_the_nested_sets_and_seconds_are_summed_over_restarts():
    surrogate = LinearToy([0.5, 0.2, 0.1])
    sets = members(surrogate, [0, 1, 2]).iloc[::-1]
    searches = pd.DataFrame({**KEYS, "set_size": [3, 3], "seconds": [1.5, 2.0]})
    result = measure(surrogate, multiome([[1, 1, 1]]), sets, sizes=[2], searches=searches)
    assert list(result.effects["set_size"]) == [2, 3]
    np.testing.assert_allclose(result.effects["log_change"], [-0.7, -0.8], rtol=1e-6)
    assert list(result.effects["objective_seconds"]) == [3.5, 3.5]
    assert list(result.sets["rank"]) == [1, 2, 3]


def test_extreme_predictions_stay_finite_in_relative_terms():
    surrogate = LinearToy([900.0, 1.0], bias=-900.0)
    result = measure(surrogate, multiome([[0, 1]]), members(surrogate, [1]))
    assert result.effects["relative_change"].item() == pytest.approx(np.exp(-1) - 1, rel=1e-3)


def test_genes_without_a_tss_are_measured_without_places():
    surrogate = LinearToy([0.5, 0.2, 0.1])
    genes = pd.DataFrame([{**GENE, "tss": np.nan}])
    result = measure(surrogate, multiome([[1, 1, 1]]), members(surrogate, [0]), genes=genes, n_null_sets=9)
    assert result.effects["log_change"].item() == pytest.approx(-0.5)
    assert result.locations["closest_bp"].isna().all()


def windowed(n_in_window, n_peaks=60):
    """A gene that sees the last peaks only, backwards; the first peaks matter more but are out of sight."""
    weights = np.r_[np.full(n_peaks - n_in_window, 50.0), np.linspace(0.1, 2.0, n_in_window)]
    window = list(range(n_peaks - 1, n_peaks - n_in_window - 1, -1))
    opened = np.random.default_rng(0).random((80, n_peaks)) < 0.5
    return WindowToy(weights, {"G0": window}), multiome(opened), weights


def test_a_gene_with_a_window_is_compared_with_random_sets_from_its_window():
    surrogate, data, weights = windowed(30)
    drop = weights * np.asarray(data.atac.X.mean(axis=0)).ravel()
    best = [59, 58, 57]
    result = measure(surrogate, data, members(surrogate, best), n_null_sets=300)
    assert result.effects["log_change"].to_numpy() == pytest.approx(-np.cumsum(drop[best]), rel=1e-4)
    assert result.sets["peak"].tolist() == [surrogate.peaks[i] for i in best]
    assert result.sets["start"].tolist() == [59_000, 58_000, 57_000]
    assert result.sets["log_effect_alone"].to_numpy() == pytest.approx(-drop[best], rel=1e-4)
    single = result.null.loc[result.null["set_size"] == 1, "log_change"]
    beside = -drop[30:57]
    assert 20 <= len(single) <= 27
    assert all(np.isclose(beside, value, atol=1e-4).any() for value in single)
    n_different = result.null.groupby("set_size").size()
    np.testing.assert_allclose(result.effects["p_value"], 1 / (1 + n_different))
    # the expectations stay those of all peaks: two of sixty overlap the gene
    assert result.locations["expected_hit"].iloc[0] == pytest.approx(2 / 60)
    with pytest.raises(InputError, match=r"'chr1:0-500' is not among the 30 peaks .* gene 'G0'"):
        measure(surrogate, data, members(surrogate, [0]))


def test_a_window_with_too_few_peaks_for_a_null_gives_no_p_value(caplog):
    # 3 of 10 peaks: 7 are left, which make up 7 sets of one, 21 of two and 35 of three
    surrogate, data, _ = windowed(10)
    with caplog.at_level("WARNING", logger="grids"):
        result = measure(surrogate, data, members(surrogate, [59, 58, 57]), n_null_sets=500)
    assert result.null.groupby("set_size").size().tolist() == [7, 21, 35]
    assert result.effects["p_value"].isna().tolist() == [True, False, False]
    np.testing.assert_allclose(result.effects["p_value"].iloc[1:], [1 / 22, 1 / 36])
    assert result.effects["null_mean"].notna().all()
    assert "Oligo/OPC, G0: no p-value for set sizes 1: 7 peaks that the surrogate sees" in caplog.text
    # 3 of 5: no random set of the size exists
    surrogate, data, _ = windowed(5)
    result = measure(surrogate, data, members(surrogate, [59, 58, 57]), n_null_sets=500)
    assert result.null.empty and list(result.null.columns) == NULL_COLUMNS
    assert result.effects[["p_value", "null_mean"]].isna().all().all()
    assert (
        result.effects["log_change"].lt(0).all() and collect_effects([result.effects])["q_value"].isna().all()
    )


def test_no_sets_give_empty_tables_with_their_columns():
    surrogate = LinearToy([0.5, 0.2])
    for opened in ([[1, 1]], np.ones((0, 2))):  # a type without tasks need not have test cells
        result = measure(surrogate, multiome(opened), members(surrogate, [0]).iloc[:0])
        columns = (EFFECT_COLUMNS, SET_COLUMNS, LOCATION_COLUMNS, NULL_COLUMNS, CELL_COLUMNS)
        tables = (result.effects, result.sets, result.locations, result.null, result.cells)
        for table, names in zip(tables, columns, strict=True):
            assert list(table.columns) == names and table.empty
    assert list(collect_effects([result.effects, result.effects]).columns) == EFFECT_COLUMNS


def test_q_values_are_benjamini_hochberg_within_method_and_size():
    base = {"surrogate": "s", "cell_type": "T", "direction": "silence"}
    first = pd.DataFrame(
        {**base, "method": "grids", "gene": ["a", "b"], "set_size": 2, "p_value": [0.01, 0.04]}
    )
    second = pd.DataFrame(
        {**base, "method": "grids", "gene": ["c", "d"], "set_size": 2, "p_value": [0.03, np.nan]}
    ).assign(direction="derepress")  # part of the answer: the family is the same
    other = pd.DataFrame({**base, "method": "lime", "gene": ["a"], "set_size": 2, "p_value": [0.04]})
    smaller = pd.DataFrame({**base, "method": "grids", "gene": ["a"], "set_size": 1, "p_value": [0.5]})
    table = collect_effects([first, second, other, smaller])
    # 0.01 * 3 / 1; min(0.03 * 3 / 2, 0.04 * 3 / 3) = 0.04 for the other two.
    np.testing.assert_allclose(table["q_value"], [0.03, 0.04, 0.04, np.nan, 0.04, 0.5])
    assert list(table.columns) == EFFECT_COLUMNS
    assert list(collect_effects([]).columns) == EFFECT_COLUMNS


def test_full_sets_of_any_size_are_one_family_and_smaller_ones_are_with_those_of_their_size():
    base = {"surrogate": "s", "method": "grids", "cell_type": "T", "direction": "silence"}
    table = pd.DataFrame(
        {
            **base,
            "gene": ["a", "a", "b", "b", "b", "c"],
            "set_size": [1, 2, 1, 2, 3, 1],
            "p_value": [0.02, 0.01, 0.5, 0.2, 0.04, 0.03],
        }
    )
    # full: a of 2, b of 3, c of 1; of 1: a and b; of 2: b
    np.testing.assert_allclose(collect_effects([table])["q_value"], [0.04, 0.03, 0.5, 0.2, 0.04, 0.04])
    apart = collect_effects([table], nested=False)["q_value"]  # of 1: a, b, c; of 2: a and b; of 3: b
    np.testing.assert_allclose(apart, [0.045, 0.02, 0.5, 0.2, 0.04, 0.045])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gene": "G9"}, "gene 'G9' is not in the surrogate's genes"),
        ({"direction": "delete"}, "direction 'delete' is unknown"),
        ({"peak": ["chr9:1-2", "chr1:0-500"]}, "peak 'chr9:1-2' is not among the 3 peaks"),
        ({"peak": "chr1:0-500"}, "names the same peak twice"),
    ],
)
def test_sets_that_do_not_fit_are_refused(change, message):
    surrogate = LinearToy([0.5, 0.2, 0.1])
    with pytest.raises(InputError, match=message):
        measure(surrogate, multiome([[1, 1, 1]]), members(surrogate, [0, 1]).assign(**change))


def test_inputs_that_do_not_belong_together_are_refused():
    surrogate = LinearToy([0.5, 0.2, 0.1])
    sets = members(surrogate, [0])
    with pytest.raises(InputError, match="no test cells"):
        measure(surrogate, multiome(np.ones((0, 3))), sets)
    with pytest.raises(InputError, match="trained on other peaks"):
        measure(surrogate, multiome([[1, 1, 1]]), sets, peaks=peak_table(surrogate).iloc[::-1])
    with pytest.raises(InputError, match="not in the gene annotation"):
        measure(surrogate, multiome([[1, 1, 1]]), sets, genes=pd.DataFrame([{**GENE, "gene": "G1"}]))
    with pytest.raises(InputError, match="one cell type per call"):
        measure(surrogate, multiome([[1, 1, 1]]), pd.concat([sets, sets.assign(cell_type="Astro")]))
    with pytest.raises(InputError, match="accessibility: expected 3 peaks, got 2"):
        surroundings = Surroundings(pd.DataFrame([GENE]), peak_table(surrogate), np.ones(2))
        measure_effects(surrogate, multiome([[1, 1, 1]]), sets, surroundings)
