"""The reference's small model and its numbers, as fixtures."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.reference.checkpoint import surrogate_of

REFERENCE = Path(__file__).parents[1] / "data" / "reference_small.npz"


@pytest.fixture(scope="module")
def reference():
    return np.load(REFERENCE)


@pytest.fixture(scope="module")
def model(reference):
    weights = {k.removeprefix("weight/"): reference[k] for k in reference.files if k.startswith("weight/")}
    return surrogate_of(weights, reference["chromosome_dims"].tolist())
