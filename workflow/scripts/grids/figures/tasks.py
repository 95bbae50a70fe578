"""Selecting and naming the tasks that a figure shows."""

import pandas as pd

from grids.figures.style import shorten

KEY = ["surrogate", "method", "cell_type", "gene", "direction"]


def full_sets(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each task's largest set, numbered anew."""
    largest = table.groupby(KEY, dropna=False, sort=False)["set_size"].transform("max")
    return table[table["set_size"] == largest].reset_index(drop=True)


def strongest_first(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows ordered by how far they went in the wanted direction: down for silence, up for activate."""
    wanted = effects["log_change"].where(effects["direction"] != "silence", -effects["log_change"])
    ordered = effects.assign(wanted_change=wanted).sort_values(
        ["wanted_change", "cell_type", "gene"], ascending=[False, True, True], kind="stable"
    )
    return ordered.drop(columns="wanted_change").reset_index(drop=True)


def task_labels(table: pd.DataFrame, omit: tuple[str, ...] = (), limit: int = 34) -> pd.Series:
    """One label per row: ``gene · cell type``, and whatever else is needed to tell the rows apart.

    Direction, method and surrogate are named only where the table holds more than one of them. Names are
    shortened to keep a label within about `limit` characters.
    """
    more = [c for c in ("direction", "method", "surrogate") if c not in omit and table[c].nunique() > 1]
    taken = 19 + sum(3 + int(table[column].astype(str).str.len().max()) for column in more)
    labels = table["gene"].map(lambda gene: shorten(gene, 16)) + " · "
    labels += table["cell_type"].map(lambda name: shorten(name, max(limit - taken, 10)))
    for column in more:
        labels += " · " + table[column].astype(str)
    return labels


def not_shown(n_all: int, n_shown: int, what: str = "tasks") -> str:
    """A note for what was left out, empty when nothing was."""
    return (
        f"The {n_shown} {what} with the strongest effect are shown, {n_all - n_shown} more are in the tables."
        * (n_all > n_shown)
    )
