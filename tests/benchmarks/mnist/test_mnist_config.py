"""Configs of the image and the synthetic benchmark."""

import pytest
import yaml
from schemas import GUESTS, schema_of

from grids.io.config import check
from grids.io.errors import InputError

SCHEMA = {"properties": GUESTS["mnist"]["properties"] | GUESTS["synthetic"]["properties"]}


def defaults(name):
    return {key: entry.get("default") for key, entry in SCHEMA["properties"][name]["properties"].items()}


@pytest.mark.parametrize("text", ["mnist: {}", "synthetic: {}"])
def test_a_benchmark_needs_no_data_and_no_tasks(text):
    config = yaml.safe_load(text)
    check(config, schema_of(config), "study.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mnist: {}\ntasks: {A: [x]}", "mnist and tasks exclude each other: the image benchmark has its own digits"),
        ("mnist: {}\ntruth: {}", "truth and mnist exclude each other: the truth benchmark simulates its own data"),
        ("synthetic: {}\nbenchmark: {}", "synthetic and benchmark exclude each other: the synthetic benchmark draws"),
        ("mnist: {setsize: 3}", "unknown key 'setsize' in 'mnist'. Did you mean 'set_size'?"),
        ("mnist: {set_size: 785}", "mnist.set_size: 785 is not allowed; expected a whole number"),
        ("mnist: {methods: [grids, distance]}", "mnist.methods[1]: 'distance' is not allowed; expected one of grids"),
        ("synthetic: {functions: [xnor]}", "synthetic.functions[0]: 'xnor' is not allowed; expected one of additive"),
        ("synthetic: {background: [0.5]}", "synthetic.background[0]: 0.5 is not allowed; expected a number"),
    ],
)  # fmt: skip
def test_messages(text, expected):
    with pytest.raises(InputError) as error:
        config = yaml.safe_load(text)
        check(config, schema_of(config), "study.yaml")
    assert str(error.value).startswith(f"study.yaml: {expected}") and "\n" not in str(error.value)


def test_defaults_are_those_of_the_library():
    from dataclasses import asdict

    from benchmarks.explainers.run import METHODS
    from benchmarks.mnist.training import ClassifierSettings
    from benchmarks.synthetic.functions import FUNCTIONS

    classifier = SCHEMA["properties"]["mnist"]["properties"]["classifier"]["properties"]
    library = asdict(ClassifierSettings())
    assert {key: entry["default"] for key, entry in classifier.items()} == {**library, "n_hidden": [256, 128]}
    assert library["n_hidden"] == (256, 128)
    assert defaults("synthetic")["functions"] == list(FUNCTIONS)
    # An image has no TSS; windows of CXPlain are squares of 2 x 2 pixels; features have no neighbours.
    without = {"distance", "cxplain_16", "cxplain_32", "cxplain_64"}
    assert defaults("mnist")["methods"] == [method for method in METHODS if method not in without]
    assert defaults("synthetic")["methods"] == [
        method for method in METHODS if method not in without | {"cxplain_4"}
    ]
