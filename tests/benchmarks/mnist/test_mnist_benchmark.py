"""The classifier of digits is a surrogate like any other, and every method's pixels are measured on test digits."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse

from benchmarks.explainers.comparisons import compare
from benchmarks.mnist import benchmark
from benchmarks.mnist.classifier import Classifier
from benchmarks.mnist.digits import pixels
from benchmarks.mnist.figures.mnist_changes import mnist_changes
from benchmarks.mnist.figures.mnist_digits import BACKGROUND, UNDRAWN_MEMBER, mnist_digits
from benchmarks.mnist.training import QUALITY_COLUMNS, ClassifierSettings, train_classifier
from grids.analysis.effects import CELL_COLUMNS
from grids.figures.style import INK, VERMILLION
from grids.io.cells import Modality
from grids.surrogates import storage

LEFT = [14 * 28 + column for column in range(4, 12)]  # only 8s draw these
COMMON = [5 * 28 + column for column in range(8, 20)]  # both draw these


@pytest.fixture(scope="module")
def digits():
    """Digits of which the 8s have ink on the left, with noise."""
    rng = np.random.default_rng(0)
    n = 300
    label = np.resize(["3", "8"], n)
    X = rng.random((n, 784)) < 0.02
    X[:, COMMON] |= rng.random((n, len(COMMON))) < 0.8
    X[:, LEFT] |= (label == "8")[:, None] & (rng.random((n, len(LEFT))) < 0.7)
    split = np.resize(np.repeat(["train", "validation", "test"], [14, 2, 4]), n)
    obs = pd.DataFrame({"cell_type": label, "split": split}, index=[f"digit_{i}" for i in range(n)])
    return Modality(sparse.csr_matrix(X.astype(np.uint8)), obs, pixels())


@pytest.fixture(scope="module")
def classifier(digits):
    settings = ClassifierSettings(n_hidden=(16, 8), learning_rate=3e-3, max_epochs=30)
    return train_classifier(digits, settings, seed=1)


@pytest.fixture(scope="module")
def results(digits, classifier):
    methods = ["random", "grids", "correlation"]
    return {m: benchmark.run_method(classifier[0], digits, m, len(LEFT), {}, 1) for m in methods}


def test_the_classifier_is_the_multilayer_perceptron_of_its_weights(digits, classifier):
    model, _ = classifier
    layers = torch.nn.Sequential(torch.nn.Linear(784, 16), *model.layers)
    with torch.no_grad():
        layers[0].weight.copy_(model.shift.T)
        layers[0].bias.copy_(model.bias)
    dense = torch.from_numpy(digits.X.toarray().astype(np.float32))
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert_allclose(model.predict(digits.X), layers(dense).detach(), rtol=1e-4, atol=1e-5)


def test_it_learns_and_its_quality_is_that_of_the_digits_of_each_split(digits, classifier):
    model, quality = classifier
    assert list(quality) == QUALITY_COLUMNS and quality["split"].tolist() == ["train", "validation", "test"]
    test = digits.cells(split="test")
    says_eight = model.predict(test.X)[:, 0].numpy() > 0
    right = says_eight == (test.obs["cell_type"] == "8")
    assert quality["accuracy"].iloc[2] == pytest.approx(right.mean()) and right.mean() > 0.85
    assert quality["n_digits"].tolist() == [len(digits.cells(split=s).obs) for s in quality["split"]]


def test_training_stops_at_the_best_epoch(digits):
    settings = ClassifierSettings(n_hidden=(16,), learning_rate=0.3, max_epochs=40, patience=2)
    model, quality = train_classifier(digits, settings, seed=1)
    epochs = int(quality["epochs"].iloc[0])
    assert 1 <= epochs < 38
    settings = ClassifierSettings(n_hidden=(16,), learning_rate=0.3, max_epochs=epochs, patience=2)
    shorter, _ = train_classifier(digits, settings, seed=1)
    assert torch.equal(shorter.shift, model.shift)


def test_a_stored_classifier_predicts_the_same(tmp_path, digits, classifier):
    model, _ = classifier
    storage.save(model, tmp_path / "classifier.safetensors", seed=1)
    again = storage.load(tmp_path / "classifier.safetensors")
    assert isinstance(again, Classifier)
    assert (again.peaks, again.genes, again.cell_types) == (model.peaks, ["8 against 3"], ["3", "8"])
    assert torch.equal(again.predict(digits.X), model.predict(digits.X))


def test_log_odds_are_those_of_the_test_eights_with_the_pixels_closed(digits, classifier, results):
    model, _ = classifier
    test = digits.X[((digits.obs["cell_type"] == "8") & (digits.obs["split"] == "test")).to_numpy()]
    for method, result in results.items():
        closed = test.tolil()
        closed[:, digits.var.index.get_indexer(result.sets["peak"])] = 0
        before, after = (model.predict(X)[:, 0].numpy() for X in (test, closed.tocsr()))
        assert_allclose(result.cells["before"], before, rtol=1e-4, atol=1e-5)
        assert_allclose(result.cells["after"], after, rtol=1e-4, atol=1e-5)
        (effect,) = result.effects.to_dict("records")
        assert effect["log_change"] == pytest.approx((after - before).mean(), rel=1e-4)
        assert (effect["method"], effect["n_cells"], effect["set_size"]) == (method, len(before), len(LEFT))
        assert list(result.cells) == CELL_COLUMNS
        assert result.sets["peak"].is_unique and result.sets["rank"].tolist() == [*range(1, len(LEFT) + 1)]


def test_grids_erases_what_makes_an_eight_and_correlation_knows_the_classes(digits, results):
    found = {m: set(digits.var.index.get_indexer(result.sets["peak"])) for m, result in results.items()}
    # The pixels that both digits have correlate with the class only when 3s are among the cells.
    assert found["correlation"] == set(LEFT)
    assert len(found["grids"] & set(LEFT)) >= len(LEFT) - 1
    change = {m: result.effects["log_change"].iloc[0] for m, result in results.items()}
    assert change["grids"] < -1 and change["grids"] <= change["correlation"] < change["random"]


def test_only_training_digits_are_looked_at(digits, classifier, results):
    X = digits.X.toarray()
    X[(digits.obs["split"] != "train").to_numpy()] = 1
    changed = Modality(sparse.csr_matrix(X), digits.obs, digits.var)
    for method, result in results.items():
        again = benchmark.run_method(classifier[0], changed, method, len(LEFT), {}, 1)
        assert again.sets.equals(result.sets)


@pytest.fixture(scope="module")
def tables(results):
    cells = pd.concat([result.cells for result in results.values()])
    return cells, pd.concat([result.sets for result in results.values()])


def test_the_figure_of_changes_shows_means_in_their_order(tables):
    cells, _ = tables
    comparisons = compare(cells, measures=("log_change",))
    (ax,) = mnist_changes(cells, comparisons).axes
    assert ax.get_yticklabels()[-1].get_text() == "random"
    lost = (cells["before"] - cells["after"]).groupby(cells["method"]).mean()
    drawn = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    for method, mean in lost.items():
        assert drawn[f"_{method}"] == pytest.approx(mean)
    told = [text.get_text() for text in ax.texts]
    assert sum(" " in text for text in told) == 3  # the header and a p-value for each rival


def test_the_figure_of_digits_marks_the_pixels_of_each_method(digits, tables):
    cells, sets = tables
    figure = mnist_digits(digits, sets, cells, n_samples=4)
    assert len(figure.axes) == 4 * 4  # unchanged and three methods
    rgb = {
        name: tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        for name, colour in {
            "ink": INK, "erased": VERMILLION, "member": UNDRAWN_MEMBER, "paper": BACKGROUND,
        }.items()
    }  # fmt: skip
    before = cells[cells["method"] == "grids"].set_index("cell")["before"].sort_values()
    most_doubtful = digits.X[digits.obs.index.get_loc(before.index[0])].toarray()[0].reshape(28, 28) == 1
    member = np.zeros((28, 28), bool)
    grids = sets[sets["method"] == "grids"]
    member[grids["row"], grids["column"]] = True
    picture = figure.axes[4].images[0].get_array()  # first column, first method
    for name, where in {
        "ink": most_doubtful & ~member,
        "erased": most_doubtful & member,
        "member": ~most_doubtful & member,
        "paper": ~most_doubtful & ~member,
    }.items():
        assert_allclose(picture[where], np.broadcast_to(rgb[name], (where.sum(), 3)))
    assert float(figure.axes[0].get_xlabel().replace("−", "-")) == pytest.approx(before.iloc[0], abs=0.051)


def test_figures_without_methods_say_so(digits, tables):
    cells, sets = tables
    for figure in (mnist_changes(cells[:0], pd.DataFrame()), mnist_digits(digits, sets[:0], cells[:0])):
        assert "no method was run" in figure.axes[0].texts[0].get_text()
