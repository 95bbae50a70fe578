"""Read raw multiome data of any supported format and check it before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from grids import backed
from grids.cells import Modality
from grids.errors import InputError, did_you_mean, listing
from grids.logging import log
from grids.names import check_names
from grids.raw_files import Part, match_row, read_h5ad, read_one_file

GENE_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "ensembl", "id")
MIN_SHARE_OF_COMMON_CELLS = 0.9
# Columns of the tables that have a column per cell type.
RESERVED = ("peak", "chromosome", "start", "end")


@dataclass(frozen=True)
class RawMultiome:
    """Raw data of both modalities, checked but not filtered.

    Attributes
    ----------
    rna, atac : Modality
        `X` as in the file, CSR without explicit zeros, on disk if it is large (:mod:`grids.backed`);
        `obs["cell_type"]` (str, missing where unlabelled) unless cell types are still to be annotated.
        When `paired`, rows correspond.
    paired : bool
    sources : dict
        Where each modality comes from, for messages: ``{"rna": "input.rna: 'a.h5ad'", ...}``.
    assembly : str or None
        Genome assembly of the peaks, where the file names one.
    harmonisation : list of dict
        Rows `what, n_total, n_matched` on how well the parts of the input fit each other.
    steps : list of dict
        Rows `what, modality, step, n_before, n_after, reason` on what reading has dropped.
    """

    rna: Modality
    atac: Modality
    paired: bool
    sources: dict[str, str]
    assembly: str | None = None
    harmonisation: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)


def read_raw(source: Mapping) -> RawMultiome:
    """Read and check the raw data that the config's `input` section names.

    Parameters
    ----------
    source : mapping
        `multiome` (MuData .h5mu or 10x multiome .h5), or `rna` and `atac` (AnnData .h5ad), as local
        paths; optionally `paired`, `cell_type_key`, `markers`, `gene_name_key`, `rna_values`.

    Returns
    -------
    RawMultiome

    Raises
    ------
    InputError
        For anything that the data or the config would have to be changed for.
    """
    harmonisation: list[dict] = []
    steps: list[dict] = []
    if source.get("multiome"):
        rna, atac = read_one_file(Path(source["multiome"]), source, harmonisation)
    elif source.get("rna") and source.get("atac"):
        rna, atac = (read_h5ad(Path(source[name]), name, source) for name in ("rna", "atac"))
    else:
        raise InputError(
            "input: no data; set either input.multiome, or both input.rna and input.atac, or input.simulation"
        )
    _name_genes(rna, source.get("gene_name_key"))
    for part, kind in ((rna, "RNA"), (atac, "ATAC")):
        _check_shape_and_names(part, kind)
    _check_rna_values(rna, source.get("rna_values") or "counts")
    _check_atac_values(atac, harmonisation)
    paired = _pair(rna, atac, source.get("paired"), harmonisation, steps)
    _attach_cell_types(rna, atac, paired, source, harmonisation)
    return RawMultiome(
        Modality(rna.X, rna.obs, rna.var),
        Modality(atac.X, atac.obs, atac.var),
        paired,
        {"rna": rna.where, "atac": atac.where},
        atac.assembly or rna.assembly,
        harmonisation,
        steps,
    )


def gene_ids(var: pd.DataFrame) -> np.ndarray | None:
    """Stable gene ids (Ensembl), one per row of `var`, when it has such a column."""
    folded = {str(column).casefold(): column for column in var.columns}
    found = next((folded[name] for name in GENE_ID_COLUMNS if name in folded), None)
    return None if found is None else var[found].astype(str).to_numpy(object)


# Checks


def _name_genes(rna: Part, key: str | None) -> None:
    if not key:
        return
    if key not in rna.var:
        raise InputError(
            f"{rna.where}: gene_name_key '{key}' is not in var; "
            f"it has: {listing(rna.var.columns) or 'no columns'}.{did_you_mean(key, rna.var.columns)}"
        )
    if gene_ids(rna.var) is None:
        rna.var["gene_ids"] = rna.var.index
    rna.var.index = pd.Index(rna.var[key].astype(str), name=None)


def _check_shape_and_names(part: Part, kind: str) -> None:
    n_cells, n_features = part.X.shape
    feature = "gene" if kind == "RNA" else "peak"
    if not n_cells or not n_features or not part.values.n:
        raise InputError(
            f"{part.where}: empty {kind} matrix ({n_cells} cells x {n_features} {feature}s, "
            f"{part.values.n} non-zero values); expected counts"
        )
    for what, names in (("cell", part.obs.index), (feature, part.var.index)):
        check_names(names, f"{part.where}: {what} names")
        if not names.is_unique:
            repeated = names[names.duplicated()].unique()
            fix = "; or set input.gene_name_key to a column with unique names" if what == "gene" else ""
            raise InputError(
                f"{part.where}: {len(repeated)} duplicated {what} names ({listing(repeated, 3)}); "
                f"make them unique{fix}"
            )


def _check_rna_values(rna: Part, values: str) -> None:
    _check_finite_and_positive(rna, "RNA")
    found = rna.values
    if values == "counts" and not found.whole:
        raise InputError(
            f"{rna.where}: RNA values are not whole numbers (e.g. {found.fraction:g}) "
            "but input.rna_values is 'counts'; give raw counts (in X or layers['counts']), or set "
            "input.rna_values: normalized for depth-normalised values that are not logged"
        )
    if values == "normalized" and found.whole:
        log.warning("%s: input.rna_values is 'normalized' but all values are whole numbers", rna.where)


def _check_atac_values(atac: Part, harmonisation: list[dict]) -> None:
    _check_finite_and_positive(atac, "ATAC")
    found = atac.values
    if not found.whole:
        harmonisation.append(match_row("non-zero ATAC values that are whole numbers", found.n, found.n_whole))


def _check_finite_and_positive(part: Part, kind: str) -> None:
    if not part.values.finite:
        raise InputError(f"{part.where}: {kind} values hold NaN or infinity; expected finite values >= 0")
    if part.values.negative is not None:
        raise InputError(
            f"{part.where}: negative {kind} values (for example {part.values.negative:g}); "
            "expected counts, not scaled or corrected values"
        )


# Pairing and cell types


def _pair(rna: Part, atac: Part, paired: bool | None, harmonisation: list[dict], steps: list[dict]) -> bool:
    """Decide whether the modalities share their cells; if so, bring both to the same cells and order."""
    common = rna.obs.index.intersection(atac.obs.index, sort=False)
    n_rna, n_atac = len(rna.obs), len(atac.obs)
    if paired is False or (paired is None and len(common) == 0):
        return False
    if len(common) == 0:
        raise InputError(
            f"{rna.where} and {atac.where}: input.paired is true but no cell name is in both "
            f"(RNA '{rna.obs.index[0]}', ATAC '{atac.obs.index[0]}'); rename the cells or set paired: false"
        )
    share = len(common) / min(n_rna, n_atac)
    if paired is None and share < MIN_SHARE_OF_COMMON_CELLS:
        raise InputError(
            f"{rna.where} and {atac.where}: {len(common)} cell names are in both, {share:.0%} of the smaller "
            "set, so it is unclear whether cells are paired; set input.paired to true (keep common cells) "
            "or false"
        )
    for kind, part, other, n_before in (("rna", rna, "atac", n_rna), ("atac", atac, "rna", n_atac)):
        harmonisation.append(match_row(f"{kind} cells found in {other}", n_before, len(common)))
        if len(common) < n_before:
            reason = f"cell name not in the {other} data"
            steps.append(step_row("cells", kind, "pairing", n_before, len(common), reason))
        rows = part.obs.index.get_indexer(common)
        if not np.array_equal(rows, np.arange(n_before)):
            part.X, part.obs = backed.select(part.X, rows), part.obs.iloc[rows].copy()
    return True


def _attach_cell_types(
    rna: Part, atac: Part, paired: bool, source: Mapping, harmonisation: list[dict]
) -> None:
    """Set `obs["cell_type"]` from the configured column, or leave it out where it is to be annotated."""
    key = source.get("cell_type_key") or "cell_type"
    labels = {id(part): _labels(part.obs, key) for part in (rna, atac)}
    missing = [part for part in (rna, atac) if labels[id(part)] is None]
    needed = len(missing) == 2 if paired else bool(missing)
    if needed and not source.get("markers"):
        columns = missing[0].obs.columns
        raise InputError(
            f"{missing[0].where}: cell_type_key '{key}' is not in obs; "
            f"it has: {listing(columns) or 'no columns'}.{did_you_mean(key, columns)} "
            "Set input.cell_type_key, or input.markers to annotate cell types"
        )
    of_rna, of_atac = labels[id(rna)], labels[id(atac)]
    if paired and not needed:
        if of_rna is not None and of_atac is not None:
            both = of_rna.notna() & of_atac.notna()
            agree = (of_rna[both] == of_atac[both]).sum()
            harmonisation.append(match_row("cells whose RNA and ATAC labels agree", both.sum(), agree))
            of_rna = of_rna.fillna(of_atac)
        of_rna = of_atac = of_atac if of_rna is None else of_rna
    for part, values in ((rna, of_rna), (atac, of_atac)):
        if values is not None:
            _check_labels(values, f"{part.where}: cell types in obs['{key}']")
        part.obs = part.obs.drop(columns="cell_type", errors="ignore")
        if values is not None:
            part.obs["cell_type"] = values


def _labels(obs: pd.DataFrame, key: str) -> pd.Series | None:
    """Labels as str; missing, empty and 'nan' labels become None. None when no label is there at all."""
    if key not in obs:
        return None
    column = obs[key]
    if pd.api.types.is_float_dtype(column):  # cluster numbers with gaps: 1.0 is cluster 1
        column = column.convert_dtypes()
    values = column.astype(object)
    empty = values.isna() | values.astype(str).str.strip().isin(["", "nan", "NaN", "None", "NA"])
    return None if empty.all() else values.astype(str).where(~empty, None)


def _check_labels(labels: pd.Series, where: str) -> None:
    names = labels.dropna().unique()
    check_names(names, where)
    if taken := sorted({*names} & {*RESERVED}):
        raise InputError(
            f"{where}: '{taken[0]}' is the name of a column in tables of all cell types; rename this cell type"
        )


def step_row(what: str, modality: str, step: str, n_before: int, n_after: int, reason: str) -> dict:
    """One row of the quality-control table; `what` is "cells", "genes" or "peaks"."""
    n_before, n_after = int(n_before), int(n_after)
    return {
        "what": what, "modality": modality, "step": step, "n_before": n_before,
        "n_dropped": n_before - n_after, "n_after": n_after, "reason": reason,
    }  # fmt: skip
