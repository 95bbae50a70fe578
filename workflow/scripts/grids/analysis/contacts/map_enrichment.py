"""Contacts of members with the gene's TSS, beside those of peaks at a similar distance."""

import numpy as np
import pandas as pd

from grids.analysis.contacts.contact_map import BinContacts, ContactMap, contacts_of_bins
from grids.analysis.contacts.matching import PlacedSet, PlacedSets, compare, distance_strata
from grids.io.seeds import generator

OTHER_CHROMOSOME, SAME_BIN = "on another chromosome", "in the bin of the TSS"
MASKED, NO_OTHER_PEAK = "masked in the map", "no other peak at a similar distance"


def contacts_of_sets(contacts: ContactMap, placed: PlacedSets, seed: int) -> list[tuple[dict, pd.DataFrame]]:
    """Compare the members' contacts of every set of one chromosome's genes.

    Peaks of one bin cannot be told apart: bins that hold members are compared with bins that hold other peaks.

    Parameters
    ----------
    contacts : ContactMap
    placed : PlacedSets
    seed : int

    Returns
    -------
    list of (dict, DataFrame)
        Columns of ``contacts.tsv`` of each set, and those of ``contact_members.tsv`` of its members.
    """
    chromosome = placed.chromosome
    if chromosome not in contacts.name_of:
        return [_not_measured(one, f"the map has no {chromosome}") for one in placed.sets]
    tss_bins, row = np.unique([one.tss // contacts.resolution_bp for one in placed.sets], return_inverse=True)
    found = contacts_of_bins(contacts, chromosome, tss_bins)
    bin_of_peak = placed.middles // contacts.resolution_bp
    return [
        _contacts_of_set(
            one,
            bin_of_peak,
            int(tss_bins[which]),
            found.observed[[which]].toarray()[0],
            found,
            generator(seed, "contacts", *one.task),
        )
        for one, which in zip(placed.sets, row, strict=True)
    ]


def _contacts_of_set(
    one: PlacedSet,
    bin_of_peak: np.ndarray,
    tss_bin: int,
    observed: np.ndarray,
    found: BinContacts,
    rng: np.random.Generator,
) -> tuple[dict, pd.DataFrame]:
    apart = np.abs(np.arange(len(observed)) - tss_bin)
    expected = found.expected[apart]
    measurable = found.usable & found.usable[tss_bin] & (expected > 0) & (apart > 0)
    bin_of_member = np.where(one.on_chromosome, bin_of_peak[one.members], -1)
    items = np.unique(bin_of_peak[measurable[bin_of_peak]])
    members = np.flatnonzero(np.isin(items, bin_of_member))
    ratio = observed[items] / expected[items]
    compared = compare(ratio, members, distance_strata(apart[items]), rng)
    used = members[compared.n_matched > 0]
    of_bin = pd.DataFrame(
        {
            "contact": observed[items[members]],
            "expected_contact": expected[items[members]],
            "observed_over_expected": ratio[members],
            "matched_observed_over_expected": compared.matched_of_member,
            "n_matched": compared.n_matched,
        },
        index=items[members],
    )
    of_members = of_bin.reindex(bin_of_member).reset_index(drop=True)
    reasons = [
        (~one.on_chromosome, OTHER_CHROMOSOME),
        (bin_of_member == tss_bin, SAME_BIN),
        (of_members["contact"].isna().to_numpy(), MASKED),
        (of_members["n_matched"].to_numpy() == 0, NO_OTHER_PEAK),
    ]
    reason = np.select(*map(list, zip(*reasons, strict=True)), default="")
    of_set = {
        "n_measured": int((reason == "").sum()),
        "n_bins": compared.n_members,
        "n_same_bin": int((reason == SAME_BIN).sum()),
        "n_other_chromosome": int((reason == OTHER_CHROMOSOME).sum()),
        "n_not_usable": int(np.isin(reason, [MASKED, NO_OTHER_PEAK]).sum()),
        "contact": observed[items[used]].mean() if len(used) else np.nan,
        "observed_over_expected": compared.members,
        "matched_observed_over_expected": compared.matched,
        "matched_low": compared.matched_low,
        "matched_high": compared.matched_high,
        "enrichment": compared.members / compared.matched if compared.matched > 0 else np.nan,
        "p_value": compared.p_value,
    }
    return of_set, of_members.assign(not_measured=pd.Series(reason, dtype=object).where(reason != ""))


def _not_measured(one: PlacedSet, reason: str) -> tuple[dict, pd.DataFrame]:
    counts = {"n_measured": 0, "n_bins": 0, "n_same_bin": 0}
    n_other = int((~one.on_chromosome).sum())
    counts |= {"n_other_chromosome": n_other, "n_not_usable": len(one.members) - n_other}
    return counts, pd.DataFrame({"not_measured": np.where(one.on_chromosome, reason, OTHER_CHROMOSOME)})
