"""Parts of a long job that are done, kept on disk until all of it is."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, contiguous_format

from grids.io.errors import InputError
from grids.io.writing import whole


class _KeptParts:
    """What the parts that are done have made, a file for each, in a folder that is made with the first."""

    suffix: str

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def save(self, names: Sequence[str], content) -> None:
        """Keep what the part that has these names has made; numbers are kept to the last bit."""
        with whole(self._path(names)) as temporary:
            self._write(content, temporary)

    def load(self, names: Sequence[str]):
        """What the part has made, None when it has not been done.

        Raises
        ------
        InputError
            The file is damaged.
        """
        path = self._path(names)
        if not path.exists():
            return None
        try:
            return self._read(path)
        except (ValueError, TypeError, KeyError, RecursionError, OSError, SafetensorError) as error:
            raise self.damaged(names, error) from None

    def damaged(self, names: Sequence[str], error: Exception) -> InputError:
        """What to tell of a part whose file is not what it should be."""
        return InputError(
            f"{self._path(names)}: this checkpoint cannot be read ({type(error).__name__}: {str(error)[:200]}); "
            "delete it and run again"
        )

    def _path(self, names: Sequence[str]) -> Path:
        key = hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]
        return self.folder / f"{key}.{self.suffix}"


class KeptTables(_KeptParts):
    """Tables of the parts that are done."""

    suffix = "json"

    def _write(self, content: Sequence[pd.DataFrame], path: Path) -> None:
        kept = [
            {**table.to_dict("split", index=False), "dtypes": table.dtypes.astype(str).tolist()}
            for table in content
        ]
        path.write_text(json.dumps(kept), encoding="utf-8")

    def _read(self, path: Path) -> tuple[pd.DataFrame, ...]:
        return tuple(
            pd.DataFrame(table["data"], columns=table["columns"], dtype=object).astype(
                dict(zip(table["columns"], table["dtypes"], strict=True))
            )
            for table in json.loads(path.read_text(encoding="utf-8"))
        )


class KeptTensors(_KeptParts):
    """Tensors of the parts that are done, by name."""

    suffix = "safetensors"

    def _write(self, content: Mapping[str, Tensor], path: Path) -> None:
        own = {name: tensor.clone(memory_format=contiguous_format) for name, tensor in content.items()}
        save_file(own, path)

    def _read(self, path: Path) -> dict[str, Tensor]:
        return load_file(path)


class KeptStates(_KeptParts):
    """What a training needs to go on: tensors and plain data, nested."""

    suffix = "pt"

    def _write(self, content: Mapping, path: Path) -> None:
        torch.save(dict(content), path)

    def _read(self, path: Path) -> dict:
        try:
            return torch.load(path, weights_only=True, map_location="cpu")  # runs no code of the file
        except Exception as error:  # a damaged file can raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from None


Kept = TypeVar("Kept", KeptTables, KeptTensors, KeptStates)


@contextlib.contextmanager
def kept_parts(snakemake, kind: type[Kept]) -> Iterator[Kept]:
    """Parts that an earlier start of the same job has done; removed when the job ends well.

    The same job has the same rule, wildcards and params, code and seed among them, and input files of the same size
    and time.
    """
    inputs = [(str(path), os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in snakemake.input]
    job = [snakemake.rule, dict(snakemake.wildcards.items()), dict(snakemake.params.items()), inputs]
    folder = Path(f"{snakemake.output[0]}.checkpoints")
    yield kind(folder / hashlib.sha256(repr(job).encode()).hexdigest()[:16])
    shutil.rmtree(folder, ignore_errors=True)
