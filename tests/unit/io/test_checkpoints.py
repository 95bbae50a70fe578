"""What a job keeps of its parts: for the same job only, and no longer than it runs."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from grids.io.checkpoints import KeptStates, KeptTables, KeptTensors, kept_parts
from grids.io.errors import InputError


class Named(dict):
    """As Snakemake's lists with names."""

    def __getitem__(self, key):
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


@pytest.fixture
def job(tmp_path):
    """A job of Snakemake: rule, wildcards, params, input and output."""
    (tmp_path / "data").write_text("cells")

    def of(rule="train", seed=1, **wildcards):
        return SimpleNamespace(
            rule=rule,
            wildcards=Named(wildcards),
            params=Named(seed=seed),
            input=[str(tmp_path / "data")],
            output=[str(tmp_path / "model")],
        )

    return of


def start(job, content=None):
    """A job that keeps something, or looks at what is kept, and is killed."""
    with pytest.raises(KeyboardInterrupt), kept_parts(job, KeptTensors) as kept:
        found = kept.load(["part"])
        if content is not None:
            kept.save(["part"], {"x": torch.tensor([content])})
        raise KeyboardInterrupt
    return found


def test_the_same_job_finds_what_it_kept(job):
    assert start(job(), 0.1) is None
    assert start(job())["x"].tolist() == [pytest.approx(0.1)]


@pytest.mark.parametrize("other", [{"seed": 2}, {"rule": "search"}, {"cell_type": "A"}])
def test_another_job_does_not(job, other):
    start(job(), 0.1)
    assert start(job(**other)) is None


def test_nor_does_one_on_other_data(job, tmp_path):
    start(job(), 0.1)
    (tmp_path / "data").write_text("other cells")
    assert start(job()) is None


def test_nothing_is_kept_of_a_job_that_is_done(job, tmp_path):
    with kept_parts(job(), KeptTensors) as kept:
        kept.save(["part"], {"x": torch.ones(1)})
        assert list(tmp_path.glob("model.checkpoints/*/*"))
    assert not list(tmp_path.glob("model.checkpoints*"))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (KeptTables, [pd.DataFrame({"gene": ["NA", "x"], "effect": [0.1, float("nan")], "n": [1, 2]})]),
        (KeptTensors, {"x": torch.tensor([1 / 3, float("inf")])}),
        (KeptStates, {"epoch": 3, "curves": [["atac", None, 0.1]], "model": {"weight": torch.ones(2, 2)}}),
    ],
)
def test_what_is_kept_comes_back(tmp_path, kind, content):
    kept = kind(tmp_path)
    assert kept.load(["a", "b"]) is None
    kept.save(["a", "b"], content)
    again = kept.load(["a", "b"])
    if kind is KeptTables:
        pd.testing.assert_frame_equal(again[0], content[0])
    elif kind is KeptTensors:
        assert torch.equal(again["x"], content["x"])
    else:
        assert again["epoch"] == 3 and again["curves"] == [["atac", None, 0.1]]
        assert torch.equal(again["model"]["weight"], torch.ones(2, 2))


@pytest.mark.parametrize("kind", [KeptTables, KeptTensors, KeptStates])
def test_a_damaged_file_is_told(tmp_path, kind):
    kind(tmp_path)._path(["a"]).write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"this checkpoint cannot be read .*; delete it and run again"):
        kind(tmp_path).load(["a"])
