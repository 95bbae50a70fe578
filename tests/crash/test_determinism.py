"""One seed, one result: whatever the number of cores, the order of the jobs and the number of threads."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kill_runs import STUDIES, STUDY, tables_of
from running import succeed

import grids

pytestmark = pytest.mark.workflow

TARGETS = ["effects.tsv", "redundancy.tsv", "surrogate/quality.tsv"]
# Largest difference of a gene's mean predicted log-expression, as a share of its range over genes.
TOLERANCE = 0.01


def config_of(surrogate: str) -> dict:
    return {**STUDY, **STUDIES[surrogate], "run": "study"}


@pytest.fixture(scope="module")
def two_cores(tmp_path_factory):
    """The study with the window surrogate, with two cores."""
    return succeed(tmp_path_factory.mktemp("window"), config_of("window"), *TARGETS, options=["--cores", "2"])


def jobs_in_order(result) -> list[str]:
    """Rules and their files as they began."""
    return [
        line for line in result.told.splitlines() if line.startswith(("rule ", "localrule ", "    output"))
    ]


def test_tables_do_not_depend_on_cores_and_order(two_cores, tmp_path):
    """The demo's test of killed training does the same with the cross-modality surrogate."""
    options = ["--scheduler", "greedy", "--prioritize", "results/study/redundancy.tsv"]
    again = succeed(tmp_path, config_of("window"), *reversed(TARGETS), options=options)
    assert again.jobs == two_cores.jobs
    assert jobs_in_order(again) != jobs_in_order(two_cores)
    mine, expected = tables_of(again.folder), tables_of(two_cores.folder)
    assert [name for name in expected if mine.get(name) != expected[name]] == []
    assert len(mine) == len(expected) > 20


TRAIN = """
import sys
import numpy as np
import torch

scripts, results, n_threads, path = sys.argv[1:]
sys.path.insert(0, scripts)
from grids import tables
from grids.cells import read_multiome
from grids.surrogates.settings import Settings
from grids.surrogates.training import train_joint
from grids.surrogates.window_training import WindowSettings, train_window
from grids.threads import compute_with

compute_with(int(n_threads))
multiome = read_multiome(f"{results}/preprocessed.h5mu")
if WINDOW:
    windows = tables.read(f"{results}/windows.tsv.gz", usecols=["peak", "gene"])
    surrogate, _ = train_window(multiome, windows, "Excitatory", WindowSettings(**SETTINGS), seed=1)
else:
    surrogate, _ = train_joint(multiome, Settings(**SETTINGS), seed=1)
assert torch.get_num_threads() == int(n_threads)
with torch.no_grad():
    np.save(path, surrogate.predict(multiome.atac.X).double().mean(0).numpy())
"""


@pytest.mark.parametrize("surrogate", STUDIES)
def test_predictions_hardly_depend_on_the_number_of_threads(surrogate, two_cores, tmp_path):
    config = config_of(surrogate)
    is_window = surrogate == "window"
    settings = config["window_surrogate"] if is_window else {"max_epochs": config["surrogate"]["max_epochs"]}
    code = TRAIN.replace("WINDOW:", f"{is_window}:").replace("**SETTINGS", f"**{settings}")
    scripts, predicted = Path(grids.__file__).parents[1], []
    for n_threads in (1, 2):
        path = tmp_path / f"{n_threads}.npy"
        command = [sys.executable, "-c", code, str(scripts), str(two_cores.folder), str(n_threads), str(path)]
        subprocess.run(command, check=True, capture_output=True)
        predicted.append(np.load(path))
    difference = np.abs(predicted[0] - predicted[1]).max() / np.ptp(predicted[0])
    print(f"{surrogate}: one thread and two differ by {difference:.1e} of the range")
    assert np.ptp(predicted[0]) > 0.1 and difference < TOLERANCE
