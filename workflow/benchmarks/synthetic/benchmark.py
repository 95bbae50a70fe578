"""Every explainer on the synthetic functions: how much of the planted set each one finds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.explainers.problem import Problem
from benchmarks.explainers.run import DEPEND_ON_SET_SIZE, explain
from benchmarks.synthetic.data import Replicate, simulate
from benchmarks.truth.scores import auprc
from grids.io.seeds import generator

LEVEL = ["function", "background"]
SCORES = ["f1", "exact_recovery", "auprc", "effect_share"]
COSTS = ["seconds", "n_forward", "n_backward"]
REPLICATE_COLUMNS = [*LEVEL, "replicate", "method", *SCORES, "effect", "best_effect", *COSTS]
SUMMARY_COLUMNS = [*LEVEL, "method", "score", "mean", "standard_error", "n_replicates"]


def run_method(method: str, benchmark: Mapping, settings: Mapping, seed: int) -> pd.DataFrame:
    """Let a method look for the planted set of every function, background and replicate.

    Parameters
    ----------
    method : str
        One of :data:`benchmarks.explainers.run.METHODS`, except ``distance``: features have no place.
    benchmark : mapping
        The ``synthetic`` block of the config: `functions`, `background`, `n_replicates`, `n_features`, `n_cells`,
        `correlation`.
    settings : mapping
        Keywords of the method, beside its defaults.
    seed : int
        Same seed, same data for every method.

    Returns
    -------
    DataFrame, :data:`REPLICATE_COLUMNS`
        As from :func:`score`.
    """
    levels = [(name, share) for name in benchmark["functions"] for share in benchmark["background"]]
    given = {name: benchmark[name] for name in ("n_features", "n_cells", "correlation")}
    rows = []
    for name, background in tqdm(levels, desc=method, unit="level"):
        for number in range(1, benchmark["n_replicates"] + 1):
            # Not seeded by the background: its levels share cells and places of the inputs.
            replicate = simulate(name, generator(seed, name, number), background=background, **given)
            scores = score(method, replicate, settings, generator(seed, name, number, method))
            rows.append(
                {"function": name, "background": background, "replicate": number, "method": method, **scores}
            )
    return pd.DataFrame(rows)[REPLICATE_COLUMNS]


def score(method: str, replicate: Replicate, settings: Mapping, rng: np.random.Generator) -> dict[str, float]:
    """What a method that is told the number of members recovers of the planted set.

    Returns
    -------
    dict
        `f1` (precision and recall alike: sizes are equal) and `exact_recovery` (0 or 1) of its set; `auprc` of its
        ranking, in which a method that looks for a set of the asked size has the features outside it share the
        last place; `effect` and `best_effect`, decrease of the mean value when its set, or the best one, is closed,
        and `effect_share`, the one over the other; what finding it cost.
    """
    cells, members = replicate.cells, replicate.members
    n_features, size = cells.n_peaks, len(members)
    values = cells.predict(0)
    question = Problem(cells, 0, torch.arange(n_features), size, rng, observed=values.numpy().astype(float))
    longest = size if method in DEPEND_ON_SET_SIZE else n_features
    found = explain(question, method, settings, [longest])[longest]
    is_member = np.isin(np.arange(n_features), members.numpy())
    ranking = np.zeros(n_features)
    ranking[found.members.numpy()] = np.arange(longest, 0, -1)
    chosen = found.members[:size]
    f1 = is_member[chosen.numpy()].mean()
    effect = float(values.mean() - cells.mean_of_sets(chosen[None], 0)[0])
    return {
        "f1": f1,
        "exact_recovery": float(f1 == 1),
        "auprc": auprc(ranking[None], is_member[None])[0],
        "effect_share": effect / replicate.best_effect,
        "effect": effect,
        "best_effect": replicate.best_effect,
        **{name: getattr(found, name) for name in COSTS},
    }


def summarise(replicates: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Mean of every score and cost by level and method, with its standard error over replicates.

    Parameters
    ----------
    replicates : DataFrame, :data:`REPLICATE_COLUMNS`
    methods : sequence of str
        In the order in which they are to stand.

    Returns
    -------
    DataFrame, :data:`SUMMARY_COLUMNS`
    """
    long = replicates.melt([*LEVEL, "method"], [*SCORES, *COSTS], "score", "value")
    long["method"] = pd.Categorical(long["method"], list(methods))
    long["function"] = pd.Categorical(long["function"], long["function"].unique())
    grouped = long.groupby([*LEVEL, "method", "score"], observed=True, sort=False)["value"]
    summary = grouped.agg(mean="mean", standard_error="sem", n_replicates="size").reset_index()
    return summary.sort_values([*LEVEL, "method"], kind="stable")[SUMMARY_COLUMNS]
