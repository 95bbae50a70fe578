"""Training of the classifier that is explained (supplement of the paper)."""

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from benchmarks.mnist.classifier import Classifier
from benchmarks.mnist.digits import EXPLAINED, OTHER
from grids.io.cells import Modality
from grids.io.logging import log
from grids.io.seeds import derive_seed, generator

LOG_ODDS = f"{EXPLAINED} against {OTHER}"
QUALITY_COLUMNS = ["split", "n_digits", "accuracy", "cross_entropy", "epochs"]


@dataclass(frozen=True)
class ClassifierSettings:
    """The ``mnist.classifier`` block of the config: supplement of the paper, with Adam."""

    n_hidden: tuple[int, ...] = (256, 128)
    learning_rate: float = 1e-4
    batch_size: int = 64
    max_epochs: int = 50
    patience: int = 5


def train_classifier(
    digits: Modality, settings: ClassifierSettings, seed: int
) -> tuple[Classifier, pd.DataFrame]:
    """Train until the cross-entropy of the validation digits no longer falls; keep the best epoch.

    Parameters
    ----------
    digits : Modality
        As from :func:`~benchmarks.mnist.digits.read_digits`.
    settings : ClassifierSettings
    seed : int

    Returns
    -------
    classifier : Classifier
        In evaluation mode.
    quality : DataFrame, :data:`QUALITY_COLUMNS`
        One row per split; `cross_entropy` per digit, natural log.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "classifier"))
        model = Classifier(digits.var.index, [LOG_ODDS], [OTHER, EXPLAINED], settings.n_hidden)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    train, validation = digits.cells(split="train"), digits.cells(split="validation")
    labels = _labels(train)
    rng = generator(seed, "batches")
    best, best_loss, best_epoch = copy.deepcopy(model.state_dict()), np.inf, 0
    for epoch in tqdm(range(1, settings.max_epochs + 1), unit="epoch"):
        model.train()
        order = rng.permutation(len(labels))
        for batch in np.split(order, np.arange(settings.batch_size, len(order), settings.batch_size)):
            predicted = model.tail(model.pool(train.X[batch]))[:, 0]
            loss = binary_cross_entropy_with_logits(predicted, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        value = _measure(model, validation)[1]
        if value < best_loss:
            best, best_loss, best_epoch = copy.deepcopy(model.state_dict()), value, epoch
        if epoch - best_epoch >= settings.patience:
            break
    model.load_state_dict(best)
    rows = []
    for split in ("train", "validation", "test"):
        part = digits.cells(split=split)
        rows.append([split, len(part.obs), *_measure(model, part), best_epoch])
        log.info("%s: %d digits, accuracy %.4f, cross-entropy %.4f, epoch %d", *rows[-1])
    return model.eval(), pd.DataFrame(rows, columns=QUALITY_COLUMNS)


def _labels(digits: Modality) -> torch.Tensor:
    """1 for the explained digit."""
    return torch.from_numpy((digits.obs["cell_type"] == EXPLAINED).to_numpy(np.float32))


def _measure(model: Classifier, digits: Modality) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    labels, predicted = _labels(digits), model.predict(digits.X)[:, 0]
    accuracy = ((predicted > 0) == (labels > 0)).float().mean()
    return float(accuracy), float(binary_cross_entropy_with_logits(predicted, labels))
