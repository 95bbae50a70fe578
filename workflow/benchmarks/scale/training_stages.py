"""Stages of training, as they are measured: preprocessing, the whole training, and one step of each part of it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.scale import dense
from benchmarks.scale.measure import Work
from benchmarks.scale.question import PAPER_ENCODER, untrained
from benchmarks.unfiltered import unfiltered
from grids.io.cells import read_multiome
from grids.io.seeds import generator
from grids.surrogates import storage
from grids.surrogates.cross_modality.losses import Losses, open_and_drawn_peaks
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, Settings
from grids.surrogates.cross_modality.stage import Stage, StageRun
from grids.surrogates.cross_modality.training_cells import TrainingCells

EPOCHS = {"atac": 1, "rna": 2, "mapping": 3, "specialisation": 0}
BATCH = 128
STEP_EVERY = 32


def preprocessing(files: Mapping, point: Mapping, seed: int) -> Work:
    """Raw counts to the preprocessed multiome, on disk; result: peaks kept."""
    from grids.data.preprocessing import preprocess, write

    settings = unfiltered(files["raw"], files["genes"], point["n_genes"], seed)
    written = Path(files["raw"]).with_name(f"preprocessing.{os.getpid()}.h5mu")

    def work() -> float:
        result = preprocess(settings, source="scale benchmark")
        write(result, {"multiome": written})
        written.unlink()
        return len(result.accessibility)

    return work


def training(files: Mapping, point: Mapping, seed: int) -> Work:
    """The joint surrogate from scratch, in :data:`EPOCHS`; result: its squared error on validation cells.

    Written to ``files["surrogate"]``.
    """
    from grids.surrogates.cross_modality.training import train_joint

    multiome = read_multiome(files["preprocessed"])

    def work() -> float:
        surrogate, curves = train_joint(multiome, Settings(max_epochs=EPOCHS), seed)
        storage.save(surrogate, files["surrogate"], cell_type="all", seed=seed)
        return _least_loss(curves, "mapping")

    return work


def training_pass(files: Mapping, point: Mapping, seed: int) -> Work:
    """What training does with the cells, in short; result: the squared error on validation cells afterwards.

    The LSI start, one epoch's batches of the mapping stage, all of them read but only one in :data:`STEP_EVERY` learned
    from, validation, and centring. Written to ``files["surrogate"]``.
    """
    from grids.surrogates.cross_modality.training import build

    multiome, settings = read_multiome(files["preprocessed"]), Settings()

    def work() -> float:
        model = build(multiome, settings, seed)
        train, validation = (
            TrainingCells.of(multiome, split, model.cell_types) for split in ("train", "validation")
        )
        run = _run(model, train, settings, seed, "mapping")
        draws = torch.Generator().manual_seed(seed)
        for i, batch in enumerate(train.batches(BATCH, generator(seed, "training pass"))):
            if i % STEP_EVERY == 0:
                _step(
                    run.parameters,
                    run.optimiser,
                    lambda batch=batch: run.losses.total(run.stage.terms(batch, draws)),
                )()
        model.eval()
        error = run.losses.squared_error(validation)
        model.atac_encoder.centre(train.atac)
        storage.save(model, files["surrogate"], cell_type="all", seed=seed)
        return error

    return work


def atac_training(files: Mapping, point: Mapping, seed: int) -> Work:
    """The ATAC autoencoder by the default recipe, start included; result: its loss on validation cells."""
    settings = Settings(max_epochs=_ATAC_ONLY | {"atac": Settings().max_epochs["atac"]})
    return _training(files, settings, seed, "atac")


def paper_atac_training(files: Mapping, point: Mapping, seed: int) -> Work:
    """The same by the paper's recipe, in ``point["paper_epochs"]`` epochs, its steps pooled."""
    return _training(files, _paper_recipe(_ATAC_ONLY | {"atac": point["paper_epochs"]}), seed, "atac")


def paper_training(files: Mapping, point: Mapping, seed: int) -> Work:
    """All stages by the paper's recipe, ``point["paper_epochs"]`` epochs of each, their steps pooled.

    With the supervised loss that the default recipe has on paired cells; result: the squared error of expression on
    validation cells, as of :func:`training`.
    """
    recipe = _paper_recipe(dict.fromkeys(("atac", "rna", "mapping"), point["paper_epochs"]))
    return _training(files, recipe, seed, "mapping")


def atac_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """A step of the ATAC autoencoder; result, of this and the next stages: loss of the first batch before it."""
    return _pooled_step(files, seed, "atac")


def rna_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """A step of the RNA autoencoder."""
    return _pooled_step(files, seed, "rna")


def mapping_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """A step of the mapping stage on paired cells, without the update of the discriminators."""
    return _pooled_step(files, seed, "mapping")


def paper_atac_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """A step of the ATAC autoencoder with the paper's encoder."""
    return _pooled_step(files, seed, "atac", **PAPER_ENCODER)


def dense_paper_atac_step(files: Mapping, point: Mapping, seed: int) -> Work:
    """The same, plain dense."""
    run, batch = _first_batch(files, seed, "atac", **PAPER_ENCODER)
    embedding = nn.Parameter(dense.embedding_of(run.model))
    parameters = [embedding, *(p for p in run.parameters if p is not run.model.atac_encoder.shift)]
    x = torch.from_numpy(batch.atac.toarray()).long()
    chromosome_of_peak = run.model.atac_decoder.chromosome_of_peak.numpy()
    draws = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        pairs = open_and_drawn_peaks(batch.atac, chromosome_of_peak, draws)
        return dense.reconstruction_loss(run.model, embedding, x, pairs)

    return _step(parameters, torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99)), loss)


_ATAC_ONLY = {"rna": 0, "mapping": 0}
PAPER_RATES = {"atac": 1e-3, "rna": 5e-4, "mapping": 5e-4, "discriminator": 1e-4}


def _paper_recipe(epochs: Mapping[str, int]) -> Settings:
    return Settings(
        **PAPER_ENCODER,
        dropout=0.0,
        weight_decay=0.0,
        patience=max(epochs.values()),
        max_epochs=epochs,
        learning_rate=PAPER_RATES,
    )


def _training(files: Mapping, settings: Settings, seed: int, judged: str) -> Work:
    """The joint surrogate from scratch; the work returns the least validation loss of a stage of training."""
    from grids.surrogates.cross_modality.training import train_joint

    multiome = read_multiome(files["preprocessed"])

    def work() -> float:
        _, curves = train_joint(multiome, settings, seed)
        return _least_loss(curves, judged)

    return work


def _least_loss(curves: pd.DataFrame, stage: str) -> float:
    """On validation cells, of all epochs of a stage."""
    return curves.loc[(curves["stage"] == stage) & (curves["split"] == "validation"), "value"].min()


def _pooled_step(files: Mapping, seed: int, stage: str, **options) -> Work:
    run, batch = _first_batch(files, seed, stage, **options)
    draws = torch.Generator().manual_seed(seed)
    return _step(run.parameters, run.optimiser, lambda: run.losses.total(run.stage.terms(batch, draws)))


def _first_batch(files: Mapping, seed: int, stage: str, **options) -> tuple[StageRun, TrainingCells]:
    """The run of a stage, ready to train an untrained surrogate, and its first cells."""
    multiome, settings = read_multiome(files["preprocessed"]), Settings()
    model = untrained(multiome, seed, **options)
    train = TrainingCells.of(multiome, "train", model.cell_types)
    return _run(model, train, settings, seed, stage), next(train.batches(BATCH))


def _run(
    model: CrossModalitySurrogate, train: TrainingCells, settings: Settings, seed: int, stage: str
) -> StageRun:
    """A stage on paired cells, ready to begin."""
    losses = Losses(model, settings, True, train)
    modules = {
        "atac": [model.atac_encoder, model.atac_decoder],
        "rna": [model.rna_encoder, model.rna_decoder],
        "mapping": [
            model.atac_to_rna, model.rna_to_atac,
            model.atac_encoder, model.atac_decoder, model.rna_encoder, model.rna_decoder,
        ],
    }[stage]  # fmt: skip
    for module in modules:
        module.train()
    described = Stage(stage, modules, getattr(losses, stage), "none", lambda: 0.0)
    return StageRun(described, model, losses, train, settings, seed)


def _step(parameters: list, optimiser: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Work:
    def work() -> float:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        return value.item()

    return work
