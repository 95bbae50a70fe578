"""Everything that is asked of the cross-modality surrogate gives the CPU's answer on another device.

On a GPU where there is one, and everywhere on a pretended device (:mod:`pretend_device`), where the answers have to be
the same to the last bit and a tensor that was made on the wrong device is an error.
"""

import copy
import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from models import N_PEAKS, open_peaks, random_surrogate, toy_multiome
from pretend_device import TwoDevices, pretend_device

from benchmarks.explainers.run import METHODS
from benchmarks.explainers.single_cell import Wanted, explain_tasks
from grids.analysis.effects import measure_effects
from grids.analysis.null_sets import Surroundings
from grids.analysis.redundancy.analysis import analyse_sets
from grids.analysis.redundancy.searches import RedundancySettings
from grids.analysis.set_changes import score_peaks
from grids.analysis.specificity import measure_specificity
from grids.io import devices
from grids.io.checkpoints import KeptStates
from grids.io.errors import InputError
from grids.search.objective import PerturbedCells
from grids.search.sets import Question, find_sets
from grids.search.transitions import linearise
from grids.surrogates import storage
from grids.surrogates.cross_modality.losses import Losses
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.stage import StageRun
from grids.surrogates.cross_modality.training import build, specialise, train_joint
from grids.surrogates.cross_modality.training_cells import TrainingCells

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device on this machine"),
]
SETTINGS = Settings(
    width=8,
    n_hidden=24,
    n_latent=8,
    rna_hidden=(24, 16),
    dropout=0.0,  # a GPU draws other numbers
    batch_size=64,
    max_epochs={"atac": 1, "rna": 1, "mapping": 1, "specialisation": 1},
)
GENES = ["G0", "G1"]
QUICK = {
    "subset_sampler": {"n_steps": 4},
    "fimap": {"n_steps": 3},
    "sage": {"n_permutations": 2},
    "lime": {"n_neighbours": 32, "n_cells": 2},
    "smoothgrad": {"n_samples": 4},
    "cxplain_4": {"n_epochs": 1, "n_cells": 8},
    "grids": {"restarts": 1},
    "integrated_gradients": {"n_steps": 3},
}


@dataclass(frozen=True)
class Elsewhere:
    """A device, and how far its numbers may be from the CPU's."""

    device: str
    rtol: float
    atol: float

    def same(self, there, here) -> None:
        there, here = (x.detach().cpu() if isinstance(x, torch.Tensor) else x for x in (there, here))
        np.testing.assert_allclose(np.asarray(there), np.asarray(here), rtol=self.rtol, atol=self.atol)

    def same_tables(self, there: pd.DataFrame, here: pd.DataFrame) -> None:
        """But for the time that it took."""
        assert len(here)
        there, here = (t[[c for c in t if "seconds" not in c]] for t in (there, here))
        pd.testing.assert_frame_equal(there, here, rtol=self.rtol, atol=self.atol, check_exact=False)


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=needs_gpu)])
def elsewhere(request):
    if request.param == "cuda":
        # Single precision, its sums in another order; log-expression is of the order of one.
        yield Elsewhere("cuda", rtol=1e-3, atol=1e-5)
    else:
        with pretend_device() as device:
            yield Elsewhere(str(device), rtol=0, atol=0)


@pytest.fixture(scope="module")
def multiome():
    multiome = toy_multiome(1500)  # so many that searches look at a sample first
    multiome.atac.var["start"] = 100 * np.arange(N_PEAKS)
    multiome.atac.var["end"] = multiome.atac.var["start"] + 50
    return multiome


@pytest.fixture(scope="module")
def cells_of_type(multiome):
    return {split: multiome.cells(cell_type="A", split=split) for split in ("train", "test")}


@pytest.fixture(scope="module")
def windows(multiome):
    return pd.DataFrame({"peak": [*multiome.atac.var.index] * 2, "gene": np.repeat(GENES, N_PEAKS)})


GENE_TABLE = pd.DataFrame(
    {"gene": GENES, "chromosome": "chr1", "start": 300, "end": 900, "strand": "+", "tss": 300}
)
TASKS = pd.DataFrame({"cell_type": "A", "gene": GENES})


@pytest.fixture(scope="module")
def sets(cells_of_type, windows):
    return search(random_surrogate("normalised"), cells_of_type["train"].atac.X, windows)


def search(surrogate, opened, windows):
    question = {"set_size": 3, "candidates": 11, "restarts": 2, "direction": "activate"}
    return find_sets(surrogate, opened, TASKS, windows, 1, Question(**question))


def test_the_pretended_device_does_not_meet_the_cpu():
    with pretend_device() as device:
        there = torch.arange(4.0).to(device)
        assert there.device == device
        assert (there + 1).cpu().tolist() == [1, 2, 3, 4]
        for wrong in (lambda: there + torch.ones(4), lambda: there[torch.tensor([1])], there.numpy):
            with pytest.raises(RuntimeError):
                wrong()
        with pytest.raises(TwoDevices):
            torch.cat([there, torch.ones(1)])


@pytest.mark.parametrize("encoder", ["normalised", "paper"])
@pytest.mark.parametrize("value", [0, 1])
def test_states_tails_and_gradients(elsewhere, encoder, value):
    opened, surrogate = open_peaks(30), random_surrogate(encoder)
    here = PerturbedCells(surrogate, opened, value)
    there = PerturbedCells(copy.deepcopy(surrogate).to(elsewhere.device), opened, value)
    peaks = torch.tensor([3, 17, 20, 39])
    asked = []
    for cells in (here, there):
        on = peaks.to(cells.device)
        at = linearise(cells, 1, cells.perturbed(on[:2]))
        shares = torch.linspace(0, 1, N_PEAKS).to(cells.device).requires_grad_()
        (slope,) = torch.autograd.grad(cells.tail(1, cells.partly_perturbed(shares)).mean(), shares)
        asked.append(
            [
                cells.pooled,
                cells.subset(np.array([1, 4, 7])).pooled,
                at.predicted,
                at.gradient,
                at.gain,
                slope,
                cells.project(at.gradient, on),
                cells.first_order(on, at.gradient),
                cells.changed(on),
                cells.n_changed,
                cells.sum_over_changed(at.gradient.norm(dim=2)),
                cells.predict_sets(on.view(2, 2), 1),
                cells.predict_subsets(on, torch.eye(4, dtype=torch.bool).to(cells.device), 1),
            ]
        )
    for of_there, of_here in zip(*reversed(asked), strict=True):
        assert of_there.device.type == torch.device(elsewhere.device).type
        elsewhere.same(of_there, of_here)


def test_searches_find_the_same_sets(elsewhere, cells_of_type, windows, sets):
    surrogate = random_surrogate("normalised").to(elsewhere.device)
    there = search(surrogate, cells_of_type["train"].atac.X, windows)
    for of_there, of_here in zip(there[:2], sets[:2], strict=True):
        elsewhere.same_tables(of_there, of_here)


def test_sets_have_the_same_effects(elsewhere, multiome, cells_of_type, windows, sets):
    test, training = cells_of_type["test"], cells_of_type["train"].atac.X
    found, searches = (table[table["gene"] == "G0"] for table in sets[:2])
    accessibility = np.asarray(training.mean(0)).ravel()
    place = Surroundings(GENE_TABLE, multiome.atac.var, accessibility)
    asked = []
    for device in ("cpu", elsewhere.device):
        surrogate = random_surrogate("normalised").to(device)
        effects = measure_effects(surrogate, test, found, place, n_null_sets=5, seed=1, searches=searches)
        short = RedundancySettings(
            Question(), n_bootstrap=20, n_stability=1, max_alternatives=1, max_cells=64
        )
        redundancy = analyse_sets(surrogate, test, training[:100], found, windows, short, seed=1)
        asked.append(
            [
                *vars(effects).values(),
                *vars(redundancy).values(),
                measure_specificity(surrogate, test.atac, "A", found, n_bootstrap=20, seed=1),
                score_peaks(surrogate, test.atac.X, TASKS, windows, seed=1),
            ]
        )
    for of_here, of_there in zip(*asked, strict=True):
        elsewhere.same_tables(of_there, of_here)


@pytest.mark.parametrize("method", [m for m in METHODS if not re.match(r"cxplain_\d\d", m)])
def test_explainers_find_the_same_sets(elsewhere, cells_of_type, windows, method):
    asked = []
    cells, task = cells_of_type["test"], TASKS[:1]
    for device in ("cpu", elsewhere.device):
        surrogate = random_surrogate("paper").to(device)
        methods, wanted = {method: QUICK.get(method, {})}, Wanted([2], "window")
        asked.append(explain_tasks(surrogate, cells, task, windows, GENE_TABLE, methods, wanted, 1)[:2])
    if method == "smoothgrad" and elsewhere.device == "cuda":
        assert len(asked[1][0]) == 2  # its noise is drawn on the device
    else:
        for of_here, of_there in zip(*asked, strict=True):
            elsewhere.same_tables(of_there, of_here)


@pytest.mark.parametrize(("encoder", "paired"), [("normalised", True), ("paper", False)])
def test_a_training_step_is_the_same(elsewhere, encoder, paired):
    multiome = toy_multiome(120, paired)
    settings = replace(SETTINGS, encoder=encoder)
    steps = []
    for device in ("cpu", elsewhere.device):
        model = build(multiome, replace(settings, device=device), 1)
        train = TrainingCells.of(multiome, "train", model.cell_types)
        losses = Losses(model, replace(settings, device=device), paired, train)
        losses.mixed_precision = False
        model.train()
        for critic in (model.atac_discriminator, model.rna_discriminator):
            critic.eval()  # theirs is a dropout that no setting leaves out
        batch, numbers = next(iter(train.batches(64))), torch.Generator().manual_seed(2)
        terms = losses.atac(batch, numbers) | losses.rna(batch, numbers)
        terms |= losses.mapping(batch, numbers) | {"critics": losses.discriminators(batch)}
        terms["supervised_only"] = losses.supervised_only(batch, numbers)["supervised"]
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        StageRun._descend(optimiser, losses.total(terms), clipped=list(model.parameters()))
        slopes = {f"{name} slope": p.grad for name, p in model.named_parameters()}
        steps.append({**terms, **slopes, **dict(model.named_parameters())})
    here, there = steps
    assert len(there) > 40
    for name, value in here.items():
        if value is not None:
            assert there[name].device.type == torch.device(elsewhere.device).type
            # Slopes of biases before a batch normalisation are nothing but rounding.
            rounding = (elsewhere.rtol or 1e-5) * max(float(value.abs().max()), 1e-3)
            difference = (there[name].detach().cpu() - value.detach()).abs().max()
            assert float(difference) <= rounding, name


@pytest.fixture
def unfused(monkeypatch):
    """The pretended device has no kernels of its own to fuse an optimiser's step in."""

    def fused_anyway(parameters, **options):
        return torch.optim.Adam(parameters, decoupled_weight_decay=True, **options | {"fused": False})

    monkeypatch.setattr(torch.optim, "AdamW", fused_anyway)


@pytest.mark.parametrize("paired", [True, False])
def test_training_ends_as_on_the_cpu(elsewhere, unfused, tmp_path, paired):
    multiome, runs = toy_multiome(100, paired), []
    for device in ("cpu", elsewhere.device):
        settings = replace(SETTINGS, device=device)
        joint, curves = train_joint(multiome, settings, 1, KeptStates(tmp_path / torch.device(device).type))
        path = tmp_path / "joint.safetensors"
        storage.save(joint, path)
        own, of_type = specialise(storage.load(path), multiome, "A", settings, 1)
        storage.save(own, path)
        runs.append((pd.concat([curves, of_type]), own, storage.load(path, device)))
    (curves, own, _), (curves_there, own_there, loaded) = runs
    where = {p.device.type for model in (own_there, loaded) for p in model.parameters()}
    assert where == {torch.device(elsewhere.device).type}
    # A GPU trains in mixed precision, and elsewhere than on the CPU products of pairs are summed in another order.
    rtol = 0.05 if elsewhere.device == "cuda" else 0.01
    pd.testing.assert_frame_equal(curves_there, curves, check_exact=False, rtol=rtol)
    opened = multiome.atac.cells(split="test").X
    there, here = loaded.predict(opened).cpu().numpy(), own.predict(opened).numpy()
    np.testing.assert_allclose(there, here, atol=rtol * here.max())


def test_mixed_precision_leaves_losses_and_slopes_in_single_precision():
    multiome = toy_multiome(400)
    settings = replace(SETTINGS, rna_hidden=(64, 32))
    model = build(multiome, settings, 1)
    train = TrainingCells.of(multiome, "train", model.cell_types)
    batch, steps = next(iter(train.batches(128))), []
    for mixed in (False, True):
        losses = Losses(model.train(), settings, True, train)
        assert not losses.mixed_precision  # on the CPU
        losses.mixed_precision = mixed
        numbers = torch.Generator().manual_seed(2)
        terms = losses.rna(batch, numbers) | losses.mapping(batch, numbers)
        slopes = torch.autograd.grad(losses.total(terms), list(model.rna_decoder.parameters()))
        steps.append((terms, torch.cat([slope.flatten() for slope in slopes])))
        with torch.no_grad():
            steps[-1] += (losses.supervised_only(batch, numbers)["supervised"],)
    (terms, slopes, judged), (terms_mixed, slopes_mixed, judged_mixed) = steps
    assert all(value.dtype == torch.float32 for value in (*terms_mixed.values(), slopes_mixed))
    for name, value in terms.items():
        assert terms_mixed[name].item() == pytest.approx(value.item(), rel=0.02)
    assert any(terms_mixed[name] != value for name, value in terms.items())
    assert torch.cosine_similarity(slopes, slopes_mixed, 0) > 0.99
    assert judged_mixed == judged  # what validation cells are judged by


def test_a_device_that_is_not_there_is_named():
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(InputError, match=f"surrogate.device is {absent}, but torch .* sees"):
        devices.find(absent)
    assert devices.find("cpu") == torch.device("cpu")
