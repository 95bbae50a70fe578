"""How well a surrogate predicts held-out cells, beside simple baselines in the same table.

Baselines know the training cells only:

- ``gene_mean``: the gene's mean;
- ``cell_type_mean``: its mean in the cell's (true) type;
- ``lsi_ridge``, ``lsi_neighbours``: ridge regression and the mean of the 50 nearest neighbours on 50 components
  of latent semantic indexing (TF-IDF, truncated SVD) of the open peaks. They need paired cells.

The surrogate *beats the type mean* for a gene when, on the type's test cells, its squared error is smaller than
the cell-type mean's by more than chance: one-sided paired t-test over cells, false discovery rate 5 % over genes
and types. Too few test cells, or too few that express the gene, cannot tell; nor can unpaired cells,
in which no prediction meets its own observation.

Of more than :data:`JUDGED_CELLS` cells of a split so many, evenly spaced, are looked at: baselines are fitted to
them, and models are judged by them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, stats

from grids.io import backed
from grids.io.caps import JUDGED_CELLS
from grids.io.cells import Modality, Multiome
from grids.io.levels import ALL_TYPES
from grids.io.seeds import derive_seed

RANKED_COLUMNS = 128
CELLS_AVERAGED = 256
N_COMPONENTS = 50
N_NEIGHBOURS = 50
RIDGE_PENALTIES = np.logspace(0, 5, 11)
FALSE_DISCOVERY_RATE = 0.05
MIN_TEST_CELLS = 10
MIN_EXPRESSING_CELLS = 5
QUALITY_COLUMNS = [
    "model", "cell_type", "gene", "n_cells", "pearson_r", "spearman_r", "rmse", "beats_type_mean",
]  # fmt: skip
SUMMARY_COLUMNS = ["model", "rmse", "mean_r_per_cell", "mean_r_per_gene", "n_cells", "n_genes"]


class LatentSemanticIndex:
    """TF-IDF and truncated SVD of open peaks, fitted on training cells; the first component (depth) is dropped."""

    def __init__(self, opened: sparse.csr_matrix, n_components: int, seed: int):
        from sklearn.decomposition import TruncatedSVD

        n_open = np.bincount(opened.indices, minlength=opened.shape[1])
        self.inverse_document_frequency = (opened.shape[0] / np.maximum(n_open, 1)).astype(np.float32)
        n_components = min(n_components + 1, min(opened.shape) - 1)
        weighted = self._tf_idf(opened)
        self.svd = TruncatedSVD(n_components, random_state=seed).fit(weighted)
        components = self.svd.transform(weighted)[:, 1:]
        self.mean, self.sd = components.mean(0), np.maximum(components.std(0), 1e-12)

    def _tf_idf(self, opened: sparse.csr_matrix) -> sparse.csr_matrix:
        depth = np.diff(opened.indptr)
        values = self.inverse_document_frequency[opened.indices]
        values *= np.repeat((1e4 / np.maximum(depth, 1)).astype(np.float32), depth)
        np.log1p(values, out=values)
        return sparse.csr_matrix((values, opened.indices, opened.indptr), shape=opened.shape)

    def __call__(self, opened: sparse.csr_matrix) -> np.ndarray:
        """Standardised components, shape (n_cells, n_components)."""
        return (self.svd.transform(self._tf_idf(opened))[:, 1:] - self.mean) / self.sd


def baseline_predictions(multiome: Multiome, seed: int) -> dict[str, np.ndarray]:
    """Each baseline's prediction for the ATAC test cells, shape (n_test_cells, n_genes)."""
    rna = multiome.rna.cells(split="train")
    test = multiome.atac.cells(split="test")
    predictions = {
        "gene_mean": np.tile(np.asarray(rna.X.mean(0)), (len(test.obs), 1)),
        "cell_type_mean": _type_means(rna, test.obs["cell_type"].to_numpy()),
    }
    if multiome.paired:
        predictions |= _lsi_predictions(multiome, seed)
    return predictions


def _lsi_predictions(multiome: Multiome, seed: int) -> dict[str, np.ndarray]:
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import NearestNeighbors

    def opened(split: str) -> sparse.csr_matrix:
        return multiome.atac.cells(split=split).X

    y = {split: multiome.rna.cells(split=split).X.toarray() for split in ("train", "validation")}
    index = LatentSemanticIndex(opened("train"), N_COMPONENTS, derive_seed(seed, "lsi_baseline"))
    # The open peaks of one split at a time are in memory.
    z = {split: index(opened(split)) for split in multiome.atac.obs["split"].unique()}
    fits = [Ridge(alpha=penalty).fit(z["train"], y["train"]) for penalty in RIDGE_PENALTIES]
    judged = "validation" if "validation" in z else "train"
    errors = [((fit.predict(z[judged]) - y[judged]) ** 2).mean() for fit in fits]
    neighbours = NearestNeighbors(n_neighbors=min(N_NEIGHBOURS, len(z["train"]))).fit(z["train"])
    nearest = neighbours.kneighbors(z["test"], return_distance=False)
    # All neighbours of some cells at a time: cells x neighbours x genes.
    parts = [
        y["train"][nearest[i : i + CELLS_AVERAGED]].mean(1) for i in range(0, len(nearest), CELLS_AVERAGED)
    ]
    return {
        "lsi_ridge": fits[int(np.argmin(errors))].predict(z["test"]),
        "lsi_neighbours": np.concatenate(parts),
    }


def correlation(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """Pearson correlation along an axis; 0 where either side is constant, as a constant explains nothing."""
    # In double precision a constant is its own mean.
    a, b = (np.asarray(x, float) - np.mean(x, axis, float, keepdims=True) for x in (a, b))
    norm = np.sqrt((a * a).sum(axis) * (b * b).sum(axis))
    scale = np.maximum(np.abs(a).max(axis, initial=0), np.abs(b).max(axis, initial=0))
    constant = norm <= 1e-9 * np.maximum(scale, 1e-12)
    return np.where(constant, 0.0, (a * b).sum(axis) / np.where(constant, 1.0, norm))


def score(predicted: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Per gene: ``n_cells, pearson_r, spearman_r, rmse`` (in log-expression) over the given cells."""
    ranks = [_ranks(x) for x in (predicted, observed)]
    return pd.DataFrame(
        {
            "n_cells": len(observed),
            "pearson_r": correlation(predicted, observed, 0),
            "spearman_r": correlation(*ranks, 0),
            "rmse": np.sqrt(((predicted - observed) ** 2).mean(0)),
        }
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks within each column; some columns at a time, for their ranking takes ten times their memory."""
    ranks = np.empty(values.shape)
    for start in range(0, values.shape[1], RANKED_COLUMNS):
        columns = slice(start, start + RANKED_COLUMNS)
        ranks[:, columns] = stats.rankdata(values[:, columns], axis=0)
    return ranks


def p_values_against_type_mean(
    surrogate_error: np.ndarray, baseline_error: np.ndarray, n_expressing: np.ndarray
) -> np.ndarray:
    """One-sided p-values that the surrogate's squared error is the smaller one, shape (n_genes,).

    1 for genes observed in fewer than 5 cells (`n_expressing`, (n_genes,)), and for all with fewer than 10 cells.
    Squared errors are on the same test cells, (n_cells, n_genes).
    """
    gain = baseline_error - surrogate_error
    if len(gain) < MIN_TEST_CELLS:
        return np.ones(gain.shape[1])
    sd = gain.std(0, ddof=1)
    t = gain.mean(0) / np.where(sd > 0, sd / np.sqrt(len(gain)), np.inf)
    return np.where(n_expressing < MIN_EXPRESSING_CELLS, 1.0, stats.t.sf(t, len(gain) - 1))


@dataclass(frozen=True)
class Part:
    """Predictions that are scored together.

    Attributes
    ----------
    cell_type : str or None
        None: cells of all types.
    cells, genes : ndarray of int
        Among the test cells, and the genes of the data.
    predicted : ndarray, shape (n_cells, n_genes)
    """

    cell_type: str | None
    cells: np.ndarray
    genes: np.ndarray
    predicted: np.ndarray


def evaluate(
    surrogates: dict, multiome: Multiome, seed: int, joint=None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the surrogates and the baselines on test cells.

    Parameters
    ----------
    surrogates : dict of str to surrogate
        The surrogate of each cell type, which may differ in their genes; that of all types predicts all cells.
    multiome : Multiome
        Unpaired cells are compared as averages: each test cell's target is the mean of its type's test cells.
    joint : surrogate, optional
        The surrogate of all types without one of their own, with the same genes; cells of all types are then judged by
        the surrogates of their types.

    Returns
    -------
    quality : DataFrame
        :data:`QUALITY_COLUMNS`, per model, cell type (none: all cells) and gene of the surrogates; on test cells.
    summary : DataFrame
        :data:`SUMMARY_COLUMNS`, over all test cells or, where no surrogate predicts all, over those of the types.
    """
    multiome = Multiome(_judged(multiome.rna), _judged(multiome.atac), multiome.paired)
    test = multiome.atac.cells(split="test")
    types = test.obs["cell_type"].to_numpy()
    name = next(model.name for model in (joint, *surrogates.values()) if model is not None)
    observed, baselines = _observed(multiome, types), baseline_predictions(multiome, seed)
    parts = _parts(surrogates, joint, test, multiome.rna.var.index)
    tables, p_values = [], []
    for part in parts:
        here = np.ix_(part.cells, part.genes)
        predictions = {name: part.predicted, **{model: p[here] for model, p in baselines.items()}}
        for model, predicted in predictions.items():
            scored = score(predicted, observed[here])
            genes = multiome.rna.var.index[part.genes]
            tables.append(scored.assign(model=model, cell_type=part.cell_type, gene=genes))
        baseline = "gene_mean" if part.cell_type is None else "cell_type_mean"
        errors = [(predictions[model] - observed[here]) ** 2 for model in (name, baseline)]
        n_expressing = (observed[here] > 0).sum(0) if multiome.paired else np.zeros(len(part.genes), int)
        p_values.append(p_values_against_type_mean(*errors, n_expressing))
    if not parts:
        return pd.DataFrame(columns=QUALITY_COLUMNS), pd.DataFrame(columns=SUMMARY_COLUMNS)
    quality = pd.concat(tables, ignore_index=True)
    beats = _by_more_than_chance(p_values, [part.cell_type is None for part in parts])
    quality["beats_type_mean"] = np.concatenate([np.tile(flags, 1 + len(baselines)) for flags in beats])
    return quality[QUALITY_COLUMNS], _summarise(parts, name, observed, baselines)


def _parts(surrogates: dict, joint, test: Modality, genes: pd.Index) -> list[Part]:
    """What is scored together: all cells first, then types in their order; nothing without genes or cells."""
    types, parts = test.obs["cell_type"].to_numpy(), []
    if joint is not None:
        predicted = _predict(surrogates, joint, test, len(joint.genes))
        columns = genes.get_indexer(joint.genes)
        parts.append(Part(None, np.arange(len(types)), columns, predicted))
        for cell_type in test.cell_types:
            here = np.flatnonzero(types == cell_type)
            parts.append(Part(cell_type, here, columns, predicted[here]))
        return parts
    for cell_type, surrogate in sorted(surrogates.items(), key=lambda item: (item[0] != ALL_TYPES, item[0])):
        is_all = cell_type == ALL_TYPES
        here = np.flatnonzero((types == cell_type) | is_all)
        if len(surrogate.genes) and len(here):
            predicted = surrogate.predict(test.X[here]).cpu().numpy()
            columns = genes.get_indexer(surrogate.genes)
            parts.append(Part(None if is_all else cell_type, here, columns, predicted))
    return parts


def _summarise(
    parts: list[Part], name: str, observed: np.ndarray, baselines: dict[str, np.ndarray]
) -> pd.DataFrame:
    """:data:`SUMMARY_COLUMNS` over the part of all cells or, without one, over all parts."""
    used = parts[:1] if parts[0].cell_type is None else parts
    rows = []
    for model in (name, *baselines):
        pairs = []
        for part in used:
            here = np.ix_(part.cells, part.genes)
            pairs.append((part.predicted if model == name else baselines[model][here], observed[here]))
        errors = np.concatenate([((predicted - seen) ** 2).ravel() for predicted, seen in pairs])
        per_cell, per_gene = (np.concatenate([correlation(*pair, axis) for pair in pairs]) for axis in (1, 0))
        n_genes = len(set(np.concatenate([part.genes for part in used]).tolist()))
        rows.append([model, np.sqrt(errors.mean()), per_cell.mean(), per_gene.mean(), len(per_cell), n_genes])
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def _judged(modality: Modality) -> Modality:
    """At most :data:`JUDGED_CELLS` of each split; in memory where there are more."""
    split, keep = modality.obs["split"].to_numpy(), np.zeros(len(modality.obs), bool)
    for name in np.unique(split):
        of_split = np.flatnonzero(split == name)
        keep[of_split[backed.evenly_spaced(len(of_split), JUDGED_CELLS)]] = True
    return modality if keep.all() else modality.cells(keep)


def _predict(surrogates: dict, joint, test: Modality, n_genes: int) -> np.ndarray:
    """Each test cell's expression in the eyes of its type's surrogate, shape (n_cells, n_genes)."""
    predicted = np.empty((len(test.obs), n_genes), np.float32)
    for cell_type in test.cell_types:
        here = np.flatnonzero(test.obs["cell_type"] == cell_type)
        predicted[here] = surrogates.get(cell_type, joint).predict(test.X[here]).cpu().numpy()
    return predicted


def _observed(multiome: Multiome, types: np.ndarray) -> np.ndarray:
    rna = multiome.rna.cells(split="test")
    return rna.X.toarray() if multiome.paired else _type_means(rna, types)


def _type_means(rna: Modality, types: np.ndarray) -> np.ndarray:
    """Mean expression of each type, a row for each entry of `types`; of all cells where a type has none."""
    means = np.tile(np.asarray(rna.X.mean(0)), (len(types), 1))
    for cell_type in np.unique(types):
        of_type = (rna.obs["cell_type"] == cell_type).to_numpy()
        if of_type.any():
            means[types == cell_type] = rna.X[of_type].mean(0)
    return means


def _by_more_than_chance(p_values: list[np.ndarray], of_all_cells: list[bool]) -> list[np.ndarray]:
    """Benjamini-Hochberg over the genes of all types; that of all cells is corrected on its own."""
    beats = [np.zeros(len(p), bool) for p in p_values]
    for family in (True, False):
        rows = [i for i, of_all in enumerate(of_all_cells) if of_all == family]
        if rows:
            q = stats.false_discovery_control(np.concatenate([p_values[i] for i in rows]))
            ends = np.cumsum([len(p_values[i]) for i in rows])[:-1]
            for i, part in zip(rows, np.split(q, ends), strict=True):
                beats[i] = part < FALSE_DISCOVERY_RATE
    return beats
