"""Training of the cross-modality surrogate: three stages for all cells, then one for each cell type."""

import copy
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import torch

from grids.io import backed, devices
from grids.io.cells import Multiome
from grids.io.checkpoints import KeptStates
from grids.io.errors import InputError
from grids.io.logging import log
from grids.io.seeds import derive_seed
from grids.surrogates.cross_modality.losses import Losses
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, NormalisedEncoder, Settings, Sizes
from grids.surrogates.cross_modality.stage import CURVE_COLUMNS, Stage, StageRun
from grids.surrogates.cross_modality.training_cells import TrainingCells

MIN_CELLS_TO_SPECIALISE = 20
SPLITS = "train", "validation"


def build(multiome: Multiome, settings: Settings, seed: int) -> CrossModalitySurrogate:
    """An untrained surrogate for the peaks, genes and cell types of the data."""
    train_atac = multiome.atac.stream(split="train")
    cell_types = sorted(set(train_atac.obs["cell_type"]) & set(multiome.rna.obs["cell_type"]))
    chromosome, _ = pd.factorize(multiome.atac.var["chromosome"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "build"))
        model = CrossModalitySurrogate(
            multiome.atac.var.index,
            multiome.rna.var.index,
            cell_types,
            chromosome,
            **{size.name: getattr(settings, size.name) for size in fields(Sizes)},
        )
    if isinstance(model.atac_encoder, NormalisedEncoder):
        model.atac_encoder.start_from(train_atac.X, derive_seed(seed, "lsi"))
    with torch.no_grad():
        mean = backed.mean(multiome.rna.stream(split="train").X)
        model.rna_decoder[-1].bias.copy_(torch.from_numpy(mean))
    return model.to(devices.find(settings.device))


def train_joint(
    multiome: Multiome, settings: Settings, seed: int, kept: KeptStates | None = None
) -> tuple[CrossModalitySurrogate, pd.DataFrame]:
    """Train one surrogate on all cells: ATAC autoencoder, RNA autoencoder, mapping (paper, section 3.1).

    Unpaired cells: the mapping stage trains the maps against fixed autoencoders with cycle, reconstruction
    and adversarial losses. Paired cells (unless ``supervised: false``): a squared error of the predicted
    expression is added and everything is trained.

    Parameters
    ----------
    kept : KeptStates, optional
        Stages keep their state there after every epoch, and go on from what is there: only for the same data,
        settings and seed.

    Returns
    -------
    surrogate : CrossModalitySurrogate
        In evaluation mode.
    curves : DataFrame
        Columns :data:`CURVE_COLUMNS`.
    """
    supervised = settings.is_supervised(multiome.paired)
    model = build(multiome, settings, seed)
    train, validation = (TrainingCells.of(multiome, split, model.cell_types) for split in SPLITS)
    losses = Losses(model, settings, supervised, train)

    def mean_over_validation(terms: Callable, name: str) -> Callable[[], float]:
        @torch.no_grad()
        def value() -> float:
            rng = torch.Generator().manual_seed(derive_seed(seed, "validation"))
            values, n_cells = [], []
            for batch in validation.batches(512):
                values.append(terms(batch, rng)[name].item())
                n_cells.append(batch.atac.shape[0])
            return float(np.average(values, weights=n_cells))

        return value

    atac, rna = [model.atac_encoder, model.atac_decoder], [model.rna_encoder, model.rna_decoder]
    mapping = [model.atac_to_rna, model.rna_to_atac]
    if supervised:
        mapping += atac + rna
        criterion = "supervised", mean_over_validation(losses.supervised_only, "supervised")
    else:
        criterion = "pseudobulk", lambda: losses.pseudobulk_error(validation)
    stages = []
    for name, modules, terms in (("atac", atac, losses.atac), ("rna", rna, losses.rna)):
        judge = mean_over_validation(terms, "reconstruction")
        stages.append(Stage(name, modules, terms, "reconstruction", judge))
    adversarial = settings.adversarial_weight > 0
    stages.append(Stage("mapping", mapping, losses.mapping, *criterion, adversarial=adversarial))
    curves = []
    for stage in stages:
        curves += StageRun(stage, model, losses, train, settings, seed, kept).run()
    if isinstance(model.atac_encoder, NormalisedEncoder):
        model.atac_encoder.centre(train.atac)
    return model, pd.DataFrame(curves, columns=CURVE_COLUMNS)


def specialise(
    surrogate: CrossModalitySurrogate,
    multiome: Multiome,
    cell_type: str,
    settings: Settings,
    seed: int,
    kept: KeptStates | None = None,
) -> tuple[CrossModalitySurrogate, pd.DataFrame]:
    """Train the joint surrogate further on one cell type, judged by that type's validation cells.

    The pooling (what a peak contributes) stays as learned from all cells; the networks behind it move. A type
    with fewer than 20 training cells, or without validation cells, keeps the joint surrogate, and so does a
    type whose validation loss does not improve, and every type when ``max_epochs.specialisation`` is 0.

    Parameters and returns as :func:`train_joint`; `surrogate` itself is left unchanged.

    Raises
    ------
    InputError
        When the surrogate does not know the cell type.
    """
    if cell_type not in surrogate.cell_types:
        raise InputError(
            f"cell type {cell_type!r} is not known to the surrogate; it has {surrogate.cell_types}"
        )
    supervised = settings.is_supervised(multiome.paired)
    model = copy.deepcopy(surrogate).to(devices.find(settings.device)).eval()
    train, validation = (TrainingCells.of(multiome, split, model.cell_types, cell_type) for split in SPLITS)
    n_train, n_validation = (min(c.atac.shape[0], c.rna.shape[0]) for c in (train, validation))
    if n_train < MIN_CELLS_TO_SPECIALISE or not n_validation:
        log.info(
            "%s: %d training and %d validation cells, joint surrogate kept", cell_type, n_train, n_validation
        )
        return model, pd.DataFrame(columns=CURVE_COLUMNS)
    losses = Losses(model, settings, supervised, train)

    if supervised:
        modules, terms = [model.atac_encoder, model.atac_to_rna, model.rna_decoder], losses.supervised_only
        criterion = "supervised", lambda: losses.squared_error(validation)
    else:
        modules, terms = [model.atac_to_rna, model.rna_to_atac], losses.mapping
        criterion = "pseudobulk", lambda: losses.pseudobulk_error(validation)
    stage = Stage(
        "specialisation",
        modules,
        terms,
        *criterion,
        cell_type,
        frozen=(model.atac_encoder.peak_vectors,),
        adversarial=settings.adversarial_weight > 0 and not supervised,
        fixed_statistics=True,
    )
    curves = StageRun(stage, model, losses, train, settings, seed, kept).run()
    return model, pd.DataFrame(curves, columns=CURVE_COLUMNS)
