"""The links of one population of cells as tables: a row per peak and gene, and a row per gene."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from grids.analysis.links.linking import Tested, Windows, test_windows
from grids.analysis.links.residuals import Residuals
from grids.analysis.links.score_test import TestedCells
from grids.data.normalisation import counts_and_exposure
from grids.io.caps import LINKED_CELLS
from grids.io.cells import Multiome
from grids.io.errors import InputError
from grids.io.levels import ACROSS_TYPES, level_of
from grids.io.logging import log

N_COMPONENTS = 20
# Cells for each component of the state, at least.
CELLS_PER_COMPONENT = 25
# Fewer genes are not taken for the cells' state: each of them would be explained by itself.
LEAST_GENES = 200
# Peaks closer to the start site follow transcription as the promoter does.
NEAR_BP = 5_000
CLASSES = ("promoter", "body", "distal")
LINK_COLUMNS = [
    "level", "cell_type", "gene", "peak", "distance_to_tss_bp", "class", "accessibility", "effect",
    "standard_error", "z", "p_value", "q_value", "n_effective_cells",
]  # fmt: skip
WINDOW_TEST_COLUMNS = [
    "level", "cell_type", "gene", "n_peaks", "n_cells", "n_expressing", "n_effective_cells", "z", "p_value",
    "n_distal_peaks", "p_value_distal",
]  # fmt: skip


def class_of_links(windows: pd.DataFrame, genes: pd.DataFrame) -> np.ndarray:
    """What each peak is to the gene: one of :data:`CLASSES`, shape (n_links,).

    Promoter: in the promoter, or within 5 kb of the start site outside the gene. Body: overlaps the gene. Distal: the
    others.

    Parameters
    ----------
    windows : DataFrame
        Columns ``gene, start, end, distance_to_tss_bp, is_promoter``.
    genes : DataFrame
        Columns ``gene, start, end``.
    """
    bounds = genes.drop_duplicates("gene").set_index("gene")[["start", "end"]].astype(float)
    start, end = bounds.reindex(windows["gene"]).to_numpy().T
    inside = (windows["start"].to_numpy() < end) & (windows["end"].to_numpy() > start)
    near = windows["distance_to_tss_bp"].abs().to_numpy() <= NEAR_BP
    is_promoter = windows["is_promoter"].to_numpy(bool) | (near & ~inside)
    return np.select([is_promoter, inside], CLASSES[:2], CLASSES[2])


@dataclass(frozen=True)
class Population:
    """The cells of a type, or of all types, with what the links of all genes are tested from.

    Attributes
    ----------
    cell_type : str
        The type, or :data:`~grids.io.levels.ALL_TYPES`.
    opened : csr_matrix, shape (n_cells, n_peaks)
    values : csc_matrix, shape (n_cells, n_genes)
        Counts; log-normalised expression where counts are not known.
    exposure : ndarray, shape (n_cells,), or None
        What counts are proportional to.
    state : ndarray, shape (n_cells, n_components)
        What genes may follow without their windows beside depth, components of open peaks; nothing across types.
    chance : ndarray, shape (n_cells,)
        Detection chance of an open peak, or what is proportional to it.
    group : ndarray of str, shape (n_cells,)
        Cells that may stand for each other, were there no link: those of a split.
    rna_state : ndarray, shape (n_cells, n_rna_components), optional
        As `state`, of expressed genes where there are enough; it goes with the RNA.
    """

    cell_type: str
    opened: sparse.csr_matrix
    values: sparse.csc_matrix
    exposure: np.ndarray | None
    state: np.ndarray
    chance: np.ndarray
    group: np.ndarray
    rna_state: np.ndarray | None = None

    @property
    def across_types(self) -> bool:
        return level_of(self.cell_type) == ACROSS_TYPES

    def tested_cells(self) -> TestedCells:
        """The cells with their covariates: intercept, log of detection and of exposure, and the state."""
        depths = [self.chance] if self.exposure is None else [self.chance, self.exposure]
        logs = [np.log(np.maximum(depth, 1e-12)) for depth in depths]
        scaled = [(x - x.mean()) / max(x.std(), 1e-9) for x in logs]
        states = [self.state] if self.rna_state is None else [self.state, self.rna_state]
        covariates = np.column_stack([np.ones(len(self.chance)), *scaled, *states])
        return TestedCells(self.opened, covariates, depths[-1])


def population(multiome: Multiome, cell_type: str, seed: int) -> Population:
    """The cells of a type, of all splits, or those of all types.

    Parameters
    ----------
    multiome : Multiome
        Paired; ``atac.obs["detection"]`` is each cell's chance that an open peak is seen. Of more than
        :data:`~grids.io.caps.LINKED_CELLS` cells so many, evenly spaced, are tested.
    """
    cells = multiome.cells(cell_type=cell_type, most=LINKED_CELLS)
    opened, n_cells = cells.atac.X, cells.atac.X.shape[0]
    try:
        counts, exposure = counts_and_exposure(cells.rna)
        values = counts.tocsc()
    except InputError:
        log.info("%s: counts are not known: links are tested on log-normalised expression", cell_type)
        values, exposure = cells.rna.X.tocsc(), None
    split, rna_state = cells.atac.obs["split"].to_numpy(str), None
    if level_of(cell_type) == ACROSS_TYPES:
        chance = np.maximum(np.diff(opened.indptr), 1).astype(float)
        state = np.empty((n_cells, 0))
    else:
        detection = cells.atac.obs["detection"].to_numpy(np.float64)
        chance, state = _state(opened, detection, seed)
        if values.shape[1] >= LEAST_GENES:
            expressed = values.tocsr().astype(bool).astype(np.uint8)
            n_genes = np.maximum(np.diff(expressed.indptr), 1)
            rna_state = _state(expressed, n_genes / expressed.shape[1], seed)[1]
    return Population(cell_type, opened, values, exposure, state, chance, split, rna_state)


def _state(seen: sparse.csr_matrix, chance: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Chance of what is there to be seen, (n_cells,), and the leading components, (n_cells, n_components)."""
    from grids.surrogates.window.cell_state import CellState  # here: seconds of a job's start

    n_components = min(N_COMPONENTS, seen.shape[0] // CELLS_PER_COMPONENT)
    return tuple(x.numpy().astype(float) for x in CellState.fit(seen, chance, n_components, seed)(seen))


class LinkTest:
    """Which peaks and genes of a run are tested with each other.

    Parameters
    ----------
    multiome : Multiome
    windows : DataFrame
        Columns ``peak, gene, start, end, distance_to_tss_bp, is_promoter``, sorted by gene and position.
    genes : DataFrame
        Columns ``gene, start, end``.
    """

    def __init__(self, multiome: Multiome, windows: pd.DataFrame, genes: pd.DataFrame):
        peak = multiome.atac.var.index.get_indexer(windows["peak"])
        gene = multiome.rna.var.index.get_indexer(windows["gene"])
        known = (peak >= 0) & (gene >= 0)
        table = windows[known].assign(peak_row=peak[known], gene_row=gene[known])
        table["class"] = class_of_links(table, genes)
        self.table = table.sort_values(["gene_row", "peak_row"]).reset_index(drop=True)
        self.gene_row, first = np.unique(self.table["gene_row"], return_index=True)
        self.genes = multiome.rna.var.index[self.gene_row]
        self.chromosome_of_peak = multiome.atac.var["chromosome"].to_numpy(str)
        last = [*first[1:], len(self.table)][: len(first)]
        rows, is_distal = self.table["peak_row"].to_numpy(), (self.table["class"] == "distal").to_numpy()
        peaks, is_distal = ([x[i:j] for i, j in zip(first, last, strict=True)] for x in (rows, is_distal))
        chromosome = self.chromosome_of_peak[rows[first]]
        self.windows = Windows(peaks, is_distal, chromosome)

    def test(
        self,
        cells: Population,
        windows: Windows | None = None,
        order: np.ndarray | None = None,
        bar: str = "",
        fits: dict[int, Residuals] | None = None,
    ) -> Tested:
        """Test all genes in the cells of a population.

        Parameters
        ----------
        windows : Windows, optional
            Whose windows the genes get; their own by default.
        order : ndarray of int, shape (n_cells,), optional
            The cell whose RNA each cell gets; its own by default.
        fits : dict, optional
            Residuals, kept for tests of the same cells in the same order with other windows.
        """
        values = cells.values[:, self.gene_row]
        if order is not None:
            values = values[order]
            of_rna = {name: getattr(cells, name) for name in ("exposure", "rna_state")}
            cells = replace(cells, **{name: x[order] for name, x in of_rna.items() if x is not None})
        return test_windows(
            cells.tested_cells(),
            values,
            cells.exposure,
            windows or self.windows,
            self.chromosome_of_peak if cells.across_types else None,
            bar,
            fits,
        )

    def link_table(self, tested: Tested, cells: Population) -> pd.DataFrame:
        """:data:`LINK_COLUMNS`, a row per peak of every window; q-values are over all of them."""
        n_open = np.bincount(cells.opened.indices, minlength=cells.opened.shape[1])
        of_peaks = self.table[["gene", "peak", "distance_to_tss_bp", "class"]]
        share = n_open[self.table["peak_row"]] / cells.opened.shape[0]
        named = {"level": level_of(cells.cell_type), "cell_type": cells.cell_type, "accessibility": share}
        table = of_peaks.assign(**named, **tested.links)
        return table.assign(q_value=q_values(table["p_value"]))[LINK_COLUMNS]

    def window_table(self, tested: Tested, cells: Population) -> pd.DataFrame:
        """:data:`WINDOW_TEST_COLUMNS`, a row per gene that has a window."""
        n_expressing = cells.values[:, self.gene_row].getnnz(0)
        whole, distal = tested.windows, tested.distal
        return pd.DataFrame(
            {
                "level": level_of(cells.cell_type),
                "cell_type": cells.cell_type,
                "gene": self.genes,
                "n_peaks": [len(peaks) for peaks in self.windows.peaks],
                "n_cells": cells.opened.shape[0],
                "n_expressing": n_expressing,
                "n_effective_cells": whole["n_effective_cells"],
                "z": whole["z"],
                "p_value": whole["p_value"],
                "n_distal_peaks": [chosen.sum() for chosen in self.windows.is_distal],
                "p_value_distal": distal["p_value"],
            }
        )


def q_values(p_values: pd.Series) -> np.ndarray:
    """False discovery rates (Benjamini & Hochberg) of the p-values that are known; missing where they are."""
    from scipy.stats import false_discovery_control  # here: a second of a job's start

    known, q = p_values.notna().to_numpy(), np.full(len(p_values), np.nan)
    if known.any():
        q[known] = false_discovery_control(p_values[known].to_numpy(float))
    return q
