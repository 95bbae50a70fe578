"""A simulated data set survives preprocessing, writing and reading with genes, peaks and cells in place."""

from pathlib import Path

import mudata
import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose

from benchmarks.truth import dataset, oracle, rivals
from benchmarks.truth.levels import levels
from benchmarks.truth.methods import METHODS
from benchmarks.truth.result import as_table
from benchmarks.truth.scores import score_genes
from benchmarks.truth.sparsity import FEWEST_OTHER_PEAKS, other_peaks
from grids.data import preprocessing
from grids.io import tables
from grids.io.errors import InputError

LEVEL = {
    "n_cells": 1000, "open_peaks": 700, "loss": 0.88, "coaccessibility": 0.2, "detection": 0.6, "strength": "equal",
    "direction": "silence",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    preprocessed, windows, truth = dataset.simulate(LEVEL, 3, n_genes_per_logic=2, n_candidates=6)
    paths = [folder / name for name in ("preprocessed.h5mu", "windows.tsv.gz", "truth.tsv.gz")]
    preprocessing.write(preprocessed, {"multiome": paths[0]})
    tables.write(windows, paths[1])
    tables.write(truth, paths[2])
    return paths


@pytest.fixture(scope="module")
def data(files):
    return dataset.read(*files, level=LEVEL)


def test_candidates_hold_the_multiomes_numbers(files, data):
    mdata = mudata.read_h5mu(files[0])
    cells = data.candidates
    assert set(cells.genes) == set(data.truth["gene"])
    assert cells.opened.shape == (10, 1000, 6)
    assert mdata["rna"].n_vars > 400  # depth is that of the whole cell
    for row, gene in enumerate(cells.genes):
        assert set(cells.peaks[row]) == set(data.truth.loc[data.truth["gene"] == gene, "peak"])
        assert_allclose(cells.opened[row], mdata["atac"][:, cells.peaks[row]].X.toarray())
        assert_allclose(cells.counts[:, row], mdata["rna"][:, gene].layers["counts"].toarray().ravel())
        assert_allclose(cells.expression[:, row], mdata["rna"][:, gene].X.toarray().ravel(), rtol=1e-6)
    total = np.asarray(mdata["rna"].layers["counts"].sum(1)).ravel()
    assert_allclose(cells.depth, total / total.mean(), rtol=1e-6)
    assert cells.counts.mean() == pytest.approx(2, rel=0.15)


def test_splits_have_their_shares(data):
    cells = data.candidates
    shares = [len(cells.of_splits(split).depth) for split in ("train", "validation", "test")]
    assert shares == [700, 100, 200]
    both = cells.of_splits("train", "validation")
    assert both.opened.shape == (10, 800, 6)
    assert not (both.split == "test").any()


def test_methods_answer_and_the_oracle_is_right_when_it_is_easy(data):
    results = [result for method in (rivals.run, oracle.run) for result in method(data, seed=1)]
    scored = score_genes(as_table(results, data.candidates), data.truth)
    assert set(METHODS) >= {"rivals", "oracle"}
    assert scored.groupby("method").size().eq(10).all()
    mean = scored.groupby("method")[["f1", "logic_right"]].mean()
    assert mean.loc[["oracle_hidden", "susie_state", "best_subset_state"], "f1"].min() > 0.85
    assert mean.loc["oracle_hidden", "f1"] > 0.9
    assert mean.loc["oracle_hidden", "logic_right"] > 0.8
    ratio = scored.groupby("method")["joint_effect_ratio"].median()
    assert ratio["oracle_hidden"] == pytest.approx(1, abs=0.15)
    assert ratio["oracle_observed"] < 0.7  # what is not seen is not counted
    assert mean.loc["correlation", "f1"] > 0.8 > mean.loc["distance", "f1"]


def test_candidates_lost_in_preprocessing_are_an_error():
    with pytest.raises(InputError, match="candidate peaks are open in too few of 60 cells"):
        dataset.simulate({**LEVEL, "n_cells": 60, "open_peaks": 2}, 1, n_genes_per_logic=1)


def test_every_logic_has_its_number_of_genes():
    n_of_logic = {"none": 1, "single": 2, "multiplicative": 1, "redundant": 2, "synergistic": 3}
    _, windows, truth = dataset.simulate(
        {**LEVEL, "n_cells": 300}, 1, n_genes_per_logic=n_of_logic, n_candidates=4
    )
    genes = truth.drop_duplicates("gene")
    assert genes["logic"].value_counts().to_dict() == n_of_logic
    assert windows["gene"].nunique() == 9


@pytest.mark.parametrize(
    ("asked", "detection"), [({}, 0.6), ({"detection": 0.2}, 0.2), ({"open_peaks": 100}, None)]
)
def test_a_mean_cell_shows_as_many_open_peaks_as_asked(asked, detection):
    level = {**LEVEL, "n_cells": 500, **asked}
    preprocessed, _, truth = dataset.simulate(level, 1, n_genes_per_logic=2, n_candidates=6)
    assert preprocessed.multiome["atac"].X.sum() / 500 == pytest.approx(level["open_peaks"], rel=0.1)
    n_other, chance = other_peaks(level, truth["gene"].nunique(), 6)
    if detection is None:  # fewer peaks there cannot be: less of each is seen
        assert n_other == FEWEST_OTHER_PEAKS and chance < level["detection"] / 2
    else:
        assert n_other > FEWEST_OTHER_PEAKS and chance == detection


def test_the_levels_of_the_config_keep_their_detection_but_for_the_sparsest():
    config = yaml.safe_load((Path(__file__).parents[3] / "config" / "truth.yaml").read_text())["truth"]
    n_planted = sum(config["n_genes_per_logic"].values())
    lowered = [
        level["open_peaks"]
        for level in levels(config)
        if other_peaks(level, n_planted, config["n_candidates"])[1] < level["detection"]
    ]
    assert lowered == [100]


@pytest.mark.parametrize(("direction", "ratio"), [("silence", 0.12), ("activate", 1 / 0.12)])
def test_closing_all_members_leaves_what_the_level_says(direction, ratio):
    level = {**LEVEL, "n_cells": 300, "direction": direction}
    _, _, truth = dataset.simulate(level, 1, n_genes_per_logic=1, n_candidates=4)
    single = truth[(truth["logic"] == "single") & truth["is_member"]]["joint_log_effect"].item()
    # The mean over cells, of which about half have the member open.
    assert single == pytest.approx(np.log(ratio) * 0.5, rel=0.2)
