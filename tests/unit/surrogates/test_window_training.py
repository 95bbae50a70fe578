"""Training of the window surrogate on cells with planted sets and logics."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from planted_windows import CONTROL, WINDOW_SIZE, kind, planted
from scipy import sparse

from grids.data.normalisation import counts_and_exposure
from grids.io.cells import Modality, Multiome
from grids.io.checkpoints import KeptTensors
from grids.io.errors import InputError
from grids.io.levels import ALL_TYPES
from grids.surrogates import storage
from grids.surrogates.window import data as window_data
from grids.surrogates.window import training as window_training
from grids.surrogates.window.curve import expected_index, log_activity
from grids.surrogates.window.data import WindowData
from grids.surrogates.window.fits import draw_models, fit_models, sum_cells
from grids.surrogates.window.prior import Prior
from grids.surrogates.window.set_models import MAX_SIZE, Cells, rises
from grids.surrogates.window.training import (
    REGULARISATION_COLUMNS,
    WindowSettings,
    choose_regularisation,
    train_window,
)

PRIOR = Prior.of_penalty(1.0, MAX_SIZE)
SETTINGS = WindowSettings(member_penalties=(1.0,))
FORM_OF = {
    "single": "single",
    "or_of_three": "redundant",
    "and_of_two": "synergistic",
    "multiplicative": "multiplicative",
    "nothing": "none",
    "state": "none",
}


def with_cells(multiome: Multiome, *, atac=None, expression=None, obs=None) -> Multiome:
    """The same multiome with other data."""
    rna, before = multiome.rna, multiome.atac
    return Multiome(
        Modality(rna.X if expression is None else expression, rna.obs if obs is None else obs, rna.var),
        Modality(before.X if atac is None else atac, before.obs if obs is None else obs, before.var),
        multiome.paired,
    )


def assert_same(one, other, **tolerance) -> None:
    for (name, mine), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=lambda text, name=name: f"{name}: {text}", **tolerance)


@pytest.fixture(scope="module")
def cells():
    return planted(4000, n_repeats=2, seed=1)


@pytest.fixture(scope="module")
def trained(cells):
    return train_window(cells.multiome, cells.windows, "A", SETTINGS, seed=0)[0]


@pytest.fixture(scope="module")
def few():
    return planted(500)


@pytest.fixture(scope="module")
def small(few):
    return train_window(few.multiome, few.windows, "A", SETTINGS, seed=0)[0]


def test_planted_members_have_the_highest_inclusion(trained):
    assert len(trained.genes) == 2 * len(CONTROL)
    for column, gene in enumerate(trained.genes):
        members = CONTROL[kind(gene)][0]
        inclusion = trained.inclusion[trained._pairs(column)].numpy()
        others = np.delete(inclusion, members)
        assert len(inclusion) == WINDOW_SIZE and others.max() < 0.25
        assert inclusion[members].min(initial=1) > 0.9


def test_the_planted_logic_has_the_highest_chance(trained):
    forms = trained.forms()
    np.testing.assert_allclose(forms.sum(1), 1, rtol=1e-4)
    assert forms.idxmax(axis=1).tolist() == [FORM_OF[kind(gene)] for gene in trained.genes]


def test_the_joint_effect_is_the_planted_one(trained):
    for gene in trained.genes:
        members, _, ratio = CONTROL[kind(gene)]
        z = np.zeros((2, WINDOW_SIZE))
        z[1, members] = 1
        closed, opened = trained.for_gene(gene).predict(sparse.csr_matrix(z))[:, 0].tolist()
        assert closed == pytest.approx(0, abs=1e-5)
        assert opened == pytest.approx(np.log(ratio), rel=0.15, abs=0.02)


def test_predictions_follow_what_is_expected_of_the_cells(trained, cells):
    """On test cells, whose true means are known up to the openings that nobody saw."""
    predicted = trained.predict(cells.multiome.atac.X[cells.is_test]).numpy()
    observed = cells.multiome.rna.X[cells.is_test][:, : len(trained.genes)].toarray()
    own = [np.corrcoef(predicted[:, g], observed[:, g])[0, 1] for g in range(len(trained.genes))]
    shuffled = np.random.default_rng(0).permutation(len(predicted))
    other = trained.predict(cells.multiome.atac.X[cells.is_test], shuffled).numpy()
    without = [np.corrcoef(other[:, g], observed[:, g])[0, 1] for g in range(len(trained.genes))]
    for gene, with_window, with_another in zip(trained.genes, own, without, strict=True):
        if CONTROL[kind(gene)][0]:
            assert with_window > with_another + 0.05
        if kind(gene) == "state":
            assert with_window > 0.15
    # calibrated: the mean and the slope are those of what is observed
    np.testing.assert_allclose(predicted.mean(0), observed.mean(0), rtol=0.06)
    slopes = [
        np.polyfit(predicted[:, g], observed[:, g], 1)[0]
        for g, gene in enumerate(trained.genes)
        if CONTROL[kind(gene)][0]
    ]
    np.testing.assert_allclose(slopes, 1, atol=0.25)


def test_draws_differ_by_what_is_not_known(trained):
    assert trained.n_replicates == SETTINGS.n_draws
    column = trained.genes.index("single0")
    pairs = trained._pairs(column)
    weights, size = trained.weights[pairs], trained.size[column]
    joint = torch.log1p(size * torch.expm1(weights.sum(0)))
    assert 0.01 < float(joint.std()) < 0.3
    assert abs(float(joint.mean()) - np.log(CONTROL["single"][2])) < 3 * float(joint.std()) + 0.1
    # every draw has a member; those that the posterior is sure of are in most draws, given other cells too
    for c in range(len(trained.genes)):
        drawn = trained.weights[trained._pairs(c)] != 0
        assert drawn.any(0).all()
        assert (drawn.float().mean(1)[trained.inclusion[trained._pairs(c)] > 0.95] > 0.8).all()


def test_test_cells_have_no_influence(few, small):
    rng = np.random.default_rng(0)
    order = np.arange(len(few.is_test))
    order[few.is_test] = rng.permutation(np.flatnonzero(few.is_test))
    atac, expression = few.multiome.atac.X[order].tolil(), few.multiome.rna.X[order[::-1]].tolil()
    expression[~few.is_test] = few.multiome.rna.X[~few.is_test]
    atac[np.flatnonzero(few.is_test)[:10]] = 1
    changed = with_cells(few.multiome, atac=atac.tocsr(), expression=expression.tocsr())
    again, _ = train_window(changed, few.windows, "A", SETTINGS, seed=0)
    assert_same(again, small, atol=0, rtol=0)


def test_the_same_seed_gives_the_same_surrogate(few, small):
    again, _ = train_window(few.multiome, few.windows, "A", SETTINGS, seed=0)
    assert_same(again, small, atol=0, rtol=0)
    other, _ = train_window(few.multiome, few.windows, "A", SETTINGS, seed=1)
    assert not torch.equal(other.size, small.size)


@pytest.mark.parametrize("killed_in", ["_fit_block", "validation_deviance"])
def test_training_that_was_killed_goes_on_with_the_blocks_that_are_left(
    few, tmp_path, monkeypatch, caplog, killed_in
):
    settings = WindowSettings(member_penalties=(1.0, 2.0))
    monkeypatch.setattr(window_data, "ENTRIES_PER_BLOCK", 2**16)
    monkeypatch.setattr(window_training, "MIN_COUNTS_TO_CHOOSE", 1)
    whole, table = train_window(few.multiome, few.windows, "A", settings, seed=0)
    compute, calls = getattr(window_training, killed_in), []

    def until_killed(*arguments):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return compute(*arguments)

    monkeypatch.setattr(window_training, killed_in, until_killed)
    kept = KeptTensors(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        train_window(few.multiome, few.windows, "A", settings, seed=0, kept=kept)
    n_done = len(list(kept.folder.iterdir()))
    assert n_done >= 2 and "resumed" not in caplog.text
    caplog.set_level("INFO")
    again, same = train_window(few.multiome, few.windows, "A", settings, seed=0, kept=kept)
    assert caplog.text.count("resumed") == n_done
    assert_same(whole, again, rtol=0, atol=0)
    pd.testing.assert_frame_equal(table, same, check_exact=True)


def test_damaged_tensors_of_a_block_are_told(tmp_path):
    kept = KeptTensors(tmp_path)
    kept.save(["A"], {"x": torch.ones(3)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"this checkpoint cannot be read .*delete it"):
        kept.load(["A"])


def test_genes_are_fitted_alike_in_blocks_and_alone(few, small, monkeypatch):
    monkeypatch.setattr(window_data, "ENTRIES_PER_BLOCK", 1)
    alone, _ = train_window(few.multiome, few.windows, "A", SETTINGS, seed=0)
    for name, mine in alone.state_dict().items():
        # A draw on the edge between two models may fall to either side.
        share = 0.02 if name in ("weights", "size") else 0.0
        differs = ~torch.isclose(mine, small.state_dict()[name], atol=5e-3, rtol=5e-3)
        assert differs.float().mean() <= share, name


def test_windows_of_other_genes_do_not_matter(few, small):
    """Half of the windows, of mixed sizes: the genes that keep theirs are fitted alike."""
    windows = few.windows[few.windows["gene"].isin(["single0", "or_of_three0"])]
    cut = few.windows[few.windows["gene"] == "state0"].iloc[:1]
    fewer, _ = train_window(few.multiome, pd.concat([windows, cut]), "A", SETTINGS, seed=0)
    assert fewer.genes == ["single0", "or_of_three0", "state0"]
    assert np.diff(fewer.first_pair).tolist() == [8, 8, 1]
    for gene in ("single0", "or_of_three0"):
        mine, theirs = fewer.genes.index(gene), small.genes.index(gene)
        for name in ("inclusion", "intercept"):
            torch.testing.assert_close(
                getattr(fewer, name)[fewer._pairs(mine)],
                getattr(small, name)[small._pairs(theirs)],
                atol=5e-3,
                rtol=5e-3,
            )


def test_a_stored_surrogate_predicts_the_same(few, small, tmp_path):
    storage.save(small, tmp_path / "a.safetensors", seed=0, cell_type="A")
    again = storage.load(tmp_path / "a.safetensors")
    opened = few.multiome.atac.X[few.is_test]
    assert torch.equal(again.predict(opened), small.predict(opened))
    assert torch.equal(again.predict_by_depth(opened), small.predict_by_depth(opened))
    assert again.forms().equals(small.forms())


def test_the_penalty_is_chosen_on_validation_cells(few):
    settings = WindowSettings(member_penalties=(8.0, 0.5), metacell_sizes=(1, 5))
    _, table = train_window(few.multiome, few.windows, "A", settings, seed=0)
    assert list(table.columns) == REGULARISATION_COLUMNS and (table["cell_type"] == "A").all()
    assert table["strength"].tolist() == [0.5, 8.0] * 2
    assert table["n_cells_per_metacell"].tolist() == [1, 1, 5, 5]
    assert table["validation_deviance"].idxmin() == table.index[table["chosen"]].item()
    # the deviance is of validation cells: others of their own type change it, test cells do not
    obs = few.multiome.atac.obs.copy()
    obs["split"] = obs["split"].replace({"validation": "test", "test": "validation"})
    swapped = with_cells(few.multiome, obs=obs)
    _, other = train_window(swapped, few.windows, "A", settings, seed=0)
    assert (other["validation_deviance"] != table["validation_deviance"]).all()


def test_candidate_penalties_are_fitted_to_training_and_judged_on_validation_cells(few, monkeypatch):
    seen = []

    def deviance(cells, held_out, prior):
        penalty = float(torch.log(prior.size[1] / prior.size[2]))
        seen.append((cells.counts, held_out.counts, penalty))
        return -penalty

    monkeypatch.setattr(window_training, "validation_deviance", deviance)
    data = WindowData(few.multiome, few.windows, "A", 0)
    penalty, size, _ = choose_regularisation(data, WindowSettings())
    assert (penalty, size) == (4.0, 1) and [p for *_, p in seen] == pytest.approx(
        [0.5, 1.0, 2.0, 4.0], rel=1e-4
    )
    split = few.multiome.atac.obs["split"].to_numpy()
    genes = few.multiome.rna.var.index.get_indexer(data.genes)
    for fitted, judged, _ in seen:
        assert np.array_equal(fitted.T, few.counts[split == "train"][:, genes])
        assert np.array_equal(judged.T, few.counts[split == "validation"][:, genes])


def test_drawn_models_expect_the_counts_that_are_observed(few):
    """Whatever is drawn for the ratio, the level makes up for it."""
    data = WindowData(few.multiome, few.windows, "A", 0)
    cells, _ = data.block(np.arange(len(data.genes)))
    models, fit = fit_models(cells, PRIOR)
    rngs = [np.random.default_rng(g) for g in range(len(data.genes))]
    drawn, log_ratio, level = draw_models(models, cells, fit, PRIOR, 10, rngs)
    assert float(log_ratio[0].std()) > 0.02 and float(level[0].std()) > 0.005
    by_state = (cells.covariates[0] @ fit.state_effect.T).T
    activity = 1 + torch.expm1(log_ratio)[:, :, None] * rises(cells.openness, drawn)
    expected = cells.exposure * torch.exp(by_state[:, None] + level[:, :, None]) * activity
    total = cells.counts.sum(1, keepdim=True).expand(-1, 10)
    torch.testing.assert_close(expected.sum(2), total, rtol=1e-3, atol=1e-3)


def test_the_surrogate_expects_as_many_counts_as_are_observed(few, small):
    """The state's effects are those of the best model; the level is that of the drawn ones."""
    data = WindowData(few.multiome, few.windows, "A", 0)
    cells, _ = data.block(np.arange(len(data.genes)))
    for row, gene in enumerate(data.genes):
        column = small.genes.index(gene)
        weights = small.weights[small._pairs(column)]
        index = torch.stack([expected_index(cells.openness[row], w) for w in weights.T], 1)
        by_window = log_activity(index, small.size[column]).mean(1)
        expected = torch.exp(cells.covariates[0] @ small.state_effect[column] + by_window) * cells.exposure
        assert float(expected.sum() / cells.counts[row].sum()) == pytest.approx(1, abs=0.04)


def test_predictions_are_calibrated_by_a_line_that_does_not_fall():
    observed = torch.tensor([[1.0, 2.0, 4.0], [4.0, 2.0, 1.0], [1.0, 1.0, 7.0]])
    predicted = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])
    lines = window_training._calibrate(predicted, observed)
    intercept_and_slope = np.polyfit([0.0, 1.0, 2.0], [1.0, 2.0, 4.0], 1)[::-1]
    np.testing.assert_allclose(lines, [intercept_and_slope, [7 / 3, 0], [3, 0]], rtol=1e-5)


def test_without_validation_cells_the_middle_penalty_is_taken(few):
    obs = few.multiome.atac.obs.copy()
    obs["split"] = obs["split"].replace("validation", "train")
    settings = WindowSettings(member_penalties=(4.0, 0.5, 1.0))
    _, table = train_window(with_cells(few.multiome, obs=obs), few.windows, "A", settings, seed=0)
    assert table["validation_deviance"].isna().all()
    assert table.loc[table["chosen"], "strength"].tolist() == [1.0]


def test_candidates_only_may_be_members(few, small):
    gene = "single0"
    member = few.windows["peak"][few.windows["gene"] == gene].iloc[CONTROL["single"][0][0]]
    others = few.windows[few.windows["peak"] != member]
    surrogate, _ = train_window(few.multiome, few.windows, "A", SETTINGS, seed=0, candidates=others)
    assert surrogate.genes == small.genes and torch.equal(surrogate.peak_of_pair, small.peak_of_pair)
    torch.testing.assert_close(surrogate.intercept, small.intercept)
    pair = surrogate.for_gene(gene).peaks.index(member)
    pairs = surrogate._pairs(surrogate.genes.index(gene))
    assert small.inclusion[pairs][pair] > 0.9 and surrogate.inclusion[pairs][pair] == 0
    assert not surrogate.weights[pairs][pair].any()
    # no candidates at all: the gene follows the state
    none, _ = train_window(few.multiome, few.windows, "A", SETTINGS, seed=0, candidates=others.iloc[:0])
    assert not none.inclusion.any() and (none.forms()["none"] > 0.999).all()


def test_metacells_are_sums_within_type_and_the_given_cells():
    planted_ = planted(400, cell_types="AB")
    data = WindowData(planted_.multiome, planted_.windows, "A", 0, train_on="all")
    rows = np.flatnonzero(~data.is_validation)
    groups = data.metacells(7, rows)
    assert groups.shape[1] == len(rows) and set(groups.data) == {1}
    assert (groups.sum(1) == 7).all()
    types = data.type_code[rows]
    for group in range(groups.shape[0]):
        assert len(set(types[groups[group].indices])) == 1
    per_type = np.bincount(types[groups.indices[::7]])
    assert per_type.tolist() == [2 * n // 7 for n in np.bincount(types)]
    # neighbours in state
    points = data.components[rows].numpy()
    spread = np.mean([points[groups[g].indices].std(0).mean() for g in range(groups.shape[0])])
    assert spread < 0.5 * points.std(0).mean()
    cells, _ = data.block(np.array([0, 3]))
    subset = cells.subset(torch.from_numpy(rows))
    summed = sum_cells(subset, groups)
    members = groups[5].indices
    torch.testing.assert_close(summed.counts[:, 5], subset.counts[:, members].sum(1))
    torch.testing.assert_close(summed.exposure[5], subset.exposure[members].sum())
    torch.testing.assert_close(summed.openness[:, 5], subset.openness[:, members].mean(1))
    torch.testing.assert_close(summed.covariates[:, 5], subset.covariates[:, members].mean(1))
    assert data.metacells(1, rows) is None and sum_cells(subset, None) is subset
    assert isinstance(summed, Cells)


def test_training_on_metacells_finds_the_single_member(cells):
    settings = replace(SETTINGS, metacell_sizes=(3,))
    keep = cells.windows["gene"].isin(["single0", "nothing0"])
    surrogate, table = train_window(cells.multiome, cells.windows[keep], "A", settings, seed=0)
    assert table["n_cells_per_metacell"].tolist() == [3]
    assert int(surrogate.inclusion[:WINDOW_SIZE].argmax()) == CONTROL["single"][0][0]


def test_all_types_train_with_the_type_as_a_covariate():
    data = planted(1200, control=("single", "nothing"), cell_types="AB")
    own, _ = train_window(data.multiome, data.windows, "B", SETTINGS, seed=0)
    both, _ = train_window(data.multiome, data.windows, "B", replace(SETTINGS, train_on="all"), seed=0)
    assert (own.cell_types, both.cell_types) == (["B"], ["A", "B"])
    assert own.cell_type == both.cell_type == "B"
    _, table = both.covariates(data.multiome.atac.X)
    assert (table[:, -1] == 1).all()
    assert float(both.inclusion[CONTROL["single"][0][0]]) > 0.9
    # a type trained on its own is not changed by what the others are
    is_other = (data.multiome.atac.obs["cell_type"] == "A").to_numpy()
    atac = data.multiome.atac.X.tolil()
    atac[np.flatnonzero(is_other)[:50]] = 1
    again, _ = train_window(with_cells(data.multiome, atac=atac.tocsr()), data.windows, "B", SETTINGS, seed=0)
    assert_same(again, own, atol=0, rtol=0)


def test_only_the_genes_that_are_asked_for_get_a_model(few, small):
    asked = {"single0", "state0", "somewhere else"}
    surrogate, _ = train_window(few.multiome, few.windows, "A", SETTINGS, seed=0, genes=asked)
    assert surrogate.genes == ["single0", "state0"]
    for gene in surrogate.genes:
        mine, theirs = surrogate.for_gene(gene), small.for_gene(gene)
        assert mine.peaks == theirs.peaks
        torch.testing.assert_close(mine.shift, theirs.shift, atol=5e-3, rtol=5e-3)
        assert surrogate.chance_of_no_member(gene) == pytest.approx(small.chance_of_no_member(gene), abs=5e-3)


def test_without_genes_to_model_there_is_an_empty_surrogate_that_can_be_stored(few, small, tmp_path):
    settings = replace(SETTINGS, member_penalties=(0.5, 1.0))
    surrogate, table = train_window(few.multiome, few.windows, "A", settings, seed=0, genes=set())
    storage.save(surrogate, tmp_path / "a.safetensors", seed=0, cell_type="A")
    again = storage.load(tmp_path / "a.safetensors")
    opened = few.multiome.atac.X[few.is_test]
    for empty in (surrogate, again):
        assert empty.genes == [] and empty.n_replicates == SETTINGS.n_draws
        assert empty.forms().shape == (0, 5)
        assert empty.predict(few.multiome.atac.X).shape == (few.multiome.atac.X.shape[0], 0)
        assert set(dict(empty.named_buffers())) == set(dict(small.named_buffers()))
        for name, buffer in empty.named_buffers():
            assert buffer.shape[1:] == getattr(small, name).shape[1:]
        with pytest.raises(InputError, match="gene 'single0' is not in the window surrogate"):
            empty.for_gene("single0")
    assert table["chosen"].sum() == 1  # by what the others' genes tell
    assert again.window_cells(opened).covariates.shape[0] == few.is_test.sum()


def test_across_types_expression_follows_depth_alone():
    data = planted(1200, control=("single", "state"), cell_types="AB")
    surrogate, table = train_window(data.multiome, data.windows, ALL_TYPES, SETTINGS, seed=0)
    assert surrogate.cell_type == ALL_TYPES and surrogate.state_effect.shape == (2, 2)
    assert (table["cell_type"] == ALL_TYPES).all()
    trained = WindowData(data.multiome, data.windows, ALL_TYPES, 0)
    assert trained.of_type.all() and len(trained.of_type) == (~data.is_test).sum()
    assert set(np.unique(trained.type_code)) == {0, 1}  # metacells are within types all the same
    inclusion = surrogate.inclusion_of(surrogate.genes.index("single0"))
    assert int(inclusion.argmax()) == CONTROL["single"][0][0]
    predicted = surrogate.predict(data.multiome.atac.X[data.is_test])[:, surrogate.genes.index("single0")]
    observed = data.multiome.rna.X[data.is_test][:, 0].toarray().ravel()
    assert np.corrcoef(predicted, observed)[0, 1] > 0.2


def test_unusable_cells_are_refused(few):
    unpaired = replace(few.multiome, paired=False)
    with pytest.raises(InputError, match=r"needs RNA and ATAC of the same cells.*cross_modality"):
        train_window(unpaired, few.windows, "A", SETTINGS, seed=0)
    nowhere = few.windows.assign(peak="chr9:1-2")
    with pytest.raises(InputError, match="no gene has a peak in its window"):
        train_window(few.multiome, nowhere, "A", SETTINGS, seed=0)
    with pytest.raises(InputError, match="cell type 'Z' is not in the data"):
        train_window(few.multiome, few.windows, "Z", SETTINGS, seed=0)


def test_counts_are_recovered_from_log_normalised_expression(few):
    counts, exposure = counts_and_exposure(few.multiome.rna)
    assert (counts.toarray() == few.counts).all()
    np.testing.assert_allclose(exposure, few.exposure, rtol=1e-4)


def test_without_known_counts_there_is_no_window_surrogate(few):
    rna = few.multiome.rna
    unknown = replace(few.multiome, rna=Modality(rna.X, rna.obs.drop(columns="size_factor"), rna.var))
    with pytest.raises(
        InputError, match=r"needs RNA counts.*input\.counts_layer.*input\.depth_key.*cross_modality"
    ):
        train_window(unknown, few.windows, "A", SETTINGS, seed=0)


@pytest.mark.parametrize("n_cells", [12, 40])
def test_degenerate_data_give_finite_surrogates(n_cells):
    """Few cells; genes without counts; windows that are never or always seen, or of one peak; equal cells."""
    data = planted(n_cells, control=("single", "and_of_two", "state"))
    atac, expression = data.multiome.atac.X.toarray(), data.multiome.rna.X.toarray()
    atac[:, :8], atac[:, 8:16] = 0, 1
    expression[:, 1] = 0
    multiome = with_cells(
        data.multiome, atac=sparse.csr_matrix(atac), expression=sparse.csr_matrix(expression)
    )
    windows = pd.concat([data.windows, data.windows.iloc[:1].assign(gene="other0")])
    surrogate, _ = train_window(multiome, windows, "A", WindowSettings(metacell_sizes=(1, 4)), seed=0)
    for name, tensor in surrogate.state_dict().items():
        assert torch.isfinite(tensor).all(), name
    opened = multiome.atac.X
    for predicted in (surrogate.predict(opened), surrogate.predict_by_depth(opened)):
        assert torch.isfinite(predicted).all() and float(predicted.max()) < 10
