"""The table of results as text, one part for each table of evidence."""

import numpy as np
import pandas as pd

from benchmarks.evidence.methods import NAMES, in_order
from benchmarks.explainers.tables import decimals


def printed(measured: pd.DataFrame) -> list[tuple[str, pd.DataFrame, np.ndarray]]:
    """The table of :func:`benchmarks.evidence.agreement.measure_methods`: a row per method, a column per gene.

    Returns
    -------
    list of (str, DataFrame, ndarray)
        Caption; text with the AUPRC and its interval, and the hits in the last column; where it is to be bold (the
        highest AUPRC, the most hits), same shape.
    """
    parts = []
    for name, rows in measured.groupby("evidence", sort=False):
        methods, genes = in_order(rows["method"]), list(rows["gene"].unique())
        auprc = rows.pivot(index="method", columns="gene", values="auprc").loc[methods, genes]
        text = rows.assign(text=[_value(row) for row in rows.itertuples()])
        text = text.pivot(index="method", columns="gene", values="text").loc[methods, genes]
        hits = rows[rows["gene"] == genes[-1]].set_index("method").loc[methods]
        bold = np.column_stack([_highest(auprc[gene]) for gene in genes] + [_highest(hits["top_5_hits"])])
        pairs = zip(hits["top_5_hits"], hits["top_5_pairs"], strict=True)
        text["top 5"] = [f"{round(found, 1):g} of {of:g}" for found, of in pairs]
        base = rows.drop_duplicates("gene").set_index("gene")
        header = {gene: f"{gene} ({_base(base.loc[gene])})" for gene in genes}
        text = text.rename(columns=header).reset_index().rename_axis(columns=None)
        text["method"] = text["method"].map(NAMES)
        caption = (
            f"{name}: AUPRC [95 % block bootstrap], in brackets the share of positives; hits among the top 5."
        )
        parts.append((caption, text, np.column_stack([np.zeros(len(text), bool), bold])))
    return parts


def _value(row) -> str:
    low, high = (decimals(value, 2) for value in (row.auprc_low, row.auprc_high))
    return f"{decimals(row.auprc, 2)} [{low}, {high}]" if np.isfinite(row.auprc) else "–"


def _base(row: pd.Series) -> str:
    return f"{row['n_positive']:.0f} of {row['n_pairs']:.0f}"


def _highest(values: pd.Series) -> np.ndarray:
    values = values.to_numpy(float)
    return (
        (values == np.nanmax(values)) & (values > 0)
        if np.isfinite(values).any()
        else np.zeros(len(values), bool)
    )
