"""Rivals that select peaks by linear regression of log-expression, with and without the cells' state regressed out.

Each method sees the candidates of one gene and its log-expression, as what is left of both after regression on an
intercept or, in the rows of the tables that end in ``_state``, on what the window surrogate takes for the cell's state
(:mod:`~benchmarks.truth.rivals.state`). All learn from the training and validation cells.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.truth.dataset import LEARNED, Candidates, Dataset
from benchmarks.truth.result import SET_SIZES, MethodResult
from benchmarks.truth.rivals.state import intercept, state_and_depth

N_EFFECTS = 5  # of SuSiE: single effects at most
MAX_SUBSET = 5
COVERAGE = 0.95


@dataclass(frozen=True)
class Selection:
    """What a method says of one gene's candidates.

    Attributes
    ----------
    scores : ndarray, shape (n_candidates,)
        Larger is more likely a member.
    n_found : int, optional
        Members that the method itself finds, by its own rule.
    sets : dict of int to ndarray of bool, shape (n_candidates,)
        The best set of each size, where it is not the highest scores.
    inclusion : ndarray, shape (n_candidates,), optional
        Posterior chance of being a member.
    credible : ndarray of int, shape (n_candidates,), optional
        The number, from 1, of the credible set that a candidate is in; 0 for none.
    """

    scores: np.ndarray
    n_found: int | None = None
    sets: dict[int, np.ndarray] = field(default_factory=dict)
    inclusion: np.ndarray | None = None
    credible: np.ndarray | None = None


def run(dataset: Dataset, seed: int) -> list[MethodResult]:
    """Every method of :data:`SELECTIONS`, without and with the state."""
    cells = dataset.candidates.of_splits(*LEARNED)
    bases = {"": intercept(len(cells.depth)), "_state": state_and_depth(dataset, seed)}
    return [
        as_result(name + ending, [select(x, y) for x, y in residuals(cells, basis)])
        for ending, basis in bases.items()
        for name, select in SELECTIONS.items()
    ]


def residuals(cells: Candidates, basis: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Gene by gene, openness (n_cells, n_candidates) and log-expression (n_cells,) without their part in a basis.

    `basis`, shape (n_cells, n_covariates), is orthonormal.
    """
    for opened, y in zip(cells.opened, cells.expression.T, strict=True):
        x = opened.astype(np.float64)
        yield x - basis @ (basis.T @ x), y - basis @ (basis.T @ y)


def as_result(method: str, selections: list[Selection]) -> MethodResult:
    """What was said of every gene, as one result."""

    def stacked(name: str) -> np.ndarray | None:
        values = [getattr(selection, name) for selection in selections]
        return None if values[0] is None else np.stack(values)

    found = [selection.n_found for selection in selections]
    return MethodResult(
        method,
        stacked("scores"),
        sets={size: np.stack([s.sets[size] for s in selections]) for size in selections[0].sets},
        genes={} if found[0] is None else {"called": np.array(found) > 0},
        inclusion=stacked("inclusion"),
        credible=stacked("credible"),
    )


def correlation(x: np.ndarray, y: np.ndarray) -> Selection:
    """Single-peak scan: absolute Pearson correlation of each candidate alone."""
    scale = np.sqrt((x**2).sum(0) * (y @ y))
    return Selection(np.abs(x.T @ y) / np.maximum(scale, 1e-12))


def susie(x: np.ndarray, y: np.ndarray) -> Selection:
    """Sum of single effects: posterior inclusion, and credible sets (Wang et al., J. R. Stat. Soc. B 2020)."""
    import pysusie

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of effects that did not converge
        fit = pysusie.susie(x, y, L=N_EFFECTS, coverage=COVERAGE)
    credible = np.zeros(x.shape[1], dtype=int)
    sets = fit["sets"]["cs"] or []
    for number, members in reversed(
        list(enumerate(sets, 1))
    ):  # where sets share a peak it is the first one's
        credible[members] = number
    inclusion = np.asarray(fit["pip"], dtype=np.float64)
    return Selection(inclusion, len(sets), inclusion=inclusion, credible=credible)


def forward(x: np.ndarray, y: np.ndarray) -> Selection:
    """Forward selection, scored by the order of entry; it finds as many as have the lowest BIC."""
    left, unexplained, order, rss = x.copy(), y.copy(), [], [y @ y]
    for _ in range(x.shape[1]):
        norm = np.maximum((left**2).sum(0), 1e-9)
        gain = (left.T @ unexplained) ** 2 / norm
        gain[order] = -1
        best = int(gain.argmax())
        direction = left[:, best] / np.sqrt(norm[best])
        unexplained = unexplained - direction * (direction @ unexplained)
        left -= np.outer(direction, direction @ left)
        order.append(best)
        rss.append(unexplained @ unexplained)
    scores = np.zeros(len(order))
    scores[order] = np.arange(len(order), 0, -1)
    return Selection(scores, lowest_bic(rss, len(y)))


def best_subset(x: np.ndarray, y: np.ndarray) -> Selection:
    """Best subset of each size by splicing (Zhu et al., PNAS 2020); it finds as many as have the lowest BIC.

    Candidates are scored by how many of the best subsets of 1 to :data:`MAX_SUBSET` hold them, then by correlation.
    """
    from abess import LinearRegression

    sets, rss = {}, [y @ y]
    for size in range(1, min(MAX_SUBSET, x.shape[1]) + 1):
        fit = LinearRegression(support_size=[size], fit_intercept=False).fit(x, y)
        sets[size] = fit.coef_ != 0
        rss.append(((y - x @ fit.coef_) ** 2).sum())
    scores = np.sum(list(sets.values()), axis=0) + 0.5 * correlation(x, y).scores
    return Selection(scores, lowest_bic(rss, len(y)), {size: sets[size] for size in SET_SIZES})


def lowest_bic(rss: list[float], n_cells: int) -> int:
    """The size, 0, 1, ..., whose residual sum of squares has the lowest Bayesian information criterion."""
    n_terms = np.arange(len(rss))
    return int((n_cells * np.log(np.maximum(rss, 1e-12)) + n_terms * np.log(n_cells)).argmin())


SELECTIONS: dict[str, Callable[[np.ndarray, np.ndarray], Selection]] = {
    "correlation": correlation,
    "susie": susie,
    "best_subset": best_subset,
    "forward": forward,
}
