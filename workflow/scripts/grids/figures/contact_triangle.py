"""The top of a locus view: contacts of the stretch as a triangle, and the TADs in it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patches import Rectangle

from grids.analysis.contacts.contact_map import ContactMap, contacts_of_region
from grids.analysis.contacts.tads import tad_of
from grids.figures import style
from grids.figures.gene_models import Stretch

CONTACT_COLOURS = LinearSegmentedColormap.from_list(
    "contacts", ["#fffdf7", "#fdd9a8", "#ef8a4c", "#c0341d", "#560d12"]
).with_extremes(bad="#dddddd", under="#ffffff")
MAX_BINS = 300


def draw_contacts(ax: Axes, contacts: ContactMap, stretch: Stretch, members: np.ndarray) -> QuadMesh | None:
    """Contacts of all pairs of bins in view, each above the middle between the two bins.

    Parameters
    ----------
    ax : Axes
        Its x axis is the position in bp. Its y axis becomes the distance of the two bins in bp.
    contacts : ContactMap
    stretch : Stretch
    members : ndarray, shape (n_members,)
        Middles of the set's members in view; a ring marks the contact of each with the TSS.

    Returns
    -------
    QuadMesh or None
        For the colour bar; None when there is nothing to draw.
    """
    tss, low, high = stretch.tss, stretch.low, stretch.high
    ax.set(ylim=(0, max(tss - low, high - tss)), yticks=[])
    ax.spines["left"].set_visible(False)
    if stretch.chromosome not in contacts.name_of:
        return style.write_inside(ax, f"the contact map has no {stretch.chromosome}")
    matrix, edges = contacts_of_region(contacts, stretch.chromosome, low, high, MAX_BINS)
    seen = matrix[np.isfinite(matrix) & (matrix > 0)]
    if not len(seen):
        return style.write_inside(ax, "the contact map has no contact in this stretch")
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
    key = "ring: member and TSS\ngrey: masked bin"
    ax.text(0.004, 0.98, key, transform=ax.transAxes, va="top", fontsize=5, color=style.GREY)
    for end in (low, high):  # where contacts of the TSS lie
        ax.plot([tss, (tss + end) / 2], [0, abs(end - tss)], color=style.INK, lw=0.4, ls=":")
    ring = {"ms": 4.5, "mfc": "none", "mec": style.BLUE, "mew": 0.9, "label": "_contacts of members"}
    ax.plot((members + tss) / 2, np.abs(members - tss), "o", **ring)
    return mesh


def draw_tads(ax: Axes, triangle: Axes | None, tads: pd.DataFrame, stretch: Stretch) -> None:
    """TADs in view as bars, that of the TSS filled and, over the contacts, outlined.

    Parameters
    ----------
    ax : Axes
        Of the bars.
    triangle : Axes or None
        Of :func:`draw_contacts`.
    tads : DataFrame
        From :func:`grids.analysis.contacts.tads.read_tads`.
    stretch : Stretch
    """
    own = tad_of(tads, stretch.chromosome, stretch.tss)
    ax.set(ylim=(0, 1), yticks=[])
    ax.spines["left"].set_visible(False)
    for start, end in tads.loc[stretch.holds(tads), ["start", "end"]].itertuples(index=False, name=None):
        first, last = max(start, stretch.low), min(end, stretch.high)
        looks = {"facecolor": style.PALE, "zorder": 2, "label": "_TAD"}
        if (start, end) == own:
            looks = {"facecolor": style.INK, "zorder": 3, "label": "_TAD of the gene"}
        ax.add_patch(Rectangle((first, 0.2), last - first, 0.6, edgecolor="white", lw=0.6, **looks))
    if own is None:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        style.write_inside(ax, "the TSS lies in no TAD", fontsize=6, bbox=box)
        return
    start, end = own
    size = f"{(end - start) / 1e3:.0f} kb" if end - start < 1e6 else f"{(end - start) / 1e6:.2f} Mb"
    size += ", reaches out of view" * (start < stretch.low or end > stretch.high)
    middle = (max(start, stretch.low) + min(end, stretch.high)) / 2
    letters = {"color": "white", "fontsize": 5, "ha": "center", "va": "center"}
    ax.text(middle, 0.48, size, zorder=4, clip_on=True, **letters)
    if triangle is not None:
        corners = [start, (start + end) / 2, end], [0, end - start, 0]
        triangle.plot(*corners, color=style.INK, lw=0.8, label="_outline of the TAD")
