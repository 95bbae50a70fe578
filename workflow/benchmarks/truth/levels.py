"""The data sets of the truth benchmark: which levels, how many replicates, under which names."""

from collections.abc import Mapping
from itertools import product

FACTORS = ("n_cells", "open_peaks", "loss", "coaccessibility", "detection", "strength", "direction")


def levels(settings: Mapping) -> list[dict]:
    """The levels that the config asks for, the middle one first.

    Parameters
    ----------
    settings : mapping
        :data:`FACTORS`, lists whose first value is the middle one; `design`: ``"star"`` varies one of them at a
        time, ``"grid"`` takes all combinations.

    Returns
    -------
    list of dict with the keys of :data:`FACTORS`
        `n_cells` and `open_peaks` (seen in a mean cell) are counts; `loss` is the share of expression that is lost with
        all members closed; `coaccessibility` the correlation of a gene's candidates; `detection` the chance that an
        open peak is seen; `strength` (equal, unequal) that of the members; `direction` (silence, activate) what closing
        them does.
    """
    combinations = [
        dict(zip(FACTORS, values, strict=True)) for values in product(*(settings[name] for name in FACTORS))
    ]
    if settings["design"] == "grid":
        return combinations
    middle = combinations[0]
    return [level for level in combinations if sum(level[name] != middle[name] for name in FACTORS) < 2]


def datasets(settings: Mapping) -> dict[str, dict]:
    """The name of every data set, and its level and `replicate` (1, 2, ...).

    Parameters
    ----------
    settings : mapping
        As for :func:`levels`, and `n_replicates`.
    """
    return {
        _name(level, replicate): {**level, "replicate": replicate}
        for level in levels(settings)
        for replicate in range(1, settings["n_replicates"] + 1)
    }


def _name(level: Mapping, replicate: int) -> str:
    factors = "_".join(f"{name.replace('_', '')}{level[name]}" for name in FACTORS)
    return f"{factors}_replicate{replicate}"
