"""What a run of GRIDS says of the same pairs: its links at two levels, its sets, its posterior inclusion."""

import numpy as np
import pandas as pd

from benchmarks.evidence.methods import SCORE_COLUMNS
from grids.io.levels import ACROSS_TYPES, LEVELS, WITHIN_TYPE
from grids.io.tables import stack
from grids.surrogates.window.model import WindowSurrogate


def score_links(links: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Size of each link's effect over its standard error, at both levels.

    Not z, which across types says how much the effect stands out among those of decoys as often open: a rare peak may
    stand out by little.

    Parameters
    ----------
    links : DataFrame
        ``level cell_type gene peak effect standard_error``.
    asked : DataFrame
        ``cell_type gene peak``: the pairs, in every type of whose tasks the gene is.

    Returns
    -------
    DataFrame with the columns :data:`benchmarks.evidence.methods.SCORE_COLUMNS`
        `cell_type` is missing across types. 0 where a pair has no link, or one that could not be tested.
    """
    return _at_levels(
        links.assign(score=(links["effect"] / links["standard_error"]).abs()), asked, "links", LEVELS
    )


def score_sets(sets: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Effect of each member of a set, alone or in the context of the others, whichever is larger.

    Parameters
    ----------
    sets : DataFrame
        ``sets.tsv``, with a column `level` where the run has both.
    asked : DataFrame
        As for :func:`score_links`.

    Returns
    -------
    DataFrame with the columns :data:`benchmarks.evidence.methods.SCORE_COLUMNS`
        0 for peaks outside of the set, and for genes without one.
    """
    levels = LEVELS if "level" in sets else (WITHIN_TYPE,)
    effect = sets[["log_effect_alone", "log_effect_in_context"]].abs().max(axis=1)
    return _at_levels(
        pd.DataFrame({"level": WITHIN_TYPE} | dict(sets.assign(score=effect))), asked, "sets", levels
    )


def score_inclusion(surrogate: WindowSurrogate, asked: pd.DataFrame) -> pd.DataFrame:
    """Posterior chance of each peak to be a member, in the type of the surrogate.

    `asked` as for :func:`score_links`; returned are the columns
    :data:`benchmarks.evidence.methods.SCORE_COLUMNS`.
    """
    wanted = asked[asked["cell_type"] == surrogate.cell_type]
    parts = []
    for gene in wanted["gene"].unique():
        if gene in surrogate.genes:
            peaks = [surrogate.peaks[i] for i in surrogate.window(gene).tolist()]
            inclusion = surrogate.inclusion_of(surrogate.genes.index(gene)).numpy()
            parts.append(pd.DataFrame({"peak": peaks, "score": inclusion}).assign(gene=gene))
    found = stack(parts, ["gene", "peak", "score"]).assign(cell_type=surrogate.cell_type)
    return _of_pairs(found, wanted, "inclusion")


def _at_levels(found: pd.DataFrame, asked: pd.DataFrame, kind: str, levels: tuple[str, ...]) -> pd.DataFrame:
    """The scores of each level as a method of its own."""
    parts = []
    for level in levels:
        own, wanted = found[found["level"] == level], asked
        if level == ACROSS_TYPES:
            own, wanted = (table.assign(cell_type=None) for table in (own, asked))
        parts.append(_of_pairs(own, wanted.drop_duplicates(), f"{kind}_{level}"))
    return stack(parts, SCORE_COLUMNS)


def _of_pairs(found: pd.DataFrame, asked: pd.DataFrame, method: str) -> pd.DataFrame:
    """Scores of the pairs asked for; the largest of several, 0 where there is none."""
    keys = ["cell_type", "gene", "peak"]
    found = found.astype({"score": float}).groupby(keys, dropna=False, as_index=False)["score"].max()
    scored = asked[keys].merge(found, on=keys, how="left")
    return scored.assign(method=method, score=scored["score"].fillna(0.0).astype(np.float64))[SCORE_COLUMNS]
