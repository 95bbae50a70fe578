"""Topologically associating domains: read from a BED file, and members in that of the gene."""

import os

import numpy as np
import pandas as pd

from grids.analysis.contacts.matching import PlacedSet, PlacedSets, compare, distance_strata
from grids.data.chromosomes import fit_to_run
from grids.data.coordinates import COORDINATES, bed_rows, with_coordinates
from grids.io.errors import InputError
from grids.io.logging import log
from grids.io.seeds import generator


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
    table = fit_to_run(table, peaks, genes, assembly, where, "TADs")
    log.info("%s: %d TADs", where, len(table))
    return table[COORDINATES].drop_duplicates(ignore_index=True)


def tad_of(tads: pd.DataFrame, chromosome: str, position: int) -> tuple[int, int] | None:
    """Start and end of the smallest TAD that holds a position; None where there is none."""
    holds = (tads["chromosome"] == chromosome) & (tads["start"] <= position) & (tads["end"] > position)
    if not holds.any():
        return None
    tad = tads.loc[(tads["end"] - tads["start"])[holds].idxmin()]
    return int(tad["start"]), int(tad["end"])


def tad_of_set(
    tads: pd.DataFrame, placed: PlacedSets, one: PlacedSet, seed: int
) -> tuple[dict, pd.DataFrame | None]:
    """Compare the share of members in the gene's TAD, for one of a chromosome's sets.

    A peak is in a TAD when its middle is. Members on other chromosomes are in none and are not compared.
    Returns as one of :func:`~grids.analysis.contacts.measurement.contacts_of_sets`; no members' columns where no TAD
    holds the TSS.
    """
    tad, middles = tad_of(tads, placed.chromosome, one.tss), placed.middles
    if tad is None:
        return {"n_tad_compared": 0}, None
    inside = ((middles >= tad[0]) & (middles < tad[1])).astype(float)
    members = one.members[one.on_chromosome]
    strata = distance_strata(np.maximum(np.abs(middles - one.tss), 1))
    compared = compare(inside, members, strata, generator(seed, "tads", *one.task))
    of_set = {
        "tad_start": tad[0],
        "tad_end": tad[1],
        "n_tad_compared": compared.n_members,
        "share_in_tad": compared.members,
        "matched_share_in_tad": compared.matched,
        "tad_p_value": compared.p_value,
    }
    in_tad, matched = np.zeros(len(one.members), bool), np.full(len(one.members), np.nan)
    in_tad[one.on_chromosome] = inside[members] > 0
    matched[one.on_chromosome] = compared.matched_of_member
    return of_set, pd.DataFrame({"in_tad": in_tad, "matched_share_in_tad": matched})
