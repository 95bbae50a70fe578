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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, contiguous_format

from grids.errors import InputError
from grids.writing import whole

Kept = TypeVar("Kept", "KeptTables", "KeptTensors")


class _Kept:
    """Files of the parts that are done, one for each.

    Parameters
    ----------
    folder : path
        Made when the first part is kept.
    """

    suffix: str

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def _path(self, names: Sequence[str]) -> Path:
        key = hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]
        return self.folder / f"{key}.{self.suffix}"


class KeptTables(_Kept):
    """Tables of the parts that are done."""

    suffix = "json"

    def save(self, names: Sequence[str], tables: Sequence[pd.DataFrame]) -> None:
        """Keep the tables of the part that has these names; numbers are kept to the last bit."""
        kept = [
            {**table.to_dict("split", index=False), "dtypes": table.dtypes.astype(str).tolist()}
            for table in tables
        ]
        with whole(self._path(names)) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")

    def load(self, names: Sequence[str]) -> tuple[pd.DataFrame, ...] | None:
        """The tables of the part, None when it has not been done.

        Raises
        ------
        InputError
            The file is damaged.
        """
        path = self._path(names)
        if not path.exists():
            return None
        try:
            return tuple(
                pd.DataFrame(table["data"], columns=table["columns"], dtype=object).astype(
                    dict(zip(table["columns"], table["dtypes"], strict=True))
                )
                for table in json.loads(path.read_text(encoding="utf-8"))
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _damaged(path, error) from None


class KeptTensors(_Kept):
    """Tensors of the parts that are done, by name."""

    suffix = "safetensors"

    def save(self, names: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
        """Keep the tensors of the part that has these names."""
        with whole(self._path(names)) as temporary:
            own = {name: tensor.clone(memory_format=contiguous_format) for name, tensor in tensors.items()}
            save_file(own, temporary)

    def load(self, names: Sequence[str]) -> dict[str, Tensor] | None:
        """The tensors of the part, None when it has not been done.

        Raises
        ------
        InputError
            The file is damaged.
        """
        path = self._path(names)
        if not path.exists():
            return None
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: this checkpoint cannot be read ({type(error).__name__}: {str(error)[:200]}); "
        "delete it and run again"
    )


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
