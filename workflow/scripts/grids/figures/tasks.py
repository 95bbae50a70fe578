"""The tasks that a figure shows: which, by what name, in rows or panels, and hatched where they were forced."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from grids.figures import style
from grids.figures.scales import population_name
from grids.io.levels import LEVELS, level_of
from grids.io.tables import TASK_KEYS, is_forced

# Behind what is shown of a task that did not pass the quality gate and was explained all the same.
FORCED = {"facecolor": "#f4f4f4", "edgecolor": "#c4c4c4", "hatch": "/////", "linewidth": 0}
FORCED_WORDS = "did not pass the gate (forced)"


def full_sets(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each task's largest set, numbered anew."""
    largest = table.groupby(TASK_KEYS, dropna=False, sort=False)["set_size"].transform("max")
    return table[table["set_size"] == largest].reset_index(drop=True)


def strongest_first(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows ordered by how far they went in the wanted direction: down for silence, else up."""
    wanted = effects["log_change"].where(effects["direction"] != "silence", -effects["log_change"])
    ordered = effects.assign(wanted_change=wanted).sort_values(
        ["wanted_change", "cell_type", "gene"], ascending=[False, True, True], kind="stable"
    )
    return ordered.drop(columns="wanted_change").reset_index(drop=True)


def strongest_by_direction(full: pd.DataFrame, most: int) -> dict[tuple, tuple[pd.DataFrame, str]]:
    """Of each direction and level of evidence the rows that a figure shows, and what it leaves out.

    Silence comes first, and of a direction the tasks within types. Each gets its share of the `most` rows.
    """
    levels = levels_of(full)
    kinds = sorted({*zip(full["direction"], levels, strict=True)}, key=_place_of_kind)
    shown = {}
    for direction, level in kinds:
        rows = strongest_first(full[(full["direction"] == direction) & (levels == level)])
        first = rows.head(max(1, most // len(kinds)))
        shown[direction, level] = first, not_shown(len(rows), len(first))
    return shown


def _place_of_kind(kind: tuple[str, str]) -> tuple:
    direction, level = kind
    return direction != "silence", direction, LEVELS.index(level)


def levels_of(table: pd.DataFrame) -> pd.Series:
    """The level of evidence of each row."""
    return table["cell_type"].map(lambda name: level_of(str(name))).astype(str)


def share_of_levels(tasks: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first `most` rows, those within types before those across; each level keeps half where it has so many."""
    parts = [tasks[levels_of(tasks) == level] for level in LEVELS]
    n_within, n_across = map(len, parts)
    n_kept = min(n_within, max(most - n_across, most - most // 2))
    return pd.concat([parts[0].head(n_kept), parts[1].head(most - n_kept)])


def task_labels(table: pd.DataFrame, omit: tuple[str, ...] = (), limit: int = 34) -> pd.Series:
    """One label per row: ``gene · cell type``, and whatever else is needed to tell the rows apart.

    Direction, method and surrogate are named only where the table holds more than one of them. Names are
    shortened to keep a label within about `limit` characters.
    """
    more = [c for c in ("direction", "method", "surrogate") if c not in omit and table[c].nunique() > 1]
    taken = 19 + sum(3 + int(table[column].astype(str).str.len().max()) for column in more)
    labels = table["gene"].map(lambda gene: style.shorten(gene, 16)) + " · "
    labels += table["cell_type"].map(
        lambda name: style.shorten(population_name(name), max(limit - taken, 12))
    )
    for column in more:
        labels += " · " + table[column].astype(str)
    return labels


def not_shown(n_all: int, n_shown: int, what: str = "tasks") -> str:
    """A note for what was left out, empty when nothing was."""
    note = (
        f"The {n_shown} {what} with the strongest effect are shown, {n_all - n_shown} more are in the tables."
    )
    return note * (n_all > n_shown)


def how_many(n_all: int, n_shown: int, what: str = "tasks") -> str:
    """A note on how many are shown, empty when all are."""
    return f"{n_shown} of {n_all} {what} are shown" * (n_all > n_shown)


@dataclass(frozen=True)
class ShownTasks:
    """The tasks of a figure with a small panel for each, and what is left out.

    Iterating gives each task, a row with its ``label`` and whether it was ``forced``, and its rows of the table.
    """

    tasks: pd.DataFrame
    parts: list[pd.DataFrame]
    left_out: str

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        tasks: pd.DataFrame,
        most: int,
        keys: Sequence[str] = TASK_KEYS,
        what: str = "tasks",
    ) -> "ShownTasks":
        """The first `most` of `tasks`, one row for each of the `keys` in `table`, those to be shown first on top.

        Tasks within types come before those across, and leave them room.
        """
        parts = dict(iter(table.groupby(list(keys), dropna=False, sort=False)))
        shown = share_of_levels(tasks.assign(label=task_labels(tasks, limit=44)), most)
        of_task = [parts[key] for key in shown[list(keys)].itertuples(index=False, name=None)]
        forced = [is_forced(part).any() for part in of_task]
        return cls(shown.assign(forced=forced), of_task, not_shown(len(tasks), len(shown), what))

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
        rows = (task for _, task in self.tasks.iterrows())
        return zip(rows, self.parts, strict=True)


def head_panel(ax: Axes, task: pd.Series, summary: str) -> None:
    """Name a small panel after one of :class:`ShownTasks`, with a line below; hatch it where it was forced."""
    gene, rest = task["label"].split(" · ", 1)
    style.panel_title(ax, f"{gene}\n{rest}\n{summary}", fontsize=6)
    mark_forced_panel(ax, task["forced"])


def name_rows(
    ax: Axes, labels: Sequence[str], forced: Iterable[bool] = (), margin: float = 0.1, **looks
) -> None:
    """Name the rows 0, 1, ... of an axes, the first on top, and hatch those of forced tasks."""
    ax.set_yticks(range(len(labels)), labels, **looks)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(labels) - 0.5 + margin, -0.5 - margin)
    mark_forced_rows(ax, forced)


def mark_forced_rows(ax: Axes, forced: Iterable[bool]) -> None:
    """Hatch the rows 0, 1, ... of tasks that did not pass the quality gate."""
    for row in np.flatnonzero(list(forced)):
        ax.axhspan(row - 0.5, row + 0.5, **FORCED, zorder=-1, label="_forced")


def mark_forced_panel(ax: Axes, forced: bool, margin: float = 0.06) -> None:
    """Hatch a small panel of a task that did not pass the quality gate, and a margin around it but for the title."""
    if forced:
        ax.patch.set_visible(False)
        place = (-margin, -margin), 1 + 2 * margin, 1 + margin
        frame = Rectangle(*place, transform=ax.transAxes, zorder=-1, label="_forced", **FORCED)
        frame.set_in_layout(False)
        ax.add_artist(frame).set_clip_on(False)


def forced_key(forced: ArrayLike) -> list[Patch]:
    """Legend handle of the hatching, where a figure has any."""
    return [Patch(**FORCED, label=FORCED_WORDS)] if np.any(forced) else []
