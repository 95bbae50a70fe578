"""Whole searches and trainings of the scale benchmark against those of the library."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scale import explaining_stages, training_stages
from benchmarks.scale.generator import Sizes
from benchmarks.scale.question import PAPER_ENCODER, cell_type_and_gene, tasks_of, untrained
from benchmarks.scale.storage import write_cells
from grids.io.cells import read_multiome
from grids.search.objective import PerturbedCells
from grids.search.sets import Question, find_sets
from grids.surrogates import storage
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import train_joint

POINT = {"set_size": 2, "candidates": 4, "restarts": 2, "tasks_per_type": 1, "genes_of_one_type": 3}
SMALL = {"width": 4, "n_hidden": 6, "n_latent": 4, "rna_hidden": (8, 6)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    paths = {"raw": folder / "raw.h5mu", "genes": folder / "genes.bed", "preprocessed": folder / "ready.h5mu"}
    write_cells(Sizes(n_cells=160, n_peaks=300, n_open=60, n_genes=40), 1, **paths)
    surrogate = untrained(read_multiome(paths["preprocessed"]), 1, **SMALL)
    surrogate.rna_decoder[-1].bias.data.fill_(3.0)
    storage.save(surrogate.eval(), folder / "surrogate.safetensors", cell_type="all", seed=1)
    return paths | {"surrogate": folder / "surrogate.safetensors"}


def test_tasks_are_the_genes_most_above_the_mean(files):
    multiome = read_multiome(files["preprocessed"])
    found = tasks_of(multiome, "type3", 4)
    train = multiome.rna.cells(split="train")
    mean = train.X.toarray().mean(0)
    here = train.X.toarray()[(train.obs["cell_type"] == "type3").to_numpy()].mean(0)
    assert found["gene"].tolist() == train.var.index[np.argsort(mean - here)[:4]].tolist()
    assert set(found["cell_type"]) == {"type3"}


@pytest.mark.parametrize(("stage", "n_types", "n_genes"), [("all_tasks", 8, 1), ("many_genes", 1, 3)])
def test_the_result_is_the_mean_effect_of_the_best_set_of_every_task(files, stage, n_types, n_genes):
    multiome, surrogate = read_multiome(files["preprocessed"]), storage.load(files["surrogate"])
    effects = []
    for cell_type in multiome.rna.cell_types[:n_types]:
        opened = multiome.atac.cells(cell_type=cell_type, split="train").X
        for _, task in tasks_of(multiome, cell_type, n_genes).groupby("gene"):
            _, searches, _ = find_sets(
                surrogate, opened, task, None, 1, Question(set_size=2, candidates=4, restarts=2)
            )
            effects.append((searches["objective_after"] - searches["objective_before"]).min())
    assert len(effects) == n_types * n_genes and max(effects) <= 0 and min(effects) < 0
    found = getattr(explaining_stages, stage)(files, POINT, 1)()
    assert found == pytest.approx(np.mean(effects), rel=1e-5, abs=1e-9)


def test_trainings_end_in_the_best_loss_on_validation_cells(files):
    multiome = read_multiome(files["preprocessed"])
    epochs = {"atac": 2, "rna": 0, "mapping": 0, "specialisation": 0}
    recipe = Settings(**PAPER_ENCODER, dropout=0.0, weight_decay=0.0, patience=2, max_epochs=epochs)
    _, curves = train_joint(multiome, recipe, 1)
    losses = curves.loc[(curves["stage"] == "atac") & (curves["split"] == "validation"), "value"]
    assert len(losses) == 3
    found = training_stages.paper_atac_training(files, {"paper_epochs": 2}, 1)()
    assert found == pytest.approx(losses.min(), rel=1e-6)
    untrained_loss = losses.iloc[0]
    assert training_stages.atac_training(files, {}, 1)() < untrained_loss
    rates = {"atac": 1e-3, "rna": 5e-4, "mapping": 5e-4, "discriminator": 1e-4}  # the paper's
    epochs = {"atac": 2, "rna": 2, "mapping": 2}
    _, curves = train_joint(multiome, replace(recipe, max_epochs=epochs, learning_rate=rates), 1)
    errors = curves.loc[(curves["stage"] == "mapping") & (curves["split"] == "validation"), "value"]
    assert len(errors) == 3
    found = training_stages.paper_training(files, {"paper_epochs": 2}, 1)()
    assert found == pytest.approx(errors.min(), rel=1e-6)


def test_every_step_of_the_search_sees_other_cells_and_the_dense_one_the_first_of_them(files, monkeypatch):
    monkeypatch.setattr(explaining_stages, "BATCH", 3)
    batches, subset = [], PerturbedCells.subset
    monkeypatch.setattr(
        PerturbedCells, "subset", lambda self, cells: batches.append(cells) or subset(self, cells)
    )
    dense_cells = []
    monkeypatch.setattr(
        explaining_stages.dense, "search_step", lambda _, x, *rest: dense_cells.append(x) or 0
    )
    point = POINT | {"n_peaks": 300}
    step = explaining_stages.paper_search_step(files, point, 1)
    step(), step()
    first, second = batches
    assert len(first) == len(second) == 3 and first.tolist() != second.tolist()
    explaining_stages.dense_paper_search_step(files, point, 1)()
    multiome = read_multiome(files["preprocessed"])
    cell_type, _ = cell_type_and_gene(multiome)
    opened = multiome.atac.cells(cell_type=cell_type, split="train").X
    np.testing.assert_array_equal(dense_cells[0].numpy(), opened[first].toarray())
