"""A SLURM cluster of one node for the tests in this folder, where SLURM is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "workflow"))

COUNTED = pytest.StashKey()


def why_not() -> str | None:
    """Why there can be no cluster of our own here, if so."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        return "no SLURM here: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "a SLURM of our own needs root"
    if Path("/etc/slurm/slurm.conf").exists():
        return "this machine has a SLURM already: /etc/slurm/slurm.conf"
    return None


@pytest.fixture(scope="session")
def slurm(request, tmp_path_factory):
    """A running cluster."""
    if reason := why_not():
        pytest.skip(reason)
    import cluster

    folder = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run(["bash", HERE / "up.sh", folder], check=True)
        yield
        request.config.stash[COUNTED] = cluster.count_states()
    finally:
        subprocess.run(["bash", HERE / "down.sh", folder], check=True)


def pytest_terminal_summary(terminalreporter, config):
    if states := config.stash.get(COUNTED, None):
        listed = ", ".join(f"{state} {n}" for state, n in sorted(states.items()))
        terminalreporter.write_line(f"SLURM jobs run: {states.total()} ({listed})")
