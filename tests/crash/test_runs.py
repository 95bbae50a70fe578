"""Runs on a disk that fills up, on changed input, beside another run and on two cores: nothing is lost or differs."""

import hashlib
import os
import re
import shutil
import subprocess
import time

import pytest
import yaml
from disks import remount, small_disk
from kill_runs import STUDIES, STUDY, leftovers, tables_of
from running import OPTIONS, command, run, succeed, write_config

from grids.data.simulation import Design, simulate_multiome, write_simulation

pytestmark = pytest.mark.workflow

CONFIG = {
    **STUDY,
    **STUDIES["window"],
    "run": "study",
    "input": {"multiome": "cells.h5mu", "genes": "genes.bed"},
    "tasks": {"Excitatory": ["SINGLE1"]},
}
TARGETS = ["effects.tsv", "windows.tsv.gz", "provenance.yaml"]
LONG_AGO = 1_000_000_000  # seconds since 1970


def place(data, folder):
    """Copies of the input files, older than every result."""
    for path in data.iterdir():
        shutil.copy(path, folder / path.name)
        os.utime(folder / path.name, (LONG_AGO, LONG_AGO))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sets of input files."""
    folders = [tmp_path_factory.mktemp(f"data{seed}") for seed in (1, 2)]
    for seed, folder in enumerate(folders, 1):
        simulation = simulate_multiome(Design(**STUDY["input"]["simulation"]), seed)
        write_simulation(simulation, folder / "cells.h5mu", folder / "genes.bed", folder / "truth.tsv")
    return folders


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    place(data[0], folder)
    return succeed(folder, CONFIG, *TARGETS)


def test_a_disk_that_fills_up_and_is_enlarged(data, undisturbed, tmp_path):
    """A fifth of what the results need, nine tenths, and enough."""
    place(data[0], tmp_path)
    config = {**CONFIG, "results": "disk"}
    needed = sum(path.stat().st_blocks for path in undisturbed.folder.rglob("*")) // 2  # kilobytes
    refused = r"disk/study/logs/\S+\.log: disk/study/\S+: .*cannot be written: there is no space left .* MB free\).*"
    with small_disk(tmp_path / "disk", kilobytes=needed // 5) as disk:
        for kilobytes in (needed // 5, needed * 9 // 10):
            remount(disk, f"size={kilobytes}k")
            stopped = run(tmp_path, config, *TARGETS)
            assert stopped.status == 1
            assert re.fullmatch(refused, stopped.last_line), stopped.told[-3000:]
            # what is kept of an unfinished training is whole, too
            assert not [path for path in leftovers(stopped.folder) if not path.endswith(".checkpoints")]
        assert stopped.jobs.total() > 1  # the second time, the first job succeeds
        remount(disk, "size=64m")
        finished = succeed(tmp_path, config, *TARGETS)
        assert "preprocess" not in finished.jobs  # what was done is kept
        assert tables_of(finished.folder) == tables_of(undisturbed.folder)
        assert not leftovers(finished.folder)


@pytest.mark.parametrize("where", ["results", "."])
def test_a_read_only_folder_is_one_line_before_any_job(tmp_path, where):
    simulated = {**CONFIG, "input": STUDY["input"]}
    with small_disk(tmp_path / where, kilobytes=1_000) as disk:
        write_config(tmp_path, simulated)
        remount(disk, "ro")
        told = subprocess.run(
            command(*OPTIONS, "--configfile", "study.yaml"), cwd=tmp_path, capture_output=True, text=True
        )
    assert told.returncode == 1
    assert re.fullmatch(
        r"error: \S+: the .*folder.* cannot be written: its disk is read-only; make it writable, .*",
        (told.stdout + told.stderr).rstrip().splitlines()[-1],
    )
    assert "rule simulate" not in told.stdout + told.stderr


def test_input_replaced_by_an_older_file_reruns_what_depends_on_it(data, undisturbed, tmp_path):
    """The run that repeats the undisturbed one has two cores; the demo's test of killed training, another order."""

    def sha256(folder):
        return hashlib.sha256((folder / "cells.h5mu").read_bytes()).hexdigest()

    def described(result):
        text = (result.folder / "provenance.yaml").read_text()
        return yaml.safe_load(text)["inputs"]["input.multiome"]["sha256"]

    folder = tmp_path / "study"
    folder.mkdir()
    place(data[1], folder)
    other = succeed(folder, CONFIG, *TARGETS)
    assert described(other) == sha256(data[1])
    before = tables_of(other.folder)
    place(data[0], folder)
    again = succeed(folder, CONFIG, *TARGETS, options=["--cores", "2"])
    assert again.jobs == undisturbed.jobs
    assert described(again) == sha256(data[0]) == described(undisturbed)
    assert tables_of(again.folder) == tables_of(undisturbed.folder) != before
    assert "Nothing to be done" in run(folder, CONFIG, *TARGETS).told


def test_a_second_run_in_the_same_folder_ends_at_once_and_the_first_goes_on(data, undisturbed, tmp_path):
    place(data[0], tmp_path)
    path = write_config(tmp_path, CONFIG)
    target = "results/study/windows.tsv.gz"
    with (tmp_path / "told").open("w") as told:
        first = subprocess.Popen(
            command(target, *OPTIONS, "--configfile", path.name),
            cwd=tmp_path,
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    while not [*tmp_path.glob(".snakemake/locks/*")]:
        assert first.poll() is None
        time.sleep(0.02)
    second = run(tmp_path, CONFIG, "windows.tsv.gz")
    assert second.status == 1 and not second.jobs
    # Which of the two Snakemake sees first depends on whether the first run's job has begun.
    is_locked = "Directory cannot be locked" in second.told and "--unlock" in second.last_line
    assert is_locked or "Incomplete files:" in second.told
    assert first.wait() == 0
    mine, expected = (tables_of(folder) for folder in (second.folder, undisturbed.folder))
    assert "windows.tsv.gz" in mine and mine.items() <= expected.items()
