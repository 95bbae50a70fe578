"""Topologically associating domains from a BED file."""

import os

import pandas as pd

from grids.data.assemblies import check_assembly
from grids.data.bed import bed_rows, with_coordinates
from grids.data.chromosomes import COORDINATES, harmonise_chromosomes
from grids.io.errors import InputError, listing
from grids.io.logging import log


def read_tads(
    path: str | os.PathLike, peaks: pd.DataFrame, genes: pd.DataFrame, assembly: str | None = None
) -> pd.DataFrame:
    """Read TADs, with the run's chromosome names and checked against its assembly.

    Parameters
    ----------
    path : path
        BED, gzipped or not; columns after the third are not read. TADs may be nested.
    peaks, genes : DataFrame with chromosome, start, end
    assembly : str, optional
        The run's, ``input.assembly``.

    Returns
    -------
    DataFrame with columns chromosome, start, end

    Raises
    ------
    InputError
        The file cannot be read as BED, or belongs to another assembly.
    """
    where = f"contacts.tads ({path})"
    table = with_coordinates(bed_rows(path, COORDINATES, 3, where, "a BED file of TADs"), where)
    if table.empty:
        raise InputError(f"{where}: there is no TAD in it; expected lines of chromosome, start, end")
    found = pd.unique(table["chromosome"])
    try:
        table, _ = harmonise_chromosomes(table, peaks)
    except InputError:
        raise InputError(
            f"{where}: no chromosome in common with the peaks: TADs lie on {listing(found, 4)}, peaks on "
            f"{listing(pd.unique(peaks['chromosome']), 4)}; use TADs of the peaks' assembly"
        ) from None
    try:
        check_assembly(table, genes, assembly)  # its warning about start sites is for peaks only
    except InputError as error:
        raise InputError(f"{where}: {str(error).replace('peaks', 'TADs')}") from None
    log.info("%s: %d TADs", where, len(table))
    return table[COORDINATES].drop_duplicates(ignore_index=True)


def tad_of(tads: pd.DataFrame, chromosome: str, position: int) -> tuple[int, int] | None:
    """Start and end of the smallest TAD that holds a position; None where there is none."""
    holds = (tads["chromosome"] == chromosome) & (tads["start"] <= position) & (tads["end"] > position)
    if not holds.any():
        return None
    tad = tads.loc[(tads["end"] - tads["start"])[holds].idxmin()]
    return int(tad["start"]), int(tad["end"])
