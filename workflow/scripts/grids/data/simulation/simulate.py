"""A multiome in which the regulation of some genes is planted and known.

Cells belong to types and carry a few continuous state factors. Whether a peak is truly open in a cell depends
on the cell's type and on one of the factors; whether an open peak is *seen* depends on the cell's ATAC depth.
RNA counts are negative binomial around a mean set by type, factors and depth. A planted gene also follows its
member peaks (those truly open, seen or not) by one of the logics of :func:`log_activity`.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtri

from grids.data.simulation.layout import PEAK_BIN_BP, place_genes, place_peaks
from grids.data.simulation.logics import MEMBERS_OF_LOGIC, closing_effects, genes_of_logics, log_activity
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
        One row per planted gene and candidate peak: `gene cell_type logic peak is_member log_effect_alone
        joint_log_effect`. See :func:`simulate_multiome` for the effects' definition.
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


def simulate_multiome(
    n_cells: int = 2500,
    n_peaks: int = 6000,
    n_genes: int = 400,
    n_cell_types: int = 4,
    seed: int = 1,
    *,
    logics: tuple[str, ...] = tuple(MEMBERS_OF_LOGIC),
    n_planted_per_logic: int | Mapping[str, int] = 2,
    n_candidates: int = 20,
    open_share: float = 0.5,
    open_share_elsewhere: float = 0.1,
    coaccessibility: float = 0.5,
    detection: float = 0.4,
    log_effect: float = float(np.log(0.12)),
    planted_mean_counts: float = 6.0,
    factor_effect: float = 0.8,
    n_factors: int = 4,
    n_markers_per_type: int = 10,
    rna_dispersion: float = 0.2,
    log_depth_sd: float = 0.4,
    gene_spacing_bp: int = 500_000,
) -> Simulation:
    """Draw a paired multiome with planted regulation.

    Planted genes are named `SINGLE1`, `SINGLE2`, ... by their logic; each belongs to one cell type, taken in
    turn. Odd-numbered genes are regulated alike in all types; the candidates of even-numbered ones are rarely
    open outside their type, which makes the gene a marker of it. All candidates of a gene follow one state
    factor, so that non-members look like members to the extent of `coaccessibility`; a gene of logic none
    follows that factor itself and no peak.

    In the truth table, an effect is the mean, over the cells of the gene's type, of the change of the natural
    log of the gene's *expected* expression when peaks that are truly open are closed: `log_effect_alone` for
    this peak only, `joint_log_effect` for all members together. Factors, type and depth are held fixed. A
    model of log1p-normalised counts with missed detections sees a smaller change.

    Parameters
    ----------
    n_cells, n_peaks, n_genes, n_cell_types : int
        Totals, planted genes and their candidate peaks included.
    seed : int
    logics : tuple of str
        Which logics to plant, keys of ``MEMBERS_OF_LOGIC``.
    n_planted_per_logic : int or mapping of str to int
        One number for all logics, or every logic's own.
    n_candidates : int
        Peaks near each planted gene that could be its members.
    open_share, open_share_elsewhere : float
        Share of cells in which a candidate is truly open: in the gene's type; outside it if even-numbered.
    coaccessibility : float in [0, 1)
        Correlation, within a cell type, of the latent normals behind two candidates of a gene.
    detection : float in (0, 1)
        Mean chance that an open peak is seen; a cell's own chance is ``1 - exp(-rate * depth)``.
    log_effect : float
        Natural log of the expression left with all members closed.
    planted_mean_counts : float
        Mean counts of a planted gene in its type.
    factor_effect : float
        Change of log-expression of a gene of logic none per standard deviation of its factor.
    n_factors : int
        Continuous cell-state factors, standard normal in every type.
    n_markers_per_type : int
        Genes with raised expression in one type.
    rna_dispersion : float
        Variance of RNA counts is ``mean + rna_dispersion * mean**2``.
    log_depth_sd : float
        Standard deviation of the log of both depths.
    gene_spacing_bp : int
        One gene per stretch of this length; candidates lie in their gene's stretch.

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        If the numbers do not leave room for the planted genes, their candidates and one promoter per gene.
    """
    n_of_logic = genes_of_logics(n_planted_per_logic, logics)
    n_planted = sum(n_of_logic.values())
    _check(locals())
    rng = {
        what: generator(seed, "simulate", what)
        for what in ("layout", "cells", "programme", "atac", "rna", "counts")
    }
    planted = _planted_genes(n_of_logic, n_cell_types)
    genes, sizes = place_genes(rng["layout"], n_genes, planted["gene"], gene_spacing_bp)
    peaks = place_peaks(rng["layout"], genes, sizes, planted["gene"], n_peaks, n_candidates, gene_spacing_bp)

    cell_type = _cell_types(rng["cells"], n_cells, n_cell_types)
    factors = rng["cells"].standard_normal((n_cells, n_factors), dtype=np.float32)
    atac_depth, rna_depth = np.exp(rng["cells"].normal(-(log_depth_sd**2) / 2, log_depth_sd, (2, n_cells)))

    planted["factor"] = np.arange(n_planted) % n_factors
    share, peak_factor, loading = _peak_programme(
        rng["programme"],
        peaks,
        planted,
        n_cell_types,
        open_share,
        open_share_elsewhere,
        coaccessibility,
        n_factors,
    )
    rate = _detection_rate(atac_depth, detection)
    is_candidate = peaks["owner"].to_numpy() >= 0
    atac, accessible = _draw_peaks(
        rng["atac"], cell_type, factors, rate * atac_depth, share, peak_factor, loading, is_candidate
    )

    log_mean = _gene_programme(rng["programme"], genes, n_cell_types, n_factors, n_markers_per_type)
    offsets, truth = _plant(
        rng["programme"],
        planted,
        peaks[is_candidate],
        accessible,
        cell_type,
        factors,
        log_effect,
        factor_effect,
        planted_mean_counts,
    )
    rna = _draw_counts(
        rng["counts"], genes["gene"], log_mean, offsets, cell_type, factors, rna_depth, rna_dispersion
    )
    return Simulation(
        mdata=_as_mudata(rna, atac, genes, peaks, cell_type, rna_depth, atac_depth),
        genes=genes[["chromosome", "start", "end", "gene", "score", "strand"]],
        truth=truth,
        accessible=accessible,
        candidates=list(peaks.index[is_candidate]),
        chromosome_sizes=sizes,
    )


def write_simulation(simulation: Simulation, multiome_path, genes_path, truth_path) -> None:
    """Write the multiome (.h5mu), the genes (BED6 without header, .gz or not) and the truth (TSV).

    Every file appears whole or not at all.
    """
    with whole(multiome_path) as temporary:
        simulation.mdata.write(temporary, compression="gzip")
    text = simulation.genes.to_csv(sep="\t", index=False, header=False, lineterminator="\n").encode()
    with whole(genes_path) as temporary:
        temporary.write_bytes(gzip.compress(text, mtime=0) if temporary.suffix == ".gz" else text)
    tables.write(simulation.truth, truth_path)


def _check(asked: dict) -> None:
    """Refuse numbers that cannot be met, naming the argument."""
    for name in ("n_cells", "n_peaks", "n_genes", "n_cell_types", "n_candidates", "n_factors"):
        if asked[name] < 1:
            raise InputError(f"simulation: {name} is {asked[name]}; expected at least 1")
    for name in ("open_share", "open_share_elsewhere", "detection"):
        if not 0 < asked[name] < 1:
            raise InputError(
                f"simulation: {name} is {asked[name]}; expected a share between 0 and 1, both excluded"
            )
    if not 0 <= asked["coaccessibility"] < 1:
        raise InputError(f"simulation: coaccessibility is {asked['coaccessibility']}; expected 0 to below 1")
    unknown = [logic for logic in asked["logics"] if logic not in MEMBERS_OF_LOGIC]
    if unknown:
        raise InputError(
            f"simulation: logic '{unknown[0]}' is unknown; expected some of: {', '.join(MEMBERS_OF_LOGIC)}"
        )
    most = max((MEMBERS_OF_LOGIC[logic] for logic in asked["logics"]), default=0)
    if asked["n_candidates"] < most:
        raise InputError(
            f"simulation: n_candidates is {asked['n_candidates']}; the planted logics need {most}"
        )
    if asked["n_genes"] < asked["n_planted"]:
        raise InputError(
            f"simulation: n_genes is {asked['n_genes']}, fewer than the {asked['n_planted']} planted genes; "
            f"set it to at least {asked['n_planted']}"
        )
    needed = asked["n_planted"] * asked["n_candidates"] + asked["n_genes"]
    if asked["n_peaks"] < needed:
        raise InputError(
            f"simulation: n_peaks is {asked['n_peaks']}, but {asked['n_planted']} planted genes with "
            f"{asked['n_candidates']} candidates each and {asked['n_genes']} promoters need at least {needed}"
        )
    room = asked["gene_spacing_bp"] // (2 * PEAK_BIN_BP)
    if asked["n_peaks"] > room * asked["n_genes"] or asked["n_candidates"] > room // 4:
        raise InputError(
            f"simulation: {asked['n_peaks']} peaks do not fit on {asked['n_genes']} genes x "
            f"{asked['gene_spacing_bp']} bp; raise n_genes or gene_spacing_bp"
        )
    if asked["n_cells"] < asked["n_cell_types"]:
        raise InputError(f"simulation: n_cells is {asked['n_cells']}, fewer than n_cell_types")


def _planted_genes(n_of_logic: Mapping[str, int], n_cell_types: int) -> pd.DataFrame:
    rows = [
        (f"{NAME_OF_LOGIC[logic]}{i + 1}", logic, i % n_cell_types, i % 2 == 0)
        for logic, n in n_of_logic.items()
        for i in range(n)
    ]
    return pd.DataFrame(rows, columns=["gene", "logic", "type_code", "alike_in_all_types"])


def _name_of_type(code: int) -> str:
    return CELL_TYPES[code] if code < len(CELL_TYPES) else f"Type {code + 1}"


def _cell_types(rng, n_cells: int, n_types: int) -> np.ndarray:
    """A shuffled type code per cell; earlier types are larger, none is empty."""
    weight = 1 / (1 + 0.3 * np.arange(n_types))
    bounds = np.round(np.cumsum(weight) / weight.sum() * (n_cells - n_types)).astype(int)
    return rng.permutation(np.repeat(np.arange(n_types), np.diff(bounds, prepend=0) + 1))


def _peak_programme(rng, peaks, planted, n_types, open_share, elsewhere, coaccessibility, n_factors):
    """Where peaks are open.

    Returns
    -------
    share : ndarray, shape (n_types, n_peaks)
        Share of a type's cells in which the peak is truly open.
    factor : ndarray of int, shape (n_peaks,)
    loading : ndarray, shape (n_peaks,)
        Correlation of the peak's latent normal with its factor.
    """
    n = len(peaks)
    kind = peaks["kind"].to_numpy()
    share = np.tile(np.clip(np.exp(rng.normal(np.log(0.05), 1.0, n)), 0.005, 0.6), (n_types, 1))
    share[:, kind == "promoter"] = rng.uniform(0.4, 0.9, (kind == "promoter").sum())
    specific = np.flatnonzero(np.isin(kind, ["distal", "intergenic"]) & (rng.random(n) < 0.35))
    share[:, specific] = 0.02
    share[rng.integers(0, n_types, len(specific)), specific] = rng.uniform(0.2, 0.7, len(specific))
    factor = rng.integers(0, n_factors, n)
    loading = np.where(rng.random(n) < 0.4, np.sqrt(rng.uniform(0.1, 0.5, n)), 0.0)
    for row in planted.itertuples():
        own = peaks["owner"].to_numpy() == row.Index
        share[:, own] = open_share if row.alike_in_all_types else elsewhere
        share[row.type_code, own] = open_share
        factor[own], loading[own] = row.factor, np.sqrt(coaccessibility)
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


def _draw_peaks(rng, cell_type, factors, rate, share, factor, loading, is_candidate):
    """Fragment counts of every peak and the true state of the candidates, in blocks of peaks.

    Parameters
    ----------
    rate : ndarray, shape (n_cells,)
        Expected fragments in an open peak; closed peaks have none.

    Returns
    -------
    counts : csr_matrix, shape (n_cells, n_peaks), float32
    accessible : csr_matrix, shape (n_cells, n_candidates), uint8
    """
    counts, accessible = [], []
    threshold = ndtri(share).astype(np.float32)
    loading = loading.astype(np.float32)
    residual = np.sqrt(1 - loading**2)
    for first in range(0, share.shape[1], _PEAKS_PER_BLOCK):
        block = slice(first, first + _PEAKS_PER_BLOCK)
        latent = rng.standard_normal((len(cell_type), len(loading[block])), dtype=np.float32)
        latent *= residual[block]
        latent += factors[:, factor[block]] * loading[block]
        is_open = latent > -threshold[cell_type, block]
        row, column = np.nonzero(is_open)
        drawn = rng.poisson(rate[row]).astype(np.float32)
        seen = drawn > 0
        counts.append(sparse.csc_matrix((drawn[seen], (row[seen], column[seen])), shape=is_open.shape))
        accessible.append(sparse.csc_matrix(is_open[:, is_candidate[block]].astype(np.uint8)))
    return sparse.hstack(counts, format="csr"), sparse.hstack(accessible, format="csr")


def _gene_programme(rng, genes, n_types: int, n_factors: int, n_markers: int) -> dict[str, np.ndarray]:
    """Log mean counts of ordinary genes: by type (n_types, n_genes), and their slope on the factors."""
    n = len(genes)
    base = rng.normal(np.log(0.5), 1.2, n)
    by_type = base + rng.normal(0, 0.2, (n_types, n))
    ordinary = np.flatnonzero(genes["gene"].str.startswith("GENE"))
    markers = rng.permutation(ordinary)[: n_types * n_markers]
    marked = np.arange(len(markers)) % n_types
    by_type[:, markers] = np.log(0.1)
    by_type[marked, markers] = np.log(rng.uniform(1.5, 6.0, len(markers)))
    slope = rng.normal(0, 0.4, (n_factors, n)) * (rng.random((n_factors, n)) < 0.15)
    return {"by_type": by_type, "slope": slope}


def _plant(
    rng, planted, candidates, accessible, cell_type, factors, log_effect, factor_effect, mean_counts
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Choose the members of each planted gene and let the gene follow them.

    Returns
    -------
    log_mean : dict of gene to ndarray, shape (n_cells,)
        Natural log of the expected counts at unit depth.
    truth : DataFrame, see :class:`Simulation`
    """
    log_mean, truth = {}, [pd.DataFrame(columns=TRUTH_COLUMNS)]
    by_peak = accessible.tocsc()
    owner = candidates["owner"].to_numpy()
    for row in planted.itertuples():
        columns = np.flatnonzero(owner == row.Index)
        members = np.sort(rng.choice(len(columns), MEMBERS_OF_LOGIC[row.logic], replace=False))
        is_open = by_peak[:, columns[members]].toarray().astype(bool)
        offset = log_activity(is_open, row.logic, log_effect)
        if row.logic == "none":
            offset = factor_effect * factors[:, row.factor].astype(float)
        of_type = cell_type == row.type_code
        log_mean[row.gene] = offset + np.log(mean_counts / np.exp(offset[of_type]).mean())
        alone, joint = closing_effects(is_open[of_type], row.logic, log_effect)
        effect = np.zeros(len(columns))
        effect[members] = alone
        table = {
            "gene": row.gene,
            "cell_type": _name_of_type(row.type_code),
            "logic": row.logic,
            "peak": candidates.index[columns],
            "is_member": np.isin(np.arange(len(columns)), members),
            "log_effect_alone": effect,
            "joint_log_effect": joint,
        }
        truth.append(pd.DataFrame(table))
    return log_mean, pd.concat(truth[1:] or truth, ignore_index=True)


def _draw_counts(rng, names, log_mean, offsets, cell_type, factors, depth, dispersion) -> sparse.csr_matrix:
    """Negative-binomial RNA counts in blocks of genes, float32 CSR, shape (n_cells, n_genes)."""
    blocks = []
    names = names.to_numpy()
    for first in range(0, len(names), _GENES_PER_BLOCK):
        block = slice(first, first + _GENES_PER_BLOCK)
        log_mu = log_mean["by_type"][cell_type, block] + factors @ log_mean["slope"][:, block]
        for column, name in enumerate(names[block]):
            if name in offsets:
                log_mu[:, column] = offsets[name]
        mu = np.exp(log_mu) * depth[:, None]
        drawn = rng.poisson(rng.gamma(1 / dispersion, dispersion, mu.shape) * mu)
        blocks.append(sparse.csr_matrix(drawn.astype(np.float32)))
    return sparse.hstack(blocks, format="csr")


def _as_mudata(rna, atac, genes, peaks, cell_type, rna_depth, atac_depth):
    import anndata
    import mudata

    mudata.set_options(pull_on_update=False)
    cells = [f"cell{i + 1:0{len(str(len(cell_type)))}d}" for i in range(len(cell_type))]
    types = [_name_of_type(code) for code in cell_type]

    def obs(depth: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"cell_type": types, "depth": depth}, index=cells)

    mdata = mudata.MuData(
        {
            "rna": anndata.AnnData(
                rna, obs=obs(rna_depth), var=pd.DataFrame(index=genes["gene"].astype(str).tolist())
            ),
            "atac": anndata.AnnData(atac, obs=obs(atac_depth), var=peaks[["chromosome", "start", "end"]]),
        }
    )
    mdata.obs["cell_type"] = types
    return mdata
