"""Set members against a contact map and against TADs: one row per set, per member, and over all sets."""

import numpy as np
import pandas as pd

from grids.analysis.contacts.contact_map import BinContacts, ContactMap, contacts_of_bins
from grids.analysis.contacts.matching import PlacedSet, PlacedSets, compare, distance_strata, place_sets
from grids.analysis.contacts.tads import tad_of_set
from grids.analysis.statistics import bootstrap_counts, interval_over_genes, q_values
from grids.io import tables
from grids.io.logging import log
from grids.io.seeds import generator
from grids.io.tables import FAMILY_KEYS, RUN_KEYS, TASK_KEYS

CONTACT_COLUMNS = [
    *TASK_KEYS, "passed_gate", "set_size", "n_measured", "n_bins", "n_same_bin", "n_other_chromosome", "n_not_usable",
    "contact", "observed_over_expected", "matched_observed_over_expected", "matched_low", "matched_high", "enrichment",
    "p_value", "q_value", "tad_start", "tad_end", "n_tad_compared", "share_in_tad", "matched_share_in_tad",
    "tad_p_value", "tad_q_value",
]  # fmt: skip
CONTACT_MEMBER_COLUMNS = [
    *TASK_KEYS, "passed_gate", "rank", "peak", "distance_to_tss_bp", "contact", "expected_contact",
    "observed_over_expected", "matched_observed_over_expected", "n_matched", "not_measured", "in_tad",
    "matched_share_in_tad",
]  # fmt: skip
CONTACT_SUMMARY_COLUMNS = [
    *RUN_KEYS, "measure", "n_tasks", "n_genes", "n_not_passed", "n_measured",
    "mean_of_members", "mean_of_matched", "enrichment", "enrichment_low", "enrichment_high",
]  # fmt: skip
# What is summarised: its column of the members and of the matched peaks, and how many were compared.
MEASURES = {
    "observed_over_expected": ("matched_observed_over_expected", "n_bins"),
    "share_in_tad": ("matched_share_in_tad", "n_tad_compared"),
}
COUNTS = ["n_measured", "n_bins", "n_same_bin", "n_other_chromosome", "n_not_usable", "n_tad_compared"]
N_BOOTSTRAP = 1000
# Why a member is not measured.
NO_POSITION, NO_MAP = "the gene has no position", "no contact map"
OTHER_CHROMOSOME, SAME_BIN = "on another chromosome", "in the bin of the TSS"
MASKED, NO_OTHER_PEAK = "masked in the map", "no other peak at a similar distance"


def measure_contacts(
    sets: pd.DataFrame,
    genes: pd.DataFrame,
    peaks: pd.DataFrame,
    contacts: ContactMap | None = None,
    tads: pd.DataFrame | None = None,
    *,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Hold the members of every set against a contact map, against TADs, or against both.

    Parameters
    ----------
    sets : DataFrame
        ``sets.tsv``.
    genes : DataFrame
        ``genes.tsv.gz``.
    peaks : DataFrame
        ``accessibility.tsv.gz``: `peak chromosome start end ...`, all peaks of the run.
    tads : DataFrame, optional
        From :func:`grids.analysis.contacts.tads.read_tads`.

    Returns
    -------
    tasks : DataFrame with the columns :data:`CONTACT_COLUMNS`
    members : DataFrame with the columns :data:`CONTACT_MEMBER_COLUMNS`
    summary : DataFrame with the columns :data:`CONTACT_SUMMARY_COLUMNS`
    """
    measured = {}
    for placed in place_sets(sets, genes, peaks):
        in_map = contacts_of_sets(contacts, placed, seed)
        for one, (of_set, of_members) in zip(placed.sets, in_map, strict=True):
            in_tad, members_in_tad = tad_of_set(tads, placed, one, seed) if tads is not None else ({}, None)
            measured[one.task] = of_set | in_tad, pd.concat([of_members, members_in_tad], axis=1)
        log.info("%s: %d sets", placed.chromosome, len(placed.sets))
    tasks, members = [], []
    for task, rows in sets.groupby(TASK_KEYS, sort=False):
        labels = dict(zip(TASK_KEYS, task, strict=True))
        labels |= {"passed_gate": rows["passed_gate"].iloc[0], "set_size": len(rows)}
        of_set, told = measured.get(task, ({}, _all_members(len(rows), NO_POSITION)))
        tasks.append(labels | of_set)
        rows = rows.sort_values("rank").reset_index(drop=True)
        shared = [column for column in CONTACT_MEMBER_COLUMNS if column in rows]
        members.append(pd.concat([rows[shared], told], axis=1).reindex(columns=CONTACT_MEMBER_COLUMNS))
    table = pd.DataFrame(tasks).reindex(columns=CONTACT_COLUMNS)
    table = table.astype(dict.fromkeys([*COUNTS, "tad_start", "tad_end"], "Int64"))
    for name in ("", "tad_"):
        table[f"{name}q_value"] = q_values(table[f"{name}p_value"], table[FAMILY_KEYS])
    of_members = tables.stack(members, CONTACT_MEMBER_COLUMNS)
    of_members = of_members.astype({"n_matched": "Int64", "distance_to_tss_bp": "Int64"})
    return table, of_members, _summarise(table, seed)


def _all_members(set_size: int, reason: str) -> pd.DataFrame:
    """Members none of which is measured."""
    return pd.DataFrame({"not_measured": reason}, index=range(set_size))


def _summarise(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Means over all members compared and over what each is compared with, with intervals over genes.

    Genes are drawn, not sets: those of one gene in several cell types share its place in the map. Sets of tasks that
    did not pass the gate count only where there are no others.
    """
    rows = []
    for group, of_group in table.groupby(RUN_KEYS, sort=False):
        for measure, (matched, count) in MEASURES.items():
            used = tables.counted(of_group[of_group[measure].notna()])
            if used.empty:
                continue
            gene, names = pd.factorize(used["gene"])
            n, of_members, of_matched = (
                np.bincount(gene, used[count].to_numpy(float) * value)
                for value in (1.0, used[measure].to_numpy(float), used[matched].to_numpy(float))
            )
            drawn = bootstrap_counts(len(names), N_BOOTSTRAP, generator(seed, "contacts", measure, *group))
            low, high = interval_over_genes(_ratio(drawn @ of_members, drawn @ of_matched), len(names))
            labels = dict(zip(RUN_KEYS, group, strict=True))
            row = {
                "measure": measure,
                "n_tasks": len(used),
                "n_genes": len(names),
                "n_not_passed": int(tables.is_forced(used).sum()),
                "n_measured": int(n.sum()),
                "mean_of_members": of_members.sum() / n.sum(),
                "mean_of_matched": of_matched.sum() / n.sum(),
                "enrichment": float(_ratio(of_members.sum(), of_matched.sum())),
                "enrichment_low": low,
                "enrichment_high": high,
            }
            rows.append(labels | row)
    return pd.DataFrame(rows, columns=CONTACT_SUMMARY_COLUMNS)


def _ratio(above: np.ndarray | float, below: np.ndarray | float) -> np.ndarray:
    """NaN where there is nothing to compare with."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def contacts_of_sets(
    contacts: ContactMap | None, placed: PlacedSets, seed: int
) -> list[tuple[dict, pd.DataFrame]]:
    """Compare the members' contacts of every set of one chromosome's genes.

    Peaks of one bin cannot be told apart: bins that hold members are compared with bins that hold other peaks.
    Of each set come the columns of ``contacts.tsv``, and those of ``contact_members.tsv`` of its members.
    """
    if contacts is None:
        return [({}, _all_members(len(one.members), NO_MAP)) for one in placed.sets]
    if placed.chromosome not in contacts.name_of:
        return [_not_in_map(one, f"the map has no {placed.chromosome}") for one in placed.sets]
    tss_bins, row = np.unique([one.tss // contacts.resolution_bp for one in placed.sets], return_inverse=True)
    found = contacts_of_bins(contacts, placed.chromosome, tss_bins)
    bin_of_peak = placed.middles // contacts.resolution_bp
    return [
        _contacts_of_set(one, bin_of_peak, tss_bins, which, found, generator(seed, "contacts", *one.task))
        for one, which in zip(placed.sets, row, strict=True)
    ]


def _contacts_of_set(
    one: PlacedSet,
    bin_of_peak: np.ndarray,
    tss_bins: np.ndarray,
    which: int,
    found: BinContacts,
    rng: np.random.Generator,
) -> tuple[dict, pd.DataFrame]:
    """Of a set whose gene's TSS is in bin ``tss_bins[which]``."""
    tss_bin, observed = tss_bins[which], found.observed[[which]].toarray()[0]
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


def _not_in_map(one: PlacedSet, reason: str) -> tuple[dict, pd.DataFrame]:
    n_other = int((~one.on_chromosome).sum())
    counts = {"n_measured": 0, "n_bins": 0, "n_same_bin": 0, "n_other_chromosome": n_other}
    counts["n_not_usable"] = len(one.members) - n_other
    return counts, pd.DataFrame({"not_measured": np.where(one.on_chromosome, reason, OTHER_CHROMOSOME)})
