"""What files for genome browsers share: rows as text, arcs from peaks to the start sites of genes, names, colours."""

import csv
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from grids.io.errors import InputError, listing
from grids.io.tables import number
from grids.io.writing import whole

MAX_SCORE = 1000
# Colours of what stands out and of what does not, as browsers want them.
BLUE, VERMILLION, GREY = "0,114,178", "213,94,0", "153,153,153"
# Columns of a format, and those of ours that stand in them: place and name first, by which rows are sorted.
ARC_BEDPE = {
    "chrom1": "chromosome", "start1": "start", "end1": "end", "chrom2": "tss_chromosome", "start2": "tss",
    "end2": "tss_end", "name": "name", "score": "score", "strand1": "no_strand", "strand2": "strand", "gene": "gene",
}  # fmt: skip
INTERACT = {
    "chrom": "on", "chromStart": "first", "chromEnd": "last", "name": "name", "score": "score", "value": "value",
    "exp": "method", "color": "color", "sourceChrom": "chromosome", "sourceStart": "start", "sourceEnd": "end",
    "sourceName": "peak", "sourceStrand": "no_strand", "targetChrom": "tss_chromosome", "targetStart": "tss",
    "targetEnd": "tss_end", "targetName": "gene", "targetStrand": "strand",
}  # fmt: skip
INTERACT_SETTINGS = (
    "type=interact interactDirectional=true useScore=on visibility=full maxHeightPixels=200:100:50"
)


def arcs_to_tss(rows: pd.DataFrame, genes: pd.DataFrame, path: str | os.PathLike) -> pd.DataFrame:
    """Rows of peaks and genes that have a start site, with `tss_chromosome tss tss_end strand`.

    Parameters
    ----------
    rows : DataFrame
        A column `gene`.
    genes : DataFrame
        Columns ``gene chromosome strand tss``.
    path : path
        The file they are for, named where a gene is unknown.

    Raises
    ------
    InputError
        A gene of the rows is not in `genes`.
    """
    missing = sorted(set(rows["gene"]) - set(genes["gene"]))
    if missing:
        raise InputError(f"{Path(path).name}: no annotation for these genes: {listing(missing)}")
    targets = genes.drop_duplicates("gene").set_index("gene").reindex(rows["gene"])
    strand = targets["strand"].to_numpy()
    arcs = rows.assign(
        tss_chromosome=targets["chromosome"].to_numpy(),
        tss=targets["tss"].to_numpy(float),
        strand=np.where(np.isin(strand, ["+", "-"]), strand, "."),
    )
    arcs = arcs.dropna(subset="tss").astype({"tss": np.int64})
    return arcs.assign(tss_end=arcs["tss"] + 1)


def interact_records(arcs: pd.DataFrame) -> pd.DataFrame:
    """Arcs as UCSC's interact format wants them: one between chromosomes is a record on each of the two."""
    arcs = arcs.assign(**{name: arcs[name].map(one_word) for name in ("method", "peak", "gene")})
    together = arcs["chromosome"] == arcs["tss_chromosome"]
    within, apart = arcs[together], arcs[~together]
    within = within.assign(
        on=within["chromosome"],
        first=within[["start", "tss"]].min(axis=1),
        last=within[["end", "tss_end"]].max(axis=1),
    )
    at_source = apart.assign(on=apart["chromosome"], first=apart["start"], last=apart["end"])
    at_target = apart.assign(on=apart["tss_chromosome"], first=apart["tss"], last=apart["tss_end"])
    return pd.concat([within, at_source, at_target])


def one_word(name: str) -> str:
    """A name without white space, which browsers take for the end of a field."""
    return re.sub(r"\s", "_", str(name))


def relative_score(size: pd.Series, group: pd.Series | list[pd.Series]) -> pd.Series:
    """Sizes against the largest of their group, as integers 0 to 1000; a missing one is 0."""
    size = size.astype(float).abs().fillna(0.0)
    largest = size.groupby(group, dropna=False).transform("max")
    return (MAX_SCORE * (size / largest.where(largest > 0, 1.0))).round().astype(int)


def track_line(name: str, description: str, settings: str) -> str:
    """The first line of a track; text stands in double quotes, so it holds none itself."""
    name, description = (text.replace('"', "'") for text in (name, description))
    return f'track name="{name}" description="{description}" {settings}\n'


def write_rows(
    rows: pd.DataFrame, columns: dict[str, str], path: str | os.PathLike, first_line: str = ""
) -> None:
    """Sorted, tab-separated, the columns in a comment, under a temporary name first; these formats know no quotes."""
    table = pd.DataFrame({name: rows[own] for name, own in columns.items()})
    table = table.sort_values([*list(columns)[:3], "name"], kind="stable")
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(first_line + "#")
        form = {"sep": "\t", "na_rep": ".", "float_format": number, "quoting": csv.QUOTE_NONE}
        table.to_csv(file, index=False, lineterminator="\n", **form)
