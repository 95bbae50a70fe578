"""Files for genome browsers: members as BED, member-gene arcs as BEDPE and interact, accessibility as bigWig."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from grids.exports.track_format import (
    ARC_BEDPE,
    BLUE,
    GREY,
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
from grids.io.errors import InputError, listing
from grids.io.tables import SET_KEYS, is_forced
from grids.io.writing import whole

SIGNIFICANT = 0.05
# Columns of each format, and those of ours that stand in them.
BED = {
    "chrom": "chromosome", "chromStart": "start", "chromEnd": "end", "name": "name", "score": "score",
    "strand": "no_strand", "thickStart": "start", "thickEnd": "end", "itemRgb": "color",
}  # fmt: skip
BEDPE = ARC_BEDPE | {
    "rank": "rank", "log_effect_alone": "log_effect_alone", "log_effect_in_context": "log_effect_in_context",
    "q_value": "q_value", "passed_gate": "passed_gate", "color": "color",
}  # fmt: skip


def write_bed(sets: pd.DataFrame, cell_type: str, path: str | os.PathLike) -> None:
    """Write the members of a type's sets as BED9, sorted by position.

    A track line and a comment with the columns come first. The name is ``gene|direction|rank``, with
    ``|surrogate|method`` added where the table holds several, and ``|forced`` where the task did not pass the quality
    gate. The score, 0 to 1000, is the member's effect in context relative to the largest of its set. Members are
    blue, those of sets that derepress vermillion, those of forced tasks grey. `sets` has
    :data:`grids.io.tables.SET_COLUMNS`; `path` is replaced as a whole.
    """
    rows = _members(sets, cell_type)
    rows["color"] = np.where(is_forced(rows), GREY, _colours(rows))
    what = f"Members of the sets of {cell_type}: gene|direction|rank, score by effect in context{_colour_words(rows)}"
    write_rows(rows, BED, path, track_line(f"{cell_type} members", what, "itemRgb=On"))


def write_bedpe(
    sets: pd.DataFrame, genes: pd.DataFrame, effects: pd.DataFrame, cell_type: str, path: str | os.PathLike
) -> None:
    """Write arcs from the members of a type's sets to the TSS of their gene as BEDPE, for IGV and bedtools.

    A comment names the columns. Names and scores as in :func:`write_bed`; the second end is the base of the TSS,
    with the gene's strand. Seven columns follow the ten of the format: `gene`, `rank`, the member's changes of
    log-expression `log_effect_alone` and `log_effect_in_context`, the `q_value` of its set and `passed_gate`, with
    ``.`` where missing, and `color` for IGV, as in :func:`write_interact`. Arcs between chromosomes are
    kept. Genes without a TSS have no arcs. `genes` has `gene chromosome strand tss`, `effects` `surrogate method
    cell_type gene direction set_size q_value`.

    Raises
    ------
    InputError
        A gene of the sets is not in `genes`.
    """
    write_rows(_arcs(sets, genes, effects, cell_type, path), BEDPE, path)


def write_interact(
    sets: pd.DataFrame, genes: pd.DataFrame, effects: pd.DataFrame, cell_type: str, path: str | os.PathLike
) -> None:
    """Write the arcs of :func:`write_bedpe` in UCSC's interact format (bed5+13), which has no BEDPE.

    The source of an arc is the member, the target the base of the TSS. ``value`` is the member's effect in
    context, ``exp`` the method; arcs of sets with ``q_value < 0.05`` are coloured as in :func:`write_bed`, others are
    grey, and so are those of tasks that did not pass the quality gate. An arc between chromosomes is a record on each
    of them, as the format wants it. Parameters and errors as in :func:`write_bedpe`.
    """
    arcs = _arcs(sets, genes, effects, cell_type, path)
    arcs["value"] = arcs["log_effect_in_context"].fillna(0.0)
    what = f"Members of the sets of {cell_type} and their genes{_colour_words(arcs)}"
    write_rows(
        interact_records(arcs), INTERACT, path, track_line(f"{cell_type} sets", what, INTERACT_SETTINGS)
    )


def _arcs(sets, genes, effects, cell_type: str, path: str | os.PathLike) -> pd.DataFrame:
    """A row per member of a gene with a TSS: the member's, with the TSS, a name, a score, q-value and colour."""
    arcs = arcs_to_tss(_members(sets, cell_type), genes, path)
    q_values = effects.drop_duplicates(SET_KEYS)[[*SET_KEYS, "q_value"]]
    arcs = arcs.merge(q_values, on=SET_KEYS, how="left")
    arcs["color"] = np.where((arcs["q_value"] < SIGNIFICANT) & ~is_forced(arcs), _colours(arcs), GREY)
    return arcs


def write_bigwig(
    accessibility: pd.DataFrame, cell_type: str, chromosome_sizes: dict[str, int], path: str | os.PathLike
) -> None:
    """Write a type's accessibility as bigWig.

    Peaks are clipped to their chromosome; where they overlap, a base has the mean of the peaks over it. Bases
    outside all peaks have no value.

    Parameters
    ----------
    accessibility : DataFrame
        `peak chromosome start end` and a column per cell type: share of its cells in which the peak is open.
    chromosome_sizes : dict of str to int
        Length in bp of every chromosome.

    Raises
    ------
    InputError
        The type has no column or no peak, or a chromosome no size.
    """
    import pybigtools

    name = Path(path).name
    if cell_type not in accessibility.columns:
        raise InputError(f"{name}: accessibility has no column for cell type '{cell_type}'")
    unknown = sorted(set(accessibility["chromosome"].astype(str)) - set(chromosome_sizes))
    if unknown:
        raise InputError(f"{name}: no chromosome size for {listing(unknown)}")
    table = accessibility.assign(value=accessibility[cell_type].astype(float)).dropna(subset="value")
    # The format wants chromosomes in the order of their names.
    values = []
    for chromosome, rows in table.groupby(table["chromosome"].astype(str), sort=True):
        columns = (rows[name].to_numpy() for name in ("start", "end", "value"))
        intervals = average_overlaps(*columns, chromosome_sizes[chromosome])
        values += [(chromosome, *interval) for interval in intervals]
    if not values:
        raise InputError(
            f"{name}: no peak of cell type '{cell_type}' has an accessibility; expected one at least"
        )
    sizes = {str(on): int(size) for on, size in sorted(chromosome_sizes.items())}
    with whole(path) as temporary:
        pybigtools.open(str(temporary), "w").write(sizes, iter(values))


def average_overlaps(
    start: np.ndarray, end: np.ndarray, value: np.ndarray, chromosome_size: int
) -> list[tuple[int, int, float]]:
    """Disjoint, sorted intervals with the mean value of the peaks over each.

    Peaks of one chromosome come in any order, possibly overlapping or reaching beyond its end.
    """
    start, end = np.clip(start, 0, chromosome_size), np.clip(end, 0, chromosome_size)
    edges = np.unique(np.concatenate([start, end]))
    if len(edges) < 2:
        return []
    first, last = np.searchsorted(edges, start), np.searchsorted(edges, end)
    total, depth = np.zeros(len(edges)), np.zeros(len(edges), dtype=int)
    np.add.at(depth, first, 1)
    np.add.at(depth, last, -1)
    np.add.at(total, first, value)
    np.add.at(total, last, -np.asarray(value))
    total, depth = np.cumsum(total)[:-1], np.cumsum(depth)[:-1]
    covered = np.flatnonzero(depth > 0)
    return [(int(edges[i]), int(edges[i + 1]), float(total[i] / depth[i])) for i in covered]


def _members(sets: pd.DataFrame, cell_type: str) -> pd.DataFrame:
    """A type's rows, with what the formats want of a member: a name, a score, and a dot for its strand."""
    rows = sets[sets["cell_type"] == cell_type].reset_index(drop=True)
    rows = rows.astype({"start": np.int64, "end": np.int64})
    return rows.assign(name=_names(rows), score=_scores(rows), no_strand=".")


def _names(rows: pd.DataFrame) -> pd.Series:
    columns = ["gene", "direction", "rank"]
    if len(rows[["surrogate", "method"]].drop_duplicates()) > 1:
        columns += ["surrogate", "method"]
    names = ["|".join(map(str, fields)) for fields in rows[columns].itertuples(index=False)]
    forced = np.where(is_forced(rows), "|forced", "")
    names = [one_word(name) + word for name, word in zip(names, forced, strict=True)]
    return pd.Series(names, index=rows.index, dtype=object)


def _colours(rows: pd.DataFrame) -> np.ndarray:
    """The colour of each member: silencers, whose closing raises the gene, have one of their own."""
    return np.where(rows["direction"] == "derepress", VERMILLION, BLUE)


def _colour_words(rows: pd.DataFrame) -> str:
    """What a track says of silencers, and of tasks that did not pass the quality gate, where it has any."""
    silencers = "; orange: closing them raises the gene" * bool((rows["direction"] == "derepress").any())
    forced = "; grey and named forced: did not pass the quality gate" * bool(is_forced(rows).any())
    return silencers + forced


def _scores(rows: pd.DataFrame) -> pd.Series:
    """The size of a member's effect in context against the largest of its set, as an integer 0 to 1000."""
    task = [rows[name] for name in ("surrogate", "method", "gene", "direction", "set_size")]
    return relative_score(rows["log_effect_in_context"], task)
