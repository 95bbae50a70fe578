"""The benchmark's tables as its page shows them, in Markdown."""

from collections.abc import Mapping

import pandas as pd

from benchmarks.truth.levels import FACTORS
from grids.io.tables import LOGICS

WITH_MEMBERS = LOGICS[1:]
GRIDS = "grids_window"
# Given the true members: nothing to find.
TOLD = ("grids_window_told", "grids_window_told_logic")
_WRITTEN = {
    "n_cells": "{:,} cells", "open_peaks": "{:,} open peaks", "loss": "loss {:.0%}",
    "coaccessibility": "co-access. {:g}", "detection": "detection {:g}", "strength": "{} members",
    "direction": "closing them: {}",
}  # fmt: skip


def page(tables: Mapping[str, pd.DataFrame]) -> str:
    """All tables, each under its heading.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `summary`, `inclusion`, `credible`, `power`: ``truth_<name>.tsv``.
    """
    summary = named(tables["summary"])
    parts = [f"The first level is the middle: {', '.join(written(summary.iloc[0], FACTORS))}."]
    found = summary[~summary["method"].isin(TOLD)]
    for logic in WITH_MEMBERS:
        parts.append(_by_level(found[found["logic"] == logic], "f1", f"F1 of members, {logic} genes"))
    is_none = summary["logic"] == "none"
    parts += [
        _by_level(summary[is_none], "called", "Share called controlled of genes without local control"),
        _by_level(summary[~is_none], "called", "Share called controlled of genes with members"),
        _calls(summary), _intervals(summary), _inclusion(tables["inclusion"], "all levels"),
        *(_inclusion(part, f"loss {loss:.0%}") for loss, part in tables["inclusion"].groupby("loss")),
        _credible(tables["credible"]), _power(named(tables["power"])),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def named(table: pd.DataFrame) -> pd.DataFrame:
    """With a column `level`: what sets it apart from the first level, which is the middle."""
    levels = table[list(FACTORS)].drop_duplicates()
    names, middle = {}, next((level for _, level in levels.iterrows()), None)
    for _, level in levels.iterrows():
        apart = [name for name in FACTORS if level[name] != middle[name]]
        names[tuple(level)] = ", ".join(written(level, apart)) or "middle"
    keys = table[list(FACTORS)].itertuples(index=False, name=None)
    return table.assign(level=[names[key] for key in keys])


def written(level: Mapping, factors) -> list[str]:
    """The values of these factors as words."""
    return [_WRITTEN[name].format(level[name]) for name in factors]


def wide(table: pd.DataFrame, row: str, column: str, values: str) -> pd.DataFrame:
    """One value per row and column, both in the order in which they come; empty text where there is none."""
    pivot = table.pivot(index=row, columns=column, values=values)
    return pivot.reindex(index=table[row].unique(), columns=table[column].unique()).fillna("")


def _by_level(part: pd.DataFrame, score: str, title: str) -> str:
    """A row per method, a column per level and one for all; every gene counts once."""
    part = part[part["score"] == score]
    if part.empty:
        return f"**{title}**: nothing was said."
    summed = part.assign(
        sum=part["mean"] * part["n_genes"], error=(part["standard_error"] * part["n_genes"]) ** 2
    )
    columns = ["sum", "error", "n_genes"]
    of_all = summed.groupby("method", sort=False)[columns].sum()
    summed = summed.groupby(["method", "level"], sort=False)[columns].sum().reset_index()
    summed["cell"] = (summed["sum"] / summed["n_genes"]).map("{:.2f}".format)
    n_genes = summed["n_genes"].unique()
    many = f"{n_genes.min()}" if len(n_genes) == 1 else f"{n_genes.min()} to {n_genes.max()}"
    note = f"{many} genes per level; standard errors of a logic at most {part['standard_error'].max():.3f}"
    table = wide(summed, "method", "level", "cell")
    shares = zip(of_all["sum"] / of_all["n_genes"], of_all["error"] ** 0.5 / of_all["n_genes"], strict=True)
    table["all (s.e.)"] = [f"{mean:.3f} ({error:.3f})" for mean, error in shares]
    return f"**{title}** ({note}):\n\n{markdown(table)}"


def _calls(summary: pd.DataFrame) -> str:
    """Of each logic: right / undecided / wrong, of all genes."""
    of_grids = summary[summary["method"] == GRIDS].pivot(
        index=["level", "logic"], columns="score", values="mean"
    )
    order = summary[["level", "logic"]].drop_duplicates()
    if not {"logic_right", "logic_undecided"} <= set(of_grids):
        return "**The logic called**: nothing was said."
    table = order.merge(of_grids.reset_index(), on=["level", "logic"])
    table["logic_wrong"] = (1 - table["logic_right"] - table["logic_undecided"]).clip(lower=0)
    table["cell"] = _joined(table, ("logic_right", "logic_undecided", "logic_wrong"))
    title = "**The logic called by GRIDS: right / undecided / wrong** (wrong holds genes called *none*, too)"
    return f"{title}:\n\n{markdown(_by_logic(table))}"


def _intervals(summary: pd.DataFrame) -> str:
    of_grids = summary[summary["method"] == GRIDS].set_index(["level", "logic"])
    covered = of_grids[of_grids["score"] == "called_effect_covered"]
    if covered.empty:
        return "**Intervals**: nothing was said."
    ratio = of_grids.loc[of_grids["score"] == "called_effect_ratio", "median"].reindex(covered.index)
    cells = [
        f"{row.mean:.2f} of {row.n_genes}; {r:.2f}"
        for row, r in zip(covered.itertuples(), ratio, strict=True)
    ]
    title = "**Genes called by GRIDS: share whose 95 % interval holds the planted joint effect; median estimated over"
    return f"{title} planted**:\n\n{markdown(_by_logic(covered.reset_index().assign(cell=cells)))}"


def _inclusion(inclusion: pd.DataFrame, title: str) -> str:
    """A row per bin, a column per method."""
    if inclusion.empty:
        return "**Inclusion**: nothing was stated."
    key, shares = ["method", "inclusion_low", "inclusion_high"], ["mean_stated", "share_members"]
    weighted = inclusion.assign(**{name: inclusion[name] * inclusion["n_peaks"] for name in shares})
    bins = weighted.groupby(key)[[*shares, "n_peaks"]].sum().reset_index().sort_values("inclusion_low")
    bins["cell"] = [
        f"{row.mean_stated / row.n_peaks:.3f}: {row.share_members / row.n_peaks:.3f} of {row.n_peaks}"
        for row in bins.itertuples()
    ]
    bins["inclusion"] = [f"{row.inclusion_low:g} to {row.inclusion_high:g}" for row in bins.itertuples()]
    heading = f"**Stated inclusion, {title}: mean stated: share that are members, of how many peaks**"
    return f"{heading}:\n\n{markdown(wide(bins, 'inclusion', 'method', 'cell'))}"


def _credible(credible: pd.DataFrame) -> str:
    if credible.empty:
        return "**Credible sets**: none were named."
    weighted = credible.assign(
        right=credible["coverage"] * credible["n_sets"],
        size=credible["mean_size"] * credible["n_sets"],
        with_set=credible["share_genes_with_set"] * credible["n_genes"],
    )
    sums = weighted.groupby(["method", "logic"], sort=False)[
        ["n_genes", "n_sets", "right", "size", "with_set"]
    ].sum()
    table = pd.DataFrame(
        {
            "genes": sums["n_genes"],
            "with a set": (sums["with_set"] / sums["n_genes"]).map("{:.2f}".format),
            "sets": sums["n_sets"].astype(int),
            "hold a member": (sums["right"] / sums["n_sets"]).map("{:.3f}".format, na_action="ignore"),
            "mean size": (sums["size"] / sums["n_sets"]).map("{:.2f}".format, na_action="ignore"),
        }
    ).fillna("")
    return f"**Credible sets (nominal 95 %), all levels**:\n\n{markdown(table.reset_index())}"


def _power(power: pd.DataFrame) -> str:
    of_grids = power[power["method"] == GRIDS]
    if of_grids.empty:
        return "**Power**: no p-values."

    shares = ("share_passed", "share_members_found", "share_logic_right", "share_logic_undecided")
    without = of_grids["share_passed"].map("{:.2f}".format)
    cells = _joined(of_grids, shares).where(of_grids["logic"] != "none", without)
    title = "**Power of GRIDS: genes that pass at q < .05 / members found / logic right / undecided**"
    return f"{title} (none: false ones):\n\n{markdown(_by_logic(of_grids.assign(cell=cells)))}"


def _joined(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The numbers of several columns as one text."""
    return table[list(columns)].apply(lambda row: " / ".join(f"{value:.2f}" for value in row), axis=1)


def _by_logic(table: pd.DataFrame) -> pd.DataFrame:
    """Column `cell` with a row per level and a column per logic."""
    cells = wide(table, "level", "logic", "cell")
    return cells[[logic for logic in LOGICS if logic in cells]]


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, cells as they are; its index is the first column unless it only counts the rows."""
    table = table if isinstance(table.index, pd.RangeIndex) else table.rename_axis(columns=None).reset_index()
    rows = [table.columns, ["---"] * table.shape[1], *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
