"""The page's tables are the numbers of the tables that they come from."""

import pandas as pd

from benchmarks.truth.levels import FACTORS
from benchmarks.truth.page import markdown, named, page, wide

MIDDLE = dict(zip(FACTORS, (5000, 1000, 0.6, 0.5, 0.3, "equal", "silence"), strict=True))
STAR = [MIDDLE, {**MIDDLE, "loss": 0.15}, {**MIDDLE, "strength": "unequal"}]


def tables():
    rows = [
        {**level, "method": "grids_window", "logic": logic, "score": score, "mean": mean, "median": mean}
        for level in STAR
        for logic in ("redundant", "none", "single")
        for score, mean in (
            ("f1", 0.5), ("called", 0.75), ("logic_right", 0.6), ("logic_undecided", 0.3),
            ("called_effect_covered", 0.9), ("called_effect_ratio", 1.25),
        )
    ]  # fmt: skip
    summary = pd.DataFrame(rows).assign(standard_error=0.02, n_genes=20)
    bins = {"inclusion_low": [0.95, 0.0], "inclusion_high": [1.0, 0.05], "mean_stated": [0.98, 0.01]}
    inclusion = pd.DataFrame({**bins, "share_members": [0.9, 0.02], "n_peaks": [10, 100]})
    inclusion = pd.concat([inclusion.assign(**level, method=name) for level in STAR for name in ("a", "b")])
    credible = pd.DataFrame(
        [
            {"method": "a", "logic": "single", "n_genes": 10, "share_genes_with_set": 0.5, "n_sets": n,
             "coverage": coverage, "mean_size": 2.0}
            for n, coverage in ((4, 1.0), (0, None), (6, 0.5))
        ]
    )  # fmt: skip
    shares = {"passed": 0.7, "members_found": 0.4, "logic_right": 0.2, "logic_undecided": 0.1}
    power = pd.DataFrame([{**level, "logic": logic} for level in STAR for logic in ("none", "single")])
    power = power.assign(method="grids_window", **{f"share_{name}": value for name, value in shares.items()})
    return {"summary": summary, "inclusion": inclusion, "credible": credible, "power": power}


def test_levels_are_named_by_what_sets_them_apart_from_the_middle():
    assert named(pd.DataFrame(STAR))["level"].tolist() == ["middle", "loss 15%", "unequal members"]


def test_the_page_shows_the_tables():
    shown = page(tables())
    assert "| grids_window | 0.50 | 0.50 | 0.50 | 0.500 (0.012) |" in shown  # 0.02 / sqrt(3)
    assert "| level | none | single | redundant |" in shown
    assert "| loss 15% | 0.60 / 0.30 / 0.10 | 0.60 / 0.30 / 0.10 | 0.60 / 0.30 / 0.10 |" in shown
    assert "0.90 of 20; 1.25" in shown
    # Bins ascend, and levels are added up.
    first, second = (
        line
        for line in shown.split("loss 15%: mean stated")[0].splitlines()
        if " to " in line and "|" in line
    )
    assert first == "| 0 to 0.05 | 0.010: 0.020 of 300 | 0.010: 0.020 of 300 |"
    assert second == "| 0.95 to 1 | 0.980: 0.900 of 30 | 0.980: 0.900 of 30 |"
    assert "| a | single | 30 | 0.50 | 10 | 0.700 | 2.00 |" in shown
    assert "| middle | 0.70 | 0.70 / 0.40 / 0.20 / 0.10 |" in shown


def test_what_nobody_said_is_said():
    nothing = {name: table.iloc[:0] for name, table in tables().items()}
    shown = page({**nothing, "summary": tables()["summary"].query("score == 'f1'")})
    for what in ("Share called", "The logic called", "Intervals", "Inclusion", "Credible sets", "Power"):
        assert what in shown


def test_a_wide_table_keeps_its_order_and_leaves_gaps_empty():
    table = pd.DataFrame({"r": ["y", "x", "y"], "c": ["b", "a", "a"], "v": ["1", "2", "3"]})
    assert markdown(wide(table, "r", "c", "v")).splitlines()[2:] == ["| y | 1 | 3 |", "| x |  | 2 |"]
