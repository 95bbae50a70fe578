"""Logics by which a planted gene follows its member peaks, and what closing members does under each."""

from collections.abc import Iterable, Mapping

import numpy as np

from grids.io.errors import InputError

MEMBERS_OF_LOGIC = {"single": 1, "multiplicative": 3, "redundant": 3, "synergistic": 2, "none": 0}


def log_activity(is_open: np.ndarray, logic: str, log_effect: float) -> np.ndarray:
    """Log-expression of a gene relative to all its members open.

    Parameters
    ----------
    is_open : ndarray of bool, shape (n_cells, n_members)
    logic : {"single", "multiplicative", "redundant", "synergistic", "none"}
        single, multiplicative: each closed member takes an equal share of `log_effect` (effects multiply on the
        expression scale). redundant: `log_effect` once no member is open. synergistic: `log_effect` unless
        every member is open. none: 0.
    log_effect : float
        Natural log of the expression left when every member is closed; negative.

    Returns
    -------
    ndarray, shape (n_cells,)

    Raises
    ------
    InputError
        An unknown logic.
    """
    is_open = np.asarray(is_open, dtype=bool)
    if logic == "none":
        return np.zeros(len(is_open))
    if logic in ("single", "multiplicative"):
        return log_effect * (~is_open).mean(axis=1)
    if logic == "redundant":
        return log_effect * ~is_open.any(axis=1)
    if logic == "synergistic":
        return log_effect * ~is_open.all(axis=1)
    raise InputError(f"logic '{logic}' is unknown; expected one of: {', '.join(MEMBERS_OF_LOGIC)}")


def closing_effects(is_open: np.ndarray, logic: str, log_effect: float) -> tuple[np.ndarray, float]:
    """Mean change of true log-expression when members are closed: each alone, and all together.

    Parameters
    ----------
    is_open : ndarray of bool, shape (n_cells, n_members)
    logic, log_effect
        As in :func:`log_activity`.

    Returns
    -------
    alone : ndarray, shape (n_members,)
        Change of log-expression (natural log) when only this member is closed.
    joint : float
        The same when all members are closed.
    """
    is_open = np.asarray(is_open, dtype=bool)
    before = log_activity(is_open, logic, log_effect)
    alone = np.zeros(is_open.shape[1])
    for member in range(is_open.shape[1]):
        closed = is_open.copy()
        closed[:, member] = False
        alone[member] = (log_activity(closed, logic, log_effect) - before).mean()
    joint = (log_activity(np.zeros_like(is_open), logic, log_effect) - before).mean()
    return alone, float(joint)


def genes_of_logics(n: int | Mapping[str, int], logics: Iterable[str] = MEMBERS_OF_LOGIC) -> dict[str, int]:
    """Planted genes of each logic, from one number for all of them or from a mapping."""
    return {logic: n if isinstance(n, int) else n[logic] for logic in logics}
