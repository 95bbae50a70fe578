"""Members in the gene's TAD, beside peaks at a similar distance."""

import numpy as np
import pandas as pd

from grids.analysis.contacts.matching import compare, distance_strata
from grids.analysis.contacts.placed_sets import PlacedSet
from grids.analysis.contacts.tads import tad_of
from grids.io.seeds import generator


def tads_of_sets(
    tads: pd.DataFrame, chromosome: str, middles: np.ndarray, placed: list[PlacedSet], n_draws: int, seed: int
) -> list[tuple[dict, pd.DataFrame]]:
    """Compare the share of members in the gene's TAD, for every set of one chromosome's genes.

    A peak is in a TAD when its middle is. Members on other chromosomes are in none and are not compared.

    Parameters
    ----------
    tads : DataFrame
        From :func:`grids.analysis.contacts.tads.read_tads`.
    chromosome, middles, placed
        From :func:`grids.analysis.contacts.placed_sets.place_sets`.
    n_draws : int
    seed : int

    Returns
    -------
    list of (dict, DataFrame)
        Columns of ``contacts.tsv`` of each set, and those of ``contact_members.tsv`` of its members; none
        where no TAD holds the TSS.
    """
    return [
        _tad_of_set(
            one, middles, tad_of(tads, chromosome, one.tss), n_draws, generator(seed, "tads", *one.task)
        )
        for one in placed
    ]


def _tad_of_set(
    one: PlacedSet,
    middles: np.ndarray,
    tad: tuple[int, int] | None,
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[dict, pd.DataFrame]:
    if tad is None:
        return {"n_tad_compared": 0}, pd.DataFrame(index=range(len(one.members)))
    inside = ((middles >= tad[0]) & (middles < tad[1])).astype(float)
    members = one.members[one.on_chromosome]
    strata = distance_strata(np.maximum(np.abs(middles - one.tss), 1))
    compared = compare(inside, members, strata, n_draws, rng)
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
