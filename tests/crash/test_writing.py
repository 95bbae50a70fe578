"""Writers on disks that are full, read-only or not ours: one line, and what was there stays."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from disks import remount, small_disk
from matplotlib.figure import Figure

from benchmarks.mnist import digits
from benchmarks.mnist.classifier import Classifier
from grids.data.simulation import Design, simulate_multiome, write_simulation
from grids.exports import provenance, tracks
from grids.figures.save import save as save_figure
from grids.io import tables
from grids.io.cells import Modality
from grids.io.errors import InputError
from grids.io.writing import refusal, whole
from grids.surrogates import storage

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"value": RNG.random(60_000)})
BIG = torch.from_numpy(RNG.random(60_000))


def figure() -> Figure:
    drawn = Figure(figsize=(8, 8))
    drawn.subplots().imshow(RNG.random((700, 700)), interpolation="none")
    return drawn


def write_track(path):
    peaks = pd.DataFrame({"chromosome": "chr1", "start": np.arange(60_000) * 100})
    peaks["end"], peaks["B"] = peaks["start"] + 50, RNG.random(len(peaks))
    tracks.write_bigwig(peaks, "B", {"chr1": 10_000_000}, path)


def write_digits(path):
    names = pd.DataFrame(index=[str(i) for i in range(300)])
    digits.write(Modality(RNG.random((300, 300)), names, names), path)


def write_torch(path):
    with whole(path) as temporary:
        torch.save({"weights": BIG}, temporary)


WRITERS = {
    "table.tsv": lambda path: tables.write(TABLE, path),
    "table.tsv.gz": lambda path: tables.write(TABLE, path),
    "model.safetensors": lambda path: storage.save(
        Classifier([f"p{k}" for k in range(784)], ["g"], ["A", "B"]), path
    ),
    "checkpoint.pt": write_torch,
    "cells.h5mu": lambda path: write_simulation(
        simulate_multiome(Design(300, 400, 40, 2), 1), path, path.with_name("g.bed"), path.with_name("t.tsv")
    ),
    "digits.h5ad": write_digits,
    "track.bw": write_track,
    "figure.png": lambda path: save_figure(figure(), path),
    "figure.pdf": lambda path: save_figure(figure(), path),
    "figure.svg": lambda path: save_figure(figure(), path),
    "provenance.yaml": lambda path: provenance.write({"made": "x" * 300_000}, path),
}


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("full"), kilobytes=200) as folder:
        yield folder


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_takes_nothing_away(full_disk, tmp_path, name):
    folder = full_disk / name
    folder.mkdir()
    (folder / name).write_text("of an earlier run")
    with pytest.raises(
        InputError, match=rf"{name}: cannot be written: .*no space left on its disk.* MB free"
    ):
        WRITERS[name](folder / name)
    assert (folder / name).read_text() == "of an earlier run"
    assert [path.name for path in folder.iterdir()] == [name]
    WRITERS[name](tmp_path / name)  # it fits where there is room
    assert (tmp_path / name).stat().st_size > 200 * 1024


def test_a_disk_that_became_read_only(tmp_path):
    with small_disk(tmp_path / "disk", kilobytes=200) as folder:
        remount(folder, "ro")
        with pytest.raises(InputError, match=r"a.tsv: cannot be written: its disk is read-only"):
            tables.write(TABLE, folder / "a.tsv")


def test_a_folder_of_somebody_else(tmp_path):
    """As user nobody where the tests run as root, whom permissions do not stop."""
    code = """
import os, sys, pandas
sys.path.insert(0, sys.argv[1])
from grids.io import tables
from grids.io.errors import InputError
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    tables.write(pandas.DataFrame({"a": [1]}), sys.argv[2])
except InputError as error:
    print(error)
"""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    for parent in folder.parents[:3]:  # pytest's folders are for their owner only
        parent.chmod(0o755)
    scripts = Path(provenance.__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", code, str(scripts), str(folder / "a.tsv")], capture_output=True, text=True
    )
    assert "a.tsv: cannot be written: writing there is not permitted; ask" in told.stdout


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError, match="a user's file"), whole(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "a user's file")
    assert refusal(ValueError("no"), tmp_path / "a") is None
    assert not list(tmp_path.iterdir())


def test_what_killed_jobs_left_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [f".{os.getppid()}.a.tsv", f".{ended.pid}.b.tsv", "a.tsv.gz", ".x.a.tsv"]
    for name in [f".{ended.pid}.a.tsv", *kept]:
        (tmp_path / name).write_text("half")
    tables.write(TABLE.head(), tmp_path / "a.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.tsv", *kept])
