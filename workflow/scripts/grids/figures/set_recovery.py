"""Which planted members the search found, by the logic they were planted with."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grids.figures.style import (
    BLUE,
    DOUBLE_COLUMN,
    GREY,
    INK,
    PALE,
    beside,
    empty_figure,
    forced_key,
    legend_outside,
    mark_forced_rows,
    new_figure,
    panel_title,
    shorten,
    styled,
    words,
)
from grids.figures.tasks import full_sets
from grids.io.tables import LOGICS, is_forced

# In the order of the figure; others follow in alphabetical order.


@styled
def set_recovery(truth: pd.DataFrame, sets: pd.DataFrame, max_tasks: int = 80) -> Figure:
    """One row per task that was run, one dot per planted member: filled when its set holds it.

    Parameters
    ----------
    truth : DataFrame
        ``gene cell_type logic peak is_member``, one row per planted peak of a gene in a cell type. A gene
        without local control has no peak or no member.
    sets : DataFrame
        ``sets.tsv``; each task's largest set is looked at, one colour whatever the method.
    max_tasks : int
        At most so many rows; a note counts the rest.

    Returns
    -------
    Figure
        Rows are grouped by logic. A number in a dot is the member's rank in the set.
    """
    recovered = recovery(truth, sets)
    if recovered.empty:
        return empty_figure("no planted task was run")
    columns = ["logic", "cell_type", "gene"]
    order = {logic: place for place, logic in enumerate(LOGICS)}
    recovered = recovered.assign(order=recovered["logic"].map(order).fillna(len(order)))
    recovered = recovered.sort_values(
        ["order", "logic", "gene", "cell_type", "rank", "peak"], na_position="last", kind="stable"
    )
    tasks = recovered[columns].drop_duplicates().reset_index(drop=True)
    shown = tasks.head(max_tasks)

    height = 0.19 * max(len(shown), 7)
    n_logics = recovered.dropna(subset="peak")["logic"].nunique()
    logics_height = min(0.35 * max(n_logics, 1) + 0.3, height)
    figure = new_figure(DOUBLE_COLUMN, height + 1.2)
    grid = figure.add_gridspec(
        2, 2, width_ratios=[1.6, 1], height_ratios=[logics_height, height - logics_height + 1e-3]
    )
    left, right = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
    _draw_tasks(left, shown, recovered)
    _draw_logics(right, recovered)
    if len(tasks) > len(shown):
        left.set_xlabel(f"{left.get_xlabel()}\n{len(shown)} of {len(tasks)} tasks are shown")
    key = [
        Line2D([], [], ls="", marker="o", ms=6, color=BLUE),
        Line2D([], [], ls="", marker="o", ms=6, mfc="white", mec=GREY),
    ]
    forced_tasks = sets.loc[is_forced(sets), ["cell_type", "gene"]].drop_duplicates()
    forced = shown.merge(forced_tasks, how="left", indicator=True)["_merge"] == "both"
    mark_forced_rows(left, forced)
    handles, words = forced_key(forced.any())
    names = ["found (number: rank in the set)", "planted, not found", *words]
    legend_outside(figure, [*key, *handles], names)
    return figure


def recovery(truth: pd.DataFrame, sets: pd.DataFrame) -> pd.DataFrame:
    """The planted members of the tasks that were run, with their rank in the found set.

    Parameters
    ----------
    truth, sets : DataFrame
        As for :func:`set_recovery`.

    Returns
    -------
    DataFrame
        ``logic cell_type gene peak rank set_size``: one row per planted member (rank missing when not
        found), and one row with a missing peak for a task without planted members. With several methods, the
        best rank counts.
    """
    columns = ["logic", "cell_type", "gene", "peak", "rank", "set_size"]
    if truth.empty or sets.empty:
        return pd.DataFrame(columns=columns)
    sets = full_sets(sets)
    run = sets.groupby(["cell_type", "gene"], as_index=False)["set_size"].max()
    planted = truth.merge(run, on=["cell_type", "gene"])
    member = planted["is_member"].astype(str).str.lower().isin(["true", "1", "1.0"]) & planted["peak"].notna()
    without = planted[~member.groupby([planted["cell_type"], planted["gene"]]).transform("any")]
    without = without.drop_duplicates(["cell_type", "gene"]).assign(peak=pd.NA)
    ranks = sets.groupby(["cell_type", "gene", "peak"], as_index=False)["rank"].min()
    both = pd.concat([planted[member], without], ignore_index=True)
    return both.merge(ranks, on=["cell_type", "gene", "peak"], how="left")[columns]


def _draw_tasks(ax: Axes, tasks: pd.DataFrame, recovered: pd.DataFrame) -> None:
    groups = dict(iter(recovered.groupby(["logic", "cell_type", "gene"], sort=False)))
    widest = max(1, int(recovered.dropna(subset="peak").groupby(["cell_type", "gene"]).size().max() or 1))
    for row, task in enumerate(tasks.itertuples(index=False, name=None)):
        members = groups[task].dropna(subset="peak")
        if members.empty:
            ax.text(-0.2, row, "nothing planted", va="center", fontsize=6, color=GREY)
            continue
        found = members["rank"].notna().to_numpy()
        x = np.arange(len(members))
        ax.scatter(x[found], np.full(found.sum(), row), s=52, color=BLUE, label="_found")
        ax.scatter(x[~found], np.full((~found).sum(), row), s=52, c="white", edgecolors=GREY, label="_missed")
        for position, rank in zip(x[found], members["rank"][found], strict=True):
            ax.text(
                position, row, f"{rank:.0f}", ha="center", va="center_baseline", fontsize=4.8, color="white"
            )
        beside(ax, row, f"{found.sum()} of {len(members)}")
    labels = [
        f"{shorten(gene, 16)} · {shorten(cell_type, 16)}"
        for _, cell_type, gene in tasks.itertuples(index=False)
    ]
    ax.set_yticks(range(len(tasks)), labels)
    starts = tasks.index[tasks["logic"] != tasks["logic"].shift()]
    for start in starts:
        if start:
            ax.axhline(start - 0.5, color=PALE, lw=0.6)
    ax.tick_params(axis="y", length=0)
    ax.set(xticks=range(widest), xlim=(-0.6, widest - 0.4), ylim=(len(tasks) - 0.4, -0.6))
    ax.set_xticklabels([str(i + 1) for i in range(widest)])
    ax.set_xlabel("planted members, found ones first")
    panel_title(ax, "Planted members in the found sets")


def _draw_logics(ax: Axes, recovered: pd.DataFrame) -> None:
    members = recovered.dropna(subset="peak")
    logics = list(dict.fromkeys(members["logic"]))
    for row, logic in enumerate(logics):
        part = members[members["logic"] == logic]
        shares = 100 * part["rank"].notna().groupby([part["cell_type"], part["gene"]]).mean().to_numpy()
        total = 100 * part["rank"].notna().mean()
        ax.barh(row, total, 0.6, color=PALE, label=f"_share {logic}")
        jitter = np.linspace(-0.2, 0.2, len(shares)) if len(shares) > 1 else np.zeros(1)
        ax.plot(np.sort(shares), row + jitter, "o", ms=2.5, color=BLUE)
        beside(ax, row, f"{part['rank'].notna().sum()} of {len(part)}")
    ax.set_yticks(range(len(logics)), [shorten(words(logic), 20) for logic in logics])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set(
        xlim=(-2, 102),
        ylim=(max(len(logics), 1) - 0.4, -0.6),
        xlabel="% of planted members found (dot: task)",
    )
    panel_title(ax, "By planted logic")
