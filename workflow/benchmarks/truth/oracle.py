"""Bounds that know the truth: the best a search over sets, or a call of the logic, could hope for.

An oracle is told how the members act on their gene, and sees what any method sees: which peaks were *observed*
open, RNA counts and total counts per cell. Counts are taken as Poisson with mean ``depth * exp(a + b * activity)``.
The activity of a set, from 0 to 1, depends on how many of its members are open:

- single, multiplicative: the share of members that are open;
- redundant: 1 when any is open;
- synergistic: 1 when all are open.

Every logic has two parameters. Open members never lower the rate (``b >= 0``), or, where closing them activates their
gene, never raise it (``b <= 0``), which the oracle knows, too. It takes members for equally strong: of unequal ones it
is no bound. There are two oracles:

- `oracle_observed`: a member is open when it is seen open;
- `oracle_hidden`: a member that is not seen may be open. The oracle also knows the share of open cells, the
  co-accessibility and the chance of detection, and takes the mean rate over what may be hidden.

Each searches all sets of the true size under the true logic, by likelihood maximised over ``a`` and a grid of
``b``. Then, told the members, it names the logic whose likelihood is highest and, told the logic as well, the
joint effect. The likelihood of all sets costs little because a cell enters through its number of members seen:
sums over the cells with 0, 1, ... members seen come from moments of the window.
"""

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

from benchmarks.truth.dataset import Candidates, Dataset
from benchmarks.truth.result import MethodResult
from grids.io.tables import LOGICS

OPEN_SHARE = 0.5  # of the simulation
SEARCH_SLOPES = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
CALL_SLOPES = np.arange(0, 6.01, 0.05)
# What more than one member can do.
FORMS = LOGICS[2:]
MOST_DETECTION = 0.98
N_NODES = 21  # of Gauss-Hermite quadrature over the state factor


def run(dataset: Dataset, seed: int) -> list[MethodResult]:
    """Both oracles; they draw no random numbers."""
    cells = dataset.candidates.of_splits("train", "validation")
    truth = dataset.truth.set_index(["gene", "peak"])
    sign = 1 if dataset.level["direction"] == "silence" else -1
    results = []
    for name, given_seen in (("oracle_observed", given_all_is_seen), ("oracle_hidden", given_some_is_hidden)):
        scores = np.zeros(cells.peaks.shape)
        calls = np.full(len(cells.genes), "none", dtype=object)
        effects = np.zeros(len(cells.genes))
        for row, gene in enumerate(cells.genes):
            planted = truth.loc[gene].loc[cells.peaks[row]]
            members, logic = np.flatnonzero(planted["is_member"]), planted["logic"].iloc[0]
            if not len(members):
                continue
            opened, counts = cells.opened[row], cells.counts[:, row]
            n_open = given_seen(cells, row, len(members), dataset.level)
            scores[row] = search_all_sets(opened, counts, cells.depth, n_open, logic, len(members), sign)
            calls[row], effects[row] = explain_members(
                opened, counts, cells.depth, n_open, logic, members, sign
            )
        genes = {"logic_call": calls, "joint_log_effect": effects}
        results.append(MethodResult(name, scores, genes=genes))
    return results


def activity(logic: str, set_size: int) -> np.ndarray:
    """Activity of a set with 0, 1, ... members open, shape (set_size + 1,)."""
    n_open = np.arange(set_size + 1)
    if logic in ("single", "multiplicative"):
        return n_open / set_size
    return ((n_open > 0) if logic == "redundant" else (n_open == set_size)).astype(float)


def given_all_is_seen(cells: Candidates, row: int, set_size: int, level) -> np.ndarray:
    """As :func:`given_some_is_hidden`, when the members seen are the members open."""
    return np.broadcast_to(np.eye(set_size + 1), (len(cells.depth), set_size + 1, set_size + 1))


def given_some_is_hidden(cells: Candidates, row: int, set_size: int, level) -> np.ndarray:
    """Chance that n members are open in a cell in which s members are seen, for each gene's exchangeable peaks.

    The simulation's own model: given the cell's state factor, peaks open independently, and an open one is seen
    with a chance that depends on the cell's ATAC depth. The factor is told by all peaks of the window.

    Parameters
    ----------
    cells : Candidates
    row : int
        The gene.
    set_size : int
    level : mapping
        `coaccessibility` and `detection` of the simulation.

    Returns
    -------
    ndarray, shape (n_cells, set_size + 1, set_size + 1)
        ``[cell, s, n]``.
    """
    factor, weight = np.polynomial.hermite_e.hermegauss(N_NODES)
    correlation = level["coaccessibility"]
    is_open = ndtr((ndtri(OPEN_SHARE) + np.sqrt(correlation) * factor) / np.sqrt(1 - correlation))
    # A cell's open peaks are the same number as any other's, so what it shows of them is the chance of seeing one.
    seen_if_open = np.minimum(level["detection"] * cells.atac_depth, MOST_DETECTION)
    is_seen = is_open * seen_if_open[:, None]
    n_seen = cells.opened[row].sum(1)[:, None]
    n_unseen = cells.opened.shape[2] - n_seen
    log_posterior = n_seen * np.log(is_seen) + n_unseen * np.log1p(-is_seen) + np.log(weight)
    posterior = np.exp(log_posterior - logsumexp(log_posterior, axis=1, keepdims=True))
    hidden = (is_open - is_seen) / (1 - is_seen)
    chance = np.zeros((len(n_seen), set_size + 1, set_size + 1))
    for s in range(set_size + 1):
        for extra in range(set_size - s + 1):
            binomial = comb(set_size - s, extra) * hidden**extra * (1 - hidden) ** (set_size - s - extra)
            chance[:, s, s + extra] = (posterior * binomial).sum(1)
    return chance


def search_all_sets(
    opened: np.ndarray,
    counts: np.ndarray,
    depth: np.ndarray,
    n_open: np.ndarray,
    logic: str,
    set_size: int,
    sign: int = 1,
) -> np.ndarray:
    """For every candidate the log-likelihood of the best set that holds it, among all sets of the true size.

    Parameters
    ----------
    opened : ndarray, shape (n_cells, n_candidates)
    counts, depth : ndarray, shape (n_cells,)
        RNA counts of the gene, and of the whole cell.
    n_open : ndarray, shape (n_cells, set_size + 1, set_size + 1)
        As from :func:`given_some_is_hidden`.
    logic : str
    set_size : int
    sign : {1, -1}
        Whether open members raise the rate or lower it.

    Returns
    -------
    ndarray, shape (n_candidates,)
        The members of the most likely set share the highest value. Up to a constant of the gene.
    """
    sets = np.array(list(combinations(range(opened.shape[1]), set_size)))
    best = np.full(len(sets), -np.inf)
    for slope in SEARCH_SLOPES:
        rate = n_open @ np.exp(sign * slope * activity(logic, set_size))  # [cell, members seen]
        weights = np.hstack([counts[:, None] * np.log(rate), depth[:, None] * rate])
        sums = sums_by_number_seen(opened, weights, sets)
        seen = np.arange(set_size + 1)
        log_rate = sums[seen, :, seen].sum(0)
        expected = sums[seen + set_size + 1, :, seen].sum(0)
        best = np.maximum(best, log_rate - counts.sum() * np.log(expected))
    scores = np.full(opened.shape[1], -np.inf)
    np.maximum.at(scores, sets, best[:, None])
    return scores


def sums_by_number_seen(opened: np.ndarray, weights: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Sums of weights over the cells in which exactly 0, 1, ... members of a set are seen, for many sets.

    Inclusion and exclusion on the moments ``sum_c w_c x_ci x_cj x_ck`` of the window.

    Parameters
    ----------
    opened : ndarray, shape (n_cells, n_candidates)
        1 where the peak is seen open, else 0.
    weights : ndarray, shape (n_cells, n_weights)
    sets : ndarray of int, shape (n_sets, set_size)
        Ascending in each row, at most 3 candidates.

    Returns
    -------
    ndarray, shape (n_weights, n_sets, set_size + 1)
    """
    size = sets.shape[1]
    if size > 3:
        raise ValueError(f"sets: expected at most 3 members, got {size}")
    x = opened.astype(np.float64)
    n_weights, n_candidates = weights.shape[1], x.shape[1]
    # at_least[k]: sums over the cells in which k given members are seen, added up over the choices of k.
    at_least = np.zeros((size + 1, n_weights, len(sets)))
    at_least[0] = weights.sum(0)[:, None]
    at_least[1] = (weights.T @ x)[:, sets].sum(2)
    if size > 1:
        first, second = np.triu_indices(n_candidates, 1)
        pairs = x[:, first] * x[:, second]
        place = np.zeros((n_candidates, n_candidates), dtype=int)
        place[first, second] = np.arange(len(first))
        two = weights.T @ pairs
        at_least[2] = sum(two[:, place[sets[:, i], sets[:, j]]] for i, j in combinations(range(size), 2))
    if size > 2:
        weighted = (x[:, :, None] * weights[:, None]).reshape(len(x), -1)
        three = (pairs.T @ weighted).reshape(len(first), n_candidates, n_weights)
        at_least[3] = three[place[sets[:, 0], sets[:, 1]], sets[:, 2]].T
    exactly = [
        sum((-1) ** (k - n) * comb(k, n) * at_least[k] for k in range(n, size + 1)) for n in range(size + 1)
    ]
    return np.stack(exactly, axis=2)


def explain_members(
    opened: np.ndarray,
    counts: np.ndarray,
    depth: np.ndarray,
    n_open: np.ndarray,
    logic: str,
    members: np.ndarray,
    sign: int = 1,
) -> tuple[str, float]:
    """The most likely logic of known members, and their joint effect under the true logic.

    Parameters
    ----------
    opened, counts, depth, n_open, logic, sign
        As for :func:`search_all_sets`.
    members : ndarray of int, shape (n_members,)

    Returns
    -------
    call : str
        Single when there is one member, else multiplicative, redundant or synergistic.
    joint_log_effect : float
        Mean change of log-expression (natural log) when all members are closed.
    """
    n_members = len(members)
    seen = opened[:, members].sum(1, dtype=int)
    chance = n_open[np.arange(len(seen)), seen]
    likelihood = {}
    for form in {*FORMS, logic}:
        rate = chance @ np.exp(np.outer(activity(form, n_members), sign * CALL_SLOPES))
        likelihood[form] = counts @ np.log(rate) - counts.sum() * np.log(depth @ rate)
    slope = sign * CALL_SLOPES[likelihood[logic].argmax()]
    joint = -slope * (chance @ activity(logic, n_members)).mean()
    call = "single" if n_members == 1 else max(FORMS, key=lambda form: likelihood[form].max())
    return call, float(joint)
