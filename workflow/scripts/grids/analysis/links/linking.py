"""Links of all genes at one level: every peak of every window tested, and each window as a whole.

*Within a type* a link is what expression and openness have in common beyond the cells' state; p-values are those of
:mod:`grids.analysis.links.score_test`. *Across types* the state is what is followed: cells of all types are tested
together, and p-values are those of decoys (:mod:`grids.analysis.links.decoys`).

Within a type a window's p-value combines, half and half, that of the number of its open peaks with those of its links;
across types it is that of the number of its open peaks.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from tqdm import tqdm

from grids.analysis.links.decoys import Decoys, PeakDecoys, WindowDecoys
from grids.analysis.links.residuals import Residuals, fit_residuals
from grids.analysis.links.score_test import (
    LEAST_EFFECTIVE_CELLS,
    TestedCells,
    combine,
    concatenate,
    window_openness,
)

GENES_PER_BLOCK = 64
# Of genes that fewer cells express, a few odd cells make the tails beside decoys.
LEAST_EXPRESSING = 50


@dataclass(frozen=True)
class Windows:
    """Which peaks are tested with which genes.

    Attributes
    ----------
    peaks : list of ndarray of int
        Positions of the peaks in each gene's window.
    is_distal : list of ndarray of bool
        Which of them are distal.
    chromosome : ndarray, shape (n_genes,)
    chromosome_of_gene : ndarray, shape (n_genes,), optional
        Where genes have windows of others, whose decoys lie on neither chromosome.
    """

    peaks: list[np.ndarray]
    is_distal: list[np.ndarray]
    chromosome: np.ndarray
    chromosome_of_gene: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.peaks)

    @property
    def avoided(self) -> np.ndarray:
        """Chromosomes without decoys for each gene, shape (n_genes, 2)."""
        own = self.chromosome if self.chromosome_of_gene is None else self.chromosome_of_gene
        return np.stack([self.chromosome, own], 1)

    def of(self, distal: bool) -> list[np.ndarray]:
        """Positions of the peaks, all or the distal ones."""
        if not distal:
            return self.peaks
        return [peaks[chosen] for peaks, chosen in zip(self.peaks, self.is_distal, strict=True)]


@dataclass(frozen=True)
class Tested:
    """Links and windows of all genes of :class:`Windows`, in their order.

    Attributes
    ----------
    gene : ndarray of int, shape (n_links,)
        Number of each link's gene.
    links : dict of str to ndarray, shape (n_links,)
        `effect`, `standard_error`, `z`, `p_value` and `n_effective_cells` of links.
    windows, distal : dict of str to ndarray, shape (n_genes,)
        The same of windows, and of their distal peaks alone.
    """

    gene: np.ndarray
    links: dict[str, np.ndarray]
    windows: dict[str, np.ndarray]
    distal: dict[str, np.ndarray]


def test_windows(
    cells: TestedCells,
    values: sparse.csc_matrix,
    exposure: np.ndarray | None,
    windows: Windows,
    chromosome_of_peak: np.ndarray | None = None,
    bar: str = "",
    fits: dict[int, Residuals] | None = None,
) -> Tested:
    """Test every link and every window.

    Parameters
    ----------
    values : csc_matrix, shape (n_cells, n_genes)
        Counts or, with `exposure` None, log-normalised expression; columns in the order of `windows`.
    exposure : ndarray, shape (n_cells,), or None
    chromosome_of_peak : ndarray, shape (n_peaks,), optional
        With it, p-values and z are those beside decoys.
    bar : str
        What the progress bar says; none without.
    fits : dict, optional
        Residuals of blocks of genes, by their first gene: those it lacks are added, so that the same cells and values
        can be tested with other windows.
    """
    decoys = None
    if chromosome_of_peak is not None:
        decoys = [PeakDecoys(cells, chromosome_of_peak)]
        decoys += [WindowDecoys(cells, windows.of(distal), windows.chromosome) for distal in (False, True)]
    parts: list[list[dict]] = [[], [], []]
    # Without genes there is one block, an empty one.
    starts = range(0, max(len(windows), 1), GENES_PER_BLOCK)
    for first in tqdm(starts, desc=bar, unit="block", disable=not bar):
        block = slice(first, min(first + GENES_PER_BLOCK, len(windows)))
        residuals = fits.get(first) if fits else None
        if residuals is None:
            counts = values[:, block].toarray().astype(float)
            residuals = fit_residuals(counts, exposure, cells.covariates, cells.strata)
        if fits is not None:
            fits[first] = residuals
        scored = _test_block(cells, residuals, windows, block, decoys)
        for part, columns in zip(parts, scored, strict=True):
            part.append(columns)
    links, whole, distal = (
        {name: np.concatenate([columns[name] for columns in part]) for name in part[0]} for part in parts
    )
    gene = np.repeat(np.arange(len(windows)), [len(peaks) for peaks in windows.peaks])
    if decoys is None:
        is_distal = np.concatenate([np.empty(0, bool), *windows.is_distal])
        whole["p_value"] = _with_links(whole["p_value"], links["p_value"], gene)
        distal["p_value"] = _with_links(distal["p_value"], links["p_value"][is_distal], gene[is_distal])
    else:
        n_expressing = values.getnnz(0)
        for table, of_gene in ((links, gene), (whole, slice(None)), (distal, slice(None))):
            table["p_value"] = np.where(n_expressing[of_gene] >= LEAST_EXPRESSING, table["p_value"], np.nan)
        # Sizes of windows differ too much for decoys to have the tails of those that few cells carry.
        for table in (whole, distal):
            can_tell = table["n_effective_cells"] >= LEAST_EFFECTIVE_CELLS
            table["p_value"] = np.where(can_tell, table["p_value"], np.nan)
    return Tested(gene, links, whole, distal)


def _test_block(
    cells: TestedCells, residuals: Residuals, windows: Windows, block: slice, decoys: list[Decoys] | None
) -> list[dict[str, np.ndarray]]:
    """Columns of the links, the windows and their distal peaks of a block of genes, as in :class:`Tested`."""
    peaks = windows.peaks[block]
    near = [x[~distal] for x, distal in zip(peaks, windows.is_distal[block], strict=True)]
    n_open = window_openness(cells.by_peak, peaks)
    n_distal = n_open - window_openness(cells.by_peak, near)
    tested = [cells.links(peaks, residuals), *(cells.windows(x, residuals) for x in (n_open, n_distal))]
    names = ("effect", "standard_error", "z", "p_value", "n_effective_cells")
    scored = [{name: getattr(scores, name) for name in names} for scores in tested]
    if decoys is not None:
        gene = np.arange(len(peaks))
        size = [cells.n_open[concatenate(peaks)], n_open.sum(0), n_distal.sum(0)]
        of_gene = [np.repeat(gene, [len(x) for x in peaks]), gene, gene]
        for part, *of_part in zip(scored, decoys, size, of_gene, strict=True):
            _beside_decoys(part, *of_part, windows.avoided[block], residuals)
    return scored


def _beside_decoys(
    scored: dict[str, np.ndarray],
    decoys: Decoys,
    size: np.ndarray,
    gene: np.ndarray,
    avoided: np.ndarray,
    residuals: Residuals,
) -> None:
    """Put z and p-values beside decoys in place of the others; `size` and `gene`, of the block, are of each score."""
    scores = decoys.scores(residuals)
    for i, (first, last) in enumerate(itertools.pairwise(np.searchsorted(gene, np.arange(len(avoided) + 1)))):
        own = slice(first, last)
        beside = decoys.judge(scored["z"][own], size[own], scores[:, i], avoided[i])
        scored["z"][own], scored["p_value"][own] = beside


def _with_links(of_window: np.ndarray, of_links: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """p-values of windows: their own and that of their links together, half and half."""
    number = np.arange(len(of_window))
    both = np.concatenate([of_window, combine(of_links, gene, len(of_window))])
    return combine(both, np.concatenate([number, number]), len(of_window))
