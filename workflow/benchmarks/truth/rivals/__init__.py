"""The methods that need no surrogate of GRIDS."""

from benchmarks.truth.dataset import Dataset
from benchmarks.truth.result import MethodResult
from benchmarks.truth.rivals import selection, simple


def run(dataset: Dataset, seed: int) -> list[MethodResult]:
    """Every rival that needs no surrogate; the seed is that of the cells' state."""
    return [*simple.run(dataset), *selection.run(dataset, seed)]
