"""Which planted members the search found, by the logic they were planted with."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grids.figures import style
from grids.figures.scales import flags, population_name
from grids.figures.tasks import forced_key, full_sets, how_many, levels_of, mark_forced_rows, name_rows
from grids.io.levels import ACROSS_TYPES, ALL_TYPES, level_of
from grids.io.tables import LOGICS, is_forced

TASK = ["logic", "cell_type", "gene"]


@style.styled
def set_recovery(truth: pd.DataFrame, sets: pd.DataFrame, max_tasks: int = 80) -> Figure:
    """One row per task that was run, one dot per planted member: filled when its set holds it.

    Rows are grouped by logic, those across types at the bottom. A number in a dot is the member's rank in the set.

    Parameters
    ----------
    truth : DataFrame
        ``gene cell_type logic peak is_member``, one row per planted peak of a gene in a cell type. A gene
        without local control has no peak or no member.
    sets : DataFrame
        ``sets.tsv``; each task's largest set is looked at, one colour whatever the method.
    max_tasks : int
        At most so many rows; a note counts the rest.
    """
    recovered = recovery(truth, sets)
    if recovered.empty:
        return style.empty_figure("no planted task was run")
    # In the order of the figure; other logics follow in alphabetical order.
    order = {logic: place for place, logic in enumerate(LOGICS)}
    recovered = recovered.assign(order=recovered["logic"].map(order).fillna(len(order)))
    recovered = recovered.assign(across=levels_of(recovered) == ACROSS_TYPES).sort_values(
        ["across", "order", "logic", "gene", "cell_type", "rank", "peak"], na_position="last", kind="stable"
    )
    tasks = recovered[TASK].drop_duplicates().reset_index(drop=True)
    shown = tasks.head(max_tasks)
    forced_tasks = sets.loc[is_forced(sets), ["cell_type", "gene"]].drop_duplicates()
    forced = shown.merge(forced_tasks, how="left", indicator=True)["_merge"] == "both"

    height = 0.19 * max(len(shown), 7)
    n_logics = recovered.dropna(subset="peak")["logic"].nunique()
    logics_height = min(0.35 * max(n_logics, 1) + 0.3, height)
    figure = style.new_figure(style.DOUBLE_COLUMN, height + 1.2)
    ratios = {"width_ratios": [1.6, 1], "height_ratios": [logics_height, height - logics_height + 1e-3]}
    grid = figure.add_gridspec(2, 2, **ratios)
    left, right = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
    _draw_tasks(left, shown, recovered)
    mark_forced_rows(left, forced)
    _draw_logics(right, recovered)
    left.set_xlabel(style.lines("planted members, found ones first", how_many(len(tasks), len(shown))))
    key = [
        style.mark("found (number: rank in the set)", ms=6, color=style.BLUE),
        style.mark("planted, not found", ms=6, mfc="white", mec=style.GREY),
    ]
    style.legend_outside(figure, [*key, *forced_key(forced)])
    return figure


def recovery(truth: pd.DataFrame, sets: pd.DataFrame) -> pd.DataFrame:
    """The planted members of the tasks that were run, with their rank in the found set.

    Returns
    -------
    DataFrame
        ``logic cell_type gene peak rank set_size``: one row per planted member (rank missing when not
        found), and one row with a missing peak for a task without planted members. With several methods, the
        best rank counts. A set found across types is held against what is planted for its gene in any type.
    """
    columns = ["logic", "cell_type", "gene", "peak", "rank", "set_size"]
    if truth.empty or sets.empty:
        return pd.DataFrame(columns=columns)
    sets = full_sets(sets)
    run = sets.groupby(["cell_type", "gene"], as_index=False)["set_size"].max()
    truth = truth.assign(is_member=flags(truth["is_member"]) & truth["peak"].notna())
    in_any = truth.sort_values("is_member", ascending=False, kind="stable").drop_duplicates(["gene", "peak"])
    truth = pd.concat([truth, in_any.assign(cell_type=ALL_TYPES)], ignore_index=True)
    planted = truth.merge(run, on=["cell_type", "gene"])
    member = planted["is_member"]
    without = planted[~member.groupby([planted["cell_type"], planted["gene"]]).transform("any")]
    without = without.drop_duplicates(["cell_type", "gene"]).assign(peak=pd.NA)
    ranks = sets.groupby(["cell_type", "gene", "peak"], as_index=False)["rank"].min()
    both = pd.concat([planted[member], without], ignore_index=True)
    return both.merge(ranks, on=["cell_type", "gene", "peak"], how="left")[columns]


def _draw_tasks(ax: Axes, tasks: pd.DataFrame, recovered: pd.DataFrame) -> None:
    groups = dict(iter(recovered.groupby(TASK, sort=False)))
    widest = max(1, int(recovered.dropna(subset="peak").groupby(["cell_type", "gene"]).size().max() or 1))
    for row, task in enumerate(tasks.itertuples(index=False, name=None)):
        members = groups[task].dropna(subset="peak")
        if members.empty:
            ax.text(-0.2, row, "nothing planted", va="center", fontsize=6, color=style.GREY)
            continue
        found = members["rank"].notna().to_numpy()
        x = np.arange(len(members))
        y = np.full(len(x), row)
        ax.scatter(x[found], y[found], 52, color=style.BLUE, label="_found")
        ax.scatter(x[~found], y[~found], 52, "white", edgecolors=style.GREY, label="_missed")
        for position, rank in zip(x[found], members["rank"][found], strict=True):
            looks = {"ha": "center", "va": "center_baseline", "fontsize": 4.8, "color": "white"}
            ax.text(position, row, f"{rank:.0f}", **looks)
        style.beside(ax, row, f"{found.sum()} of {len(members)}")
    across = levels_of(tasks) == ACROSS_TYPES
    for start in tasks.index[tasks["logic"].ne(tasks["logic"].shift()) | across.ne(across.shift())][1:]:
        is_first = across[start] and not across[start - 1]
        ax.axhline(start - 0.5, color=style.INK if is_first else style.PALE, lw=0.6)
    names = tasks["cell_type"].map(lambda name: style.shorten(population_name(name), 16))
    name_rows(ax, list(tasks["gene"].map(lambda gene: style.shorten(gene, 16)) + " · " + names))
    ax.set_xticks(range(widest), [str(i + 1) for i in range(widest)])
    ax.set_xlim(-0.6, widest - 0.4)
    style.panel_title(ax, "Planted members in the found sets")


def _draw_logics(ax: Axes, recovered: pd.DataFrame) -> None:
    members = recovered.dropna(subset="peak")
    logics = list(dict.fromkeys(members["logic"]))
    for row, logic in enumerate(logics):
        part = members[members["logic"] == logic]
        tasks = part["rank"].notna().groupby([part["cell_type"], part["gene"]]).mean()
        shares = 100 * tasks.sort_values(kind="stable")
        total = 100 * part["rank"].notna().mean()
        ax.barh(row, total, 0.6, color=style.PALE, label=f"_share {logic}")
        jitter = np.linspace(-0.2, 0.2, len(shares)) if len(shares) > 1 else np.zeros(1)
        across = np.array([level_of(name) == ACROSS_TYPES for name in shares.index.get_level_values(0)])
        for which, colour, label in (
            (~across, style.BLUE, "_task"),
            (across, style.INK, "_task across types"),
        ):
            ax.plot(shares[which], row + jitter[which], "o", ms=2.5, color=colour, label=label)
        style.beside(ax, row, f"{part['rank'].notna().sum()} of {len(part)}")
    name_rows(ax, [style.shorten(style.words(logic), 20) for logic in logics])
    ax.set_ylim(max(len(logics), 1) - 0.4, -0.6)
    words = "\ndark: across types" * bool((levels_of(members) == ACROSS_TYPES).any())
    ax.set(xlim=(-2, 102), xlabel=f"% of planted members found (dot: task){words}")
    style.panel_title(ax, "By planted logic")
