"""The data sets of the truth benchmark: which levels, how many replicates, under which names."""

from collections.abc import Mapping
from itertools import product

FACTORS = ("n_cells", "coaccessibility", "detection")


def levels(settings: Mapping) -> list[dict]:
    """The levels that the config asks for, the middle one first.

    Parameters
    ----------
    settings : mapping
        `n_cells`, `coaccessibility` and `detection`, lists whose first value is the middle one; `design`:
        ``"star"`` varies one of them at a time, ``"grid"`` takes all combinations.

    Returns
    -------
    list of dict with the keys of :data:`FACTORS`
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
    return (
        f"cells{level['n_cells']}_coaccessibility{level['coaccessibility']}"
        f"_detection{level['detection']}_replicate{replicate}"
    )
