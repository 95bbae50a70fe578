"""Synthetic tables of the benchmark of explainers, with names that are hard to print."""

import numpy as np
import pandas as pd

from benchmarks.explainers.comparisons import MEASURES

METHODS = [
    "grids", "greedy", "subset_sampler", "knock_out", "saliency", "smoothgrad", "integrated_gradients", "lime",
    "fimap", "cxplain_4", "cxplain_16", "cxplain_32", "cxplain_64", "sage", "correlation", "distance", "random",
]  # fmt: skip
# Share of GRIDS' effect, seconds, cells predicted.
SKILL = dict(
    zip(
        METHODS,
        zip(
            [1, 0.997, 0.9, 0.85, 0.8, 0.78, 0.82, 0.6, 0.7, 0.45, 0.35, 0.3, 0.25, 0.55, 0.3, 0.15, 0.03],
            [80, 40, 60, 900, 0.4, 9, 7, 30, 50, 300, 310, 305, 290, 1500, 2, 0.01, 0.01],
            [3e5, 2e5, 2e5, 3e7, 400, 2e4, 1e4, 8e5, 3e5, 4e6, 1e6, 5e5, 3e5, 5e7, 0, 0, 0],
            strict=True,
        ),
        strict=True,
    )
)
TASKS = [
    ("Astro", "Aldh1a1"), ("Astro", "Aqp4"), ("Astro", "Gja1"), ("CD8+ T/é", "Cldn5"), ("CD8+ T/é", "Flt1"),
    ("Micro", "Apbb1ip"), ("Micro", "Cx3cr1"), ("OPC", "Nxph1"), ("OPC", "a_gene_name_of_30_characters_x"),
    ("OPC", "Olig2"), ("Oligo", "Mobp"), ("Oligo", "Mog"), ("SST & 50%|x", "Gad1"), ("SST & 50%|x", "Gad2"),
    ("VIP", "Gad1"), ("VIP", "HLA-DQB1"),
]  # fmt: skip
CELL_TYPES = sorted({cell_type for cell_type, _ in TASKS})
KEY = {"surrogate": "cross_modality", "direction": "silence"}


def _sets(methods, tasks, set_sizes):
    """The labels of each set, and how far it goes as a share of the best one's effect."""
    for size in set_sizes:
        for i, (cell_type, gene) in enumerate(tasks):
            for method in methods:
                share = SKILL[method][0] ** (0.6 if size > 50 else 1.0)
                yield (
                    {**KEY, "method": method, "cell_type": cell_type, "gene": gene, "set_size": size},
                    share,
                    (0.25 + 0.2 * i) * (1.6 if size > 50 else 1.0),
                )


def cells(methods=METHODS, tasks=TASKS, set_sizes=(10, 128), n_cells=60, direction="silence", seed=0):
    """Predictions of each test cell; types differ in their number of cells."""
    rng = np.random.default_rng(seed)
    sign = -1 if direction == "silence" else 1
    n_of_type = {cell_type: n_cells + 10 * i for i, cell_type in enumerate(CELL_TYPES)}
    sizes = {task: n_of_type.get(task[0], n_cells) for task in tasks}
    before = {task: rng.normal(2.5, 0.8, size) for task, size in sizes.items()}
    response = {task: rng.gamma(8, 1 / 8, size) for task, size in sizes.items()}
    parts = []
    for labels, share, effect in _sets(methods, tasks, set_sizes):
        task = labels["cell_type"], labels["gene"]
        start = before[task]
        moved = effect * (share * response[task] + (1 - share) * rng.normal(0, 0.3, len(start)))
        names = [f"cell_{i}" for i in range(len(start))]
        part = pd.DataFrame({**labels, "direction": direction, "cell": names})
        parts.append(part.assign(before=start, after=start + sign * moved, observed=np.nan))
    return pd.concat(parts, ignore_index=True)


def effects(cells):
    """Means of the cells."""
    keys = ["surrogate", "method", "cell_type", "gene", "direction", "set_size"]
    changes = {name: change(cells["before"], cells["after"]) for name, change in MEASURES.items()}
    means = cells.assign(**changes).groupby(keys, sort=False)
    table = means[list(changes)].mean().reset_index()
    sizes = means["cell"].size().to_numpy()
    return table.assign(n_cells=sizes, null_mean=np.nan, null_sd=np.nan, p_value=np.nan, q_value=np.nan)


def costs(effects, seed=1):
    rng = np.random.default_rng(seed)
    table = effects[["surrogate", "method", "cell_type", "gene", "direction", "set_size"]].copy()
    cost = np.array([SKILL[method] for method in table["method"]])
    return table.assign(
        seconds=cost[:, 1] * rng.lognormal(0, 0.3, len(table)),
        n_forward=(cost[:, 2] * rng.lognormal(0, 0.2, len(table))).astype(int),
        n_backward=0,
        note="",
    )


def locations(effects, seed=2):
    rng = np.random.default_rng(seed)
    rows = []
    for row in effects.itertuples():
        skill = SKILL[row.method][0]
        n_same = rng.binomial(row.set_size, 0.05 + 0.3 * skill)
        rows.append(
            {
                "hit": rng.random() < 0.6 * skill,
                "soft_hit": rng.random() < 0.2 + 0.7 * skill,
                "n_same_chromosome": n_same,
                "share_same_chromosome": n_same / row.set_size,
                "n_in_window": min(n_same, 2),
                "closest_bp": np.nan
                if n_same == 0
                else round(10 ** rng.uniform(2 if skill > 0.8 else 4, 7.5)),
                "expected_hit": 0.0004 * row.set_size,
                "expected_soft_hit": 1 - 0.99**row.set_size,
                "expected_share_same_chromosome": 0.055,
            }
        )
    keys = ["surrogate", "method", "cell_type", "gene", "direction", "set_size"]
    return pd.concat([effects[keys].reset_index(drop=True), pd.DataFrame(rows)], axis=1)


def specificity(effects, seed=3):
    """Every set applied to every cell type; elsewhere it does a fifth as much."""
    rng = np.random.default_rng(seed)
    parts = []
    for cell_type in sorted(effects["cell_type"].unique()):
        part = effects[["surrogate", "method", "gene", "direction", "set_size", "log_change"]].copy()
        part["found_in"], part["applied_to"] = effects["cell_type"], cell_type
        elsewhere = (part["found_in"] != cell_type).to_numpy()
        part["log_change"] *= np.where(elsewhere, rng.uniform(-0.05, 0.45, len(part)), 1)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).assign(n_cells=60, jaccard=0.1)
