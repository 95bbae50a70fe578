"""What a method hands over for one data set: scores of the candidates, and what it says about each gene."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmarks.truth.dataset import Candidates
from grids.data.simulation_plan import MEMBERS_OF_LOGIC
from grids.io.errors import InputError, listing
from grids.io.tables import LOGICS

SET_SIZES = sorted(set(MEMBERS_OF_LOGIC.values()) - {0})
UNDECIDED = "undecided"
CALLS = [*dict.fromkeys([*LOGICS, UNDECIDED])]  # what a method may say of a gene's logic
GENE_COLUMNS = [
    "called", "logic_call", "joint_log_effect", "joint_log_effect_low", "joint_log_effect_high", "p_value",
]  # fmt: skip
SET_COLUMNS = [f"in_set_of_{size}" for size in SET_SIZES]
PEAK_COLUMNS = ["inclusion", "credible"]
RESULT_COLUMNS = ["method", "gene", "peak", "score", *PEAK_COLUMNS, *SET_COLUMNS, *GENE_COLUMNS]


@dataclass(frozen=True)
class MethodResult:
    """One method's answer; only the scores are a must.

    A method is not told how many members a gene has: it ranks the candidates, and may name its best set of
    every size that is planted.

    Attributes
    ----------
    method : str
    scores : ndarray, shape (n_genes, n_candidates)
        Larger is more likely a member. Rows and columns as in :class:`~benchmarks.truth.dataset.Candidates`.
    sets : dict of int to ndarray of bool, shape (n_genes, n_candidates)
        The best set of each size. A size that is missing is read off the scores.
    genes : dict of str to array, shape (n_genes,)
        Any of :data:`GENE_COLUMNS`: whether the method finds local control (`called`), by which logic (one of
        :data:`CALLS`), the change of log-expression (natural log) when all members are closed with the bounds of
        its 95 % interval, and the p-value of the hypothesis that the gene has no local control.
    inclusion : ndarray, shape (n_genes, n_candidates), optional
        Stated chance that a candidate is a member; missing for genes of which nothing is stated.
    credible : ndarray of int, shape (n_genes, n_candidates), optional
        The number, from 1, of the gene's credible set that a candidate is in; 0 for none.
    """

    method: str
    scores: np.ndarray
    sets: dict[int, np.ndarray] = field(default_factory=dict)
    genes: dict[str, np.ndarray] = field(default_factory=dict)
    inclusion: np.ndarray | None = None
    credible: np.ndarray | None = None

    def table(self, candidates: Candidates) -> pd.DataFrame:
        """One row per gene and candidate, :data:`RESULT_COLUMNS`; missing values where nothing was said.

        Raises
        ------
        InputError
            When a part has another shape than the candidates, or an unknown name.
        """
        shape = candidates.peaks.shape
        self._check(shape)
        table = pd.DataFrame(
            {
                "gene": np.repeat(candidates.genes, shape[1]),
                "peak": candidates.peaks.ravel(),
                "score": np.asarray(self.scores, dtype=float).ravel(),
                **{name: np.ravel(values) for name, values in self._of_peaks().items()},
                **{f"in_set_of_{size}": chosen.ravel() for size, chosen in self.sets.items()},
                **{name: np.repeat(values, shape[1]) for name, values in self.genes.items()},
            }
        )
        return table.assign(method=self.method).reindex(columns=RESULT_COLUMNS)

    def _of_peaks(self) -> dict[str, np.ndarray]:
        values = {name: getattr(self, name) for name in PEAK_COLUMNS}
        return {name: value for name, value in values.items() if value is not None}

    def _check(self, shape: tuple[int, int]) -> None:
        where = f"truth: method '{self.method}'"
        for name, values in {"scores": self.scores, **self.sets, **self._of_peaks()}.items():
            if np.shape(values) != shape:
                raise InputError(f"{where}: {name} has shape {np.shape(values)}; expected {shape}")
        for size, chosen in self.sets.items():
            if size not in SET_SIZES or (np.sum(chosen, axis=1) != size).any():
                raise InputError(f"{where}: every set of {size} must have {size} members, one of {SET_SIZES}")
        unknown = [name for name in self.genes if name not in GENE_COLUMNS]
        if unknown:
            raise InputError(f"{where}: '{unknown[0]}' is unknown; a gene may have {listing(GENE_COLUMNS)}")
        for name, values in self.genes.items():
            if len(values) != shape[0]:
                raise InputError(
                    f"{where}: {name} has {len(values)} values; expected {shape[0]}, one per gene"
                )
        strange = set(self.genes.get("logic_call", ())) - set(CALLS)
        if strange:
            raise InputError(f"{where}: logic '{strange.pop()}' is unknown; expected one of {listing(CALLS)}")


def as_table(results: Iterable[MethodResult], candidates: Candidates) -> pd.DataFrame:
    """The tables of several methods, one after the other."""
    tables = [result.table(candidates) for result in results]
    return pd.concat(tables, ignore_index=True)
