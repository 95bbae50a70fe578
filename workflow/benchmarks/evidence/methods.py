"""The methods, in the order of tables and figures, and what they are called there."""

from collections.abc import Iterable

# What GRIDS says, of the run's own results.
OF_GRIDS = {
    "links_across_types": "GRIDS links, across types",
    "links_within_type": "GRIDS links, within a type",
    "sets_across_types": "GRIDS sets, across types",
    "sets_within_type": "GRIDS sets, within a type",
    "inclusion": "GRIDS inclusion, within a type",
}
# What can be said without it.
RIVALS = {
    "correlation_all_cells": "|correlation|, all cells",
    "correlation_metacells": "|correlation|, metacells",
    "correlation_within_type": "|correlation|, within a type",
    "poisson_ridge": "Poisson ridge, all cells",
    "susie": "SuSiE, metacells",
    "accessibility": "open share",
    "accessibility_over_distance": "open share / distance⁰·⁸⁷",
    "distance": "distance to TSS",
}
NAMES = OF_GRIDS | RIVALS

SCORE_COLUMNS = ["method", "cell_type", "gene", "peak", "score"]


def in_order(methods: Iterable[str]) -> list[str]:
    """Each method once, in the order of :data:`NAMES`.

    >>> in_order(["distance", "inclusion", "distance"])
    ['inclusion', 'distance']
    """
    methods = {*methods}
    return [name for name in NAMES if name in methods]
