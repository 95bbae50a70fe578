"""Light reader of ``preprocessed.h5mu``: what the later steps need, without importing mudata or scanpy."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from scipy import sparse

from grids.io import backed
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.levels import ALL_TYPES
from grids.io.logging import log


@dataclass(frozen=True)
class Modality:
    """One modality: a matrix with its row and column tables.

    Attributes
    ----------
    X : csr_matrix or StoredRows, shape (n_cells, n_features)
        RNA: float32, log1p of normalised counts. ATAC: uint8, 1 where the peak is open. On disk where it is large.
    obs : DataFrame, n_cells rows, indexed by cell name, with `cell_type` and `split`
    var : DataFrame, n_features rows, indexed by gene or peak name
    """

    X: backed.Rows
    obs: pd.DataFrame
    var: pd.DataFrame

    @property
    def cell_types(self) -> list[str]:
        """The cell types present, sorted."""
        return sorted(self.obs["cell_type"].unique())

    def cells(
        self,
        mask: np.ndarray | None = None,
        *,
        cell_type: str | None = None,
        split: str | Sequence[str] | None = None,
        most: int | None = None,
    ) -> "Modality":
        """The cells that fit every condition given, in their present order, in memory.

        Parameters
        ----------
        mask : array of bool, shape (n_cells,), optional
        cell_type : str, optional
            :data:`~grids.io.levels.ALL_TYPES` is no condition.
        split : {"train", "validation", "test"} or several of them, optional
        most : int, optional
            No more cells than this, evenly spaced.

        Raises
        ------
        InputError
            When `cell_type` is not among the cells.
        """
        keep = self._positions(mask, cell_type, split)
        if most is not None and len(keep) > most:
            log.info("%d of %d cells, evenly spaced, stand for all", most, len(keep))
            keep = keep[backed.evenly_spaced(len(keep), most)]
        return Modality(self.X[keep], self.obs.iloc[keep], self.var)

    def stream(self, mask: np.ndarray | None = None, **conditions) -> "Modality":
        """The same cells as :meth:`cells` with these conditions, left on disk where they are there."""
        keep = self._positions(mask, **conditions)
        return Modality(backed.select(self.X, keep), self.obs.iloc[keep], self.var)

    def _positions(
        self, mask, cell_type: str | None = None, split: str | Sequence[str] | None = None
    ) -> np.ndarray:
        keep = np.ones(len(self.obs), bool) if mask is None else np.asarray(mask, bool)
        if cell_type not in (None, ALL_TYPES):
            of_type = (self.obs["cell_type"] == cell_type).to_numpy()
            if not of_type.any():
                raise InputError(
                    f"cell type '{cell_type}' is not in the data.{did_you_mean(cell_type, self.cell_types)} "
                    f"It has: {listing(self.cell_types)}"
                )
            keep = keep & of_type
        if split is not None:
            keep = keep & self.obs["split"].isin([split] if isinstance(split, str) else split).to_numpy()
        return np.flatnonzero(keep)


@dataclass(frozen=True)
class Multiome:
    """Both modalities. When `paired`, row i of `rna` and row i of `atac` are the same cell."""

    rna: Modality
    atac: Modality
    paired: bool

    def cells(self, **conditions) -> "Multiome":
        """The cells of both modalities that fit, in memory; conditions as of :meth:`Modality.cells`."""
        return Multiome(self.rna.cells(**conditions), self.atac.cells(**conditions), self.paired)


def read_multiome(path: str | os.PathLike) -> Multiome:
    """Read the preprocessed multiome (without the layers); large matrices stay on disk (:mod:`grids.io.backed`).

    Raises
    ------
    InputError
        When the file is missing, unreadable, or was not written by the preprocessing step.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: file not found; run the preprocessing step first")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("uns/grids"), h5py.Group):
                raise InputError(
                    f"{path}: not a preprocessed multiome (no uns['grids']); rerun preprocessing"
                )
            rna, atac = (_read_modality(file[f"mod/{name}"]) for name in ("rna", "atac"))
            return Multiome(rna, atac, bool(read_elem(file["uns/grids/paired"])))
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); delete it and rerun preprocessing"
        ) from error


def _read_modality(group: h5py.Group) -> Modality:
    obs, var, matrix = read_elem(group["obs"]), read_elem(group["var"]), backed.read(group["X"])
    for column in ("cell_type", "split"):
        obs[column] = obs[column].astype(str)
    if not isinstance(matrix, backed.StoredRows):
        if sparse.issparse(matrix):
            matrix.check_format(full_check=True)  # scipy trusts indices with memory
        matrix = sparse.csr_matrix(matrix)
    if matrix.shape != (len(obs), len(var)):
        raise ValueError(f"X is {matrix.shape}, obs has {len(obs)} rows and var {len(var)}")
    return Modality(matrix, obs, var)
