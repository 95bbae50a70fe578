"""Recovery on the synthetic functions is scored as it should be, and every method gets the same data."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from benchmarks.explainers.run import Explanation
from benchmarks.synthetic import benchmark
from benchmarks.synthetic.benchmark import REPLICATE_COLUMNS, SUMMARY_COLUMNS, run_method, score, summarise
from benchmarks.synthetic.data import simulate
from benchmarks.synthetic.figures.synthetic_recovery import synthetic_recovery

SMALL = {
    "functions": ["redundant", "additive"],
    "background": [0, 0.5],
    "n_replicates": 2,
    "n_features": 40,
    "n_cells": 100,
    "correlation": 0.8,
}


@pytest.fixture(scope="module")
def replicate():
    return simulate("redundant", np.random.default_rng(0), 40, 200, 0.8, 0.5)


def answering(monkeypatch, members):
    """Let every method answer with these features, in this order."""
    found = Explanation(torch.as_tensor(members), 1.5, 20, 3)
    monkeypatch.setattr(benchmark, "explain", lambda problem, method, settings, sizes: {sizes[0]: found})


def test_the_planted_set_scores_one(monkeypatch, replicate):
    answering(monkeypatch, replicate.members)
    told = score("grids", replicate, {}, np.random.default_rng(0))
    assert [told[name] for name in benchmark.SCORES] == [1, 1, 1, pytest.approx(1, rel=1e-4)]
    assert [told[name] for name in benchmark.COSTS] == [1.5, 20, 3]


def test_half_the_set_scores_half_and_does_what_it_does(monkeypatch, replicate):
    others = np.setdiff1d(np.arange(40), replicate.members)
    chosen = torch.cat([replicate.members[:3], torch.from_numpy(others[:3])])
    answering(monkeypatch, chosen)
    told = score("grids", replicate, {}, np.random.default_rng(0))
    assert (told["f1"], told["exact_recovery"]) == (0.5, 0)
    cells = replicate.cells
    effect = float(cells.predict(0).mean() - cells.predict(0, cells.perturbed(chosen)).mean())
    assert told["effect"] == pytest.approx(effect, rel=1e-4)
    assert told["effect_share"] == pytest.approx(effect / replicate.best_effect, rel=1e-4)
    # Three members rank first; the other three share the last place with all that was not chosen.
    assert told["auprc"] == pytest.approx((1 + 1 + 1 + 3 * 6 / 40) / 6)


def test_a_ranking_is_scored_by_its_average_precision(monkeypatch, replicate):
    ranking = np.random.default_rng(1).permutation(40)
    answering(monkeypatch, ranking)
    told = score("saliency", replicate, {}, np.random.default_rng(0))
    member = np.isin(ranking, replicate.members)
    assert told["auprc"] == pytest.approx(average_precision_score(member, -np.arange(40)))
    assert told["f1"] == pytest.approx(member[:6].mean())


def test_every_method_gets_the_same_data_and_no_set_beats_the_best():
    results = {method: run_method(method, SMALL, {}, seed=1) for method in ("grids", "saliency", "random")}
    for result in results.values():
        assert list(result) == REPLICATE_COLUMNS and len(result) == 8
        assert result["best_effect"].equals(results["grids"]["best_effect"])
        assert (result["effect_share"] <= 1 + 1e-4).all()
    share = {method: result["effect_share"].mean() for method, result in results.items()}
    assert share["grids"] > 0.95 and share["random"] < 0.5
    assert (results["random"]["n_forward"] == 0).all() and (results["grids"]["n_forward"] > 0).all()
    again = run_method("random", SMALL, {}, seed=1)
    assert again.drop(columns="seconds").equals(results["random"].drop(columns="seconds"))
    assert not run_method("random", SMALL, {}, seed=2)["f1"].equals(again["f1"])


def test_settings_reach_the_method():
    one = {**SMALL, "functions": ["redundant"], "background": [0], "n_replicates": 1}
    few, many = (run_method("smoothgrad", one, {"n_samples": n}, 1)["n_backward"].item() for n in (2, 6))
    assert many == 3 * few


def replicates():
    rows = [
        (function, background, replicate, method)
        for function in ("xor", "redundant")
        for background in (0.0, 0.5)
        for replicate in (1, 2, 3)
        for method in ("my_method", "grids", "sage")
    ]
    table = pd.DataFrame(rows, columns=REPLICATE_COLUMNS[:4])
    values = np.random.default_rng(0).random((len(table), len(REPLICATE_COLUMNS) - 4))
    return table.join(pd.DataFrame(values, columns=REPLICATE_COLUMNS[4:]))


def test_the_summary_holds_means_and_their_errors():
    table = replicates()
    summary = summarise(table, ["grids", "sage", "my_method"])
    assert list(summary) == SUMMARY_COLUMNS and len(summary) == 4 * 3 * 7
    assert summary["method"].unique().tolist() == ["grids", "sage", "my_method"]
    assert summary["function"].unique().tolist() == ["xor", "redundant"]
    one = table.query("function == 'xor' and background == 0.5 and method == 'sage'")["f1"]
    told = summary.query("function == 'xor' and background == 0.5 and method == 'sage' and score == 'f1'")
    assert_allclose(told[["mean", "standard_error"]].to_numpy()[0], [one.mean(), one.std() / np.sqrt(3)])


def test_the_figure_shows_every_mean_with_its_error():
    summary = summarise(replicates(), ["grids", "sage", "my_method"])
    figure = synthetic_recovery(summary)
    panels = [(b, f) for b in (0.0, 0.5) for f in ("xor", "redundant")]
    assert len(figure.axes) == len(panels)
    for (background, function), ax in zip(panels, figure.axes, strict=True):
        drawn = {bar.get_label(): bar for bar in ax.containers}
        own = summary[(summary["function"] == function) & (summary["background"] == background)]
        for row in own[own["score"].isin(["f1", "effect_share"])].itertuples():
            point, _, (error,) = drawn[f"_{row.score} {row.method}"]
            assert point.get_xdata()[0] == pytest.approx(row.mean)
            assert np.ptp(error.get_segments()[0][:, 0]) == pytest.approx(2 * row.standard_error)
    assert "no method was run" in synthetic_recovery(summary[:0]).axes[0].texts[0].get_text()
