"""Made-up tables of a redundancy analysis that agree with each other, of any size, for the figures' tests.

Closing a set drops a gene by ``full * weight(set) ** power``: with a power above 1 its members back each other up,
with 1 they multiply, below 1 they need each other.
"""

from itertools import combinations

import figure_tables
import numpy as np
import pandas as pd

CLASSES = ["redundant", "multiplicative", "synergistic", "single", "none"]
POWERS = {"redundant": 3.0, "multiplicative": 1.0, "synergistic": 0.4, "single": 1.0, "none": 1.0}
UNTOUCHED = {"log_change": 0.0, "log_change_low": 0.0, "log_change_high": 0.0}
KEY = {"surrogate": "window", "method": "grids"}


class Planted:
    """One task: its members' weights and what closing any of their sets does."""

    def __init__(self, task, kind, size, rng):
        weights = np.sort(rng.dirichlet(np.full(size, 3.0)))[::-1]
        if kind == "single":
            weights = np.r_[1.0, np.zeros(size - 1)]
        self.full = 0.0 if kind == "none" else rng.uniform(0.2, 1.5)
        self.weights, self.power, self.kind, self.size = weights, POWERS[kind], kind, size
        self.key = {
            **KEY,
            "cell_type": task.cell_type,
            "gene": task.gene,
            "direction": "silence",
            "set_size": size,
        }
        starts = 20_000_000 + np.sort(rng.choice(800, size, replace=False)) * 1000
        self.peaks = rng.permutation([f"chr1:{start}-{start + 500}" for start in starts])
        self.error = 0.03 + 0.05 * rng.random()

    def change(self, members):
        """Log change when these members are closed."""
        return -self.full * self.weights[list(members)].sum() ** self.power

    def shapley(self, member):
        """By subset size, with the other members' mean weight: exact for equal weights, scaled to add up."""
        others = np.delete(self.weights, member)
        n, mean = self.size, others.mean() if self.size > 1 else 0.0
        k = np.arange(n)
        gains = (k * mean + self.weights[member]) ** self.power - (k * mean) ** self.power
        return -self.full * gains.mean()

    def interval(self, value, name):
        return {name: value, f"{name}_low": value - self.error, f"{name}_high": value + self.error}


def planted(n_tasks=6, size=5, n_types=3, kinds=CLASSES, seed=20):
    rng = np.random.default_rng(seed)
    tasks = figure_tables.tasks(n_tasks, n_types).itertuples(index=False)
    return [Planted(task, kinds[i % len(kinds)], size, rng) for i, task in enumerate(tasks)]


def redundancy(tasks):
    rows = []
    for task in tasks:
        everyone = range(task.size)
        joint = task.change(everyone)
        singles = sum(task.change([i]) for i in everyone)
        index = 1 - singles / joint if joint else np.nan
        enough = next((k for k in everyone if task.change(range(k + 1)) <= 0.9 * joint), 0) + 1
        rows.append(
            {
                **task.key,
                "n_cells": 120,
                **task.interval(joint, "joint_log_effect"),
                "sum_of_single_log_effects": singles,
                **task.interval(index, "redundancy_index"),
                "class": task.kind,
                "n_sufficient": enough,
                "n_alternative_sets": 2 if task.kind == "redundant" else 0,
            }
        )
    return pd.DataFrame(rows)


def members(tasks):
    rows = []
    for task in tasks:
        everyone = set(range(task.size))
        shapley = np.array([task.shapley(i) for i in range(task.size)])
        if shapley.sum():
            shapley *= task.change(everyone) / shapley.sum()
        for i in range(task.size):
            alone = task.change([i])
            context = task.change(everyone) - task.change(everyone - {i})
            rows.append(
                {
                    **task.key,
                    "rank": i + 1,
                    "peak": task.peaks[i],
                    **task.interval(alone, "log_effect_alone"),
                    **task.interval(context, "log_effect_in_context"),
                    "shapley_value": shapley[i],
                    "shapley_error": 0.0,
                    "in_minimal_sufficient_set": i < 2,
                    "is_backup": abs(context) > abs(alone) + 2 * task.error,
                    "selection_frequency": 0.9,
                }
            )
    return pd.DataFrame(rows)


def interactions(tasks):
    rows = []
    for task in tasks:
        for i, j in combinations(range(task.size), 2):
            value = task.change([i]) + task.change([j]) - task.change([i, j])
            p = float(np.exp(-np.abs(value) / task.error * 5))
            rows.append(
                {
                    **task.key,
                    "peak_1": task.peaks[i],
                    "peak_2": task.peaks[j],
                    **task.interval(value, "interaction_log"),
                    "p_value": p,
                    "q_value": min(1.0, 1.5 * p),
                    "additive_interaction": value,
                    "additive_p_value": p,
                    "additive_q_value": min(1.0, 1.5 * p),
                }
            )
    return pd.DataFrame(rows)


def knock_down(tasks):
    return pd.DataFrame(
        {
            **task.key,
            "n_closed": k,
            "peak": task.peaks[k - 1] if k else np.nan,
            **(task.interval(task.change(range(k)), "log_change") if k else UNTOUCHED),
            "single_log_effect": task.change([k - 1]) if k else np.nan,
        }
        for task in tasks
        for k in range(task.size + 1)
    )


def alternative_sets(sets, peaks, shares=(0.97, 0.93, 0.5)):
    """The found sets, and for each share one further set of the closest peaks not yet taken."""
    keys = ["surrogate", "method", "cell_type", "gene", "direction"]
    parts = []
    for key, members in sets.groupby(keys):
        here = peaks[peaks["chromosome"] == members["chromosome"].mode()[0]]
        near = (here["start"] - members["start"].median()).abs().sort_values(kind="stable").index
        others = here.loc[near, "peak"]
        others = others[~others.isin(members["peak"])].to_list()
        for alternative, share in enumerate((1.0, *shares)):
            taken = [others.pop(0) for _ in range(len(members))] if alternative else members["peak"].to_list()
            rows = pd.DataFrame({"alternative": alternative, "rank": range(1, len(taken) + 1), "peak": taken})
            parts.append(
                rows.assign(
                    **dict(zip(keys, key, strict=True)),
                    log_change=-share,
                    share_of_first=share,
                    reaches_90_percent=share >= 0.9,
                )
            )
    return pd.concat(parts, ignore_index=True)


def specificity(n_genes=4, n_types=5, seed=21):
    """Each gene's sets of one to three cell types, applied to all; the last type has no sets of its own."""
    rng = np.random.default_rng(seed)
    types = (figure_tables.CELL_TYPES + [f"type {i}" for i in range(n_types)])[:n_types]
    rows = []
    for i, gene in enumerate(figure_tables.gene_names(n_genes)):
        own = {types[(i + k) % max(1, n_types - 1)] for k in range(1 + i % 3)}
        for found in sorted(own):
            for applied in types:
                change = -rng.exponential(0.6 if applied == found else 0.15)
                overlap = 1.0 if applied == found else rng.integers(0, 6) / 7
                rows.append(
                    {
                        **KEY,
                        "gene": gene,
                        "direction": "silence",
                        "found_in": found,
                        "applied_to": applied,
                        "set_size": 5,
                        "n_cells": 100,
                        "log_change": change,
                        "log_change_low": change - 0.05,
                        "log_change_high": change + 0.05,
                        "jaccard": overlap if applied in own else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def state_redundancy(tasks, levels=("early", "middle", "late"), state="condition"):
    rows = []
    for i, task in enumerate(tasks):
        everyone = range(task.size)
        joint = task.change(everyone)
        index = 1 - sum(task.change([m]) for m in everyone) / joint if joint else np.nan
        for k, level in enumerate(levels):
            along = k / max(1, len(levels) - 1)
            rows.append(
                {
                    **task.key,
                    "state": state,
                    "state_value": level,
                    "n_cells": 60,
                    **task.interval(joint * (0.4 + 0.6 * along), "joint_log_effect"),
                    **task.interval(index - 0.5 * (1 - along), "redundancy_index"),
                    "p_value_of_change": 0.002 * (1 + i),
                    "q_value_of_change": 0.02 * (1 + i),
                }
            )
    return pd.DataFrame(rows)


def gate(n_genes=300, cell_types=figure_tables.CELL_TYPES, seed=22):
    """More peaks in the window, more genes that pass; the first cell types pass more."""
    rng = np.random.default_rng(seed)
    n_peaks = rng.geometric(0.03, n_genes)
    parts = []
    for i, cell_type in enumerate(cell_types):
        passes = rng.random(n_genes) < 0.5 * n_peaks / (n_peaks + 30) / (1 + i)
        r = np.where(passes, 0.5, 0.05)
        parts.append(
            pd.DataFrame(
                {
                    "cell_type": cell_type,
                    "gene": figure_tables.gene_names(n_genes),
                    "n_peaks": n_peaks,
                    "n_cells": 200,
                    "r": r,
                    "r_depth": 0.04,
                    "r_permuted_window": 0.02,
                    "skill": np.where(passes, 0.2, -0.01),
                    "p_value": np.where(passes, 0.001, 0.6),
                    "q_value": np.where(passes, 0.01, 0.8),
                    "passed_gate": passes,
                    "reason": np.where(passes, "", "q-value 0.8 above 0.05"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def windows(genes, n_peaks):
    """`n_peaks` peaks for each gene: ``peak gene``, the columns that count."""
    names = [(f"peak {gene} {i}", gene) for gene, n in zip(genes, n_peaks, strict=True) for i in range(n)]
    return pd.DataFrame(names, columns=["peak", "gene"])


def atlas(n_genes=200, n_types=6, seed=23):
    """``redundancy.tsv`` of every gene in every type, and windows of one to sixty peaks."""
    rng = np.random.default_rng(seed)
    genes = figure_tables.gene_names(n_genes)
    parts = []
    for cell_type in figure_tables.CELL_TYPES[:n_types]:
        kinds = rng.choice(CLASSES[:3], n_genes)
        index = np.select([kinds == "redundant", kinds == "synergistic"], [0.6, -0.5], 0.0)
        index = index + rng.normal(0, 0.12, n_genes)
        parts.append(
            pd.DataFrame({"gene": genes, "class": kinds, "redundancy_index": index}).assign(
                **KEY,
                cell_type=cell_type,
                direction="silence",
                set_size=6,
                n_sufficient=rng.integers(1, 7, n_genes),
            )
        )
    return pd.concat(parts, ignore_index=True), windows(genes, rng.integers(1, 61, n_genes))


def regularisation_path(cell_types=("Astro", "CD8+ T", "L2/3 IT"), strengths=(0.01, 0.1, 1.0, 10.0)):
    rows = []
    for i, cell_type in enumerate(cell_types):
        for size in (1, 20, 40):
            for strength in strengths:
                deviance = (
                    1 + 0.1 * (np.log10(strength or 1e-3) - 0.3 * i) ** 2 + 0.1 * (size - 20) ** 2 / 400
                )
                rows.append((cell_type, strength, size, deviance))
    path = pd.DataFrame(
        rows, columns=["cell_type", "strength", "n_cells_per_metacell", "validation_deviance"]
    )
    best = path.groupby("cell_type")["validation_deviance"].transform("min")
    return path.assign(chosen=path["validation_deviance"] == best)
