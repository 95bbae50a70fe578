"""A multiome in which the regulation of some genes is planted and known.

Cells belong to types and carry a few continuous state factors. Whether a peak is truly open in a cell depends
on the cell's type and on one of the factors; whether an open peak is *seen* depends on the cell's ATAC depth.
RNA counts are negative binomial around a mean set by type, factors and depth. A planted gene also follows its
member peaks (those truly open, seen or not) by one of the logics of :func:`log_activity`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtri

from grids.data.coordinates import COORDINATES
from grids.data.simulation_plan import (
    GENE_SPACING_BP,
    MEMBERS_OF_LOGIC,
    PEAK_BIN_BP,
    STRENGTHS,
    closing_effects,
    genes_of_logics,
    log_activity,
    member_strengths,
    place_genes,
    place_peaks,
)
from grids.io import tables
from grids.io.errors import InputError
from grids.io.seeds import generator
from grids.io.writing import whole

NAME_OF_LOGIC = {
    "single": "SINGLE",
    "multiplicative": "MULTI",
    "redundant": "REDUND",
    "synergistic": "SYNERG",
    "none": "NONE",
}
CELL_TYPES = ("Excitatory", "Inhibitory", "Astrocyte", "Oligo/OPC", "Microglia", "Endothelial", "Ependymal")
TRUTH_COLUMNS = ["gene", "cell_type", "logic", "peak", "is_member", "log_effect_alone", "joint_log_effect"]
_PEAKS_PER_BLOCK = 512
_GENES_PER_BLOCK = 512
# Share of cells in which a candidate is truly open: in the gene's type; outside it for even-numbered genes.
OPEN_SHARE, OPEN_SHARE_ELSEWHERE = 0.5, 0.1
# Change of log-expression of a gene of logic none per standard deviation of its factor.
FACTOR_EFFECT = 0.8
# The variance of RNA counts is mean + RNA_DISPERSION * mean**2.
RNA_DISPERSION = 0.2
LOG_DEPTH_SD = 0.4  # of both modalities' depths


@dataclass(frozen=True)
class Design:
    """What is simulated.

    Attributes
    ----------
    n_cells, n_peaks, n_genes, n_cell_types : int
        Totals, planted genes and their candidate peaks included.
    logics : tuple of str
        Which logics to plant, keys of ``MEMBERS_OF_LOGIC``.
    n_planted_per_logic : int or mapping of str to int
        One number for all logics, or every logic's own.
    n_candidates : int
        Peaks near each planted gene that could be its members.
    coaccessibility : float in [0, 1)
        Correlation, within a cell type, of the latent normals behind two candidates of a gene.
    detection : float in (0, 1)
        Mean chance that an open peak is seen; a cell's own chance is ``1 - exp(-rate * depth)``.
    log_effect : float
        Natural log of the expression left with all members closed. Above 0 the members are silencers, whose closing
        raises the gene.
    strength : {"equal", "unequal"}
        Members of a gene act alike, or each half as strongly as the one before, in an order that is drawn; what all
        do together stays the same (:func:`~grids.data.simulation_plan.log_activity`).
    own_members : bool
        A gene has members of its own in every type, none of them in two types, instead of the same ones in all.
    planted_mean_counts : float
        Mean counts of a planted gene in its type.
    n_factors : int
        Continuous cell-state factors, standard normal in every type.
    n_markers_per_type : int
        Genes with raised expression in one type.

    Raises
    ------
    InputError
        If the numbers do not leave room for the planted genes, their candidates and one promoter per gene.
    """

    n_cells: int = 2500
    n_peaks: int = 6000
    n_genes: int = 400
    n_cell_types: int = 4
    logics: tuple[str, ...] = tuple(MEMBERS_OF_LOGIC)
    n_planted_per_logic: int | Mapping[str, int] = 2
    n_candidates: int = 20
    coaccessibility: float = 0.5
    detection: float = 0.4
    log_effect: float = float(np.log(0.12))
    strength: str = "equal"
    own_members: bool = False
    planted_mean_counts: float = 6.0
    n_factors: int = 4
    n_markers_per_type: int = 10

    def __post_init__(self):
        for problem in self._problems():
            raise InputError(f"simulation: {problem}")

    def _problems(self) -> Iterator[str]:
        for name in ("n_cells", "n_peaks", "n_genes", "n_cell_types", "n_candidates", "n_factors"):
            if getattr(self, name) < 1:
                yield f"{name} is {getattr(self, name)}; expected at least 1"
        if not 0 < self.detection < 1:
            yield f"detection is {self.detection}; expected a share between 0 and 1, both excluded"
        if not 0 <= self.coaccessibility < 1:
            yield f"coaccessibility is {self.coaccessibility}; expected 0 to below 1"
        if unknown := [logic for logic in self.logics if logic not in MEMBERS_OF_LOGIC]:
            yield f"logic '{unknown[0]}' is unknown; expected some of: {', '.join(MEMBERS_OF_LOGIC)}"
        if self.strength not in STRENGTHS:
            yield f"strength '{self.strength}' is unknown; expected one of: {', '.join(STRENGTHS)}"
        most = max((MEMBERS_OF_LOGIC.get(logic, 0) for logic in self.logics), default=0)
        most *= self.n_cell_types if self.own_members else 1
        if self.n_candidates < most:
            yield f"n_candidates is {self.n_candidates}; the planted logics need {most}"
        n_planted = sum(self.genes_of_logic.values())
        if self.n_genes < n_planted:
            yield (
                f"n_genes is {self.n_genes}, fewer than the {n_planted} planted genes; set it to at least {n_planted}"
            )
        needed = n_planted * self.n_candidates + self.n_genes
        if self.n_peaks < needed:
            yield (
                f"n_peaks is {self.n_peaks}, but {n_planted} planted genes with {self.n_candidates} candidates each "
                f"and {self.n_genes} promoters need at least {needed}"
            )
        room = GENE_SPACING_BP // (2 * PEAK_BIN_BP)
        if self.n_peaks > room * self.n_genes or self.n_candidates > room // 4:
            yield f"{self.n_peaks} peaks do not fit on {self.n_genes} genes x {GENE_SPACING_BP} bp; raise n_genes"
        if self.n_cells < self.n_cell_types:
            yield f"n_cells is {self.n_cells}, fewer than n_cell_types"

    @property
    def genes_of_logic(self) -> dict[str, int]:
        """Planted genes of each logic."""
        return genes_of_logics(self.n_planted_per_logic, self.logics)


@dataclass(frozen=True)
class Simulation:
    """What :func:`simulate_multiome` returns.

    Attributes
    ----------
    mdata : mudata.MuData
        Raw counts (CSR) in `rna` and `atac`, same cells in the same order; obs: `cell_type`, `depth` (the
        modality's true depth relative to the mean cell). Peaks are sorted by position.
    genes : DataFrame
        `chromosome start end gene score strand`, 0-based half-open, one row per gene.
    truth : DataFrame
        One row per planted gene and candidate peak, columns :data:`TRUTH_COLUMNS`; with members of each type's own,
        per planted gene, type and candidate peak.
    accessible : csr_matrix, shape (n_cells, n_candidates), uint8
        1 where a candidate peak of a planted gene is truly open, seen or not.
    candidates : list of str
        Columns of `accessible`.
    chromosome_sizes : dict of str to int
        Length in bp.
    """

    mdata: object
    genes: pd.DataFrame
    truth: pd.DataFrame
    accessible: sparse.csr_matrix
    candidates: list[str]
    chromosome_sizes: dict[str, int]


def simulate_multiome(design: Design | None = None, seed: int = 1) -> Simulation:
    """Draw a paired multiome with planted regulation.

    Planted genes are named `SINGLE1`, `SINGLE2`, ... by their logic; each belongs to one cell type, taken in
    turn. Odd-numbered genes are regulated alike in all types; the candidates of even-numbered ones are rarely
    open outside their type, which makes the gene a marker of it. All candidates of a gene follow one state
    factor, so that non-members look like members to the extent of `coaccessibility`; a gene of logic none
    follows that factor itself and no peak. The same peaks are members in all types, or other ones in each
    (`own_members`). Windows of other genes are decoys: their peaks follow the same factors, and no peak of one gene is
    a member of another.

    In the truth table, an effect is the mean, over the cells of the gene's type, of the change of the natural
    log of the gene's *expected* expression when peaks that are truly open are closed: `log_effect_alone` for
    this peak only, `joint_log_effect` for all members together. Factors, type and depth are held fixed. A
    model of log1p-normalised counts with missed detections sees a smaller change.

    Parameters
    ----------
    design : Design, optional
        That of the demo if left out.
    """
    design = design or Design()
    steps = ("layout", "cells", "programme", "atac", "counts")
    rng = {what: generator(seed, "simulate", what) for what in steps}
    planted = _planted_genes(design)
    genes, sizes = place_genes(rng["layout"], design.n_genes, planted["gene"])
    peaks = place_peaks(rng["layout"], genes, sizes, planted["gene"], design.n_peaks, design.n_candidates)
    is_candidate = peaks["owner"].to_numpy() >= 0
    cells = _draw_cells(rng["cells"], design)
    programme = _peak_programme(rng["programme"], peaks, planted, design)
    atac, accessible = _draw_peaks(rng["atac"], cells, design.detection, is_candidate, *programme)
    log_mean = _gene_programme(rng["programme"], genes, design)
    offsets, truth = _plant(rng["programme"], planted, peaks[is_candidate], accessible, cells, design)
    rna = _draw_counts(rng["counts"], genes["gene"], log_mean, offsets, cells)
    return Simulation(
        mdata=_as_mudata(rna, atac, genes, peaks, cells),
        genes=genes[["chromosome", "start", "end", "gene", "score", "strand"]],
        truth=truth,
        accessible=accessible,
        candidates=list(peaks.index[is_candidate]),
        chromosome_sizes=sizes,
    )


def write_simulation(simulation: Simulation, multiome_path, genes_path, truth_path) -> None:
    """Write the multiome (.h5mu), the genes (BED6 without header, .gz or not) and the truth (TSV)."""
    with whole(multiome_path) as temporary:
        simulation.mdata.write(temporary, compression="gzip")
    tables.write(simulation.genes, genes_path, header=False)
    tables.write(simulation.truth, truth_path)


@dataclass(frozen=True)
class _Cells:
    """Cells: a type's code, factors, shape (n_cells, n_factors), and depths relative to the mean cell."""

    type_code: np.ndarray
    factors: np.ndarray
    atac_depth: np.ndarray
    rna_depth: np.ndarray


def _planted_genes(design: Design) -> pd.DataFrame:
    rows = [
        (f"{NAME_OF_LOGIC[logic]}{i + 1}", logic, i % design.n_cell_types, i % 2 == 0)
        for logic, n in design.genes_of_logic.items()
        for i in range(n)
    ]
    planted = pd.DataFrame(rows, columns=["gene", "logic", "type_code", "alike_in_all_types"])
    return planted.assign(factor=np.arange(len(planted)) % design.n_factors)


def _name_of_type(code: int) -> str:
    return CELL_TYPES[code] if code < len(CELL_TYPES) else f"Type {code + 1}"


def _draw_cells(rng, design: Design) -> _Cells:
    """Cells in random order; earlier types are larger, none is empty."""
    n_cells, n_types = design.n_cells, design.n_cell_types
    weight = 1 / (1 + 0.3 * np.arange(n_types))
    bounds = np.round(np.cumsum(weight) / weight.sum() * (n_cells - n_types)).astype(int)
    type_code = rng.permutation(np.repeat(np.arange(n_types), np.diff(bounds, prepend=0) + 1))
    factors = rng.standard_normal((n_cells, design.n_factors), dtype=np.float32)
    atac_depth, rna_depth = np.exp(rng.normal(-(LOG_DEPTH_SD**2) / 2, LOG_DEPTH_SD, (2, n_cells)))
    return _Cells(type_code, factors, atac_depth, rna_depth)


def _peak_programme(rng, peaks, planted, design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of each type's cells in which each peak is truly open; the factor that its latent normal follows,
    and how closely (their correlation)."""
    n, n_types = len(peaks), design.n_cell_types
    kind = peaks["kind"].to_numpy()
    share = np.tile(np.clip(np.exp(rng.normal(np.log(0.05), 1.0, n)), 0.005, 0.6), (n_types, 1))
    share[:, kind == "promoter"] = rng.uniform(0.4, 0.9, (kind == "promoter").sum())
    specific = np.flatnonzero(np.isin(kind, ["distal", "intergenic"]) & (rng.random(n) < 0.35))
    share[:, specific] = 0.02
    share[rng.integers(0, n_types, len(specific)), specific] = rng.uniform(0.2, 0.7, len(specific))
    factor = rng.integers(0, design.n_factors, n)
    loading = np.where(rng.random(n) < 0.4, np.sqrt(rng.uniform(0.1, 0.5, n)), 0.0)
    for row in planted.itertuples():
        own = peaks["owner"].to_numpy() == row.Index
        share[:, own] = OPEN_SHARE if row.alike_in_all_types else OPEN_SHARE_ELSEWHERE
        share[row.type_code, own] = OPEN_SHARE
        factor[own], loading[own] = row.factor, np.sqrt(design.coaccessibility)
    return share, factor, loading


def _detection_rate(depth: np.ndarray, detection: float) -> float:
    """The rate at which the mean over cells of ``1 - exp(-rate * depth)`` is `detection`, by bisection."""
    low, high = 0.0, 1.0
    while (1 - np.exp(-high * depth)).mean() < detection:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - np.exp(-middle * depth)).mean() < detection else (low, middle)
    return high


def _draw_peaks(
    rng, cells: _Cells, detection: float, is_candidate, share, factor, loading
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Fragment counts of every peak, float32, and the true state of the candidates, uint8, in blocks of peaks."""
    rate = _detection_rate(cells.atac_depth, detection) * cells.atac_depth
    counts, accessible = [], []
    threshold = ndtri(share).astype(np.float32)
    loading = loading.astype(np.float32)
    residual = np.sqrt(1 - loading**2)
    for first in range(0, share.shape[1], _PEAKS_PER_BLOCK):
        block = slice(first, first + _PEAKS_PER_BLOCK)
        latent = rng.standard_normal((len(rate), len(loading[block])), dtype=np.float32)
        latent *= residual[block]
        latent += cells.factors[:, factor[block]] * loading[block]
        is_open = latent > -threshold[cells.type_code, block]
        row, column = np.nonzero(is_open)
        drawn = rng.poisson(rate[row]).astype(np.float32)
        seen = drawn > 0
        counts.append(sparse.csc_matrix((drawn[seen], (row[seen], column[seen])), shape=is_open.shape))
        accessible.append(sparse.csc_matrix(is_open[:, is_candidate[block]].astype(np.uint8)))
    return sparse.hstack(counts, format="csr"), sparse.hstack(accessible, format="csr")


def _gene_programme(rng, genes, design: Design) -> dict[str, np.ndarray]:
    """Log mean counts of ordinary genes: by type (n_types, n_genes), and their slope on the factors."""
    n, n_types, n_factors = len(genes), design.n_cell_types, design.n_factors
    base = rng.normal(np.log(0.5), 1.2, n)
    by_type = base + rng.normal(0, 0.2, (n_types, n))
    ordinary = np.flatnonzero(genes["gene"].str.startswith("GENE"))
    markers = rng.permutation(ordinary)[: n_types * design.n_markers_per_type]
    marked = np.arange(len(markers)) % n_types
    by_type[:, markers] = np.log(0.1)
    by_type[marked, markers] = np.log(rng.uniform(1.5, 6.0, len(markers)))
    slope = rng.normal(0, 0.4, (n_factors, n)) * (rng.random((n_factors, n)) < 0.15)
    return {"by_type": by_type, "slope": slope}


def _plant(
    rng, planted, candidates, accessible, cells: _Cells, design: Design
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Choose the members of each planted gene and let the gene follow them: by gene the natural log of its expected
    counts at unit depth, shape (n_cells,), and the truth."""
    log_mean, truth = {}, [pd.DataFrame(columns=TRUTH_COLUMNS)]
    by_peak = accessible.tocsc()
    owner = candidates["owner"].to_numpy()
    for row in planted.itertuples():
        columns = np.flatnonzero(owner == row.Index)
        members, strengths = _choose_members(rng, len(columns), row.logic, design)
        opened = by_peak[:, columns].toarray().astype(bool)
        is_open = np.take_along_axis(opened, members[cells.type_code], axis=1)
        offset = log_activity(is_open, row.logic, design.log_effect, strengths)
        if row.logic == "none":
            offset = FACTOR_EFFECT * cells.factors[:, row.factor].astype(float)
        of_type = cells.type_code == row.type_code
        log_mean[row.gene] = offset + np.log(design.planted_mean_counts / np.exp(offset[of_type]).mean())
        for code in range(design.n_cell_types) if design.own_members else [row.type_code]:
            is_open_there = is_open[cells.type_code == code]
            alone, joint = closing_effects(is_open_there, row.logic, design.log_effect, strengths)
            table = pd.DataFrame(
                {"peak": candidates.index[columns], "is_member": False, "log_effect_alone": 0.0}
            )
            table.loc[members[code], "is_member"], table.loc[members[code], "log_effect_alone"] = True, alone
            names = {"gene": row.gene, "cell_type": _name_of_type(code), "logic": row.logic}
            truth.append(table.assign(**names, joint_log_effect=joint)[TRUTH_COLUMNS])
    return log_mean, pd.concat(truth[1:] or truth, ignore_index=True)


def _choose_members(rng, n_candidates: int, logic: str, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Which candidates are members in each type, shape (n_types, n_members), ascending, and their strengths."""
    n_members, n_choices = MEMBERS_OF_LOGIC[logic], design.n_cell_types if design.own_members else 1
    drawn = rng.choice(n_candidates, n_choices * n_members, replace=False).reshape(n_choices, n_members)
    members = np.broadcast_to(np.sort(drawn, axis=1), (design.n_cell_types, n_members))
    strengths = member_strengths(n_members, design.strength)
    return members, strengths if design.strength == "equal" else rng.permutation(strengths)


def _draw_counts(rng, names, log_mean, offsets, cells: _Cells) -> sparse.csr_matrix:
    """Negative-binomial RNA counts in blocks of genes, float32 CSR, shape (n_cells, n_genes)."""
    blocks = []
    names = names.to_numpy()
    for first in range(0, len(names), _GENES_PER_BLOCK):
        block = slice(first, first + _GENES_PER_BLOCK)
        log_mu = log_mean["by_type"][cells.type_code, block] + cells.factors @ log_mean["slope"][:, block]
        for column, name in enumerate(names[block]):
            if name in offsets:
                log_mu[:, column] = offsets[name]
        mu = np.exp(log_mu) * cells.rna_depth[:, None]
        drawn = rng.poisson(rng.gamma(1 / RNA_DISPERSION, RNA_DISPERSION, mu.shape) * mu)
        blocks.append(sparse.csr_matrix(drawn.astype(np.float32)))
    return sparse.hstack(blocks, format="csr")


def _as_mudata(rna, atac, genes, peaks, cells: _Cells):
    import anndata
    import mudata

    mudata.set_options(pull_on_update=False)
    n_cells = len(cells.type_code)
    names = [f"cell{i + 1:0{len(str(n_cells))}d}" for i in range(n_cells)]
    types = [_name_of_type(code) for code in cells.type_code]

    def obs(depth: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"cell_type": types, "depth": depth}, index=names)

    var = pd.DataFrame(index=genes["gene"].astype(str).tolist())
    data = {
        "rna": anndata.AnnData(rna, obs(cells.rna_depth), var),
        "atac": anndata.AnnData(atac, obs(cells.atac_depth), peaks[COORDINATES]),
    }
    mdata = mudata.MuData(data)
    mdata.obs["cell_type"] = types
    return mdata
