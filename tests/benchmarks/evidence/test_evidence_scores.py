"""Scores of the rivals and of GRIDS: closed forms, planted members, and pairs of which nothing is said."""

import numpy as np
import pandas as pd
import pytest
from models import small_window_surrogate
from numpy.testing import assert_allclose
from planted_windows import planted
from scipy import sparse

from benchmarks.evidence import rivals
from benchmarks.evidence.gene_cells import AllGenes, GeneCells
from benchmarks.evidence.grids_scores import score_inclusion, score_links, score_sets
from benchmarks.evidence.metacells import metacells
from benchmarks.evidence.methods import NAMES, OF_GRIDS, RIVALS, SCORE_COLUMNS
from grids.io.cells import Multiome


@pytest.fixture(scope="module")
def cells():
    return planted(1_500, control=("single", "nothing"), cell_types="AB")


@pytest.fixture(scope="module")
def scored(cells):
    windows = cells.windows.assign(distance_to_tss_bp=np.tile(np.arange(-4, 4) * 3_000, 2), open_share=0.2)
    tasks = pd.DataFrame({"cell_type": ["A", "B", "A"], "gene": ["single0", "single0", "nothing0"]})
    scores = rivals.score_rivals(windows, tasks, AllGenes(cells.multiome, 30, seed=1), list(RIVALS))
    assert list(scores.columns) == SCORE_COLUMNS
    return windows, scores


def of_gene(scored, method, gene="single0", cell_type=None):
    windows, scores = scored
    own = scores[(scores["method"] == method) & (scores["gene"] == gene)]
    own = own[own["cell_type"].isna() if cell_type is None else own["cell_type"] == cell_type]
    return own.set_index("peak").loc[windows.loc[windows["gene"] == gene, "peak"], "score"].to_numpy()


def test_every_rival_scores_every_pair_once_in_each_type_that_it_looks_at(scored):
    windows, scores = scored
    assert set(scores["method"]) == set(RIVALS) and set(OF_GRIDS) | set(RIVALS) == set(NAMES)
    assert not scores.duplicated(["method", "cell_type", "gene", "peak"]).any()
    assert np.isfinite(scores["score"].astype(float)).all()
    n_pairs = scores.groupby("method").size()
    assert n_pairs.pop("correlation_within_type") == 8 * 3
    assert (n_pairs == len(windows)).all()


@pytest.mark.parametrize("method", ["correlation_all_cells", "poisson_ridge"])
def test_over_cells_the_planted_member_is_found(scored, method):
    """Metacells mix the state, which all peaks of these cells follow, into every peak."""
    score = of_gene(scored, method)
    assert score.argmax() == 2


@pytest.mark.parametrize("score", [rivals.correlation_metacells, rivals.susie])
def test_over_metacells_the_member_of_independent_peaks_is_found(score):
    rng = np.random.default_rng(2)
    opened = rng.random((2_000, 12)) < 0.3
    counts = rng.poisson(0.5 + 2 * opened[:, 4] + 1 * opened[:, 9])
    found = score(gene_cells(opened, counts, np.arange(2_000) // 10))
    assert np.argsort(-found)[:2].tolist() == [4, 9]
    if score is rivals.susie:
        assert found[[4, 9]].min() > 0.95 and np.delete(found, [4, 9]).max() < 0.3


def test_correlations_are_those_of_numpy(cells, scored):
    opened, expression = (getattr(cells.multiome, name).X.toarray() for name in ("atac", "rna"))
    expected = [abs(np.corrcoef(opened[:, p] > 0, expression[:, 0])[0, 1]) for p in range(8)]
    assert_allclose(of_gene(scored, "correlation_all_cells"), expected, rtol=1e-5)
    of_b = (cells.multiome.atac.obs["cell_type"] == "B").to_numpy()
    expected = [abs(np.corrcoef(opened[of_b, p] > 0, expression[of_b, 0])[0, 1]) for p in range(8)]
    within = of_gene(scored, "correlation_within_type", cell_type="B")
    assert_allclose(within, np.array(expected) * np.sqrt(of_b.sum()), rtol=1e-5)


def test_what_needs_no_cells_is_a_formula(scored):
    distance = np.abs(np.arange(-4, 4) * 3_000)
    assert_allclose(of_gene(scored, "distance"), -distance)
    assert_allclose(of_gene(scored, "accessibility"), 0.2)
    assert_allclose(
        of_gene(scored, "accessibility_over_distance"), 0.2 * np.maximum(distance, 5_000) ** -0.87
    )


def test_without_counts_that_are_known_only_formulas_are_left(scored):
    windows, _ = scored
    scores = rivals.score_rivals(
        windows, pd.DataFrame({"cell_type": ["A"], "gene": ["single0"]}), None, NAMES
    )
    assert set(scores["method"]) == set(rivals.OF_WINDOW)
    assert rivals.score_rivals(windows.head(0), windows.assign(cell_type="A"), None, NAMES).empty


def gene_cells(opened, counts, metacell=None):
    n = len(counts)
    names = np.full(n, "T")
    split = np.where(np.arange(n) % 4, "train", "validation")
    metacell = np.arange(n) // 2 if metacell is None else metacell
    counts = np.asarray(counts, float)
    opened = sparse.csr_matrix(np.asarray(opened, float))
    return GeneCells(opened, np.log1p(counts / 2), counts, np.full(n, 2.0), names, split, metacell)


def test_metacells_sum_counts_and_average_openness():
    cells = gene_cells([[1, 0], [0, 0], [1, 1], [1, 0], [1, 1]], [1, 5, 0, 2, 8], np.array([0, 0, 1, 1, 1]))
    share, expression = cells.in_metacells()
    assert_allclose(share, [[1 / 2, 0], [1, 2 / 3]])
    assert_allclose(expression, np.log1p([6 / 4, 10 / 6]))


@pytest.mark.parametrize(
    "score", [rivals.correlation, rivals.correlation_metacells, rivals.poisson_ridge, rivals.susie]
)
def test_a_peak_that_does_not_vary_shows_nothing(score):
    rng = np.random.default_rng(0)
    peak = rng.random(200) < 0.5
    opened = np.column_stack([peak, np.zeros(200), np.ones(200)])
    found = score(gene_cells(opened, rng.poisson(1 + 5 * peak)))
    assert found[0] > 0.3 and found[1] == 0 and found[2] < 1e-6
    for counts in (np.ones(200), np.zeros(200)):
        nothing = score(gene_cells(opened[:, 1:], counts))
        assert nothing.shape == (2,) and (nothing < 1e-6).all()


def test_poisson_ridge_does_not_depend_on_the_order_of_cells_or_peaks():
    rng = np.random.default_rng(1)
    opened = rng.random((300, 5)) < 0.4
    counts = rng.poisson(np.exp(0.3 + opened @ [1.0, 0, -1, 0, 0]))
    found = rivals.poisson_ridge(gene_cells(opened, counts))
    assert set(np.argsort(-found)[:2]) == {0, 2}
    assert_allclose(rivals.poisson_ridge(gene_cells(opened[:, ::-1], counts)), found[::-1], rtol=1e-3)


@pytest.mark.parametrize("n_cells", [1, 7, 30, 400])
def test_metacells_have_the_size_asked_for_and_one_type(n_cells):
    rng = np.random.default_rng(0)
    cell_type = rng.choice(["a", "b", "c"], 500, p=[0.8, 0.18, 0.02])
    number = metacells(rng.standard_normal((500, 3)), cell_type, n_cells)
    table = pd.DataFrame({"number": number, "type": cell_type})
    assert sorted(set(number)) == list(range(number.max() + 1))
    assert (table.groupby("number")["type"].nunique() == 1).all()
    for _, own in table.groupby("type"):
        sizes = own["number"].value_counts()
        assert len(sizes) == max(round(len(own) / n_cells), 1)
        # Each cut rounds: sizes differ by a cell or two.
        assert sizes.max() - sizes.min() <= 2


def test_metacells_are_neighbours():
    rng = np.random.default_rng(0)
    place = rng.permutation(120).astype(float)
    state = np.column_stack([place, rng.normal(0, 0.1, 120)])
    number = metacells(state, np.full(120, "a"), 10)
    ranges = pd.Series(place).groupby(number).agg(["min", "max"]).sort_values("min")
    assert len(ranges) == 12 and (ranges["max"].to_numpy()[:-1] < ranges["min"].to_numpy()[1:]).all()
    # Cells of which nothing is known apart are cut all the same.
    assert len(set(metacells(np.zeros((120, 0)), np.full(120, "a"), 10))) == 12


LINKS = pd.DataFrame(
    [
        ("within_type", "T", "A", "p1", 0.4, 0.2, 2.0),
        ("within_type", "B", "A", "p1", -1.5, 0.5, -3.0),
        ("within_type", "T", "A", "p2", np.nan, np.nan, 0.0),
        ("across_types", "all types", "A", "p1", -1.8, 0.2, -0.1),
        ("across_types", "all types", "A", "p3", 0.4, 0.1, 7.0),
    ],
    columns=["level", "cell_type", "gene", "peak", "effect", "standard_error", "z"],
)
ASKED = pd.DataFrame(
    [(t, "A", f"p{i}") for t in "TB" for i in (1, 2, 4)], columns=["cell_type", "gene", "peak"]
)


def test_links_score_by_effect_over_error_at_both_levels():
    scores = score_links(LINKS, ASKED).set_index(["method", "cell_type", "peak"])["score"]
    within, across = scores["links_within_type"], scores["links_across_types"]
    assert within.round(6).to_dict() == {
        ("T", "p1"): 2, ("T", "p2"): 0, ("T", "p4"): 0, ("B", "p1"): 3, ("B", "p2"): 0, ("B", "p4"): 0
    }  # fmt: skip
    assert across.index.get_level_values("cell_type").isna().all()
    assert across.droplevel("cell_type").round(6).to_dict() == {"p1": 9, "p2": 0, "p4": 0}


def test_members_score_by_their_larger_effect_and_others_by_none():
    sets = pd.DataFrame(
        {"cell_type": ["T", "T"], "gene": "A", "peak": ["p1", "p2"]}
        | {"log_effect_alone": [-0.1, 0.2], "log_effect_in_context": [-0.5, 0.1]}
    )
    found = score_sets(sets, ASKED).set_index(["cell_type", "peak"])["score"]
    assert found["T"].to_dict() == {"p1": 0.5, "p2": 0.2, "p4": 0}
    assert (found["B"] == 0).all() and len(found) == 6
    nothing = score_sets(sets.head(0), ASKED)
    assert len(nothing) == 6 and (nothing["score"] == 0).all()
    assert (nothing["method"] == "sets_within_type").all()


def test_sets_of_both_levels_are_two_methods():
    sets = pd.DataFrame(
        {"level": ["within_type", "across_types"], "cell_type": ["T", "all types"], "gene": "A", "peak": "p1"}
        | {"log_effect_alone": [-0.1, 0.2], "log_effect_in_context": [-0.5, 0.3]}
    )
    found = score_sets(sets, ASKED).set_index(["method", "cell_type", "peak"])["score"]
    assert found["sets_within_type"].loc[lambda score: score > 0].to_dict() == {("T", "p1"): 0.5}
    assert found["sets_across_types"].droplevel("cell_type").to_dict() == {"p1": 0.3, "p2": 0, "p4": 0}


def test_inclusion_is_that_of_the_surrogates_own_type_and_genes():
    surrogate = small_window_surrogate()
    peaks = [surrogate.peaks[i] for i in surrogate.window("HLA-DQB1").tolist()]
    asked = pd.DataFrame({"gene": "HLA-DQB1", "peak": [*peaks, "elsewhere"]})
    asked = pd.concat([asked, pd.DataFrame({"gene": ["unknown"], "peak": ["elsewhere"]})])
    asked = pd.concat(asked.assign(cell_type=name) for name in ("L2/3", "CD8+ T/é"))
    scores = score_inclusion(surrogate, asked)
    assert scores["cell_type"].unique().tolist() == ["L2/3"]
    assert_allclose(scores["score"], [*surrogate.inclusion[3:7].tolist(), 0, 0])


def test_cells_that_are_asked_of_once_serve_all_genes(cells):
    every = AllGenes(cells.multiome, 30, seed=1)
    own = every.of("single0", cells.windows["peak"].head(8))
    assert_allclose(own.counts, cells.counts[:, 0], atol=1e-3)
    assert_allclose(own.opened.toarray(), cells.multiome.atac.X[:, :8].toarray())
    assert "single0" in every and "absent" not in every
    assert isinstance(cells.multiome, Multiome) and own.cells(own.split == "test").opened.shape == (450, 8)
