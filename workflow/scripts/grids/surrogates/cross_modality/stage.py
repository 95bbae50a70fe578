"""One stage of training: epochs over batches, early stopping, a checkpoint after every epoch, curves."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from grids.io.checkpoints import KeptStates
from grids.io.errors import InputError
from grids.io.logging import log
from grids.io.seeds import derive_seed, generator
from grids.surrogates.cross_modality.losses import Losses
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, Settings
from grids.surrogates.cross_modality.training_cells import TrainingCells

CURVE_COLUMNS = ["stage", "cell_type", "epoch", "loss", "split", "value"]
# The discriminators are updated at every n-th step (paper).
DISCRIMINATOR_EVERY = 5


@dataclass(frozen=True)
class Stage:
    """What one stage trains and how it is judged.

    Attributes
    ----------
    name : str
        Key of ``max_epochs`` and ``learning_rate`` in the settings.
    modules : list of Module
        What is trained; all else stays in evaluation mode.
    terms : callable
        Loss terms of a batch: a method of :class:`~grids.surrogates.cross_modality.losses.Losses`.
    criterion : str
        Name of the loss that the validation cells are judged by.
    validate : callable
        Computes it, with the model in evaluation mode.
    cell_type : str, optional
        For the curves; none when every type is trained together.
    frozen : tuple of Parameter
        Parameters of `modules` that are not trained.
    adversarial : bool
        Whether the discriminators are trained beside.
    fixed_statistics : bool
        Whether batch normalisation keeps the means and variances it has. Those of one cell type would shift all
        its cells back to the mean of all types.
    """

    name: str
    modules: list[nn.Module]
    terms: Callable[[TrainingCells, torch.Generator], dict[str, Tensor]]
    criterion: str
    validate: Callable[[], float]
    cell_type: str | None = None
    frozen: tuple[nn.Parameter, ...] = ()
    adversarial: bool = False
    fixed_statistics: bool = False


class StageRun:
    """The state of a stage in progress: optimisers, best weights, curves.

    The model before the first epoch counts as epoch 0, so a stage never ends worse than it began. Random
    numbers of an epoch depend only on the seed, the stage and the epoch: a run resumed from its checkpoint
    ends in the same weights as one that was never interrupted. The state is kept in `kept` after every epoch, and what
    is there is gone on from.
    """

    def __init__(
        self,
        stage: Stage,
        model: CrossModalitySurrogate,
        losses: Losses,
        train: TrainingCells,
        settings: Settings,
        seed: int,
        kept: KeptStates | None = None,
    ):
        self.stage, self.model, self.losses, self.train = stage, model, losses, train
        self.types = stage.cell_type or "all"  # for seeds and messages
        self.settings, self.seed, self.kept = settings, seed, kept
        frozen = {id(parameter) for parameter in stage.frozen}
        self.parameters = [p for module in stage.modules for p in module.parameters() if id(p) not in frozen]
        self.optimiser = self._optimiser()
        critics = [*model.atac_discriminator.parameters(), *model.rna_discriminator.parameters()]
        rate = settings.learning_rate["discriminator"]
        self.critic_optimiser = torch.optim.Adam(critics, lr=rate, betas=(0.9, 0.99))
        self.curves: list[list] = []
        self.epoch = self.best_epoch = 0
        self.best_loss, self.best = float("inf"), copy.deepcopy(model.state_dict())

    def _optimiser(self) -> torch.optim.Optimizer:
        """Weight decay on matrices only; the peaks' own vectors have a learning rate of their own."""
        rate = self.settings.learning_rate[self.stage.name]
        per_peak = {id(parameter) for parameter in self.model.per_peak_matrices}
        groups: dict[str, list] = {"matrices": [], "vectors": [], "per_peak": []}
        for p in self.parameters:
            groups["per_peak" if id(p) in per_peak else "matrices" if p.dim() > 1 else "vectors"].append(p)
        return torch.optim.AdamW(
            [
                {"params": groups["matrices"], "weight_decay": self.settings.weight_decay},
                {"params": groups["vectors"]},
                {"params": groups["per_peak"], "lr": rate * self.settings.peak_learning_rate_factor},
            ],
            lr=rate,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            fused=True,  # one pass over the peaks' vectors, which are most of the weights
        )

    def run(self) -> list[list]:
        """Train until the criterion stops improving and leave the model at its best epoch; the curves' rows."""
        stage, max_epochs = self.stage, self.settings.max_epochs[self.stage.name]
        if not max_epochs:
            return []
        if not self._resumed():
            self._judge()
        bar = tqdm(total=max_epochs, initial=self.epoch, desc=f"{stage.name} {self.types}", unit="epoch")
        while self.epoch < max_epochs and self.epoch - self.best_epoch < self.settings.patience:
            self.epoch += 1
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed(self.seed, stage.name, self.types, self.epoch))
                self._train_epoch()
            self._judge()
            self._keep()
            bar.set_postfix(best=f"{self.best_loss:.4f}")
            bar.update()
        bar.close()
        self.model.load_state_dict(self.best)
        self.model.eval()
        log.info(
            "%s (%s): best %s on validation cells %.5f at epoch %d of %d",
            stage.name, self.types, stage.criterion, self.best_loss, self.best_epoch, self.epoch,
        )  # fmt: skip
        return self.curves

    def _record(self, loss: str, split: str, value: float) -> None:
        self.curves.append([self.stage.name, self.stage.cell_type, self.epoch, loss, split, value])

    def _judge(self) -> None:
        """Compute the criterion on validation cells and keep the weights if they are the best so far."""
        self.model.eval()
        value = self.stage.validate()
        self._record(self.stage.criterion, "validation", value)
        if value < self.best_loss:
            self.best_loss, self.best_epoch = value, self.epoch
            self.best = copy.deepcopy(self.model.state_dict())

    def _train_epoch(self) -> None:
        """One pass over the training cells; records the mean of each loss term."""
        stage = self.stage
        for module in stage.modules:
            module.train()
            for part in module.modules():
                if stage.fixed_statistics and isinstance(part, nn.BatchNorm1d):
                    part.eval()
        rng = generator(self.seed, stage.name, self.types, self.epoch)
        sampler = torch.Generator().manual_seed(int(rng.integers(2**31)))
        values: dict[str, list[float]] = {}
        for step, batch in enumerate(self.train.batches(self.settings.batch_size, rng)):
            if stage.adversarial and step % DISCRIMINATOR_EVERY == 0:
                self._descend(self.critic_optimiser, self.losses.discriminators(batch))
            terms = stage.terms(batch, sampler)
            self._descend(self.optimiser, self.losses.total(terms), clipped=self.parameters)
            for term, value in terms.items():
                values.setdefault(term, []).append(value.item())
        for term, per_batch in values.items():
            mean = float(np.mean(per_batch))
            if not np.isfinite(mean):
                raise InputError(
                    f"training diverged: {term} of stage {stage.name} is not finite in epoch {self.epoch}; "
                    f"lower surrogate.learning_rate.{stage.name}"
                )
            self._record(term, "train", mean)

    @staticmethod
    def _descend(optimiser: torch.optim.Optimizer, loss: Tensor, clipped: list[nn.Parameter] = ()) -> None:
        optimiser.zero_grad()
        loss.backward()
        if clipped:
            nn.utils.clip_grad_norm_(clipped, 1.0)
        optimiser.step()

    _PROGRESS = ("curves", "epoch", "best_epoch", "best_loss", "best")
    _STATES = ("model", "optimiser", "critic_optimiser")

    def _keep(self) -> None:
        if self.kept is None:
            return
        saved = {name: getattr(self, name) for name in self._PROGRESS}
        for name in self._STATES:
            saved[name] = getattr(self, name).state_dict()
        self.kept.save([self.stage.name, self.types], saved)

    def _resumed(self) -> bool:
        """Go on from what is kept; whether there was anything."""
        names = [self.stage.name, self.types]
        if self.kept is None or (saved := self.kept.load(names)) is None:
            return False
        try:
            for name in self._STATES:
                getattr(self, name).load_state_dict(saved[name])
            for name in self._PROGRESS:
                setattr(self, name, saved[name])
        except Exception as error:  # another model's state can raise anything
            raise self.kept.damaged(names, error) from None
        log.info("%s (%s): resumed after epoch %d", self.stage.name, self.types, self.epoch)
        return True
