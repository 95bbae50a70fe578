"""A small run through the SLURM profile: too little memory or time, cancelled, and the same command again."""

import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from cluster import Job, ask, jobs, wait_for
from running import ROOT, Run, command, succeed, write_config
from safetensors import safe_open

pytestmark = pytest.mark.workflow

CONFIG = {
    "run": "small",
    "seed": 1,
    "input": {"simulation": {"n_cells": 600, "n_peaks": 1500, "n_genes": 120, "n_cell_types": 3}},
    "quality_control": {"min_fragments": 30, "min_genes": 10, "min_tss_enrichment": 0},
    "windows": {"window_bp": 50_000},
    "tasks": {"Excitatory": ["SINGLE1"], "Inhibitory": ["SINGLE2"]},
    "surrogate": {
        "model": "cross_modality",
        "max_epochs": {"atac": 1, "rna": 1, "mapping": 20, "specialisation": 1},
    },
    "gate": {"force": True},
    "search": {"scope": "window", "set_size": 3, "restarts": 1},
}
TARGETS = ["sets/Excitatory.tsv", "sets/Inhibitory.tsv"]
LOCAL = ["--cores", 2, "--set-threads", "train_surrogate=1"]
# Less patience than a real cluster needs; the first attempt at `link_windows` gets a third of the memory that
# Snakemake takes from its start on: SLURM looks once a second, and the rule itself is over sooner than that.
CLUSTER = [
    *("--workflow-profile", ROOT / "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", 5),
    *("--retries", 1, "--set-threads", "train_surrogate=1"),
    *("--set-resources", "link_windows:mem_mb=50*attempt**5"),
]
KEPT = "surrogate/joint.safetensors.checkpoints"
RESUMED = r"mapping \(all\): resumed after epoch (\d+)"


@dataclass(frozen=True)
class Story:
    """What happened: two calls of the same command, and where an undisturbed local run left the same files."""

    cancelled: Run
    repeated: Run
    undisturbed: Run
    resumed_after: list[int]
    """Epochs that training resumed after: over its wall time, then cancelled."""


def start(folder, options):
    targets = [f"results/small/{target}" for target in TARGETS]
    return subprocess.Popen(
        command(*targets, *options, "--configfile", "study.yaml"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process, folder) -> Run:
    told, _ = process.communicate()
    return Run(process.returncode, told, folder / "results/small")


def attempt(number: int) -> Job | None:
    """An attempt at training the joint surrogate, from 0, once SLURM knows of it."""
    attempts = jobs("train_surrogate")
    return attempts[number] if len(attempts) > number else None


def resumed_after(log) -> int | None:
    found = re.search(RESUMED, log.read_text()) if log.exists() else None
    return int(found[1]) if found else None


@pytest.fixture(scope="module")
def story(slurm, tmp_path_factory):
    alone, shared = (tmp_path_factory.mktemp(name) for name in ("alone", "shared"))
    succeed(alone, CONFIG, "preprocessed.h5mu")
    shutil.copytree(alone, shared, dirs_exist_ok=True)
    write_config(shared, CONFIG)
    log, kept = (shared / "results/small" / name for name in ("logs/train_surrogate.log", KEPT))
    beside, process = start(alone, LOCAL), start(shared, CLUSTER)
    try:
        wait_for(lambda: process.poll() or len(list(kept.rglob("[!.]*.pt"))) == 3, "a checkpoint")
        assert process.poll() is None, process.stdout.read()
        # Frozen, so that it does not end before its time is up.
        ask("scancel", "--signal=STOP", attempt(0).job_id)
        ask("scontrol", "update", f"JobId={attempt(0).job_id}", "EndTime=now")
        wait_for(lambda: attempt(1) and attempt(1).state == "RUNNING", "the second attempt")
        epochs = [wait_for(lambda: resumed_after(log), "training resumed")]
        ask("scancel", attempt(1).job_id)
        cancelled = end(process, shared)
        process = start(shared, CLUSTER)
        repeated = end(process, shared)
        epochs.append(resumed_after(log))
        return Story(cancelled, repeated, end(beside, alone), epochs)
    finally:
        process.kill()
        beside.kill()


def test_a_job_killed_for_memory_gets_more_and_succeeds(story):
    killed, again = jobs("link_windows")
    assert (killed.state, killed.memory_mb) == ("FAILED", 50)
    assert (again.state, again.memory_mb) == ("COMPLETED", 50 * 2**5)
    logs = (story.cancelled.folder.parents[1] / ".snakemake/slurm_logs").rglob(f"{killed.job_id}.log")
    assert "exceeded memory limit" in "".join(log.read_text() for log in logs)


def test_a_job_over_its_wall_time_resumes_from_its_checkpoint_with_more_memory(story):
    late, resumed, _ = jobs("train_surrogate")
    assert late.state == "TIMEOUT"
    assert story.resumed_after[0] >= 1
    assert abs(resumed.memory_mb - 2 * late.memory_mb) <= 1


def test_after_scancel_the_same_command_goes_on_where_it_was(story):
    _, stopped, last = jobs("train_surrogate")
    assert (stopped.state, last.state) == ("CANCELLED", "COMPLETED")
    assert story.cancelled.status != 0
    assert story.repeated.status == 0, story.repeated.told[-5000:]
    assert story.resumed_after[1] >= story.resumed_after[0]
    assert "link_windows" not in story.repeated.jobs
    assert not (story.repeated.folder / KEPT).exists()


@pytest.mark.parametrize("rule", ["specialise_surrogate", "find_sets"])
def test_jobs_of_cell_types_are_one_array(story, rule):
    tasks = jobs(rule)
    assert [task.state for task in tasks] == ["COMPLETED"] * 2
    array = tasks[0].array
    assert array and {task.job_id for task in tasks} == {f"{array}_1", f"{array}_2"}


@pytest.mark.parametrize("name", ["windows.tsv.gz", "explained_tasks.tsv", *TARGETS])
def test_results_are_those_of_an_undisturbed_local_run(story, name):
    assert story.undisturbed.status == 0, story.undisturbed.told[-5000:]
    assert (story.repeated.folder / name).read_bytes() == (story.undisturbed.folder / name).read_bytes()


def test_the_surrogate_is_that_of_an_undisturbed_local_run(story):
    """Tensors and metadata; the order in which a file names them is nobody's choice."""
    repeated, undisturbed = (
        safe_open(run.folder / "surrogate/joint.safetensors", "np")
        for run in (story.repeated, story.undisturbed)
    )
    assert repeated.metadata() == undisturbed.metadata()
    assert set(repeated.keys()) == set(undisturbed.keys())
    for name in repeated.keys():  # noqa: SIM118
        assert repeated.get_tensor(name).tobytes() == undisturbed.get_tensor(name).tobytes(), name
