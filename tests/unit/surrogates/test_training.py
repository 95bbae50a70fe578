"""Training on a planted OR gate: losses fall, resumed runs equal uninterrupted ones, nothing ends worse."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from models import toy_multiome

from grids.io.checkpoints import KeptStates
from grids.io.errors import InputError
from grids.surrogates.cross_modality import stage
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, Settings
from grids.surrogates.cross_modality.training import build, specialise, train_joint
from grids.surrogates.cross_modality.training_cells import TrainingCells

MODULES = ("atac_encoder", "atac_decoder", "rna_encoder", "rna_decoder")
EPOCHS = {"atac": 2, "rna": 2, "mapping": 25, "specialisation": 3}
SETTINGS = Settings(
    width=8, n_hidden=24, n_latent=8, rna_hidden=(24, 16), dropout=0.05, batch_size=32, max_epochs=EPOCHS
)
SHORT = replace(SETTINGS, max_epochs={"atac": 1, "rna": 1, "mapping": 3, "specialisation": 2})


@pytest.fixture(scope="module")
def multiome():
    return toy_multiome(500)


@pytest.fixture(scope="module")
def trained(multiome):
    return train_joint(multiome, SETTINGS, seed=1)


def test_the_planted_gate_is_learned(trained, multiome):
    model, _ = trained
    test = multiome.atac.cells(split="test")
    predicted = model.predict(test.X).numpy()
    observed = multiome.rna.cells(split="test").X.toarray()
    assert np.corrcoef(predicted[:, 1], observed[:, 1])[0, 1] > 0.8  # follows the cell type
    assert (
        np.corrcoef(predicted[:, 0], observed[:, 0])[0, 1] > 0.25
    )  # the gate, which the type says nothing about
    assert not model.training


def test_curves_cover_every_stage_and_the_best_epoch_is_kept(trained, multiome):
    model, curves = trained
    assert list(curves.columns) == stage.CURVE_COLUMNS
    assert list(curves["stage"].unique()) == ["atac", "rna", "mapping"]
    terms = set(curves.query("stage == 'mapping' and split == 'train'")["loss"])
    assert terms == {
        "cycle_atac", "cycle_rna", "reconstruction_atac", "reconstruction_rna", "adversarial", "supervised",
    }  # fmt: skip
    validation = curves.query("stage == 'mapping' and loss == 'supervised' and split == 'validation'")[
        "value"
    ]
    cells = multiome.atac.cells(split="validation").X
    error = (model.predict(cells).numpy() - multiome.rna.cells(split="validation").X.toarray()) ** 2
    assert validation.min() == pytest.approx(error.mean(), rel=1e-4)
    assert validation.min() < validation.iloc[0]


def same_weights(a, b) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def test_same_seed_same_weights(multiome):
    a, curves_a = train_joint(multiome, SHORT, seed=3)
    b, curves_b = train_joint(multiome, SHORT, seed=3)
    assert same_weights(a, b)
    pd.testing.assert_frame_equal(curves_a, curves_b)
    c, _ = train_joint(multiome, SHORT, seed=4)
    assert not same_weights(a, c)


@pytest.mark.parametrize("stop_after", [2, 4])
def test_a_killed_run_resumes_to_the_same_weights(multiome, tmp_path, monkeypatch, stop_after):
    whole, curves = train_joint(multiome, SHORT, seed=3)
    real, epochs = stage.StageRun._train_epoch, []

    def killed(run):
        if len(epochs) == stop_after:
            raise KeyboardInterrupt
        epochs.append(1)
        real(run)

    monkeypatch.setattr(stage.StageRun, "_train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_joint(multiome, SHORT, seed=3, kept=KeptStates(tmp_path))
    counted = []
    monkeypatch.setattr(stage.StageRun, "_train_epoch", lambda run: (counted.append(1), real(run)))
    resumed, resumed_curves = train_joint(multiome, SHORT, seed=3, kept=KeptStates(tmp_path))
    assert len(counted) == 5 - stop_after
    assert same_weights(whole, resumed)
    pd.testing.assert_frame_equal(curves, resumed_curves)


@pytest.mark.parametrize("encoder", ["normalised", "paper"])
def test_the_peaks_own_vectors_have_their_own_rate_and_do_not_decay(encoder):
    n = 12  # peaks, genes, and every width: no size tells a peak's vectors from another matrix
    names = [[f"{kind}{i}" for i in range(n)] for kind in ("chr1:", "G")]
    sizes = {"n_latent": n, "width": n, "n_hidden": n, "rna_hidden": (n, n), "dropout": 0.0}
    model = CrossModalitySurrogate(*names, ["A"], [0] * n, encoder=encoder, **sizes)
    settings = replace(SETTINGS, weight_decay=0.5, peak_learning_rate_factor=0.25)
    described = stage.Stage("atac", [getattr(model, m) for m in MODULES], None, "none", None)
    run = stage.StageRun(described, model, None, None, settings, seed=0)
    rate = settings.learning_rate["atac"]
    own = {
        "atac_decoder.peak_weight",
        {"normalised": "atac_encoder.loadings", "paper": "atac_encoder.shift"}[encoder],
    }
    parameters = {f"{m}.{name}": p for m in MODULES for name, p in getattr(model, m).named_parameters()}
    before = {name: p.detach().clone() for name, p in parameters.items()}
    for p in parameters.values():
        p.grad = torch.ones_like(p)
    run.optimiser.step()  # the first step of Adam is the rate itself, whatever the gradient
    for name, p in parameters.items():
        expected = before[name] * (1 if name in own or p.dim() == 1 else 1 - 0.5 * rate)
        expected = expected - rate * (0.25 if name in own else 1)
        torch.testing.assert_close(p.detach(), expected, atol=1e-6, rtol=1e-5, msg=name)


def test_specialisation_moves_the_tail_only_and_never_ends_worse(trained, multiome):
    joint, _ = trained
    before = {k: v.clone() for k, v in joint.state_dict().items()}
    special, curves = specialise(joint, multiome, "A", SETTINGS, seed=1)
    assert all(torch.equal(before[k], v) for k, v in joint.state_dict().items())
    assert torch.equal(special.shift, joint.shift)
    validation = multiome.atac.cells(split="validation", cell_type="A").X
    y = multiome.rna.cells(split="validation", cell_type="A").X.toarray()
    errors = [((m.predict(validation).numpy() - y) ** 2).mean() for m in (joint, special)]
    assert errors[1] <= errors[0] + 1e-9
    assert set(curves["cell_type"]) == {"A"}


def test_no_specialisation_epochs_give_the_joint_model(trained, multiome):
    settings = replace(SETTINGS, max_epochs={**EPOCHS, "specialisation": 0})
    special, curves = specialise(trained[0], multiome, "B", settings, seed=1)
    assert same_weights(special, trained[0])
    assert curves.empty


def test_a_rare_type_keeps_the_joint_model(trained):
    few = toy_multiome(20)
    special, _ = specialise(trained[0], few, "A", SETTINGS, seed=1)
    assert same_weights(special, trained[0])


def test_unknown_cell_type_is_refused(trained, multiome):
    with pytest.raises(InputError, match="'Z' is not known"):
        specialise(trained[0], multiome, "Z", SETTINGS, seed=1)


def test_unpaired_cells_learn_the_types_without_any_pair():
    unpaired = toy_multiome(500, paired=False)
    settings = replace(
        SETTINGS, max_epochs={"atac": 2, "rna": 4, "mapping": 15, "specialisation": 2}, patience=15
    )
    model, curves = train_joint(unpaired, settings, seed=1)
    assert "supervised" not in set(curves["loss"])
    assert {"adversarial", "pseudobulk"} <= set(curves["loss"])
    test = unpaired.atac.cells(split="test")
    means = pd.Series(model.predict(test.X)[:, 1].numpy()).groupby(test.obs["cell_type"].to_numpy()).mean()
    assert means["A"] - means["B"] > 0.3  # observed: 1.0
    with pytest.raises(InputError, match="not paired"):
        train_joint(unpaired, replace(settings, supervised=True), seed=1)


def test_paired_batches_hold_the_same_cells(multiome):
    cells = TrainingCells.of(multiome, "train", ["A", "B"])
    seen = 0
    for batch in cells.batches(64, np.random.default_rng(0)):
        gate = batch.atac[:, [3, 7, 9]].toarray().any(1)
        assert ((batch.rna[:, 0].toarray().ravel() > 1.0) >= gate).all()
        np.testing.assert_array_equal(batch.atac_type, batch.rna_type)
        seen += batch.atac.shape[0]
    assert seen == cells.atac.shape[0]


def test_the_paper_encoder_trains_too(multiome):
    settings = replace(SHORT, encoder="paper")
    model, curves = train_joint(multiome, settings, seed=1)
    assert model.n_groups == 3
    atac = curves.query("stage == 'atac' and split == 'validation'")["value"]
    assert atac.min() < atac.iloc[0]


def test_the_first_output_bias_is_the_mean(multiome):
    model = build(multiome, SETTINGS, seed=0)
    mean = np.asarray(multiome.rna.cells(split="train").X.mean(0)).ravel()
    np.testing.assert_allclose(model.rna_decoder[-1].bias.detach().numpy(), mean, rtol=1e-5)
