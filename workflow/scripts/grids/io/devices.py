"""What a job computes with: the device of a surrogate, and how many threads, since a sum in another order is another
number."""

import os
import sys
from typing import TYPE_CHECKING

from grids.io.errors import InputError

if TYPE_CHECKING:
    import torch

# Of preprocessing and training, however many cores a run may use.
THREADS = 2


def find(name: str) -> "torch.device":
    """The device of a name as torch writes it: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    InputError
        When torch does not see it on this machine.
    """
    import torch  # here: a workflow that only asks for THREADS has no need of torch

    device = torch.device(name)
    n_seen = {"cuda": torch.cuda.device_count, "mps": torch.mps.device_count}.get(device.type, lambda: 1)()
    if (device.index or 0) >= n_seen:
        raise InputError(
            f"surrogate.device is {name}, but torch {torch.__version__} sees {n_seen} such devices on this machine; "
            "set it to cpu, run where there is one, or install a build of torch for it"
        )
    return device


def compute_with(n_threads: int) -> None:
    """Linear algebra with so many threads from here on, in NumPy, torch and what is loaded later.

    Snakemake sets as many as it reserves: fewer than the rule's where `--cores` is smaller.
    """
    from threadpoolctl import threadpool_limits

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(n_threads)
    threadpool_limits(n_threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(n_threads)
