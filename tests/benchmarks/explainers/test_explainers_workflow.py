"""The benchmark of explainers end to end: every method on simulated cells."""

import pytest
import yaml
from running import ROOT, succeed

pytestmark = pytest.mark.workflow

SCHEMA = yaml.safe_load((ROOT / "workflow/benchmarks/explainers/schema.yaml").read_text())
# CXPlain once: its other three differ in how many peaks they close at a time.
METHODS = [
    method
    for method in SCHEMA["properties"]["benchmark"]["properties"]["methods"]["default"]
    if method not in ("cxplain_16", "cxplain_32", "cxplain_64")
]
FIGURES = ["changes", "tasks", "locations", "specificity", "set_size", "cost"]
TABLES = [
    f"benchmark/{name}.tsv" for name in ("table", "tasks", "comparisons", "specificity", "costs", "locations")
]
SIMULATED = {
    "run": "simulated",
    "levels": ["within_type"],
    "seed": 3,
    "input": {"simulation": {"n_cells": 1500, "n_peaks": 900, "n_genes": 60, "n_cell_types": 2}},
    "quality_control": {"min_fragments": 1, "min_genes": 1, "min_tss_enrichment": 0},
    "tasks": {"Excitatory": ["SINGLE1", "REDUND1"], "Inhibitory": ["SINGLE2"]},
    "window_surrogate": {"member_penalties": [1.0]},
    "gate": {"force": True},
    "search": {"restarts": 2},
    "benchmark": {
        "set_sizes": [1, 3, 1000],
        "methods": METHODS,
        "n_null_sets": 50,
    },
    "explainers": {
        "subset_sampler": {"n_steps": 50},
        "lime": {"n_cells": 16, "n_neighbours": 128},
        "fimap": {"n_steps": 50},
        "cxplain": {"n_epochs": 5, "n_cells": 64},
        "sage": {"n_permutations": 64},
    },
}


def check_tables(run, methods: list[str], set_sizes: list[int], n_tasks: int) -> None:
    """Every method has a whole set of each size for each task, a cost, and an effect on test cells."""
    sets, effects, costs = (run.table(f"benchmark/{name}.tsv") for name in ("sets", "effects", "costs"))
    sizes = sets.groupby(["method", "cell_type", "gene", "set_size"])["peak"].nunique()
    assert (sizes == sizes.index.get_level_values("set_size")).all()
    assert sorted(set(sets["method"])) == sorted([*methods, "random_matched"])
    assert len(effects) == len(sizes) == (len(methods) + 1) * len(set_sizes) * n_tasks
    assert len(costs) == len(methods) * len(set_sizes) * n_tasks
    assert (costs["seconds"] > 0).all()
    grids = costs[costs["method"] == "grids"].set_index(["gene", "set_size"])["mean_train_after"]
    best = costs.groupby(["gene", "set_size"])["mean_train_after"].min()
    # On the cells that all methods looked at, nothing goes further than the search (but by rounding).
    assert (grids.sort_index() <= best + 1e-5).all()
    compared = run.table("benchmark/comparisons.tsv")
    pooled = compared[compared["cell_type"].isna() & (compared["measure"] == "log_change")]
    assert sorted(pooled["method"]) == sorted([*methods[1:], "random_matched"] * len(set_sizes))
    assert pooled[["wins", "ties", "losses"]].sum(axis=1).eq(n_tasks).all()
    assert pooled[pooled["method"] == "random"]["mean_advantage"].gt(0).all()
    table = run.table("benchmark/table.tsv")
    assert sorted(set(table["method"])) == sorted([*methods, "random_matched"])
    for suffix in ("md", "tex"):
        assert "GRIDS" in (run.folder / f"benchmark/table.{suffix}").read_text()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    figures = [f"figures/benchmark_{name}.png" for name in FIGURES]
    return succeed(tmp_path_factory.mktemp("benchmark"), SIMULATED, *TABLES, *figures)


def test_methods_are_compared_on_simulated_cells(simulated):
    check_tables(simulated, METHODS, [1, 3], n_tasks=3)
    for name in FIGURES:
        assert (simulated.folder / f"figures/benchmark_{name}.png").stat().st_size > 5000
    applied = simulated.table("benchmark/specificity.tsv")
    assert set(applied["applied_to"]) == {"Excitatory", "Inhibitory"}


def test_a_size_that_no_task_has_peaks_for_is_skipped_with_its_reason(simulated):
    skipped = simulated.table("benchmark/skipped.tsv")
    assert sorted(skipped["gene"]) == ["REDUND1", "SINGLE1", "SINGLE2"]
    assert (
        skipped["reason"]
        .str.fullmatch(r"\d+ candidate peaks \(window\), benchmark\.set_sizes has 1000")
        .all()
    )
