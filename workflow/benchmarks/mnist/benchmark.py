"""Every explainer on the digits: which pixels, whitened in all 8s, make the classifier doubt most?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from benchmarks.explainers.problem import Problem
from benchmarks.explainers.run import explain
from benchmarks.mnist.classifier import Classifier
from benchmarks.mnist.digits import EXPLAINED, SIDE
from grids.analysis.effects import CELL_COLUMNS
from grids.io.cells import Modality
from grids.io.seeds import generator
from grids.io.tables import TASK_KEYS
from grids.search.objective import PerturbedCells

DIRECTION, CLOSED = "silence", 0
# Windows of CXPlain are squares, of 2 x 2 pixels in the supplement.
IMAGE_SETTINGS = {"cxplain_4": {"image_width": SIDE}}
EFFECT_COLUMNS = [
    *TASK_KEYS, "set_size", "n_cells", "mean_before", "mean_after", "log_change", "seconds", "n_forward",
    "n_backward",
]  # fmt: skip
SET_COLUMNS = ["method", "rank", "peak", "row", "column"]


@dataclass(frozen=True)
class Result:
    """What one method found; tables with :data:`EFFECT_COLUMNS`, ``CELL_COLUMNS`` and :data:`SET_COLUMNS`."""

    effects: pd.DataFrame
    cells: pd.DataFrame
    sets: pd.DataFrame


def run_method(
    classifier: Classifier, digits: Modality, method: str, set_size: int, settings: Mapping, seed: int
) -> Result:
    """Let a method find its set on the training 8s, and measure the set on the test 8s.

    Parameters
    ----------
    classifier : Classifier
    digits : Modality
        As from :func:`~benchmarks.mnist.digits.read_digits`.
    method : str
        One of :data:`benchmarks.explainers.run.METHODS`, except ``distance``: an image has no TSS.
    set_size : int
        Pixels that are closed.
    settings : mapping
        Keywords of the method, beside its defaults.
    seed : int

    Returns
    -------
    Result
        ``before`` and ``after`` are log odds (natural log) of each test digit; ``log_change`` is the mean of
        their difference: the negative of the supplement's score.
    """
    question = problem(classifier, digits, method, set_size, seed)
    found = explain(question, method, {**IMAGE_SETTINGS.get(method, {}), **settings})[set_size]
    test = digits.cells(cell_type=EXPLAINED, split="test")
    cells = PerturbedCells(classifier, test.X, CLOSED)
    before, after = cells.predict(0).numpy(), cells.predict_sets(found.members[None], 0)[0].numpy()
    (gene,) = classifier.genes
    key = {
        "surrogate": classifier.name,
        "method": method,
        "cell_type": EXPLAINED,
        "gene": gene,
        "direction": DIRECTION,
        "set_size": set_size,
    }
    effects = {
        **key,
        "n_cells": len(before),
        "mean_before": before.mean(),
        "mean_after": after.mean(),
        "log_change": (after - before).mean(),
        "seconds": found.seconds,
        "n_forward": found.n_forward,
        "n_backward": found.n_backward,
    }
    per_cell = pd.DataFrame({"cell": test.obs.index, "before": before, "after": after, "observed": np.nan})
    pixels = digits.var.iloc[found.members.numpy()]
    sets = pd.DataFrame(
        {
            "method": method,
            "rank": np.arange(1, set_size + 1),
            "peak": pixels.index,
            "row": pixels["row"].to_numpy(),
            "column": pixels["column"].to_numpy(),
        }
    )
    return Result(
        pd.DataFrame([effects])[EFFECT_COLUMNS], per_cell.assign(**key)[CELL_COLUMNS], sets[SET_COLUMNS]
    )


def problem(classifier: Classifier, digits: Modality, method: str, set_size: int, seed: int) -> Problem:
    """The question to a method: which pixels of the training 8s? Correlation, with the class, needs 3s too."""
    train = digits.cells(split="train")
    if method != "correlation":
        train = train.cells(cell_type=EXPLAINED)
    return Problem(
        cells=PerturbedCells(classifier, train.X, CLOSED),
        gene=0,
        allowed=torch.arange(len(digits.var)),
        set_size=set_size,
        rng=generator(seed, method),
        observed=(train.obs["cell_type"] == EXPLAINED).to_numpy(float),
    )
