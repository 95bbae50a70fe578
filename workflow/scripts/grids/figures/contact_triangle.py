"""The top of a locus view: contacts of the stretch as a triangle, and the TADs in it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patches import Rectangle

from grids.analysis.contacts.contact_map import ContactMap, contacts_of_region
from grids.analysis.contacts.tads import tad_of
from grids.figures.style import BLUE, GREY, INK, PALE

CONTACT_COLOURS = LinearSegmentedColormap.from_list(
    "contacts", ["#fffdf7", "#fdd9a8", "#ef8a4c", "#c0341d", "#560d12"]
).with_extremes(bad="#dddddd", under="#ffffff")
MAX_BINS = 300


def draw_contacts(
    ax: Axes, contacts: ContactMap, chromosome: str, low: int, high: int, tss: int, members: np.ndarray
) -> QuadMesh | None:
    """Contacts of all pairs of bins in view, each above the middle between the two bins.

    Parameters
    ----------
    ax : Axes
        Its x axis is the position in bp. Its y axis becomes the distance of the two bins in bp.
    contacts : ContactMap
    chromosome : str
    low, high : int
        The view.
    tss : int
    members : ndarray, shape (n_members,)
        Middles of the set's members in view; a ring marks the contact of each with the TSS.

    Returns
    -------
    QuadMesh or None
        For the colour bar; None when there is nothing to draw.
    """
    ax.set(ylim=(0, max(tss - low, high - tss)), yticks=[])
    ax.spines["left"].set_visible(False)
    if chromosome not in contacts.name_of:
        return _say(ax, f"the contact map has no {chromosome}")
    matrix, edges = contacts_of_region(contacts, chromosome, low, high, MAX_BINS)
    seen = matrix[np.isfinite(matrix) & (matrix > 0)]
    if not len(seen):
        return _say(ax, "the contact map has no contact in this stretch")
    faintest, strongest = np.quantile(seen, (0.02, 0.99))
    # No contact is paler than the faintest; masked bins are grey. The lower half lies below the axis.
    values = np.where(matrix == 0, faintest / 2, matrix)
    one, two = np.meshgrid(edges, edges, indexing="ij")
    mesh = ax.pcolormesh(
        (one + two) / 2,
        two - one,
        np.ma.masked_invalid(values),
        norm=LogNorm(faintest, max(strongest, 1.01 * faintest)),
        cmap=CONTACT_COLOURS,
        rasterized=True,
        label="_contacts",
    )
    ax.text(
        0.004,
        0.98,
        "ring: member and TSS\ngrey: masked bin",
        transform=ax.transAxes,
        va="top",
        fontsize=5,
        color=GREY,
    )
    for end in (low, high):  # where contacts of the TSS lie
        ax.plot([tss, (tss + end) / 2], [0, abs(end - tss)], color=INK, lw=0.4, ls=":")
    ax.plot(
        (members + tss) / 2,
        np.abs(members - tss),
        "o",
        ms=4.5,
        mfc="none",
        mec=BLUE,
        mew=0.9,
        label="_contacts of members",
    )
    return mesh


def draw_tads(
    ax: Axes, triangle: Axes | None, tads: pd.DataFrame, chromosome: str, low: int, high: int, tss: int
) -> None:
    """TADs in view as bars, that of the TSS filled and, over the contacts, outlined.

    Parameters
    ----------
    ax : Axes
        Of the bars.
    triangle : Axes or None
        Of :func:`draw_contacts`.
    tads : DataFrame
        From :func:`grids.analysis.contacts.tads.read_tads`.
    chromosome : str
    low, high : int
        The view.
    tss : int
    """
    here = tads[(tads["chromosome"] == chromosome) & (tads["end"] > low) & (tads["start"] < high)]
    own = tad_of(tads, chromosome, tss)
    ax.set(ylim=(0, 1), yticks=[])
    ax.spines["left"].set_visible(False)
    for start, end in here[["start", "end"]].itertuples(index=False, name=None):
        is_own = (start, end) == own
        first, last = max(start, low), min(end, high)
        ax.add_patch(
            Rectangle(
                (first, 0.2),
                last - first,
                0.6,
                facecolor=INK if is_own else PALE,
                edgecolor="white",
                lw=0.6,
                zorder=3 if is_own else 2,
                label="_TAD of the gene" if is_own else "_TAD",
            )
        )
    if own is None:
        _say(
            ax,
            "the TSS lies in no TAD",
            fontsize=6,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
        return
    start, end = own
    size = f"{(end - start) / 1e3:.0f} kb" if end - start < 1e6 else f"{(end - start) / 1e6:.2f} Mb"
    cut = ", reaches out of view" * (start < low or end > high)
    ax.text(
        (max(start, low) + min(end, high)) / 2,
        0.48,
        f"{size}{cut}",
        color="white",
        fontsize=5,
        ha="center",
        va="center",
        zorder=4,
        clip_on=True,
    )
    if triangle is not None:
        corners = [start, (start + end) / 2, end], [0, end - start, 0]
        triangle.plot(*corners, color=INK, lw=0.8, label="_outline of the TAD")


def _say(ax: Axes, text: str, **style) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY, **style)
