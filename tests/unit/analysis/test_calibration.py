"""The calibration check: nulls that are nulls, and p-values that are too small are told."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse, stats

from grids.analysis.links import calibration as cal
from grids.analysis.links.decoys import Decoys
from grids.analysis.links.linking import GENES_PER_BLOCK, Windows, test_windows
from grids.analysis.links.score_test import LEAST_EFFECTIVE_CELLS, TestedCells
from grids.analysis.links.tables import Population
from grids.io.levels import ALL_TYPES

test_windows.__test__ = False


def drawn_windows(rng, n_genes=60, n_chromosomes=4, n_peaks=5):
    """Windows of their own peaks, of one to `n_peaks`, on chromosomes in turn; which peaks are distal is random."""
    sizes = rng.integers(1, n_peaks + 1, n_genes)
    peaks = np.split(np.arange(sizes.sum()), np.cumsum(sizes)[:-1])
    chromosome = np.array([f"chr{i % n_chromosomes}" for i in range(n_genes)])
    return Windows(peaks, [rng.random(size) < 0.5 for size in sizes], chromosome)


def of_uniform(change, n_genes=200, n_links=1000):
    """A stand-in for a test whose p-values where there is nothing to find are `change` of uniform ones."""
    rng = np.random.default_rng(0)
    windows = drawn_windows(rng, n_genes)

    def tested(cells, windows=None, order=None, fits=None):
        change_here = (lambda p: p) if order is None and windows is None else change
        parts = [{"p_value": change_here(rng.random(n))} for n in (n_genes, n_genes, n_links)]
        return SimpleNamespace(windows=parts[0], distal=parts[1], links=parts[2])

    return SimpleNamespace(windows=windows, test=tested)


def some_cells(windows, n_cells=40, cell_type="A"):
    n_peaks = sum(map(len, windows.peaks))
    opened = sparse.random(n_cells, n_peaks, 0.3, "csr", random_state=1).astype(bool).astype(np.uint8)
    group = np.repeat(["train", "test"], n_cells // 2)
    return Population(cell_type, opened, None, None, np.empty((n_cells, 0)), np.ones(n_cells), group)


@given(
    st.lists(st.sampled_from(["train", "validation", "test"]), min_size=1, max_size=50), st.integers(0, 99)
)
def test_a_shuffle_permutes_cells_within_their_split(splits, seed):
    group = np.array(splits)
    order = cal.shuffled(group, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(group)))
    assert (group[order] == group).all()


def test_a_shuffle_moves_cells_and_differs_between_repeats():
    group = np.repeat(["train", "test"], 500)
    orders = [cal.shuffled(group, np.random.default_rng(seed)) for seed in (0, 1)]
    assert all((order == np.arange(1000)).mean() < 0.02 for order in orders)
    assert (orders[0] == orders[1]).mean() < 0.02


@given(st.integers(0, 99), st.integers(2, 6))
@settings(max_examples=20)
def test_a_decoy_is_a_whole_window_of_another_chromosome(seed, n_chromosomes):
    rng = np.random.default_rng(seed)
    windows = drawn_windows(rng, n_chromosomes=n_chromosomes)
    n_open = rng.integers(0, 100, sum(map(len, windows.peaks)))
    decoys = cal.swapped(windows, cal.similar_elsewhere(windows, n_open), rng)
    own = {tuple(peaks): i for i, peaks in enumerate(windows.peaks)}
    source = np.array([own[tuple(peaks)] for peaks in decoys.peaks])
    assert (windows.chromosome[source] != windows.chromosome).all()
    assert (decoys.chromosome == windows.chromosome[source]).all()
    for i, distal in zip(source, decoys.is_distal, strict=True):
        assert (windows.is_distal[i] == distal).all()
    # No decoy of the test beside decoys lies where the gene or its new window does.
    assert (decoys.avoided == np.stack([windows.chromosome[source], windows.chromosome], 1)).all()


def test_a_decoy_is_similar_in_number_of_peaks_and_openness():
    rng = np.random.default_rng(0)
    windows = drawn_windows(rng, 1000, 4, 20)
    n_open = rng.lognormal(3, 1, sum(map(len, windows.peaks))).astype(int)
    decoys = cal.swapped(windows, cal.similar_elsewhere(windows, n_open), rng)
    for measure in (len, lambda peaks: n_open[peaks].sum()):
        own, other = (np.log1p([measure(peaks) for peaks in of.peaks]) for of in (windows, decoys))
        assert np.abs(own - other).mean() < 0.4 * np.abs(own - rng.permutation(own)).mean()


def test_windows_on_one_chromosome_have_no_decoys(caplog):
    test = of_uniform(lambda p: p)
    test.windows = Windows(test.windows.peaks, test.windows.is_distal, np.full(200, "chr1"))
    assert not any(map(len, cal.similar_elsewhere(test.windows, np.ones(2000))))
    counts = cal.count_p_values(test, some_cells(test.windows), shuffles=1, decoys=3, seed=1)
    assert set(counts["null"]) == {"none", "shuffle"}
    assert "no decoys: all windows are on one chromosome" in caplog.text


def test_counts_are_those_of_the_p_values():
    p = np.array([0.04, 0.05, 0.3, np.nan, 1e-12])
    counts = cal._count(p)
    assert counts[: len(cal.P_VALUES)].tolist() == [(p <= limit).sum() for limit in cal.P_VALUES]
    assert counts[-3:].tolist() == [4, 1, True]  # 4 x 1e-12 is the smallest q-value
    assert cal._count(np.array([0.04, np.nan, 0.3]))[-3:].tolist() == [2, 1, False]
    assert cal._count(np.array([np.nan]))[-3:].tolist() == [0, 1, False]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p, lambda t: 1.0),
        (lambda p: p**1.5, lambda t: t ** (2 / 3) / t),  # anti-conservative: P(u^1.5 <= t) = t^(2/3)
        (np.sqrt, lambda t: t),  # conservative: P(sqrt(u) <= t) = t^2
    ],
)
def test_p_values_that_are_too_small_are_told(change, expected):
    test = of_uniform(change)
    table = cal.calibration_table(cal.count_p_values(test, some_cells(test.windows), 20, 20, seed=1))
    assert list(table) == cal.CALIBRATION_COLUMNS
    links = table[(table["what"] == "link") & (table["null"] != "none") & table["cell_type"].notna()]
    assert (links["n_tests"] == 20_000).all() and (links["n_repeats"] == 20).all()
    assert len(links) == 2 * len(cal.THRESHOLDS)
    for row in links.itertuples():
        # Within four standard deviations of the number that follows in closed form.
        mean = expected(row.threshold) * row.n_expected
        assert abs(row.n_observed - mean) <= 4 * np.sqrt(mean) + 1
        assert_allclose(row.ratio, row.n_observed / (20_000 * row.threshold))
        assert row.ratio_low <= row.ratio <= row.ratio_high
    found = links["n_repeats_with_discoveries"]
    assert (found >= 15).all() if expected(1e-4) > 1 else (found <= 4).all()


def test_types_are_pooled_within_types_only():
    test = of_uniform(lambda p: p)
    cells = [some_cells(test.windows, cell_type=name) for name in ("B", "A", ALL_TYPES)]
    counts = pd.concat([cal.count_p_values(test, own, 2, 1, seed=1) for own in cells])
    table = cal.calibration_table(counts)
    assert table["cell_type"].fillna("").unique().tolist() == ["B", "A", ALL_TYPES, ""]
    pooled = table[table["cell_type"].isna()].set_index(["null", "what", "threshold"])
    assert set(pooled["level"]) == {"within_type"}
    each = table[table["cell_type"].isin(["A", "B"])].groupby(["null", "what", "threshold"])
    for column in ("n_tests", "n_observed", "n_expected", "n_repeats", "n_repeats_with_discoveries"):
        assert_allclose(pooled[column], each[column].sum().loc[pooled.index])


def test_the_interval_is_that_of_a_poisson_mean():
    low, high = cal.poisson_interval(np.array([0, 1, 7, 200]))
    for n, a, b in zip((0, 1, 7, 200), low, high, strict=True):
        assert_allclose(stats.poisson.cdf(n, b), 0.025)
        assert a == 0 if n == 0 else np.isclose(stats.poisson.sf(n - 1, a), 0.025)


def test_only_types_with_enough_cells_are_calibrated():
    cell_type = pd.Series(["few"] * 49 + ["enough"] * 50 + ["many"] * 70)
    assert cal.populations(cell_type) == [ALL_TYPES, "many", "enough"]


def planted_test(rng, n_cells=400, n_genes=40):
    """Cells of two types, genes that follow the type, and the first ten the first peak of their window as well."""
    windows = drawn_windows(rng, n_genes, 3)
    kind = rng.integers(0, 2, n_cells)
    n_peaks = sum(map(len, windows.peaks))
    opened = rng.random((n_cells, n_peaks)) < 0.15 + 0.3 * kind[:, None] * (rng.random(n_peaks) < 0.5)
    mean = np.exp(0.5 * kind[:, None] * rng.normal(size=n_genes))
    mean[:, :10] *= np.exp(1.5 * opened[:, [peaks[0] for peaks in windows.peaks[:10]]])
    values = sparse.csc_matrix(rng.poisson(mean).astype(float))
    opened = sparse.csr_matrix(opened.astype(np.uint8))
    state, group = (kind - 0.5)[:, None], np.repeat(["train", "test"], n_cells // 2)
    cells = Population("A", opened, values, np.ones(n_cells), state, np.ones(n_cells), group)

    def tested(cells, own=None, order=None, fits=None):
        of_cells = TestedCells(opened, np.column_stack([np.ones(n_cells), state]), rng.random(n_cells))
        rna = values if order is None else values[order]
        return test_windows(of_cells, rna, np.ones(n_cells), own or windows, fits=fits)

    return SimpleNamespace(windows=windows, test=tested), cells


def test_planted_links_are_found_as_they_are_and_in_no_null():
    test, cells = planted_test(np.random.default_rng(3))
    counts = cal.count_p_values(test, cells, shuffles=10, decoys=10, seed=1)
    table = cal.calibration_table(counts).dropna(subset="cell_type")
    windows = table[(table["what"] == "window") & (table["threshold"] == 0.001)].set_index("null")
    assert windows.loc["none", "n_observed"] >= 9
    assert windows.loc["none", "n_repeats_with_discoveries"] == 1
    for null in ("shuffle", "decoy"):
        assert windows.loc[null, "n_tests"] > 300
        assert windows.loc[null, "n_observed"] <= 3 and windows.loc[null, "n_repeats_with_discoveries"] <= 3


def test_counts_follow_from_the_seed():
    test, cells = planted_test(np.random.default_rng(4), 200, 12)

    def tested(cells, own=None, order=None, fits=None):
        part = {"p_value": np.array([1.0 if order is None else (1 + order[0]) / 200])}
        return SimpleNamespace(windows=part, distal=part, links=part)

    test.test = tested
    one, same, other = (cal.count_p_values(test, cells, 3, 0, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)


@pytest.mark.parametrize("across", [False, True])
def test_residuals_that_are_kept_give_the_same_tests(across):
    rng = np.random.default_rng(5)
    test, cells = planted_test(rng, 300, 400)
    of_cells = TestedCells(cells.opened, np.column_stack([np.ones(300), cells.state]), rng.random(300))
    chromosome = np.empty(cells.opened.shape[1], object)
    for peaks, name in zip(test.windows.peaks, test.windows.chromosome, strict=True):
        chromosome[peaks] = name
    chromosome = chromosome.astype(str) if across else None
    fits = {}
    decoys = cal.swapped(test.windows, cal.similar_elsewhere(test.windows, of_cells.n_open), rng)
    for windows in (test.windows, decoys):
        kept = test_windows(of_cells, cells.values, cells.exposure, windows, chromosome, fits=fits)
        fresh = test_windows(of_cells, cells.values, cells.exposure, windows, chromosome)
        for part in ("links", "windows", "distal"):
            assert_allclose(getattr(kept, part)["p_value"], getattr(fresh, part)["p_value"])
        for part in (fresh.windows, fresh.distal):
            told = np.isfinite(part["p_value"])
            assert told.mean() > 0.3 and (part["n_effective_cells"][told] >= LEAST_EFFECTIVE_CELLS).all()
    assert list(fits) == list(range(0, len(test.windows), GENES_PER_BLOCK))


def test_decoys_lie_on_neither_chromosome():
    rng = np.random.default_rng(6)
    chromosome, size = np.array([f"chr{i % 4}" for i in range(800)]), rng.integers(20, 200, 800)
    decoys = SetScores(size, chromosome)
    scores = rng.normal(size=800)
    avoided = np.isin(decoys.chromosome, ["chr1", "chr2"])
    judged = [
        decoys.judge(np.array([2.5, -1.0]), np.array([50, 90]), changed, np.array(["chr1", "chr2"]))
        for changed in (
            scores,
            np.where(avoided, 30 * scores, scores),
            np.where(avoided, scores, 30 * scores),
        )
    ]
    assert_allclose(judged[0], judged[1])
    assert not np.allclose(judged[0], judged[2])
    z, p = decoys.judge(np.array([2.5]), np.array([50]), scores, np.array(["chr1", "of no decoy"]))
    assert np.isfinite([z, p]).all()


class SetScores(Decoys):
    """Decoys whose scores are given."""

    def scores(self, residuals):
        raise NotImplementedError
