"""How far results depend on the number of threads; on cores and order they do not (``test_runs.py``)."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kill_runs import STUDIES, STUDY
from running import succeed

import grids

pytestmark = pytest.mark.workflow

# Largest difference of a gene's mean predicted log-expression, as a share of its range over genes.
TOLERANCE = 0.01


def config_of(surrogate: str) -> dict:
    return {**STUDY, **STUDIES[surrogate], "run": "study"}


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory):
    """Folder of the study's cells and windows."""
    return succeed(tmp_path_factory.mktemp("study"), config_of("window"), "windows.tsv.gz").folder


TRAIN = """
import sys
import numpy as np
import torch

scripts, results, n_threads, path = sys.argv[1:]
sys.path.insert(0, scripts)
from grids.io import tables
from grids.io.cells import read_multiome
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import train_joint
from grids.surrogates.window.training import WindowSettings, train_window
from grids.io.devices import compute_with

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
def test_predictions_hardly_depend_on_the_number_of_threads(surrogate, preprocessed, tmp_path):
    config = config_of(surrogate)
    is_window = surrogate == "window"
    settings = config["window_surrogate"] if is_window else {"max_epochs": config["surrogate"]["max_epochs"]}
    code = TRAIN.replace("WINDOW:", f"{is_window}:").replace("**SETTINGS", f"**{settings}")
    scripts, predicted = Path(grids.__file__).parents[1], []
    for n_threads in (1, 2):
        path = tmp_path / f"{n_threads}.npy"
        command = [sys.executable, "-c", code, str(scripts), str(preprocessed), str(n_threads), str(path)]
        subprocess.run(command, check=True, capture_output=True)
        predicted.append(np.load(path))
    difference = np.abs(predicted[0] - predicted[1]).max() / np.ptp(predicted[0])
    print(f"{surrogate}: one thread and two differ by {difference:.1e} of the range")
    assert np.ptp(predicted[0]) > 0.1 and difference < TOLERANCE
