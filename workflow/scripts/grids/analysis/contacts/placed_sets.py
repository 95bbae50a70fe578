"""Sets with their members and genes placed on chromosomes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grids.io.tables import TASK_KEYS


@dataclass(frozen=True)
class PlacedSet:
    """One set of a gene that has a TSS.

    Attributes
    ----------
    task : tuple
        Values of :data:`TASK_KEYS`.
    tss : int
    members : ndarray of int, shape (set_size,)
        In the order of their ranks, as rows of the peaks of the gene's chromosome; -1 on other chromosomes.
    """

    task: tuple
    tss: int
    members: np.ndarray

    @property
    def on_chromosome(self) -> np.ndarray:
        return self.members >= 0


def place_sets(
    sets: pd.DataFrame, genes: pd.DataFrame, peaks: pd.DataFrame
) -> Iterator[tuple[str, np.ndarray, list[PlacedSet]]]:
    """The sets of each chromosome's genes; genes without a position are left out.

    Parameters
    ----------
    sets : DataFrame
        ``sets.tsv``.
    genes : DataFrame
        ``genes.tsv.gz``.
    peaks : DataFrame
        `peak chromosome start end`, all peaks of the run.

    Yields
    ------
    chromosome : str
    middles : ndarray of int, shape (n_peaks_of_chromosome,)
        Middles of its peaks, in bp.
    placed : list of PlacedSet
    """
    located = genes.dropna(subset=["chromosome", "tss"]).drop_duplicates("gene").set_index("gene")
    chromosome_of_set = sets["gene"].map(located["chromosome"])
    for chromosome, of_chromosome in sets.groupby(chromosome_of_set, sort=False):
        here = peaks[peaks["chromosome"] == chromosome]
        row_of_peak = pd.Index(here["peak"])
        placed = [
            PlacedSet(
                task,
                int(located.loc[rows["gene"].iloc[0], "tss"]),
                row_of_peak.get_indexer(rows.sort_values("rank")["peak"]),
            )
            for task, rows in of_chromosome.groupby(TASK_KEYS, sort=False)
        ]
        yield chromosome, ((here["start"] + here["end"]) // 2).to_numpy(np.int64), placed
