import numpy as np
import pandas as pd
import pytest
import torch
from models import N_GENES, toy_multiome
from scipy import sparse, stats
from toys import LinearToy

from grids.io.levels import ALL_TYPES
from grids.surrogates import quality
from grids.surrogates.cross_modality.latent import latent_umap
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import build


def named(toy: LinearToy) -> LinearToy:
    toy.name = "cross_modality"
    return toy


@pytest.fixture(scope="module")
def multiome():
    return toy_multiome(600)


def test_correlation_equals_scipy_and_is_zero_for_constants():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    a[:, 2] = 0.1
    r = quality.correlation(a, b, 0)
    assert r[0] == pytest.approx(stats.pearsonr(a[:, 0], b[:, 0]).statistic)
    assert r[2] == 0.0
    np.testing.assert_allclose(quality.correlation(a.T, b.T, 1), r)
    assert quality.correlation(np.full((300, 1), 0.1, np.float32), rng.normal(size=(300, 1)), 0) == [0.0]


def test_score_of_literal_numbers():
    predicted = np.array([[0.0], [1.0], [2.0], [3.0]])
    observed = np.array([[0.0], [2.0], [4.0], [100.0]])
    table = quality.score(predicted, observed)
    assert table["spearman_r"][0] == pytest.approx(1.0)
    assert table["rmse"][0] == pytest.approx(np.sqrt((0 + 1 + 4 + 97**2) / 4))
    assert table["n_cells"][0] == 4


def test_baselines_know_training_cells_only(multiome):
    predictions = quality.baseline_predictions(multiome, seed=1)
    assert set(predictions) == {"gene_mean", "cell_type_mean", "lsi_ridge", "lsi_neighbours"}
    train = multiome.rna.cells(split="train")
    test = multiome.atac.cells(split="test").obs["cell_type"].to_numpy()
    np.testing.assert_allclose(predictions["gene_mean"][0], train.X.toarray().mean(0), rtol=1e-5)
    of_a = (train.obs["cell_type"] == "A").to_numpy()
    np.testing.assert_allclose(
        predictions["cell_type_mean"][test == "A"][0], train.X[of_a].toarray().mean(0), rtol=1e-5
    )
    observed = multiome.rna.cells(split="test").X.toarray()
    assert quality.correlation(predictions["lsi_ridge"], observed, 0)[1] > 0.5  # gene 1 follows the cell type
    assert quality.correlation(predictions["lsi_neighbours"], observed, 0)[1] > 0.5


def test_evaluate_calls_a_perfect_gene_by_more_than_chance_and_noise_not(multiome):
    # gene 2 is made to be what the toy predicts: twice the first peak's state; the toy predicts 0 elsewhere
    y = multiome.rna.X.toarray()
    y[:, 2] = 2.0 * multiome.atac.X[:, 0].toarray().ravel()
    multiome.rna.X.__dict__.update(sparse.csr_matrix(y).__dict__)
    weights = np.zeros((40, N_GENES))
    weights[0, 2] = 2.0
    toy = named(LinearToy(weights, genes=list(multiome.rna.var.index)))
    table, summary = quality.evaluate({}, multiome, seed=1, joint=toy)
    mine = table[(table["model"] == "cross_modality") & (table["gene"] == "G2")].set_index("cell_type")
    assert mine["rmse"].tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    assert mine["beats_type_mean"].all()
    assert not table.loc[table["gene"] != "G2", "beats_type_mean"].any()
    assert set(table["cell_type"]) == {None, "A", "B"}
    assert list(table.columns) == quality.QUALITY_COLUMNS
    everyone = table[(table["model"] == "cell_type_mean") & table["cell_type"].isna()]
    row = summary.set_index("model").loc["cell_type_mean"]
    assert row["mean_r_per_gene"] == pytest.approx(everyone["pearson_r"].mean())
    assert row["rmse"] == pytest.approx(np.sqrt((everyone["rmse"] ** 2).mean()))


def test_specialised_surrogates_speak_for_their_type(multiome):
    zero, one = (named(LinearToy(np.zeros((40, N_GENES)), bias=b)) for b in (0.0, 1.0))
    table, _ = quality.evaluate({"A": one}, multiome, seed=1, joint=zero)
    mine = table[table["model"] == "cross_modality"].set_index(["cell_type", "gene"])["rmse"]
    y = multiome.rna.cells(split="test")
    of_a = (y.obs["cell_type"] == "A").to_numpy()
    assert mine["A", "G3"] == pytest.approx(np.sqrt(((y.X[of_a].toarray()[:, 3] - 1) ** 2).mean()), rel=1e-5)
    assert mine["B", "G3"] == pytest.approx(np.sqrt((y.X[~of_a].toarray()[:, 3] ** 2).mean()), rel=1e-5)


def test_without_a_joint_surrogate_other_types_and_genes_are_left_out(multiome):
    toy = named(LinearToy(np.zeros((40, 2)), bias=1.0, genes=["G4", "G3"]))
    toy.name = "window"
    table, summary = quality.evaluate({"A": toy}, multiome, seed=1)
    assert set(table["cell_type"]) == {"A"}
    assert table["gene"].unique().tolist() == ["G4", "G3"]
    baselines = ["gene_mean", "cell_type_mean", "lsi_ridge", "lsi_neighbours"]
    assert summary["model"].tolist() == ["window", *baselines]
    y = multiome.rna.cells(split="test", cell_type="A").X.toarray()[:, [4, 3]]
    assert (summary["n_cells"] == len(y)).all() and (summary["n_genes"] == 2).all()
    mine = table[(table["model"] == "window") & (table["gene"] == "G4")]["rmse"].item()
    assert mine == pytest.approx(np.sqrt(((y[:, 0] - 1) ** 2).mean()), rel=1e-5)
    # the baselines are the same as beside a surrogate of all types and genes
    zero = named(LinearToy(np.zeros((40, N_GENES)), genes=list(multiome.rna.var.index)))
    whole, _ = quality.evaluate({}, multiome, seed=1, joint=zero)
    both = table.merge(whole[whole["cell_type"] == "A"], on=["model", "cell_type", "gene"])
    assert len(both) == 4 * 2
    np.testing.assert_allclose(both["rmse_x"], both["rmse_y"])


def test_the_surrogate_of_all_types_is_scored_on_all_cells_and_others_may_be_empty(multiome):
    def toy(*genes, bias=1.0):
        surrogate = named(LinearToy(np.zeros((40, len(genes))), bias=bias, genes=list(genes)))
        surrogate.name = "window"
        return surrogate

    surrogates = {"A": toy("G3"), "B": toy(), ALL_TYPES: toy("G4", "G3", bias=0.5)}
    table, summary = quality.evaluate(surrogates, multiome, seed=1)
    mine = table[table["model"] == "window"]
    assert [*zip(mine["cell_type"], mine["gene"], strict=True)] == [(None, "G4"), (None, "G3"), ("A", "G3")]
    y = multiome.rna.cells(split="test").X.toarray()
    assert mine["rmse"].iloc[0] == pytest.approx(np.sqrt(((y[:, 4] - 0.5) ** 2).mean()), rel=1e-5)
    assert (summary["n_cells"] == len(y)).all() and (summary["n_genes"] == 2).all()


def test_surrogates_without_genes_have_no_quality(multiome):
    empty = named(LinearToy(np.zeros((40, 0)), genes=[]))
    table, summary = quality.evaluate({"A": empty, "B": empty}, multiome, seed=1)
    assert table.empty and list(table.columns) == quality.QUALITY_COLUMNS
    assert summary.empty and list(summary.columns) == quality.SUMMARY_COLUMNS


def test_by_more_than_chance_p_values_are_uniform_without_a_difference():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60, 2000)) ** 2
    many = np.full(2000, 60)
    assert stats.kstest(quality.p_values_against_type_mean(a, b, many), "uniform").pvalue > 1e-3
    assert (
        quality.p_values_against_type_mean(a[:5], b[:5], many).tolist() == [1.0] * 2000
    )  # too few cells to tell


def test_a_gene_that_is_hardly_observed_is_not_called_by_more_than_chance():
    error = np.full((30, 2), 0.1)
    p = quality.p_values_against_type_mean(
        error, error + np.linspace(0.01, 0.02, 30)[:, None], np.array([4, 5])
    )
    assert p[0] == 1.0
    assert p[1] < 1e-6


def test_unpaired_cells_are_judged_by_type_means():
    unpaired = toy_multiome(300, paired=False)
    toy = named(LinearToy(np.zeros((40, N_GENES)), bias=0.5))
    table, summary = quality.evaluate({}, unpaired, seed=1, joint=toy)
    assert set(summary["model"]) == {"cross_modality", "gene_mean", "cell_type_mean"}
    best = table[(table["model"] == "cell_type_mean") & table["cell_type"].isna() & (table["gene"] == "G1")]
    assert best["pearson_r"].item() > 0.99
    assert not table["beats_type_mean"].any()


def test_latent_umap_has_every_test_cell_twice_per_modality(multiome):
    model = build(multiome, Settings(width=8, n_latent=4, n_hidden=8, rna_hidden=(8, 8)), seed=0)
    torch.manual_seed(0)
    table = latent_umap(model, multiome, seed=1)
    n_test = (multiome.atac.obs["split"] == "test").sum()
    counts = table.groupby(["modality", "mapping"]).size()
    assert counts.tolist() == [n_test] * 4
    assert np.isfinite(table[["umap_1", "umap_2"]]).all().all()
    pd.testing.assert_frame_equal(table, latent_umap(model, multiome, seed=1))


def test_ranks_of_many_genes_are_those_of_each_gene():
    values = np.random.default_rng(0).integers(0, 4, (9, 300)).astype(np.float32)
    ranks = quality._ranks(values)
    for gene in (0, 127, 128, 299):
        below = (values[:, gene][:, None] > values[:, gene]).sum(1)
        tied = (values[:, gene][:, None] == values[:, gene]).sum(1)
        np.testing.assert_array_equal(ranks[:, gene], below + (tied + 1) / 2)
