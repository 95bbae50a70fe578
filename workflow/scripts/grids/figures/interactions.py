"""How the members of a set interact in pairs."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from grids.figures import style
from grids.figures.scales import HEAT_COLOURS, SIGNIFICANT, fold, heat_bar, index_words, ink_on, symmetric
from grids.figures.tasks import ShownTasks, forced_key, full_sets, head_panel
from grids.io.tables import TASK_KEYS

# As the classes are coloured: blue where members back each other up.
COLOURS = HEAT_COLOURS.reversed()
MOST_WITH_STARS = 40
INTERACTION = "interaction: effect of both − of one − of the other (natural log)"
PANEL_POINTS = 72.0  # width of a panel's matrix, approximately


@style.styled
def interactions(pairs: pd.DataFrame, members: pd.DataFrame, max_tasks: int = 30) -> Figure:
    """One small matrix per task: the interaction of each pair of members on the log scale.

    One colour scale for all panels. Star: q below 0.05; sets of more than 40 members have none, the title counts. Of
    the tasks of ``interactions.tsv`` those with the strongest one are shown; ``members.tsv`` has their members' ranks.
    """
    if pairs.empty:
        return style.empty_figure("no pairs: no analysed set has two members")
    pairs = full_sets(pairs)
    sizes = pairs.assign(size=pairs["interaction_log"].abs()).groupby(TASK_KEYS, dropna=False, sort=False)
    tasks = sizes["size"].max().reset_index()
    tasks = tasks.sort_values(["size", "cell_type", "gene"], ascending=[False, True, True], kind="stable")
    shown = ShownTasks.of(pairs, tasks, max_tasks)
    of_task = full_sets(members).groupby(TASK_KEYS, dropna=False)
    ranks = {key: part.set_index("peak")["rank"] for key, part in of_task}
    norm, extend = symmetric(np.concatenate([part["interaction_log"] for part in shown.parts]))

    figure, axes = style.small_multiples(len(shown), 1.75, 1.0)
    for ax, (task, part) in zip(axes, shown, strict=True):
        interaction, q, names = pair_matrices(part, ranks.get(tuple(task[TASK_KEYS])))
        _draw(ax, interaction, q, names, norm)
        head_panel(ax, task, _summary(q))
    figure.supylabel("member (rank)", fontsize=7)
    bar = heat_bar(figure, axes, norm, COLOURS, extend, pad=0.02)
    below, above = index_words(shown.tasks["direction"])
    label = style.lines(INTERACTION, f"← {below}      {above} →", shown.left_out)
    bar.set_label(fold(label, figure.get_figwidth()))
    key = [
        style.mark(f"q < {SIGNIFICANT:g}", "*", ms=5, color=style.INK),
        style.mark("missing", "s", ms=5, color=style.PALE),
    ]
    style.legend_outside(figure, [*key, *forced_key(shown.tasks["forced"])], side="upper")
    return figure


def pair_matrices(pairs: pd.DataFrame, ranks: pd.Series | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """One task's pairs as two matrices, interaction and q-value, and the ranks of their rows, by which they are sorted.

    Missing but in the lower triangle. Without ranks by peak, members are numbered as the pairs name them.
    """
    peaks = pd.unique(pairs[["peak_1", "peak_2"]].to_numpy().ravel())
    if ranks is None:
        ranks = pd.Series(np.arange(1, len(peaks) + 1), index=peaks)
    peaks = sorted(peaks, key=lambda peak: (ranks.get(peak, np.inf), peak))
    place = {peak: i for i, peak in enumerate(peaks)}
    first, second = pairs["peak_1"].map(place).to_numpy(), pairs["peak_2"].map(place).to_numpy()
    row, column = np.maximum(first, second), np.minimum(first, second)
    interaction, q = np.full((2, len(peaks), len(peaks)), np.nan)
    interaction[row, column] = pairs["interaction_log"].to_numpy(dtype=float)
    q[row, column] = pairs["q_value"].to_numpy(dtype=float)
    return interaction, q, [f"{ranks[peak]:.0f}" if peak in ranks else "–" for peak in peaks]


def _summary(q: np.ndarray) -> str:
    n_pairs = len(q) * (len(q) - 1) // 2
    judged = int(np.isfinite(q).sum())
    if not judged:
        return f"{n_pairs:,} pairs, none tested"
    return f"{(q < SIGNIFICANT).sum():,} of {judged:,} pairs q < {SIGNIFICANT:g}"


def _draw(ax: Axes, interaction: np.ndarray, q: np.ndarray, labels: list[str], norm: Normalize) -> None:
    n = len(labels)
    missing = np.tril(~np.isfinite(interaction), -1)
    grey = np.where(missing, 1.0, np.nan)
    ax.pcolormesh(grey, cmap=ListedColormap([style.PALE]), rasterized=n > MOST_WITH_STARS, label="_missing")
    ax.pcolormesh(interaction, cmap=COLOURS, norm=norm, rasterized=n > MOST_WITH_STARS, label="_interaction")
    corners = np.repeat(np.arange(n + 1), 2)
    ax.plot(corners[1:-2], corners[2:-1], color=style.GREY, lw=0.4, clip_on=False, label="_outline")
    row, column = np.nonzero((q < SIGNIFICANT) & (n <= MOST_WITH_STARS))
    colours = ink_on(COLOURS(norm(interaction[row, column])))
    size = min(5.0, 0.8 * PANEL_POINTS / n)
    ax.scatter(column + 0.5, row + 0.5, s=size**2, c=colours, marker="*", lw=0, label="_stars")
    step = 1 if n <= 11 else math.ceil(n / 8)
    for axis, at in ((ax.xaxis, range(0, n - 1, step)), (ax.yaxis, range(step, n, step))):
        axis.set_ticks([i + 0.5 for i in at], [labels[i] for i in at], fontsize=5)
    ax.tick_params(length=0, pad=1)
    ax.set(xlim=(0, n - 1), ylim=(n, 1))
    ax.set_box_aspect(1)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(style.GREY)
