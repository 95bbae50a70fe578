"""The device that a surrogate is trained and asked on: what the config calls ``surrogate.device``."""

import torch

from grids.io.errors import InputError


def find(name: str) -> torch.device:
    """The device of a name as torch writes it: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    InputError
        When torch does not see it on this machine.
    """
    device = torch.device(name)
    n_seen = {"cuda": torch.cuda.device_count, "mps": torch.mps.device_count}.get(device.type, lambda: 1)()
    if (device.index or 0) >= n_seen:
        raise InputError(
            f"surrogate.device is {name}, but torch {torch.__version__} sees {n_seen} such devices on this machine; "
            "set it to cpu, run where there is one, or install a build of torch for it"
        )
    return device
