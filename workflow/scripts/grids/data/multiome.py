"""Read raw multiome data of any supported format and check it before anything is computed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from grids.data.raw_files import Part, match_row, read_parts
from grids.data.rna_values import settle_rna
from grids.io import backed
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log
from grids.io.names import check_names

# Where pieces of cell names are compared, and how many names.
PLACES = (0, 1, 2, -1, -2, -3)
MOST_NAMES = 10_000
_NOT_OF_NAMES = re.compile(r"[^a-z0-9]+")
GENE_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "ensembl", "id")
MIN_SHARE_OF_COMMON_CELLS = 0.9
# Below this, labels of RNA and ATAC say that the pairing of cells is doubtful.
MIN_SHARE_OF_EQUAL_LABELS = 0.8
# Columns of the tables that have a column per cell type.
RESERVED = ("peak", "chromosome", "start", "end")


@dataclass(frozen=True)
class RawMultiome:
    """Raw data of both modalities, checked but not filtered.

    Attributes
    ----------
    rna, atac : Part
        Counts of the RNA where they are known, ATAC as in the file; `obs["cell_type"]` (str, missing where
        unlabelled) unless cell types are still to be annotated. When `paired`, rows correspond.
    paired : bool
    harmonisation : list of dict
        Rows `what, n_total, n_matched` on how well the parts of the input fit each other.
    steps : list of dict
        Rows `what, modality, step, n_before, n_after, reason` on what reading has dropped.
    """

    rna: Part
    atac: Part
    paired: bool
    harmonisation: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)


def read_raw(source: Mapping) -> RawMultiome:
    """Read and check the raw data that the config's `input` section names.

    Parameters
    ----------
    source : mapping
        `multiome` (MuData .h5mu or 10x multiome .h5), or `rna` and `atac` (AnnData .h5ad), as local paths; optionally
        `paired`, `cell_type_key`, `markers`, `gene_name_key`, `rna_values`, `counts_layer`, `depth_key`.

    Raises
    ------
    InputError
        For anything that the data or the config would have to be changed for.
    """
    harmonisation: list[dict] = []
    steps: list[dict] = []
    rna, atac = read_parts(source, harmonisation)
    _name_genes(rna, source.get("gene_name_key"), harmonisation)
    _check_part(rna, "RNA")
    _check_part(atac, "ATAC")
    settle_rna(rna, source, harmonisation)
    if not atac.values.whole:
        what = "non-zero ATAC values that are whole numbers"
        harmonisation.append(match_row(what, atac.values.n, atac.values.n_whole))
    paired = _pair(rna, atac, source.get("paired"), harmonisation, steps)
    _attach_cell_types(rna, atac, paired, source, harmonisation)
    return RawMultiome(rna, atac, paired, harmonisation, steps)


def gene_ids(var: pd.DataFrame) -> np.ndarray | None:
    """Stable gene ids (Ensembl), one per row of `var`, when it has such a column."""
    folded = {str(column).casefold(): column for column in var.columns}
    found = next((folded[name] for name in GENE_ID_COLUMNS if name in folded), None)
    return None if found is None else var[found].astype(str).to_numpy(object)


def _name_genes(rna: Part, key: str | None, harmonisation: list[dict]) -> None:
    """Name genes by a column of `var`, and tell genes of one name apart.

    The copy with most counts keeps the name; others and genes without one keep that of `var`, or take their ids.
    """
    names, ids = rna.var.index.to_numpy(object), gene_ids(rna.var)
    if key:
        if key not in rna.var:
            raise InputError(
                f"{rna.where}: gene_name_key '{key}' is not in var; "
                f"it has: {listing(rna.var.columns) or 'no columns'}.{did_you_mean(key, rna.var.columns)}"
            )
        if ids is None:
            rna.var["gene_ids"] = names
        wanted, otherwise, by = rna.var[key].astype(object), names, ("by " + key, "var_names")
    elif ids is not None and not rna.var.index.is_unique:
        wanted, otherwise, by = rna.var.index.to_series(), ids, ("by var_names", "their ids")
    else:
        return
    has_name = ~(wanted.isna() | wanted.astype(str).str.strip().isin(["", "nan", "None"])).to_numpy()
    wanted = wanted.astype(str).to_numpy(object)
    by_counts = np.argsort(-backed.mean(rna.X), kind="stable")
    by_counts = by_counts[has_name[by_counts]]
    has_name[by_counts] = ~pd.Index(wanted[by_counts]).duplicated()
    if not has_name.all():
        what = f"genes named {by[0]}; copies of a name and genes without one are named by {by[1]}"
        harmonisation.append(match_row(what, len(names), has_name.sum()))
    rna.var.index = pd.Index(np.where(has_name, wanted, otherwise), dtype=object)


def _check_part(part: Part, kind: str) -> None:
    """Refuse a modality without values or with values that no counts are, and names that do not tell apart."""
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
                f"{part.where}: {len(repeated)} duplicated {what} names ({listing(repeated, 3)}); make them unique{fix}"
            )
    if not part.values.finite:
        raise InputError(f"{part.where}: {kind} values hold NaN or infinity; expected finite values >= 0")
    if part.values.negative is not None:
        raise InputError(
            f"{part.where}: negative {kind} values (for example {part.values.negative:g}); "
            "expected counts, not scaled or corrected values"
        )


def _pair(rna: Part, atac: Part, paired: bool | None, harmonisation: list[dict], steps: list[dict]) -> bool:
    """Decide whether the modalities share their cells; if so, bring both to the same cells and order."""
    common = rna.obs.index.intersection(atac.obs.index, sort=False)
    n_rna, n_atac = len(rna.obs), len(atac.obs)
    if paired is False:
        return False
    if len(common) == 0:
        alike = _alike_names(rna.obs.index, atac.obs.index)
        if paired is None and alike is None:
            return False
        n_alike, of_rna, of_atac = alike or ("0", rna.obs.index[0], atac.obs.index[0])
        but = f", yet {n_alike} agree but for a prefix or suffix" if alike else ""
        asked = "input.paired is true but " if paired else ""
        raise InputError(
            f"{rna.where} and {atac.where}: {asked}no cell name is in both{but} (RNA '{of_rna}', ATAC '{of_atac}'); "
            "rename the cells so that names of the same cell are equal, or, if these are different cells, set "
            "input.paired: false"
        )
    share = len(common) / min(n_rna, n_atac)
    if paired is None and share < MIN_SHARE_OF_COMMON_CELLS:
        raise InputError(
            f"{rna.where} and {atac.where}: {len(common)} cell names are in both, {share:.0%} of the smaller set, so "
            "it is unclear whether cells are paired; set input.paired to true (keep common cells) or false"
        )
    for kind, part, other, n_before in (("rna", rna, "atac", n_rna), ("atac", atac, "rna", n_atac)):
        harmonisation.append(match_row(f"{kind} cells found in {other}", n_before, len(common)))
        if len(common) < n_before:
            reason = f"cell name not in the {other} data"
            steps.append(step_row("cells", kind, "pairing", n_before, len(common), reason))
        rows = part.obs.index.get_indexer(common)
        if not np.array_equal(rows, np.arange(n_before)):
            part.X, part.obs = backed.select(part.X, rows), part.obs.iloc[rows].copy()
            part.depth = None if part.depth is None else part.depth[rows]
    return True


def _alike_names(rna: pd.Index, atac: pd.Index) -> tuple[str, str, str] | None:
    """How many cells have the same name in both but for what stands before or after it, in words, with an example.

    Pieces of letters and digits are compared place by place. None where few agree, or only numbers do.
    """
    looked_for = rna[backed.evenly_spaced(len(rna), MOST_NAMES)]
    name_of_piece: list[dict[str, str]] = [{} for _ in PLACES]
    for name in looked_for:
        for names, piece in zip(name_of_piece, _pieces(name), strict=True):
            if piece and not piece.isdigit():
                names.setdefault(piece, name)
    alike: dict[tuple[int, int], dict[str, str]] = {}
    for name in atac:
        for place, piece in enumerate(_pieces(name)):
            for other, names in enumerate(name_of_piece):
                if piece in names:
                    alike.setdefault((other, place), {}).setdefault(names[piece], name)
    found = max(alike.values(), key=len, default={})
    if len(found) <= min(len(looked_for), len(atac)) / 2:
        return None
    return f"{len(found)} of {len(looked_for)}", *next(iter(found.items()))


def _pieces(name: str) -> list[str]:
    """The piece of a name at each of :data:`PLACES`, empty where it has none."""
    pieces = _NOT_OF_NAMES.split(name.casefold())
    return [pieces[place] if -len(pieces) <= place < len(pieces) else "" for place in PLACES]


def _attach_cell_types(
    rna: Part, atac: Part, paired: bool, source: Mapping, harmonisation: list[dict]
) -> None:
    """Set `obs["cell_type"]` from the configured column, or leave it out where it is to be annotated."""
    key = source.get("cell_type_key") or "cell_type"
    of_rna, of_atac = _labels(rna.obs, key), _labels(atac.obs, key)
    missing = [part for part, labels in ((rna, of_rna), (atac, of_atac)) if labels is None]
    needed = len(missing) == 2 if paired else bool(missing)
    if needed and not source.get("markers"):
        columns = missing[0].obs.columns
        raise InputError(
            f"{missing[0].where}: cell_type_key '{key}' is not in obs; "
            f"it has: {listing(columns) or 'no columns'}.{did_you_mean(key, columns)} "
            "Set input.cell_type_key, or input.markers to annotate cell types"
        )
    if paired and not needed:
        if of_rna is not None and of_atac is not None:
            both = of_rna.notna() & of_atac.notna()
            agree = (of_rna[both] == of_atac[both]).sum()
            harmonisation.append(match_row("cells whose RNA and ATAC labels agree", both.sum(), agree))
            if agree < MIN_SHARE_OF_EQUAL_LABELS * both.sum():
                log.warning(
                    "%s and %s: cells of the same name have the same '%s' in %d of %d only, so it is doubtful "
                    "that they are the same cells; the labels of the RNA are used",
                    rna.where, atac.where, key, agree, both.sum(),
                )  # fmt: skip
            of_rna = of_rna.fillna(of_atac)
        of_rna = of_atac = of_atac if of_rna is None else of_rna
    for part, values in ((rna, of_rna), (atac, of_atac)):
        part.obs = part.obs.drop(columns="cell_type", errors="ignore")
        if values is not None:
            _check_labels(values, f"{part.where}: cell types in obs['{key}']")
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
