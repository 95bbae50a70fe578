"""Links of peaks and genes for genome browsers: arcs as BEDPE and interact."""

import os

import numpy as np
import pandas as pd

from grids.exports.track_format import (
    ARC_BEDPE,
    BLUE,
    INTERACT,
    INTERACT_SETTINGS,
    VERMILLION,
    arcs_to_tss,
    interact_records,
    one_word,
    relative_score,
    track_line,
    write_rows,
)

BEDPE = ARC_BEDPE | {
    name: name
    for name in (
        "class",
        "effect",
        "standard_error",
        "p_value",
        "q_value",
        "inclusion",
        "credible_set",
        "color",
    )
}


def place_links(links: pd.DataFrame, accessibility: pd.DataFrame) -> pd.DataFrame:
    """Links with `chromosome start end` of their peaks; both tables have a column `peak`."""
    place = accessibility.set_index("peak")[["chromosome", "start", "end"]].reindex(links["peak"])
    return links.assign(**{name: place[name].to_numpy() for name in place})


def write_bedpe(links: pd.DataFrame, genes: pd.DataFrame, cell_type: str, path: str | os.PathLike) -> None:
    """Write a type's links as BEDPE: from the peak to the base of the gene's TSS, with the gene's strand.

    A comment names the columns. The name is ``gene|class``; the score, 0 to 1000, the size of the link's z against the
    largest of the gene. Columns of :data:`BEDPE` follow the ten of the format, with ``.`` where missing. Blue are links
    whose opening raises the gene, vermillion those whose opening lowers it.

    Parameters
    ----------
    links : DataFrame
        :data:`~grids.analysis.links.collected.COLLECTED_COLUMNS`, placed by :func:`place_links`.
    genes : DataFrame
        Columns ``gene chromosome strand tss``. Genes without a TSS have no arcs.

    Raises
    ------
    InputError
        A gene of the links is not in `genes`.
    """
    write_rows(_arcs(links, genes, cell_type, path), BEDPE, path)


def write_interact(links: pd.DataFrame, genes: pd.DataFrame, cell_type: str, path: str | os.PathLike) -> None:
    """Write the arcs of :func:`write_bedpe` in UCSC's interact format; ``value`` is the effect, ``exp`` the level."""
    arcs = _arcs(links, genes, cell_type, path)
    arcs = arcs.assign(method=arcs["level"], value=arcs["effect"].fillna(0.0))
    what = f"Links of peaks and genes in {cell_type}: gene|class; orange: the gene is lower where the peak is open"
    write_rows(
        interact_records(arcs), INTERACT, path, track_line(f"{cell_type} links", what, INTERACT_SETTINGS)
    )


def _arcs(links: pd.DataFrame, genes: pd.DataFrame, cell_type: str, path: str | os.PathLike) -> pd.DataFrame:
    rows = links[links["cell_type"] == cell_type].reset_index(drop=True)
    numbers = dict.fromkeys(("effect", "z"), float) | dict.fromkeys(("start", "end"), np.int64)
    rows = rows.astype(numbers)
    names = [one_word(f"{gene}|{kind}") for gene, kind in zip(rows["gene"], rows["class"], strict=True)]
    rows = rows.assign(
        name=np.array(names, dtype=object),
        score=relative_score(rows["z"], rows["gene"]),
        no_strand=".",
        color=np.where(rows["effect"] < 0, VERMILLION, BLUE),
    )
    return arcs_to_tss(rows, genes, path)
