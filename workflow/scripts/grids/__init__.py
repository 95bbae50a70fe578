"""GRIDS: global redundant-enhancer discovery by learnable subset perturbations.

Packages import one way, in the order in which data flow: `io`, `data`, `surrogates`, `search`, `analysis`, `exports`,
`figures`. The names below are enough to explain a gene; importing :mod:`grids` itself imports nothing heavy.
"""

import importlib

__version__ = "0.4.0"

_HOMES = {
    "InputError": "grids.io.errors",
    "read_multiome": "grids.io.cells",
    "load": "grids.surrogates.storage",
    "save": "grids.surrogates.storage",
    "Surrogate": "grids.surrogates.pooling",
    "PooledSurrogate": "grids.surrogates.pooling",
    "WindowSettings": "grids.surrogates.window.training",
    "train_window": "grids.surrogates.window.training",
    "TaskCells": "grids.search.task_cells",
    "PerturbedCells": "grids.search.objective",
    "Search": "grids.search.search",
    "Question": "grids.search.sets",
    "find_sets": "grids.search.sets",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'grids' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
