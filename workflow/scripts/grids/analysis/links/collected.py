"""The links of all populations in one table, with what the surrogates and the gate say of them."""

from collections.abc import Iterable

import pandas as pd

from grids.analysis.links.tables import LINK_COLUMNS
from grids.io.tables import mark_gate, stack
from grids.surrogates.pooling import Surrogate
from grids.surrogates.window.model import WindowSurrogate

OF_POSTERIOR = ["inclusion", "credible_set"]
COLLECTED_COLUMNS = [*LINK_COLUMNS[:-1], *OF_POSTERIOR, LINK_COLUMNS[-1], "passed_gate"]
# Of genes that pass the gate, links are strong with a q-value of at most, or a posterior inclusion of at least.
MOST_Q, LEAST_INCLUSION = 0.05, 0.5


def collect_links(parts: Iterable[tuple[pd.DataFrame, Surrogate]], gate: pd.DataFrame) -> pd.DataFrame:
    """Links of all populations, one below the other.

    Parameters
    ----------
    parts : iterable of (DataFrame, Surrogate)
        Of each population its links, :data:`~grids.analysis.links.tables.LINK_COLUMNS`, and its surrogate.
    gate : DataFrame
        Columns ``cell_type gene passed_gate``.

    Returns
    -------
    DataFrame with the columns :data:`COLLECTED_COLUMNS`
        `inclusion` and `credible_set` are missing where the surrogate has no posterior of the gene.
    """
    joined = [
        links.merge(_posterior(surrogate), on=["gene", "peak"], how="left") for links, surrogate in parts
    ]
    return mark_gate(stack(joined, COLLECTED_COLUMNS[:-1]), gate)[COLLECTED_COLUMNS]


def strong_links(links: pd.DataFrame) -> pd.DataFrame:
    """The links of genes that pass the gate that their test or the surrogate is sure of; `links` as collected."""
    is_sure = (links["q_value"] <= MOST_Q) | (links["inclusion"] >= LEAST_INCLUSION)
    return links[links["passed_gate"].eq(True) & is_sure].reset_index(drop=True)


def _posterior(surrogate: Surrogate) -> pd.DataFrame:
    """``gene peak`` and :data:`OF_POSTERIOR` of the genes that the surrogate has models of."""
    genes = surrogate.genes if isinstance(surrogate, WindowSurrogate) else []
    parts = []
    for column, gene in enumerate(genes):
        peaks = [surrogate.peaks[i] for i in surrogate.window(gene).tolist()]
        inclusion, number = surrogate.inclusion_of(column), surrogate.credible_set_of(column)
        parts.append(
            pd.DataFrame({"peak": peaks, "inclusion": inclusion, "credible_set": number}).assign(gene=gene)
        )
    return stack(parts, ["gene", "peak", *OF_POSTERIOR]).astype(dict.fromkeys(OF_POSTERIOR, float))
