"""Training of the cross-modality surrogate: three stages for all cells, then one for each cell type.

Every stage is the same loop (:func:`run_stage`): epochs over batches, early stopping on validation cells, a
checkpoint after each epoch, curves. A stage differs only in which parameters it trains and in its losses.
"""

import copy
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from grids.cells import Multiome
from grids.errors import InputError
from grids.seeds import derive_seed, generator
from grids.surrogates.cross_modality import CrossModalitySurrogate, NormalisedEncoder
from grids.surrogates.losses import focal_binary_cross_entropy, masked_squared_error, open_and_drawn_peaks

log = logging.getLogger("grids")

CURVE_COLUMNS = ["stage", "cell_type", "epoch", "loss", "split", "value"]
MIN_CELLS_TO_SPECIALISE = 20
DISCRIMINATOR_EVERY = 5
RNA_WEIGHT = 0.2


@dataclass(frozen=True)
class Settings:
    """How a surrogate is built and trained; the ``surrogate`` block of the config.

    ``max_epochs`` and ``learning_rate`` are per stage. `supervised` None means: when the cells are paired.
    """

    encoder: str = "normalised"
    width: int = 64
    n_hidden: int = 128
    n_latent: int = 20
    rna_hidden: tuple[int, ...] = (640, 320)
    dropout: float = 0.3
    weight_decay: float = 0.01
    batch_size: int = 128
    patience: int = 5
    peak_learning_rate_factor: float = 1.0
    supervised: bool | None = None
    supervised_weight: float = 20.0
    pseudobulk_weight: float = 10.0
    adversarial_weight: float = 0.5
    max_epochs: dict = field(
        default_factory=lambda: {"atac": 3, "rna": 5, "mapping": 40, "specialisation": 20}
    )
    learning_rate: dict = field(
        default_factory=lambda: {
            "atac": 1e-3,
            "rna": 1e-3,
            "mapping": 1e-3,
            "specialisation": 1e-4,
            "discriminator": 1e-4,
        }  # fmt: skip
    )
    device: str = "cpu"

    def is_supervised(self, paired: bool) -> bool:
        if self.supervised and not paired:
            raise InputError(
                "surrogate.supervised is true, but the cells are not paired; set it to false or null"
            )
        return paired if self.supervised is None else self.supervised


@dataclass(frozen=True)
class Cells:
    """One split of the cells as the training loop reads it: sparse, with cell types as codes."""

    atac: sparse.csr_matrix
    atac_type: np.ndarray
    rna: sparse.csr_matrix
    rna_type: np.ndarray
    paired: bool

    @classmethod
    def of(
        cls, multiome: Multiome, split: str, cell_types: list[str], cell_type: str | None = None
    ) -> "Cells":
        atac = multiome.atac.cells(split=split, cell_type=cell_type)
        rna = multiome.rna.cells(split=split, cell_type=cell_type)
        codes = pd.Index(cell_types)
        return cls(
            atac.X,
            codes.get_indexer(atac.obs["cell_type"]),
            rna.X,
            codes.get_indexer(rna.obs["cell_type"]),
            multiome.paired,
        )

    def type_means(self, n_types: int) -> np.ndarray:
        """Mean expression of each cell type, shape (n_types, n_genes); of all cells where a type has none."""
        means = np.tile(np.asarray(self.rna.mean(0), dtype=np.float32), (n_types, 1))
        for code in np.unique(self.rna_type):
            means[code] = self.rna[self.rna_type == code].mean(0)
        return means

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator["Cells"]:
        """Batches of both modalities, shuffled when `rng` is given; of the same cells when they are paired."""
        n_atac, n_rna = self.atac.shape[0], self.rna.shape[0]
        n = max(n_atac, n_rna)
        atac_order = np.arange(n) % n_atac if rng is None else _shuffled(n_atac, n, rng)
        rna_order = (
            atac_order if self.paired else np.arange(n) % n_rna if rng is None else _shuffled(n_rna, n, rng)
        )
        for start in range(0, n, batch_size):
            i, j = atac_order[start : start + batch_size], rna_order[start : start + batch_size]
            if len(i) > 1 or n == 1:  # batch normalisation needs two cells
                yield Cells(self.atac[i], self.atac_type[i], self.rna[j], self.rna_type[j], self.paired)


def _shuffled(n_cells: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` cells in random order, each as often as the others (up to one)."""
    return np.concatenate([rng.permutation(n_cells) for _ in range(-(-n // n_cells))])[:n]


class Losses:
    """The loss terms of each stage, for one batch. Each method returns named scalar tensors."""

    def __init__(self, model: CrossModalitySurrogate, settings: Settings, supervised: bool, train: Cells):
        self.model, self.settings, self.supervised = model, settings, supervised
        self.device = torch.device(settings.device)
        self.type_means = torch.from_numpy(train.type_means(len(model.cell_types))).to(self.device)

    def expression(self, batch: Cells) -> Tensor:
        return torch.from_numpy(batch.rna.toarray()).to(self.device)

    def _reconstruction_atac(self, z: Tensor, batch: Cells, rng: torch.Generator) -> Tensor:
        cells, peaks, target = (t.to(self.device) for t in open_and_drawn_peaks(batch.atac, rng))
        logits = self.model.atac_decoder.logits_at(z, cells, peaks)
        return focal_binary_cross_entropy(logits, target).mean()

    def atac(self, batch: Cells, rng: torch.Generator) -> dict[str, Tensor]:
        return {"reconstruction": self._reconstruction_atac(self.model.encode_atac(batch.atac), batch, rng)}

    def rna(self, batch: Cells, rng: torch.Generator) -> dict[str, Tensor]:
        y = self.expression(batch)
        return {
            "reconstruction": masked_squared_error(self.model.decode_rna(self.model.rna_encoder(y)), y, rng)
        }

    def mapping(self, batch: Cells, rng: torch.Generator) -> dict[str, Tensor]:
        model, y = self.model, self.expression(batch)
        z_atac, z_rna = model.encode_atac(batch.atac), model.rna_encoder(y)
        to_rna, to_atac = model.atac_to_rna(z_atac), model.rna_to_atac(z_rna)
        back_atac, back_rna = model.rna_to_atac(to_rna), model.atac_to_rna(to_atac)
        # One pass through the decoder: batch normalisation must see the mixture that it will be run on.
        rebuilt, predicted = model.decode_rna(torch.cat([back_rna, to_rna])).split(
            [len(back_rna), len(to_rna)]
        )
        terms = {
            "cycle_atac": (back_atac - z_atac).abs().mean(),
            "cycle_rna": RNA_WEIGHT * (back_rna - z_rna).abs().mean(),
            "reconstruction_atac": self._reconstruction_atac(back_atac, batch, rng),
            "reconstruction_rna": RNA_WEIGHT * masked_squared_error(rebuilt, y, rng),
        }
        if self.settings.adversarial_weight:
            atac_type, rna_type = self.types(batch)
            fooled = -model.rna_discriminator(to_rna, atac_type), -model.atac_discriminator(to_atac, rna_type)
            terms["adversarial"] = (
                self.settings.adversarial_weight
                * sum(torch.nn.functional.softplus(f).mean() for f in fooled)
                / 2
            )
        if self.supervised:
            terms["supervised"] = self.settings.supervised_weight * (predicted - y).square().mean()
        elif self.settings.pseudobulk_weight:
            terms["pseudobulk"] = self.settings.pseudobulk_weight * self._pseudobulk(predicted, batch)
        return terms

    def _pseudobulk(self, predicted: Tensor, batch: Cells) -> Tensor:
        """Squared error of the batch's mean prediction of each cell type against the type's observed mean."""
        here = torch.nn.functional.one_hot(self.types(batch)[0], len(self.model.cell_types)).float()
        n_cells = here.sum(0).clamp(min=1)
        error = (here.T @ predicted / n_cells[:, None] - self.type_means).square().mean(1)
        return (error * here.sum(0)).sum() / len(predicted)

    def supervised_only(self, batch: Cells, rng: torch.Generator) -> dict[str, Tensor]:
        predicted = self.model.tail(self.model.pool(batch.atac))
        return {"supervised": (predicted - self.expression(batch)).square().mean()}

    def types(self, batch: Cells) -> tuple[Tensor, Tensor]:
        return tuple(torch.from_numpy(t).long().to(self.device) for t in (batch.atac_type, batch.rna_type))

    def discriminators(self, batch: Cells) -> Tensor:
        """Real latents against mapped ones, in both latent spaces."""
        model = self.model
        with torch.no_grad():
            z_atac, z_rna = model.encode_atac(batch.atac), model.rna_encoder(self.expression(batch))
            to_rna, to_atac = model.atac_to_rna(z_atac), model.rna_to_atac(z_rna)
        atac_type, rna_type = self.types(batch)
        softplus = torch.nn.functional.softplus
        return (
            softplus(-model.rna_discriminator(z_rna, rna_type)).mean()
            + softplus(model.rna_discriminator(to_rna, atac_type)).mean()
            + softplus(-model.atac_discriminator(z_atac, atac_type)).mean()
            + softplus(model.atac_discriminator(to_atac, rna_type)).mean()
        ) / 4

    @torch.no_grad()
    def pseudobulk_error(self, cells: Cells) -> float:
        """Squared error of predicted against observed mean expression, by cell type, weighted by its cells.

        What an unpaired fit can be judged by: no cell has both modalities, but each type has both means.
        """
        predicted = self.model.predict(cells.atac).cpu().numpy()
        total = 0.0
        types = np.intersect1d(cells.atac_type, cells.rna_type)
        for code in types:
            observed = np.asarray(cells.rna[cells.rna_type == code].mean(0)).ravel()
            here = cells.atac_type == code
            total += here.sum() * float(((predicted[here].mean(0) - observed) ** 2).mean())
        return total / max(int(np.isin(cells.atac_type, types).sum()), 1)


def run_stage(
    name: str,
    model: CrossModalitySurrogate,
    modules: list[torch.nn.Module],
    loss_terms: Callable[[Cells, torch.Generator], dict[str, Tensor]],
    validation_loss: Callable[[], float],
    train: Cells,
    settings: Settings,
    *,
    seed: int,
    checkpoint: Path | None,
    cell_type: str = "all",
    frozen: tuple[Tensor, ...] = (),
    discriminator_loss: Callable[[Cells], Tensor] | None = None,
) -> list[list]:
    """Train until the validation loss stops improving; leave the model at its best epoch.

    The model before the first epoch counts as epoch 0, so a stage never ends worse than it began. Random
    numbers of an epoch depend only on the seed, the stage and the epoch: a run resumed from its checkpoint
    ends in the same weights as one that was never interrupted.

    Returns
    -------
    list of rows under :data:`CURVE_COLUMNS`
    """
    max_epochs = settings.max_epochs[name]
    frozen_ids = {id(p) for p in frozen}
    parameters = [p for module in modules for p in module.parameters() if id(p) not in frozen_ids]
    rate = settings.learning_rate[name]
    per_peak = [p for p in parameters if p.dim() > 1 and len(p) == len(model.peaks)]
    matrices = [p for p in parameters if p.dim() > 1 and len(p) != len(model.peaks)]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1]},
            {"params": per_peak, "lr": rate * settings.peak_learning_rate_factor},
        ],
        lr=rate,
        betas=(0.9, 0.99),
        weight_decay=0.0,
    )
    critics = [*model.atac_discriminator.parameters(), *model.rna_discriminator.parameters()]
    critic_optimiser = torch.optim.Adam(
        critics, lr=settings.learning_rate["discriminator"], betas=(0.9, 0.99)
    )
    state = _Progress(best=copy.deepcopy(model.state_dict()), best_loss=float("inf"))
    if checkpoint is not None and checkpoint.exists():
        state = _restore(checkpoint, model, optimiser, critic_optimiser)
        log.info("%s (%s): resumed after epoch %d", name, cell_type, state.epoch)
    elif max_epochs:
        model.eval()
        state.best_loss = validation_loss()
        state.curves.append([name, cell_type, 0, "total", "validation", state.best_loss])
    bar = tqdm(total=max_epochs, initial=state.epoch, desc=f"{name} {cell_type}", unit="epoch", mininterval=1)
    while state.epoch < max_epochs and state.epoch - state.best_epoch < settings.patience:
        epoch = state.epoch + 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, name, cell_type, epoch))
            means = _train_epoch(
                model, modules, loss_terms, train, settings, optimiser, critic_optimiser, parameters,
                generator(seed, name, cell_type, epoch), discriminator_loss,
            )  # fmt: skip
        model.eval()
        value = validation_loss()
        state.curves += [[name, cell_type, epoch, term, "train", mean] for term, mean in means.items()]
        state.curves.append([name, cell_type, epoch, "total", "validation", value])
        if value < state.best_loss:
            state.best_loss, state.best_epoch = value, epoch
            state.best = copy.deepcopy(model.state_dict())
        state.epoch = epoch
        if checkpoint is not None:
            _save_checkpoint(checkpoint, state, model, optimiser, critic_optimiser)
        bar.set_postfix(validation=f"{value:.4f}", best=f"{state.best_loss:.4f}")
        bar.update()
    bar.close()
    model.load_state_dict(state.best)
    model.eval()
    if max_epochs:
        log.info(
            "%s (%s): best validation loss %.5f at epoch %d of %d",
            name, cell_type, state.best_loss, state.best_epoch, state.epoch,
        )  # fmt: skip
    return state.curves


def _train_epoch(
    model,
    modules,
    loss_terms,
    train,
    settings,
    optimiser,
    critic_optimiser,
    parameters,
    rng,
    discriminator_loss,
) -> dict[str, float]:
    """One pass over the training cells; returns the mean of each loss term."""
    model.eval()
    for module in modules:
        module.train()
    sampler = torch.Generator().manual_seed(int(rng.integers(2**31)))
    sums: dict[str, float] = {}
    n_batches = 0
    for step, batch in enumerate(train.batches(settings.batch_size, rng)):
        if discriminator_loss is not None and step % DISCRIMINATOR_EVERY == 0:
            critic_loss = discriminator_loss(batch)
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()
        terms = loss_terms(batch, sampler)
        total = sum(terms.values())
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        n_batches += 1
        for term, value in {**terms, "total": total}.items():
            sums[term] = sums.get(term, 0.0) + value.item()
    means = {term: value / max(n_batches, 1) for term, value in sums.items()}
    if not np.isfinite(means.get("total", 0.0)):
        raise InputError("training diverged (loss is not finite); lower surrogate.learning_rate")
    return means


@dataclass
class _Progress:
    best: dict
    best_loss: float
    best_epoch: int = 0
    epoch: int = 0
    curves: list = field(default_factory=list)


def _save_checkpoint(path: Path, state: _Progress, model, optimiser, critic_optimiser) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(
        {
            "progress": vars(state),
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "critic_optimiser": critic_optimiser.state_dict(),
        },
        temporary,
    )
    os.replace(temporary, path)


def _restore(path: Path, model, optimiser, critic_optimiser) -> _Progress:
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    critic_optimiser.load_state_dict(saved["critic_optimiser"])
    return _Progress(**saved["progress"])


def _checkpoint_folder(
    folder: str | os.PathLike | None, multiome: Multiome, settings: Settings, *names
) -> Path | None:
    """A folder for this very run: other settings or data get another one, so no stale state is resumed."""
    if folder is None:
        return None
    atac, rna = multiome.atac.X, multiome.rna.X
    described = json.dumps([vars(settings), names, atac.shape, rna.shape, atac.nnz, rna.nnz], default=str)
    content = hashlib.sha256(described.encode())
    for array in (atac.indices, rna.indices):
        content.update(np.ascontiguousarray(array[:: max(len(array) // 100_000, 1)]).tobytes())
    return Path(folder) / content.hexdigest()[:16]


def build(multiome: Multiome, settings: Settings, seed: int) -> CrossModalitySurrogate:
    """An untrained surrogate for the peaks, genes and cell types of the data."""
    train_atac = multiome.atac.cells(split="train")
    cell_types = sorted(set(train_atac.obs["cell_type"]) & set(multiome.rna.obs["cell_type"]))
    chromosome, _ = pd.factorize(multiome.atac.var["chromosome"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "build"))
        model = CrossModalitySurrogate(
            multiome.atac.var.index,
            multiome.rna.var.index,
            cell_types,
            chromosome,
            encoder=settings.encoder,
            n_latent=settings.n_latent,
            width=settings.width,
            n_hidden=settings.n_hidden,
            rna_hidden=settings.rna_hidden,
            dropout=settings.dropout,
        )
    if isinstance(model.atac_encoder, NormalisedEncoder):
        model.atac_encoder.start_from(train_atac.X, derive_seed(seed, "lsi"))
    with torch.no_grad():
        mean = np.asarray(multiome.rna.cells(split="train").X.mean(0)).ravel()
        model.rna_decoder[-1].bias.copy_(torch.from_numpy(mean))
    return model.to(settings.device)


def train_joint(
    multiome: Multiome, settings: Settings, seed: int, checkpoints: str | os.PathLike | None = None
) -> tuple[CrossModalitySurrogate, pd.DataFrame]:
    """Train one surrogate on all cells: ATAC autoencoder, RNA autoencoder, mapping (paper, section 3.1).

    Unpaired cells: the mapping stage trains the maps against fixed autoencoders with cycle, reconstruction
    and adversarial losses. Paired cells (unless ``supervised: false``): a squared error of the predicted
    expression is added and everything is trained.

    Parameters
    ----------
    multiome : Multiome
    settings : Settings
    seed : int
    checkpoints : path, optional
        Folder for checkpoints; a run that was killed resumes from them.

    Returns
    -------
    surrogate : CrossModalitySurrogate
        In evaluation mode.
    curves : DataFrame
        Columns :data:`CURVE_COLUMNS`.
    """
    supervised = settings.is_supervised(multiome.paired)
    model = build(multiome, settings, seed)
    train = Cells.of(multiome, "train", model.cell_types)
    validation = Cells.of(multiome, "validation", model.cell_types)
    folder = _checkpoint_folder(checkpoints, multiome, settings, "joint", seed)
    losses = Losses(model, settings, supervised, train)

    def mean_validation(terms: Callable) -> Callable[[], float]:
        def value() -> float:
            rng = torch.Generator().manual_seed(derive_seed(seed, "validation"))
            with torch.no_grad():
                totals = [
                    (sum(terms(b, rng).values()).item(), b.atac.shape[0]) for b in validation.batches(512)
                ]
            return float(np.average([t for t, _ in totals], weights=[n for _, n in totals]))

        return value

    common = {"train": train, "settings": settings, "seed": seed}

    def checkpoint(stage: str) -> Path | None:
        return folder and folder / f"{stage}.pt"

    curves = run_stage(
        "atac", model, [model.atac_encoder, model.atac_decoder], losses.atac, mean_validation(losses.atac),
        checkpoint=checkpoint("atac"), **common,
    )  # fmt: skip
    curves += run_stage(
        "rna", model, [model.rna_encoder, model.rna_decoder], losses.rna, mean_validation(losses.rna),
        checkpoint=checkpoint("rna"), **common,
    )  # fmt: skip
    maps = [model.atac_to_rna, model.rna_to_atac]
    autoencoders = [model.atac_encoder, model.atac_decoder, model.rna_encoder, model.rna_decoder]
    curves += run_stage(
        "mapping",
        model,
        maps + autoencoders if supervised else maps,
        losses.mapping,
        mean_validation(losses.supervised_only)
        if supervised
        else lambda: losses.pseudobulk_error(validation),
        checkpoint=checkpoint("mapping"),
        discriminator_loss=losses.discriminators if settings.adversarial_weight else None,
        **common,
    )
    return model, pd.DataFrame(curves, columns=CURVE_COLUMNS)


def specialise(
    surrogate: CrossModalitySurrogate,
    multiome: Multiome,
    cell_type: str,
    settings: Settings,
    seed: int,
    checkpoints: str | os.PathLike | None = None,
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
    model = copy.deepcopy(surrogate).eval()
    train = Cells.of(multiome, "train", model.cell_types, cell_type)
    validation = Cells.of(multiome, "validation", model.cell_types, cell_type)
    folder = _checkpoint_folder(checkpoints, multiome, settings, "specialise", cell_type, seed)
    n_train, n_validation = (min(c.atac.shape[0], c.rna.shape[0]) for c in (train, validation))
    if n_train < MIN_CELLS_TO_SPECIALISE or not n_validation:
        log.info(
            "%s: %d training and %d validation cells, joint surrogate kept", cell_type, n_train, n_validation
        )
        return model, pd.DataFrame(columns=CURVE_COLUMNS)
    losses = Losses(model, settings, supervised, train)

    def squared_error() -> float:
        return float(
            (model.predict(validation.atac).cpu().numpy() - validation.rna.toarray()).__pow__(2).mean()
        )

    curves = run_stage(
        "specialisation",
        model,
        [model.atac_encoder, model.atac_to_rna, model.rna_decoder]
        if supervised
        else [model.atac_to_rna, model.rna_to_atac],
        losses.supervised_only if supervised else losses.mapping,
        squared_error if supervised else lambda: losses.pseudobulk_error(validation),
        train,
        settings,
        seed=seed,
        checkpoint=folder and folder / "specialisation.pt",
        cell_type=cell_type,
        frozen=(model.atac_encoder.loadings,) if settings.encoder == "normalised" else (model.shift,),
        discriminator_loss=losses.discriminators if settings.adversarial_weight and not supervised else None,
    )
    return model, pd.DataFrame(curves, columns=CURVE_COLUMNS)
