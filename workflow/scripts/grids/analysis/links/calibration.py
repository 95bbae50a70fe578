"""Are the p-values of links and windows calibrated on these data? They are counted where there is nothing to find.

Two kinds of null keep what makes real data hard, its sparsity, its depth and what all cells share. In a *shuffle*, the
RNA of the cells (counts and exposure together) is permuted over those of a split: nothing is left of any link. With
*decoys*, every gene gets the window of a gene on another chromosome that has a similar number of peaks and is about as
often open: whatever follows the state of cells is left, and no link.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import gammaincinv
from tqdm import tqdm

from grids.analysis.links.linking import Tested, Windows
from grids.analysis.links.tables import LinkTest, Population, population, q_values
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.levels import ALL_TYPES, WITHIN_TYPE, level_of
from grids.io.logging import log
from grids.io.seeds import generator

TESTS = ("window", "distal", "link")
THRESHOLDS = np.array([0.05, 0.01, 0.001, 1e-4])
# p-values up to which tests are counted, largest first: ten per power of ten.
P_VALUES = np.unique(np.append(THRESHOLDS, [float(f"{10 ** (-k / 10):.3g}") for k in range(101)]))[::-1]
Q_VALUE = 0.05
# Smaller types have next to no gene that can be tested.
LEAST_CELLS = 50
# Windows on other chromosomes that one is drawn from.
N_SIMILAR = 50
CONFIDENCE = 0.95
KEYS = ["level", "cell_type", "null", "what"]
COUNT_COLUMNS = [*KEYS, "p_value", "n_at_most", "n_tests", "n_repeats", "n_repeats_with_discoveries"]
CALIBRATION_COLUMNS = [
    *KEYS, "threshold", "n_tests", "n_expected", "n_observed", "ratio", "ratio_low", "ratio_high", "n_repeats",
    "n_repeats_with_discoveries",
]  # fmt: skip


def populations(cell_type: pd.Series) -> list[str]:
    """What is calibrated: all types together, and each with at least :data:`LEAST_CELLS` cells, the largest first."""
    n_cells = cell_type.astype(str).value_counts()
    return [ALL_TYPES, *n_cells.index[n_cells >= LEAST_CELLS]]


def shuffled(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A permutation of cells that leaves every one in its group; both of shape (n_cells,)."""
    order = np.arange(len(group))
    for name in np.unique(group):
        own = np.flatnonzero(group == name)
        order[own] = rng.permutation(own)
    return order


def similar_elsewhere(windows: Windows, n_open: np.ndarray) -> list[np.ndarray]:
    """The :data:`N_SIMILAR` windows on other chromosomes nearest to each in number of peaks and openness.

    Parameters
    ----------
    n_open : ndarray, shape (n_peaks,)
        How often each peak is seen open.

    Returns
    -------
    list of ndarray of int
        Numbers of windows, of each gene; none where all windows are on its chromosome.
    """
    sizes = [(len(peaks), n_open[peaks].sum()) for peaks in windows.peaks]
    place = np.log1p(np.array(sizes, float).reshape(-1, 2))
    place /= np.maximum(place.std(0), 1e-9)
    similar = [np.empty(0, int)] * len(windows)
    for name in np.unique(windows.chromosome):
        is_here = windows.chromosome == name
        elsewhere = np.flatnonzero(~is_here)
        if not len(elsewhere):
            continue
        nearest = range(1, min(N_SIMILAR, len(elsewhere)) + 1)
        _, found = cKDTree(place[elsewhere]).query(place[is_here], nearest)
        for gene, of_gene in zip(np.flatnonzero(is_here), found, strict=True):
            similar[gene] = elsewhere[of_gene]
    return similar


def swapped(windows: Windows, similar: list[np.ndarray], rng: np.random.Generator) -> Windows:
    """Every gene with one of the windows similar to its own; beside decoys that lie on neither's chromosome."""
    other = np.array([rng.choice(of_gene) for of_gene in similar])
    return replace(
        windows,
        peaks=[windows.peaks[i] for i in other],
        is_distal=[windows.is_distal[i] for i in other],
        chromosome=windows.chromosome[other],
        chromosome_of_gene=windows.chromosome,
    )


def count_p_values(test: LinkTest, cells: Population, shuffles: int, decoys: int, seed: int) -> pd.DataFrame:
    """Test the links of a population as they are, and so many times with nothing to find.

    Parameters
    ----------
    test : LinkTest
    cells : Population
    shuffles, decoys : int
        Repeats of either null.

    Returns
    -------
    DataFrame
        :data:`COUNT_COLUMNS`, a row per null, kind of test and value of :data:`P_VALUES`: in all repeats together
        `n_tests` have a p-value, and `n_at_most` one of at most `p_value`; in `n_repeats_with_discoveries` repeats any
        has a q-value below :data:`Q_VALUE`.
    """
    n_open = np.bincount(cells.opened.indices, minlength=cells.opened.shape[1])
    similar = similar_elsewhere(test.windows, n_open)
    if decoys and not all(map(len, similar)):
        log.warning("calibration: no decoys: all windows are on one chromosome")
        decoys = 0
    repeats = [
        ("none", 0),
        *(("shuffle", i) for i in range(shuffles)),
        *(("decoy", i) for i in range(decoys)),
    ]
    counts: dict[tuple[str, str], np.ndarray] = {}
    fits: dict = {}
    for null, i in tqdm(repeats, desc=f"{cells.cell_type}: calibration", unit="repeat"):
        rng = generator(seed, "calibration", cells.cell_type, null, i)
        if null == "shuffle":
            tested = test.test(cells, order=shuffled(cells.group, rng))
        else:
            windows = swapped(test.windows, similar, rng) if null == "decoy" else None
            tested = test.test(cells, windows, fits=fits)
        for what, p_values in _p_values(tested).items():
            counts[null, what] = counts.get((null, what), 0) + _count(p_values)
    tables = [
        pd.DataFrame({"p_value": P_VALUES, "n_at_most": counted[:-3]}).assign(
            null=null, what=what, **dict(zip(COUNT_COLUMNS[-3:], counted[-3:], strict=True))
        )
        for (null, what), counted in counts.items()
    ]
    named = {"level": level_of(cells.cell_type), "cell_type": cells.cell_type}
    return pd.concat(tables, ignore_index=True).assign(**named)[COUNT_COLUMNS]


def _p_values(tested: Tested) -> dict[str, np.ndarray]:
    parts = zip(TESTS, (tested.windows, tested.distal, tested.links), strict=True)
    return {what: part["p_value"] for what, part in parts}


def _count(p_values: np.ndarray) -> np.ndarray:
    """How many are at most each of :data:`P_VALUES`, how many there are, 1 repeat, and 1 if it has a discovery."""
    known = np.sort(p_values[np.isfinite(p_values)])
    is_found = bool((q_values(pd.Series(known)) < Q_VALUE).any())
    return np.append(np.searchsorted(known, P_VALUES, side="right"), [len(known), 1, is_found])


def counts_of_files(
    cell_type: str, files: Mapping[str, str], repeats: Mapping[str, int], seed: int
) -> pd.DataFrame:
    """As of :func:`count_p_values`, of one population of a run: every process reads its own.

    Parameters
    ----------
    files : mapping of str to str
        Paths of ``multiome``, ``windows`` and ``genes``.
    repeats : mapping of str to int
        Numbers of ``shuffles`` and ``decoys``.
    """
    multiome = read_multiome(files["multiome"])
    test = LinkTest(multiome, tables.read(files["windows"]), tables.read(files["genes"]))
    return count_p_values(test, population(multiome, cell_type, seed), **repeats, seed=seed)


def calibration_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Observed over expected numbers of p-values at :data:`THRESHOLDS`.

    Parameters
    ----------
    counts : DataFrame
        :data:`COUNT_COLUMNS`, of all populations.

    Returns
    -------
    DataFrame
        :data:`CALIBRATION_COLUMNS`. Rows without cell type hold all types of the level within a type together.
        `ratio_low`, `ratio_high`: exact 95 % interval of a Poisson number (Garwood, Biometrika 1936) over the expected
        one, as if tests were independent.
    """
    within = counts[counts["level"] == WITHIN_TYPE]
    pooled = (
        within.groupby(["level", "null", "what", "p_value"], sort=False).sum(numeric_only=True).reset_index()
    )
    counts = pd.concat([counts, pooled.assign(cell_type=None)], ignore_index=True)
    table = counts[counts["p_value"].isin(THRESHOLDS)].rename(
        columns={"p_value": "threshold", "n_at_most": "n_observed"}
    )
    expected = table["threshold"] * table["n_tests"]
    low, high = poisson_interval(table["n_observed"].to_numpy())
    known = expected.where(expected > 0)
    table = table.assign(
        n_expected=expected,
        ratio=table["n_observed"] / known,
        ratio_low=low / known,
        ratio_high=high / known,
    )
    return table.reset_index(drop=True)[CALIBRATION_COLUMNS]


def poisson_interval(n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of the mean of a Poisson number seen to be `n`, both ends of the shape of `n`."""
    n, rest = np.asarray(n, float), (1 - CONFIDENCE) / 2
    return np.where(n > 0, gammaincinv(np.maximum(n, 1e-12), rest), 0.0), gammaincinv(n + 1, 1 - rest)
