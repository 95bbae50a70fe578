"""A SLURM cluster of one node for the tests in this folder, where SLURM is installed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "workflow"))

CONF = Path("/etc/slurm/slurm.conf")
OWN = re.compile(r"# Made by tests/slurm/up\.sh in (\S+) for process (\d+), started at ([\d.]+)\n")


def why_not() -> str | None:
    """Why there can be no cluster of our own here, if so."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        return "no SLURM here: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "a SLURM of our own needs root"
    if not CONF.exists():
        return None
    if not (own := OWN.match(CONF.read_text())):
        return f"this machine has a SLURM already: {CONF}"
    folder, pid, started = own.groups()
    if psutil.pid_exists(int(pid)) and f"{psutil.Process(int(pid)).create_time():.2f}" == started:
        return f"process {pid} is running these tests"
    end(folder)  # left behind by tests that were killed
    return None


def end(folder) -> None:
    subprocess.run(["bash", HERE / "down.sh", folder], check=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm(request):
    """A running cluster."""
    if reason := why_not():
        pytest.skip(reason)
    import cluster

    # Not in pytest's own folder: the next runs would tidy that away, and who is to be ended stands in it.
    folder = tempfile.mkdtemp(prefix="grids-slurm-")
    owner = psutil.Process()
    try:
        subprocess.run(
            ["bash", HERE / "up.sh", folder, f"{owner.pid}, started at {owner.create_time():.2f}"], check=True
        )
        yield
        states = dict(cluster.count_states())
        # To the summary in tests/conftest.py, from here or from a worker.
        getattr(request.config, "workeroutput", {})["slurm_jobs"] = states
        request.config.slurm_jobs = states
    finally:
        end(folder)
