"""Files for genome browsers: members as BED, member-gene arcs as BEDPE, accessibility as bigWig."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from grids.errors import InputError, listing

MAX_SCORE = 1000


def write_bed(sets: pd.DataFrame, cell_type: str, path: str | os.PathLike) -> None:
    """Write the members of a type's sets as BED6, sorted by position.

    The name is ``gene|direction|rank``, with ``|surrogate|method`` added where the table holds several. The
    score, 0 to 1000, is the member's effect in context relative to the largest of its set.

    Parameters
    ----------
    sets : DataFrame
        Rows of the sets table, see :data:`grids.tables.SET_COLUMNS`.
    cell_type : str
    path : path
        Replaced as a whole.
    """
    rows = _members(sets, cell_type)
    bed = pd.DataFrame(
        {
            "chromosome": rows["chromosome"],
            "start": rows["start"].astype(np.int64),
            "end": rows["end"].astype(np.int64),
            "name": _names(rows),
            "score": _scores(rows),
            "strand": ".",
        }
    )
    _write(bed.sort_values(["chromosome", "start", "end", "name"], kind="stable"), path)


def write_bedpe(sets: pd.DataFrame, genes: pd.DataFrame, cell_type: str, path: str | os.PathLike) -> None:
    """Write arcs from the members of a type's sets to the TSS of their gene, as ten-column BEDPE.

    Names and scores as in :func:`write_bed`. The second end is the base of the TSS, with the gene's strand.
    Arcs between chromosomes are kept. Genes without a TSS have no arcs.

    Parameters
    ----------
    sets : DataFrame
    genes : DataFrame
        `gene chromosome strand tss`.
    cell_type : str
    path : path

    Raises
    ------
    InputError
        A gene of the sets is not in `genes`.
    """
    rows = _members(sets, cell_type)
    missing = sorted(set(rows["gene"]) - set(genes["gene"]))
    if missing:
        raise InputError(f"{Path(path).name}: no annotation for the genes of these sets: {listing(missing)}")
    targets = genes.drop_duplicates("gene").set_index("gene").reindex(rows["gene"])
    has_tss = targets["tss"].notna().to_numpy()
    name, score = _names(rows)[has_tss], _scores(rows)[has_tss]
    rows, targets = rows[has_tss], targets[has_tss]
    tss = targets["tss"].to_numpy().astype(np.int64)
    strand = targets["strand"].to_numpy()
    arcs = pd.DataFrame(
        {
            "chromosome_1": rows["chromosome"].to_numpy(),
            "start_1": rows["start"].to_numpy().astype(np.int64),
            "end_1": rows["end"].to_numpy().astype(np.int64),
            "chromosome_2": targets["chromosome"].to_numpy(),
            "start_2": tss,
            "end_2": tss + 1,
            "name": name.to_numpy(),
            "score": score.to_numpy(),
            "strand_1": ".",
            "strand_2": np.where(np.isin(strand, ["+", "-"]), strand, "."),
        }
    )
    _write(arcs.sort_values(["chromosome_1", "start_1", "end_1", "name"], kind="stable"), path)


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
    cell_type : str
    chromosome_sizes : dict of str to int
        Length in bp of every chromosome.
    path : path

    Raises
    ------
    InputError
        The type has no column or no peak, or a chromosome no size.
    """
    import pybigtools

    if cell_type not in accessibility.columns:
        raise InputError(f"{Path(path).name}: accessibility has no column for cell type '{cell_type}'")
    unknown = sorted(set(accessibility["chromosome"].astype(str)) - set(chromosome_sizes))
    if unknown:
        raise InputError(f"{Path(path).name}: no chromosome size for {listing(unknown)}")
    table = accessibility.assign(value=accessibility[cell_type].astype(float)).dropna(subset="value")
    # The format wants chromosomes in the order of their names.
    values = [
        (chromosome, *interval)
        for chromosome, rows in table.groupby(table["chromosome"].astype(str), sort=True)
        for interval in average_overlaps(
            rows["start"].to_numpy(),
            rows["end"].to_numpy(),
            rows["value"].to_numpy(),
            chromosome_sizes[chromosome],
        )
    ]
    path = Path(path)
    if not values:
        raise InputError(
            f"{path.name}: no peak of cell type '{cell_type}' has an accessibility; expected one at least"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    sizes = {str(name): int(size) for name, size in sorted(chromosome_sizes.items())}
    pybigtools.open(str(temporary), "w").write(sizes, iter(values))
    os.replace(temporary, path)


def average_overlaps(
    start: np.ndarray, end: np.ndarray, value: np.ndarray, chromosome_size: int
) -> list[tuple[int, int, float]]:
    """Disjoint, sorted intervals with the mean value of the peaks over each.

    Parameters
    ----------
    start, end : ndarray of int, shape (n_peaks,)
        On one chromosome, in any order, possibly overlapping or reaching beyond its end.
    value : ndarray, shape (n_peaks,)
    chromosome_size : int
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
    return sets[sets["cell_type"] == cell_type].reset_index(drop=True)


def _names(rows: pd.DataFrame) -> pd.Series:
    """Names without white space, which browsers take for the end of a field."""
    columns = ["gene", "direction", "rank"]
    if len(rows[["surrogate", "method"]].drop_duplicates()) > 1:
        columns += ["surrogate", "method"]
    names = ["|".join(map(str, fields)) for fields in rows[columns].itertuples(index=False)]
    return pd.Series([re.sub(r"\s", "_", name) for name in names], index=rows.index, dtype=object)


def _scores(rows: pd.DataFrame) -> pd.Series:
    """The size of a member's effect in context against the largest of its set, as an integer 0 to 1000."""
    effect = rows["log_effect_in_context"].astype(float).abs().fillna(0.0)
    task = [rows[name] for name in ("surrogate", "method", "gene", "direction", "set_size")]
    largest = effect.groupby(task, dropna=False).transform("max")
    return (MAX_SCORE * (effect / largest.where(largest > 0, 1.0))).round().astype(int)


def _write(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Tab-separated, without a header, under a temporary name first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    temporary.write_text(table.to_csv(sep="\t", index=False, header=False, lineterminator="\n"))
    os.replace(temporary, path)
