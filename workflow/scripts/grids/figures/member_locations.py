"""Where the members of each set lie relative to their gene, against chance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grids.figures import style
from grids.figures.tasks import forced_key, full_sets, name_rows, share_of_levels, task_labels
from grids.io.tables import TASK_KEYS, is_forced

PLACES = {
    "overlaps the gene": style.VERMILLION,
    "in the gene's window": style.ORANGE,
    "elsewhere on its chromosome": style.BLUE,
    "other chromosomes": style.PALE,
}
NEAR = list(PLACES)[:2]


@style.styled
def member_locations(
    sets: pd.DataFrame, genes: pd.DataFrame, windows: pd.DataFrame, peaks: pd.DataFrame, max_tasks: int = 60
) -> Figure:
    """Share of each set's members by place, above the share of all peaks in the same place.

    Thick bar: members. Thin bar: all peaks. The places exclude each other; the numbers at the right count members
    near the gene (the first two places) and how many a random set of the size would have there.

    Parameters
    ----------
    sets : DataFrame
        ``sets.tsv``; each task's largest set is shown.
    genes : DataFrame
        ``gene chromosome start end ...``.
    windows : DataFrame
        ``peak gene ...``, one row per peak in a gene's window.
    peaks : DataFrame
        ``peak chromosome start end ...`` of all peaks, from which chance is computed; the columns of
        ``accessibility.tsv.gz`` beyond these are ignored.
    max_tasks : int
        At most so many rows; a note counts the rest.
    """
    if sets.empty:
        return style.empty_figure("no sets: no task was run")
    shares = place_shares(sets, genes, windows, peaks)
    shares["near"] = shares[NEAR].sum(axis=1)
    shares = shares.sort_values(["near", "cell_type", "gene"], ascending=[False, True, True], kind="stable")
    shown = share_of_levels(shares, max_tasks)

    figure = style.new_figure(style.DOUBLE_COLUMN, 0.2 * len(shown) + 1.15)
    ax = figure.subplots()
    _draw(ax, shown)
    style.panel_title(ax, "Where the members lie (thick) and where all peaks lie (thin)")
    n_hidden = len(shares) - len(shown)
    note = f"\n{len(shown)} tasks are shown, {n_hidden} with fewer members near the gene are in the tables."
    ax.set_xlabel("% of members, % of peaks" + note * (n_hidden > 0))
    key = [Patch(color=colour, label=place) for place, colour in PLACES.items()]
    style.legend_outside(figure, [*key, *forced_key(is_forced(shown))], limit=4)
    return figure


def place_shares(
    sets: pd.DataFrame, genes: pd.DataFrame, windows: pd.DataFrame, peaks: pd.DataFrame
) -> pd.DataFrame:
    """The share of members, and of all peaks, in each of four places that exclude each other.

    Returns
    -------
    DataFrame, one row per task
        The task's columns, ``passed_gate`` (false where it was forced), ``n_members``, one column per place of
        :data:`PLACES` with the members' share, and ``<place> by chance`` with the share of all peaks.
    """
    where = genes.drop_duplicates("gene").set_index("gene")[["chromosome", "start", "end"]]
    wanted = set(sets["gene"])
    in_windows = windows[windows["gene"].isin(wanted)]
    window_of = {gene: set(part["peak"]) for gene, part in in_windows.groupby("gene")}
    rows = []
    for key, members in full_sets(sets).groupby(TASK_KEYS, dropna=False, sort=False):
        task = dict(zip(TASK_KEYS, key, strict=True))
        row = {**task, "passed_gate": not is_forced(members).any(), "n_members": len(members)}
        window = window_of.get(task["gene"], set())
        gene = where.loc[task["gene"]] if task["gene"] in where.index else None
        for table, suffix in ((members, ""), (peaks, " by chance")):
            places = _places(table, gene, window)
            counts = np.bincount(places, minlength=len(PLACES)) / max(len(table), 1)
            row.update({place + suffix: share for place, share in zip(PLACES, counts, strict=True)})
        rows.append(row)
    return pd.DataFrame(rows)


def _places(peaks: pd.DataFrame, gene: pd.Series | None, window: set[str]) -> np.ndarray:
    """For each peak the number of its place in :data:`PLACES`; a gene without a position is elsewhere."""
    places = np.full(len(peaks), 3)
    if gene is not None:
        same = (peaks["chromosome"] == gene["chromosome"]).to_numpy()
        hit = same & (peaks["start"] < gene["end"]).to_numpy() & (peaks["end"] > gene["start"]).to_numpy()
        places[same] = 2
        places[peaks["peak"].isin(window).to_numpy()] = 1
        places[hit] = 0
    return places


def _draw(ax: Axes, shares: pd.DataFrame) -> None:
    rows = np.arange(len(shares))
    for suffix, offset, height in (("", -0.1, 0.5), (" by chance", 0.29, 0.16)):
        left = np.zeros(len(shares))
        for place, colour in PLACES.items():
            width = 100 * shares[place + suffix].to_numpy()
            ax.barh(rows + offset, width, height, left=left, color=colour, label=f"_{place}{suffix}")
            left += width
    name_rows(ax, list(task_labels(shares)), is_forced(shares), margin=0.05)
    ax.set_xlim(0, 100)
    style.beside(ax, -0.55, "near the gene (chance)", offset=(4, 2), va="bottom", color=style.GREY)
    for row, task in zip(rows, shares.to_dict("records"), strict=True):
        found = round(task["n_members"] * sum(task[p] for p in NEAR))
        chance = task["n_members"] * sum(task[f"{p} by chance"] for p in NEAR)
        style.beside(ax, row, f"{found} of {task['n_members']} ({chance:.2g})")
