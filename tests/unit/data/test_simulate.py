import gzip
import itertools
import re

import mudata
import numpy as np
import pandas as pd
import pytest

from grids.data.coordinates import parse_peaks
from grids.data.simulation import TRUTH_COLUMNS, Design, simulate_multiome, write_simulation
from grids.data.simulation_plan import MEMBERS_OF_LOGIC, closing_effects, log_activity, member_strengths
from grids.io import tables
from grids.io.errors import InputError

LOG_EFFECT = float(np.log(0.12))


@pytest.fixture(scope="module")
def demo():
    return simulate_multiome()


@pytest.fixture(scope="module")
def many_cells():
    """One cell type, many cells, few genes: planted relations are visible in plain means."""
    return simulate_multiome(Design(20_000, 300, 12, 1, n_planted_per_logic=1, n_markers_per_type=2), seed=3)


def rna(simulation, gene):
    modality = simulation.mdata["rna"]
    return modality.X[:, [modality.var_names.get_loc(gene)]].toarray().ravel()


def members_open(simulation, gene):
    rows = simulation.truth.query("gene == @gene and is_member")
    columns = [simulation.candidates.index(peak) for peak in rows["peak"]]
    return simulation.accessible[:, columns].toarray().astype(bool)


def mean_by_number_open(simulation, gene):
    """Mean RNA counts at unit depth for cells with 0, 1, ... members truly open."""
    per_depth = rna(simulation, gene) / simulation.mdata["rna"].obs["depth"].to_numpy()
    n_open = members_open(simulation, gene).sum(axis=1)
    return np.array([per_depth[n_open == n].mean() for n in range(n_open.max() + 1)])


def test_logics_are_the_truth_tables_they_claim():
    none, one, all_ = [False] * 3, [True, False, False], [True] * 3
    table = {logic: log_activity(np.array([none, one, all_]), logic, -3.0) for logic in MEMBERS_OF_LOGIC}
    np.testing.assert_allclose(table["multiplicative"], [-3, -2, 0])
    np.testing.assert_allclose(table["redundant"], [-3, 0, 0])
    np.testing.assert_allclose(table["synergistic"], [-3, -3, 0])
    np.testing.assert_allclose(table["none"], [0, 0, 0])
    np.testing.assert_allclose(log_activity(np.array([[False], [True]]), "single", -3.0), [-3, 0])


def test_closing_effects_of_hand_made_cells():
    # Cells with both members, one member, none open.
    cells = np.array([[True, True], [True, False], [False, False], [True, True]])
    alone, joint = closing_effects(cells, "redundant", -4.0)
    np.testing.assert_allclose(alone, [-1.0, 0.0])
    assert joint == -3.0
    alone, joint = closing_effects(cells, "synergistic", -4.0)
    np.testing.assert_allclose(alone, [-2.0, -2.0])
    assert joint == -2.0
    alone, joint = closing_effects(cells, "multiplicative", -4.0)
    np.testing.assert_allclose(alone, [-1.5, -1.0])
    assert joint == -2.5


@pytest.mark.parametrize(
    ("gene", "relative"),
    [
        ("SINGLE1", [0.12, 1]),
        ("MULTI1", [0.12, 0.12 ** (2 / 3), 0.12 ** (1 / 3), 1]),
        ("REDUND1", [0.12, 1, 1, 1]),
        ("SYNERG1", [0.12, 0.12, 1]),
    ],
)
def test_counts_follow_the_planted_logic(many_cells, gene, relative):
    means = mean_by_number_open(many_cells, gene)
    np.testing.assert_allclose(means / means[-1], relative, rtol=0.08)


def test_genes_without_local_control_follow_the_state_and_no_peak_given_it(many_cells):
    truth = many_cells.truth.query("gene == 'NONE1'")
    assert len(truth) == 20
    assert not truth["is_member"].any()
    assert (truth["joint_log_effect"] == 0).all()
    # The number of open candidates tells the factor, which the gene follows ...
    columns = [many_cells.candidates.index(peak) for peak in truth["peak"]]
    n_open = many_cells.accessible[:, columns].toarray().sum(axis=1)
    counts = rna(many_cells, "NONE1")
    assert np.corrcoef(n_open, counts)[0, 1] > 0.3
    # ... and given the other candidates a single one tells next to nothing.
    one = many_cells.accessible[:, [columns[0]]].toarray().ravel()
    rest = n_open - one
    design = np.column_stack([one, *[(rest == n) for n in np.unique(rest)]]).astype(float)
    y = np.log1p(counts)
    slope = np.linalg.lstsq(design, y, rcond=None)[0][0]
    assert abs(slope) < 0.1 * y.std() + 0.05


def check_effects_by_counts(simulation, gene, within):
    """Monte Carlo: mean over cells of log(mean counts with members closed / mean counts in the cell's state)."""
    truth = simulation.truth.query("gene == @gene and is_member")
    is_open = members_open(simulation, gene)
    per_depth = rna(simulation, gene) / simulation.mdata["rna"].obs["depth"].to_numpy()
    state = is_open @ (1 << np.arange(is_open.shape[1]))
    log_mean = np.array([np.log(per_depth[state == s].mean()) for s in range(2 ** is_open.shape[1])])
    joint = (log_mean[0] - log_mean[state]).mean()
    assert truth["joint_log_effect"].iloc[0] == pytest.approx(joint, abs=within)
    for column, alone in enumerate(truth["log_effect_alone"]):
        closed = state & ~(1 << column)
        assert alone == pytest.approx((log_mean[closed] - log_mean[state]).mean(), abs=within)


def test_truth_matches_the_counts_of_cells_with_open_and_closed_members(many_cells):
    for gene in ("SINGLE1", "MULTI1", "REDUND1", "SYNERG1"):
        check_effects_by_counts(many_cells, gene, within=0.06)


def test_truth_of_large_populations_is_what_open_shares_imply():
    design = Design(
        n_cells=30_000, n_peaks=120, n_genes=10, n_cell_types=1, n_planted_per_logic=1, n_candidates=4,
        coaccessibility=0.0, n_markers_per_type=0, log_effect=-2.0,
    )  # fmt: skip
    simulation = simulate_multiome(design)
    joint = simulation.truth.groupby("gene")["joint_log_effect"].first()
    assert joint["SINGLE1"] == pytest.approx(-2 * 0.5, abs=0.02)
    assert joint["MULTI1"] == pytest.approx(-2 * 0.5, abs=0.02)
    assert joint["REDUND1"] == pytest.approx(-2 * (1 - 0.5**3), abs=0.02)
    assert joint["SYNERG1"] == pytest.approx(-2 * 0.25, abs=0.02)


@pytest.mark.parametrize("coaccessibility", [0.2, 0.8])
def test_coaccessibility_and_detection_are_as_asked(coaccessibility):
    design = Design(
        n_cells=20_000, n_peaks=80, n_genes=10, n_cell_types=1, n_planted_per_logic=1, n_candidates=5,
        coaccessibility=coaccessibility, detection=0.3, logics=("redundant",),
    )  # fmt: skip
    simulation = simulate_multiome(design)
    is_open = simulation.accessible.toarray()
    np.testing.assert_allclose(is_open.mean(axis=0), 0.5, atol=0.02)
    # For medians split at 0, the correlation of the signs of normals with correlation c is 2 asin(c) / pi.
    pairs = np.corrcoef(is_open.T)[np.triu_indices(5, 1)]
    np.testing.assert_allclose(pairs, 2 * np.arcsin(coaccessibility) / np.pi, atol=0.03)
    atac = simulation.mdata["atac"]
    seen = atac[:, simulation.candidates].X.toarray() > 0
    assert not (seen & (is_open == 0)).any()
    assert seen[is_open == 1].mean() == pytest.approx(0.3, abs=0.01)
    # Detection follows depth: deep cells see more of what is open.
    depth = atac.obs["depth"].to_numpy()
    share = seen.sum(axis=1) / np.maximum(is_open.sum(axis=1), 1)
    deep = depth > np.median(depth)
    assert share[deep].mean() > 1.4 * share[~deep].mean()


def test_the_demo_looks_like_a_sparse_multiome(demo):
    rna_, atac = demo.mdata["rna"], demo.mdata["atac"]
    assert rna_.shape == (2500, 400)
    assert atac.shape == (2500, 6000)
    assert atac.X.format == rna_.X.format == "csr"
    n_open = np.diff(atac.X.indptr)
    assert 200 < np.median(n_open) < 600
    assert np.quantile(n_open, 0.95) > 2 * np.quantile(n_open, 0.05)
    assert 0.5 < 1 - rna_.X.nnz / np.prod(rna_.shape) < 0.9
    for matrix in (rna_.X, atac.X):
        assert (matrix.data == matrix.data.astype(int)).all()
        assert matrix.data.min() >= 1
    assert list(rna_.obs_names) == list(atac.obs_names)
    counts = demo.mdata["rna"].obs["cell_type"].value_counts()
    assert set(counts.index) == {"Excitatory", "Inhibitory", "Astrocyte", "Oligo/OPC"}
    assert counts.min() > 300
    # Every logic is planted twice, well expressed and mostly silenced without its members.
    for (gene, cell_type), rows in demo.truth.groupby(["gene", "cell_type"]):
        of_type = (rna_.obs["cell_type"] == cell_type).to_numpy()
        assert 3 < rna(demo, gene)[of_type].mean() < 10
        assert rows["is_member"].sum() == MEMBERS_OF_LOGIC[rows["logic"].iloc[0]]
        open_share = demo.accessible[of_type][:, [demo.candidates.index(p) for p in rows["peak"]]].mean()
        assert 0.4 < open_share < 0.6
    assert demo.truth["gene"].nunique() == 10
    # Each type has genes of its own.
    means = (
        pd.DataFrame(rna_.X.toarray(), columns=rna_.var_names)
        .groupby(rna_.obs["cell_type"].to_numpy())
        .mean()
    )
    for cell_type in means.index:
        others = means.drop(cell_type).max()
        assert ((means.loc[cell_type] > 4 * others) & (means.loc[cell_type] > 1)).sum() >= 8


def test_places_are_valid(demo):
    peaks = parse_peaks(demo.mdata["atac"].var_names)
    assert list(demo.chromosome_sizes) == [f"chr{i}" for i in range(1, 7)]
    for chromosome, rows in peaks.groupby("chromosome"):
        assert rows["start"].is_monotonic_increasing
        assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()
        assert rows["start"].min() >= 0
        assert rows["end"].max() <= demo.chromosome_sizes[chromosome]
    genes = demo.genes
    assert genes["gene"].is_unique
    assert set(genes["strand"]) == {"+", "-"}
    assert (genes["start"] >= 0).all()
    assert (genes["start"] < genes["end"]).all()
    assert (genes["end"] <= genes["chromosome"].map(demo.chromosome_sizes)).all()
    # Candidates lie around their own gene, within the default window of 500 kb.
    tss = genes.set_index("gene").apply(lambda g: g["start"] if g["strand"] == "+" else g["end"] - 1, axis=1)
    of_truth = peaks.loc[demo.truth["peak"]]
    assert (
        of_truth["chromosome"].to_numpy() == genes.set_index("gene").loc[demo.truth["gene"], "chromosome"]
    ).all()
    distance = np.abs(of_truth["start"].to_numpy() - tss.loc[demo.truth["gene"]].to_numpy())
    assert distance.max() < 250_000
    assert np.median(distance) < 80_000


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data():
    first, second, other = (simulate_multiome(Design(60, 500, 20, 2), seed) for seed in (5, 5, 6))
    for name in ("rna", "atac"):
        assert (first.mdata[name].X != second.mdata[name].X).nnz == 0
        pd.testing.assert_frame_equal(first.mdata[name].obs, second.mdata[name].obs)
    pd.testing.assert_frame_equal(first.truth, second.truth)
    pd.testing.assert_frame_equal(first.genes, second.genes)
    assert list(first.mdata["atac"].var_names) != list(other.mdata["atac"].var_names)
    assert (first.mdata["rna"].X != other.mdata["rna"].X).nnz > 0


def test_written_files_read_back(tmp_path):
    simulation = simulate_multiome(Design(50, 500, 20, 4))
    paths = tmp_path / "a" / "m.h5mu", tmp_path / "b" / "genes.bed.gz", tmp_path / "truth.tsv"
    write_simulation(simulation, *paths)
    mdata = mudata.read_h5mu(paths[0])
    assert (mdata["atac"].X != simulation.mdata["atac"].X).nnz == 0
    assert (mdata["rna"].X != simulation.mdata["rna"].X).nnz == 0
    assert "Oligo/OPC" in set(mdata["rna"].obs["cell_type"])
    lines = gzip.decompress(paths[1].read_bytes()).decode().splitlines()
    assert len(lines) == 20
    assert all(re.fullmatch(r"chr\d\t\d+\t\d+\t[A-Z]+\d+\t0\t[+-]", line) for line in lines)
    truth = tables.read(paths[2])
    assert list(truth.columns) == TRUTH_COLUMNS
    assert truth["is_member"].dtype == bool
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "genes.bed.gz",
        "m.h5mu",
        "truth.tsv",
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n_peaks": 100}, "n_peaks is 100.*at least 600"),
        ({"n_genes": 5}, "n_genes is 5.*at least 10"),
        ({"n_cells": 2}, "n_cells is 2, fewer than n_cell_types"),
        ({"n_cell_types": 0}, "n_cell_types is 0"),
        ({"n_peaks": 200_000}, "200000 peaks do not fit"),
        ({"coaccessibility": 1.0}, "coaccessibility is 1.0"),
        ({"detection": 0.0}, "detection is 0.0"),
        ({"logics": ("xor",)}, "logic 'xor' is unknown"),
        ({"n_candidates": 2}, "n_candidates is 2; the planted logics need 3"),
        ({"n_candidates": 11, "own_members": True}, "n_candidates is 11; the planted logics need 12"),
        ({"strength": "even"}, "strength 'even' is unknown; expected one of: equal, unequal"),
    ],
)
def test_impossible_numbers_are_refused_by_name(asked, message):
    with pytest.raises(InputError, match=message):
        Design(**asked)


@pytest.mark.parametrize("strength", ["equal", "unequal"])
@pytest.mark.parametrize("log_effect", [np.log(0.4), -np.log(0.4)], ids=["enhancers", "silencers"])
@pytest.mark.parametrize("logic", [logic for logic in MEMBERS_OF_LOGIC if logic != "none"])
def test_all_members_together_do_what_the_design_says(logic, log_effect, strength):
    """Over all open states: from all open to all closed is the design's effect, and closing more never does less."""
    n = MEMBERS_OF_LOGIC[logic]
    states = np.array(list(itertools.product([False, True], repeat=n)))
    strengths = member_strengths(n, strength)
    value = dict(
        zip(map(tuple, states), log_activity(states, logic, log_effect, strengths) / log_effect, strict=True)
    )
    assert value[(False,) * n] == pytest.approx(1) and value[(True,) * n] == pytest.approx(0)
    for state, closed in itertools.product(states, ~np.eye(n, dtype=bool)):
        assert value[tuple(state & closed)] >= value[tuple(state)] - 1e-12
    all_open = np.ones((1, n), dtype=bool)
    alone, joint = closing_effects(all_open, logic, log_effect, strengths)
    assert joint == pytest.approx(log_effect)
    expected = {
        "single": [1.0],
        "multiplicative": strengths / strengths.sum(),
        # By hand: the strongest of a group is missed as far as the next two (1/2 and 1/4) do not make up for it.
        "redundant": [0.5 * 0.75, 0, 0] if strength == "unequal" else [0, 0, 0],
        "synergistic": strengths,
    }[logic]
    np.testing.assert_allclose(alone, log_effect * np.array(expected), atol=1e-12)


def test_counts_follow_members_of_unequal_strength_that_close_the_gene_or_open_it():
    small = {
        "n_cells": 20_000,
        "n_peaks": 300,
        "n_genes": 12,
        "n_cell_types": 1,
        "n_planted_per_logic": 1,
        "strength": "unequal",
    }
    for log_effect in (np.log(0.3), -np.log(0.3)):
        simulation = simulate_multiome(Design(**small, n_markers_per_type=2, log_effect=log_effect), seed=3)
        for gene in ("MULTI1", "REDUND1", "SYNERG1"):
            check_effects_by_counts(simulation, gene, within=0.06)
            truth = simulation.truth.query("gene == @gene and is_member")
            assert (np.sign(truth["joint_log_effect"]) == np.sign(log_effect)).all()
            assert truth["log_effect_alone"].abs().max() > 1.5 * truth["log_effect_alone"].abs().min()


def test_types_share_members_or_have_their_own():
    design = {"n_cells": 300, "n_peaks": 600, "n_genes": 20, "n_cell_types": 3, "n_planted_per_logic": 1}
    shared = simulate_multiome(Design(**design)).truth
    assert not shared.duplicated(["gene", "peak"]).any()
    own = simulate_multiome(Design(**design, own_members=True))
    n_types = own.truth.groupby(["gene", "peak"])["cell_type"].nunique()
    assert (n_types == 3).all()
    members = own.truth[own.truth["is_member"]]
    assert not members.duplicated(["gene", "peak"]).any()
    counts = members.groupby(["gene", "logic"])["cell_type"].value_counts().reset_index(name="n")
    assert (counts["n"] == counts["logic"].map(MEMBERS_OF_LOGIC)).all() and len(counts) == 4 * 3


def test_with_members_of_their_own_each_type_follows_its_own():
    design = Design(
        9_000, 200, 12, 3, logics=("single",), n_planted_per_logic=1, coaccessibility=0.0, own_members=True
    )
    simulation = simulate_multiome(design, seed=2)
    counts = rna(simulation, "SINGLE1") / simulation.mdata["rna"].obs["depth"].to_numpy()
    types = simulation.mdata["rna"].obs["cell_type"].to_numpy()
    members = simulation.truth[simulation.truth["is_member"]].set_index("cell_type")["peak"]
    for cell_type in members.index:
        for other, peak in members.items():
            of_type = types == cell_type
            opened = simulation.accessible[:, [simulation.candidates.index(peak)]].toarray().ravel() == 1
            change = np.log(counts[of_type & ~opened].mean() / counts[of_type & opened].mean())
            assert change == pytest.approx(LOG_EFFECT if other == cell_type else 0, abs=0.2)
