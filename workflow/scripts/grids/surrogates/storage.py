"""Surrogates on disk: safetensors with JSON metadata, so that reading one never executes anything."""

import json
import os
from collections.abc import Mapping

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import grids
from grids.io import devices
from grids.io.errors import InputError, listing
from grids.io.writing import whole
from grids.surrogates.cross_modality.model import CrossModalitySurrogate
from grids.surrogates.pooling import Surrogate
from grids.surrogates.window.model import WindowSurrogate

FORMAT = "grids-surrogate-1"
_NAMES = ("peaks", "genes", "cell_types")


def _encode(names: list[str]) -> torch.Tensor:
    """Names as one tensor of UTF-8 bytes: hundreds of thousands of peaks do not fit a header."""
    return torch.frombuffer(bytearray(json.dumps(names).encode()), dtype=torch.uint8)


def save(surrogate: Surrogate, path: str | os.PathLike, **metadata: object) -> None:
    """Write a surrogate with everything needed to use it: weights, names, shapes, versions.

    Parameters
    ----------
    surrogate : Surrogate
    path : path
        Written under a temporary name and renamed.
    **metadata
        What else to keep (seed, cell type); must be JSON.
    """
    described = {
        "format": FORMAT,
        "surrogate": surrogate.name,
        "options": surrogate.options,
        "n_peaks": len(surrogate.peaks),
        "n_genes": len(surrogate.genes),
        "versions": {"grids": grids.__version__, "torch": torch.__version__},
        **metadata,
    }
    tensors = {f"weight/{k}": v.detach().cpu().contiguous() for k, v in surrogate.state_dict().items()}
    tensors |= {f"name/{kind}": _encode(getattr(surrogate, kind)) for kind in _NAMES}
    with whole(path) as temporary:
        save_file(tensors, temporary, {k: json.dumps(v, sort_keys=True) for k, v in described.items()})


def read_metadata(path: str | os.PathLike) -> dict:
    """The JSON metadata of a stored surrogate."""
    with _open(path) as file:
        return _metadata(file, path)


def load(path: str | os.PathLike, device: str = "cpu") -> Surrogate:
    """Read a surrogate, in evaluation mode.

    Parameters
    ----------
    path : path
    device : str
        Where its weights are put, and with them all that is computed with it; the window surrogate knows the CPU only.

    Raises
    ------
    InputError
        When the file is missing, truncated, or not a surrogate of this project, or there is no such device.
    """
    where = devices.find(device)
    with _open(path) as file:
        metadata = _metadata(file, path)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    try:
        names = {kind: json.loads(bytes(tensors[f"name/{kind}"].numpy()).decode()) for kind in _NAMES}
        weights = {k.removeprefix("weight/"): v for k, v in tensors.items() if k.startswith("weight/")}
        _check_sizes(metadata["options"], weights)
        model = _RESTORE[metadata["surrogate"]](names, weights, metadata["options"])
    except Exception as error:  # a damaged file can raise anything
        raise InputError(
            f"{path}: the stored surrogate is damaged ({type(error).__name__}: {error}); delete it and train again"
        ) from None
    return model.to(where).eval()


def _check_sizes(options: dict, weights: Mapping[str, torch.Tensor]) -> None:
    """A size that no weight has would only fill the memory."""
    largest = max((max(weight.shape, default=1) for weight in weights.values()), default=1)
    largest = max(largest, len(weights))
    for name, sizes in options.items():
        of_name = sizes if isinstance(sizes, list) else [sizes]
        if max((n for n in of_name if isinstance(n, int)), default=1) > largest:
            raise ValueError(f"{name} {sizes} is larger than any weight")


_RESTORE = {kind.name: kind.restore for kind in (CrossModalitySurrogate, WindowSurrogate)}


def register(kind: type[Surrogate]) -> type[Surrogate]:
    """Let :func:`load` read another kind: a class with a `name` and ``restore(names, weights, options)``."""
    _RESTORE[kind.name] = kind.restore
    return kind


def _open(path: str | os.PathLike):
    try:
        return safe_open(str(path), framework="pt")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such surrogate") from None
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as safetensors ({error}); delete it and train again"
        ) from None


def _metadata(file, path: str | os.PathLike) -> Mapping:
    try:
        metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
    except (ValueError, RecursionError):
        metadata = {}
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path}: not a surrogate written by this version (expected format {FORMAT})")
    if str(metadata.get("surrogate")) not in _RESTORE:
        raise InputError(
            f"{path}: holds a surrogate of the kind '{metadata.get('surrogate')}', which this version does not know; "
            f"it knows {listing(_RESTORE)}"
        )
    return metadata
